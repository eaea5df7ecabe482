"""Passages of a corpus for a conversation, and the citations that tell what the answer rests on.

How passages are shown to the model is ``corpora.context``'s; how many of them fit is decided where the tokens are
counted, in the chat process.

The last user turn is searched with. One that says too little by itself ("왜요?") takes in the user's turns before it,
the newest first, until there is something to search with. A search with all of the last turns stands beside it and is
taken where its best hit is nearer: a turn that changes the subject finds more by itself, one that only goes on finds
more with what it follows, and would lose its passages without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.services.context import Services
from app.services.documents import documents_by_id
from app.services.searching import search_corpus
from app.store.queries import count
from app.store.tables import ChunkRow
from corpora.errors import InvalidInputError
from corpora.korean.analyse import content_morphemes_many

__all__ = ["Passage", "citations", "find_passages", "questions_of", "url_citations"]

#: Turns of the user that are searched with at most.
TURNS = 3
#: Different content morphemes with which a question can be searched for by itself.
ENOUGH = 3
#: How an answer cites a passage: the number that stands before it.
_MARK = re.compile(r"\[(\d{1,3})\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A chunk that was found, best first."""

    label: str  #: Path of headings, as shown to the model.
    title: str  #: Of its document.
    chunk: dict[str, Any]  #: As the API shows it.
    score: float  #: Of the search.


def questions_of(messages: Sequence[Mapping[str, str]]) -> list[str]:
    """What to search with: the newest user turns that say enough together, then all of the last ``TURNS``."""
    turns = [turn["content"] for turn in reversed(messages) if turn["role"] == "user"][:TURNS]
    said: set[str] = set()
    taken: list[str] = []
    for turn, morphemes in zip(turns, content_morphemes_many(turns), strict=True):
        taken.append(turn)
        said.update(morphemes)
        if len(said) >= ENOUGH:
            break
    return list(dict.fromkeys(("\n".join(taken), "\n".join(turns))))


def find_passages(
    services: Services, corpus_id: str, messages: Sequence[Mapping[str, str]], k: int
) -> tuple[Passage, ...]:
    """At most ``k`` chunks nearest to what the user asks in ``messages``.

    Raises:
        NotFoundError: there is no such corpus.
        InvalidInputError: it has nothing to search in (``index_missing``).
        UnavailableError: its index is being built.
    """
    searched = [search_corpus(services, corpus_id, question, k) for question in questions_of(messages)]
    # The first of those that are as good; by the cosine, since scores of two queries do not compare.
    found = max(searched, key=lambda hits: max((hit["dense"] for hit in hits), default=0.0))
    if not found:
        _require_chunks(services, corpus_id)
    documents = documents_by_id(services, list(dict.fromkeys(hit["document_id"] for hit in found)))
    titles = {document["id"]: document["title"] for document in documents}
    return tuple(
        Passage(
            label=" > ".join(hit["chunk"]["headings"]),
            title=titles.get(hit["document_id"], ""),
            chunk=hit["chunk"],
            score=hit["score"],
        )
        for hit in found
    )


def _require_chunks(services: Services, corpus_id: str) -> None:
    """Tell a corpus in which nothing was found from one in which there is nothing."""
    with services.store.read() as session:
        chunks = count(session, ChunkRow, ChunkRow.corpus_id == corpus_id)
    if not chunks:
        raise InvalidInputError(
            f"Corpus '{corpus_id}' has no index yet; add documents and wait until they are processed.",
            param="corpus_id",
            code="index_missing",
        )


def citations(passages: Sequence[Passage], answers: Sequence[str]) -> list[dict[str, Any]]:
    """What was shown to the model, in order, and whether an answer names it as ``[1]``."""
    named = {int(number) for answer in answers for number in _MARK.findall(answer)}
    return [
        {
            "index": number,
            "document_id": passage.chunk["document_id"],
            "chunk_id": passage.chunk["id"],
            "chunk_index": passage.chunk["index"],
            "title": passage.title,
            "headings": passage.chunk["headings"],
            "score": passage.score,
            "start": passage.chunk["start"],
            "end": passage.chunk["end"],
            "text": passage.chunk["text"],
            "cited": number in named,
        }
        for number, passage in enumerate(passages, start=1)
    ]


def url_citations(passages: Sequence[Passage], answer: str) -> list[dict[str, Any]]:
    """OpenAI's ``url_citation`` for each ``[1]`` in the answer that names a passage.

    The address is that of the document's text; its fragment (RFC 5147) gives the passage's characters.
    """
    told = []
    for found in _MARK.finditer(answer):
        number = int(found[1])
        if not 1 <= number <= len(passages):
            continue
        passage = passages[number - 1]
        chunk = passage.chunk
        url = f"/v1/documents/{chunk['document_id']}/text#char={chunk['start']},{chunk['end']}"
        place = {"start_index": found.start(), "end_index": found.end()}
        told.append({"type": "url_citation", "url_citation": {"title": passage.title, "url": url} | place})
    return told
