"""Idempotency keys in the store: claimed before the work, filled with its answer after it, kept for 24 hours."""

from __future__ import annotations

from app.services.context import Services
from app.store.queries import IntegrityError, change, find, remove
from app.store.tables import IdempotencyRow
from corpora.errors import InvalidInputError, UnavailableError

__all__ = ["KEPT_S", "IdempotencyMismatchError", "claim_key", "forget_key", "keep_answer"]

#: Seconds that an answer is kept.
KEPT_S = 24 * 3600.0


class IdempotencyMismatchError(InvalidInputError):
    """This Idempotency-Key was used with another body; use a new key for a new request."""

    code = "idempotency_key_reused"
    status = 422


def claim_key(services: Services, key: str, scope: str, body_sha256: str) -> str | None:
    """The earlier answer for ``key``, or None when the key is now this request's.

    Raises:
        IdempotencyMismatchError: the key was used with another body.
        UnavailableError: the first request with this key is still running.
    """
    now = services.now()
    try:
        with services.store.write() as session:
            remove(session, IdempotencyRow, IdempotencyRow.created_at < now - KEPT_S)
            session.add(
                IdempotencyRow(
                    key=key, scope=scope, body_sha256=body_sha256, status=None, response=None, created_at=now
                )
            )
            session.flush()
            return None
    except IntegrityError:
        pass  # somebody was first: what they stored decides
    with services.store.read() as session:
        row = find(session, IdempotencyRow, IdempotencyRow.key == key, IdempotencyRow.scope == scope)
    if row is not None and row.body_sha256 != body_sha256:
        raise IdempotencyMismatchError(param="Idempotency-Key")
    if row is None or row.response is None:
        raise UnavailableError(
            "The first request with this Idempotency-Key is still running; try again.", code="idempotency_in_flight"
        )
    return row.response


def keep_answer(services: Services, key: str, scope: str, response: str) -> None:
    """Store the answer of a claimed key."""
    with services.store.write() as session:
        change(
            session,
            IdempotencyRow,
            IdempotencyRow.key == key,
            IdempotencyRow.scope == scope,
            status=200,
            response=response,
        )


def forget_key(services: Services, key: str, scope: str) -> None:
    """Give up a claimed key whose request failed, so that it may be tried again."""
    with services.store.write() as session:
        remove(session, IdempotencyRow, IdempotencyRow.key == key, IdempotencyRow.scope == scope)
