"""The passages that a training row itself carries: what answers, and distractors that do not, in an order by seed.

For models that will be asked with retrieved passages. The row's system turn is ``corpora.context.context_turn``, which
chat uses too. It stands there and not in the user's turn for the reason that ``imported`` gives: in the question it
would be measured and compared as part of it. Must not know models, prompts or gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpora.context import context_turn
from corpora.korean.analyse import nouns
from corpora.records import Chunk, Message
from generators.grounding import wrap_chunks
from generators.grounding_draws import shuffled
from generators.rag_gates import find_quote
from retrieval.retriever import Retriever

__all__ = ["RowContext", "distractors_for", "row_context"]

#: A chunk with half of what the answer adds to its question may answer too.
_TELLS = 0.5
#: Hits looked through for each distractor wanted.
_DEPTH = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class RowContext:
    """What a row shows its model."""

    message: Message  #: The system turn.
    shown: tuple[str, ...]  #: Ids of its passages, in the order of their numbers.
    distractors: tuple[str, ...]  #: Ids of those that do not answer.


def distractors_for(
    question: str, answer: str, quotes: Sequence[str], cited: Sequence[Chunk], retriever: Retriever, count: int
) -> list[Chunk]:
    """The nearest chunks to a question that do not answer it; fewer than ``count`` where there are no more.

    A chunk does not answer when it is not cited, holds none of the quotes, and has less than half of the nouns that
    the answer adds to the question.
    """
    if not count:
        return []
    ids = {chunk.id for chunk in cited}
    added = set(nouns(answer)) - set(nouns(question))
    found: list[Chunk] = []
    for hit in retriever.search(question, count * _DEPTH + len(cited)):
        dense = "".join(hit.chunk.text.split()).casefold()
        told = sum(noun in dense for noun in added)
        answers = bool(added) and told >= _TELLS * len(added)
        quoted = any(find_quote(quote, hit.chunk.text) is not None for quote in quotes)
        if hit.chunk.id not in ids and not answers and not quoted:
            found.append(hit.chunk)
    return found[:count]


def row_context(seed: int, position: int, answering: Sequence[Chunk], distractors: Sequence[Chunk]) -> RowContext:
    """The system turn with both kinds of passages, shuffled by the slot's seed and the pair's place in it."""
    mixed = shuffled(seed, f"context:{position}", [*answering, *distractors], key=lambda chunk: chunk.text)
    return RowContext(
        message=Message(role="system", content=context_turn(wrap_chunks(mixed))),
        shown=tuple(chunk.id for chunk in mixed),
        distractors=tuple(chunk.id for chunk in distractors),
    )
