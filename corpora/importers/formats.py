"""The known datasets by name, and how a format is found by looking at rows. To add one, write its entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpora.importers import chats, dialogues, instructions, reading
from corpora.importers.rows import ImportedRow, RowError

__all__ = ["FORMATS", "Format", "best_format"]

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A dataset's form."""

    title: str  #: For people.
    fits: Callable[[Row], bool]  #: Whether a row looks like one of it.
    convert: Callable[[Row], Iterator[ImportedRow | RowError]]  #: A row as conversations; raises RowError too.


#: Known formats. Where several fit equally well the first one is taken, so special ones stand before general ones.
#: KoAlpaca v1.0 is Alpaca's own form and is found as ``alpaca``; the name is there to be given.
FORMATS: dict[str, Format] = {
    "smol_koreantalk": Format(
        title="Smol Korean Talk", fits=chats.fits_smol_koreantalk, convert=chats.convert_messages
    ),
    "messages": Format(title="messages (OpenAI, TRL)", fits=chats.fits_messages, convert=chats.convert_messages),
    "sharegpt": Format(title="ShareGPT", fits=chats.fits_sharegpt, convert=chats.convert_sharegpt),
    "self_instruct": Format(
        title="Self-Instruct seed tasks",
        fits=instructions.fits_self_instruct,
        convert=instructions.convert_self_instruct,
    ),
    "kullm_v2": Format(title="KULLM v2", fits=instructions.fits_kullm_v2, convert=instructions.convert_alpaca),
    "koalpaca_v1.1": Format(
        title="KoAlpaca v1.1", fits=instructions.fits_koalpaca_v1_1, convert=instructions.convert_alpaca
    ),
    "alpaca": Format(title="Alpaca", fits=instructions.fits_alpaca, convert=instructions.convert_alpaca),
    "koalpaca_v1.0": Format(title="KoAlpaca v1.0", fits=instructions.fits_alpaca, convert=instructions.convert_alpaca),
    "prompt_completion": Format(
        title="prompt and completion",
        fits=instructions.fits_prompt_completion,
        convert=instructions.convert_prompt_completion,
    ),
    "korquad_1": Format(title="KorQuAD 1.0", fits=reading.fits_korquad_1, convert=reading.convert_korquad_1),
    "korquad_2": Format(title="KorQuAD 2.0", fits=reading.fits_korquad_2, convert=reading.convert_korquad_2),
    "nikl_dialogue": Format(
        title="NIKL dialogue summaries", fits=dialogues.fits_nikl_dialogue, convert=dialogues.convert_nikl_dialogue
    ),
    "aihub_dialogue": Format(
        title="AI Hub dialogue summaries", fits=dialogues.fits_aihub_dialogue, convert=dialogues.convert_aihub_dialogue
    ),
    "korean_wiki_qa": Format(
        title="Korean Wiki QA", fits=reading.fits_korean_wiki_qa, convert=reading.convert_korean_wiki_qa
    ),
    "question_answer": Format(
        title="questions and answers (CSV)",
        fits=instructions.fits_question_answer,
        convert=instructions.convert_question_answer,
    ),
}


def best_format(rows: Sequence[Row]) -> str | None:
    """The format that most of ``rows`` fit; None when no format fits at least half of them."""
    if not rows:
        return None
    counts = {name: sum(known.fits(row) for row in rows) for name, known in FORMATS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if 2 * counts[best] >= len(rows) else None
