"""What is like what in a dataset: clusters of near-duplicates, and the nearest samples of one.

Compared are the samples that passed every gate, those that curation dropped as repeats included, by the wording that
curation compares. Worked out when it is asked for; a dataset of more than ``MAX_ROWS`` such samples is refused, since
``malmoi curate --report`` does that better than a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.services.context import Services
from app.services.datasets import require_dataset
from app.store.queries import Session, count, find, listed
from app.store.samples import row_to_sample
from app.store.tables import SampleRow
from corpora.errors import InvalidInputError, NotFoundError
from corpora.korean.analyse import content_morphemes_many
from generators.curation.conversation import asked_text, compared_answer
from retrieval.clusters import Cluster, DuplicateGraph
from retrieval.near_duplicates import Tokenized, overlap

__all__ = ["MAX_ROWS", "list_clusters", "nearest_samples"]

#: Samples that one request may compare; 20,000 questions on one template take 13 s to tokenise and 12 s to join on
#: two busy cores.
MAX_ROWS = 20_000
#: Pairs above the threshold that one request may find, about 8 s; 20,000 copies of one row would be 200 million.
MAX_PAIRS = 500_000
#: Members of a cluster that are listed; ``size`` tells how many there are.
MAX_MEMBERS = 200
_REPEATS = ("near_duplicate", "semantic_duplicate")


@dataclass(frozen=True, slots=True)
class _Compared:
    rows: list[SampleRow]
    tokens: list[Tokenized]


def list_clusters(
    services: Services, dataset_id: str, threshold: str, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """Connected samples above ``threshold`` (ROUGE-L F1 over content morphemes), the largest cluster first.

    Raises:
        NotFoundError: there is no such dataset.
        InvalidInputError: it is too large, too much of it is alike, or ``after`` is no cluster of it.
    """
    with services.store.snapshot() as session:
        compared = _compared(session, dataset_id)
    graph = DuplicateGraph.build(compared.tokens, threshold, most=MAX_PAIRS)
    # An accepted sample stands for its cluster, the earliest of several.
    quality = [float(row.status == "accepted") for row in compared.rows]
    bodies = [_cluster_body(cluster, compared.rows) for cluster in graph.clusters(threshold, quality)]
    start = 0
    if after is not None:
        ids = [body["id"] for body in bodies]
        if after not in ids:
            raise InvalidInputError(f"'{after}' is no cluster of '{dataset_id}'.", param="after")
        start = ids.index(after) + 1
    return bodies[start : start + limit], start + limit < len(bodies)


def nearest_samples(services: Services, sample_id: str, k: int) -> list[dict[str, Any]]:
    """The ``k`` samples of the same dataset whose questions share most with this one's, nearest first.

    Raises:
        NotFoundError: there is no such sample.
        InvalidInputError: its dataset is too large, or the sample could not be read.
    """
    with services.store.snapshot() as session:
        row = find(session, SampleRow, SampleRow.id == sample_id)
        if row is None:
            raise NotFoundError(f"There is no sample '{sample_id}'.", code="sample_not_found")
        if row.malformed is not None:
            raise InvalidInputError("A reply that could not be read has nothing to compare.", param="sample_id")
        compared = _compared(session, row.dataset_id)
    (mine,) = _tokens([row])
    scored = [
        (overlap(other.tokens, mine.tokens), place)
        for place, other in enumerate(compared.tokens)
        if compared.rows[place].id != sample_id
    ]
    scored.sort(key=lambda entry: (-entry[0], entry[1]))
    return [{**_member(compared.rows[place]), "score": round(score, 4)} for score, place in scored[:k]]


def _compared(session: Session, dataset_id: str) -> _Compared:
    require_dataset(session, dataset_id)
    wanted = (
        SampleRow.dataset_id == dataset_id,
        (SampleRow.status == "accepted") | SampleRow.stage.in_(_REPEATS),
    )
    rows = count(session, SampleRow, *wanted)
    if rows > MAX_ROWS:
        raise InvalidInputError(
            f"'{dataset_id}' has {rows:,} samples to compare, more than {MAX_ROWS:,}; export it and run "
            "malmoi curate --report.",
            code="dataset_too_large",
        )
    found = list(listed(session, SampleRow, *wanted, order_by=SampleRow.seq))
    return _Compared(found, _tokens(found))


def _tokens(rows: Sequence[SampleRow]) -> list[Tokenized]:
    candidates = [row_to_sample(row).candidate for row in rows]
    answers = [compared_answer(candidate) for candidate in candidates]
    asked = content_morphemes_many([asked_text(candidate) for candidate in candidates])
    said = content_morphemes_many([answer for answer in answers if answer is not None])
    return [
        Tokenized(asked_text(candidate), tokens, None if answer is None else next(said), candidate.group_id)
        for candidate, tokens, answer in zip(candidates, asked, answers, strict=True)
    ]


def _cluster_body(cluster: Cluster, rows: Sequence[SampleRow]) -> dict[str, Any]:
    representative = rows[cluster.representative]
    return {
        "id": f"cluster_{representative.id.removeprefix('sample_')}",
        "object": "dataset.cluster",
        "created_at": int(representative.created_at),
        "representative": representative.id,
        "size": len(cluster.members),
        "members": [
            {**_member(rows[member.row]), "score": round(member.score, 4), "nearest": rows[member.nearest].id}
            for member in cluster.members[:MAX_MEMBERS]
        ],
    }


def _member(row: SampleRow) -> dict[str, Any]:
    question = next((message["content"] for message in row.messages if message["role"] == "user"), "")
    return {"sample_id": row.id, "status": row.status, "reason": row.reason, "question": question}
