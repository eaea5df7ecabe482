"""Vectors that were paid for, on SQL: a ``VectorCache`` (``retrieval.embedders.base``) over the table ``embeddings``.

Vectors are stored as little-endian float32. At most 500 rows a transaction; what an endpoint gave is durable when
``put_many`` returns, so that a killed job sends no text twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.database import Store
from app.store.tables import EmbeddingRow
from retrieval.embedders import Vectors

__all__ = ["SqlVectorCache"]

#: Rows of one transaction, and values of one query.
BATCH = 500
_TABLE = cast(Table, EmbeddingRow.__table__)


def _upserts() -> dict[str, sqlite.Insert | postgresql.Insert]:
    """By dialect: insert, or replace what lies under the same key."""
    lite, postgres = sqlite.insert(_TABLE), postgresql.insert(_TABLE)
    key = list(_TABLE.primary_key)
    return {
        "sqlite": lite.on_conflict_do_update(index_elements=key, set_={"vector": lite.excluded.vector}),
        "postgresql": postgres.on_conflict_do_update(index_elements=key, set_={"vector": postgres.excluded.vector}),
    }


class SqlVectorCache:
    """The table ``embeddings`` of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._put_statement = _upserts()[store.engine.dialect.name]

    def get_many(self, fingerprint: str, keys: Sequence[str]) -> dict[str, Vectors]:
        """Those of ``keys`` that are known, float32."""
        found: dict[str, Vectors] = {}
        for start in range(0, len(keys), BATCH):
            some = EmbeddingRow.text_sha256.in_(keys[start : start + BATCH])
            query = select(EmbeddingRow.text_sha256, EmbeddingRow.vector).where(
                EmbeddingRow.fingerprint == fingerprint, some
            )
            with self._store.read() as session:
                for key, raw in session.execute(query):
                    found[key] = np.frombuffer(raw, dtype="<f4").astype(np.float32)
        return found

    def put_many(self, fingerprint: str, vectors: Mapping[str, Vectors]) -> None:
        """Keep these; one that is there already is replaced."""
        # In the order of their keys: two writers of the same texts lock rows alike and cannot block one another.
        rows = [
            {"fingerprint": fingerprint, "text_sha256": key, "vector": np.asarray(vector, dtype="<f4").tobytes()}
            for key, vector in sorted(vectors.items())
        ]
        for start in range(0, len(rows), BATCH):
            with self._store.write(durable=True) as session:
                session.execute(self._put_statement, rows[start : start + BATCH])
