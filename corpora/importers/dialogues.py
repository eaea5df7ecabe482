"""Dialogue summaries of NIKL (모두의 말뭉치) and AI Hub: the dialogue with a request becomes the user's turn.

Consecutive turns of one speaker are merged. Speakers keep the names they have in the dataset, since the summaries of
NIKL speak of them by those. The request is ours, fixed and versioned; neither dataset has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from corpora.ids import content_id
from corpora.importers.rows import ImportedRow, RowError, clean_text, conversation, optional_text, scalars

__all__ = [
    "SUMMARY_PROMPT",
    "SUMMARY_TEMPLATE",
    "convert_aihub_dialogue",
    "convert_nikl_dialogue",
    "fits_aihub_dialogue",
    "fits_nikl_dialogue",
    "merged_turns",
]

#: Name and version of the request; goes into the metadata of every row.
SUMMARY_PROMPT = "dialogue_summary@1"
SUMMARY_TEMPLATE = "다음 대화를 읽고 핵심 내용을 요약해 주세요.\n\n{dialogue}"


def fits_nikl_dialogue(row: Mapping[str, Any]) -> bool:
    """``utterance`` with ``form`` (corpus), or ``input.conversation`` (competition)."""
    given = row.get("input")
    return isinstance(row.get("utterance"), list) or (isinstance(given, dict) and "conversation" in given)


def fits_aihub_dialogue(row: Mapping[str, Any]) -> bool:
    """``body.dialogue``."""
    body = row.get("body")
    return isinstance(body, dict) and "dialogue" in body


def convert_nikl_dialogue(row: Mapping[str, Any]) -> Iterator[ImportedRow]:
    """``{"id", "utterance": [{"speaker_id", "form"}], "annotation": {"summary"}}`` or the competition's form.

    Raises:
        RowError: no turns, a turn without speaker, or no summary.
    """
    given = row.get("input")
    if isinstance(given, dict):
        turns, summary = _turns(given.get("conversation"), "speaker", "utterance"), row.get("output")
    else:
        turns, summary = _turns(row.get("utterance"), "speaker_id", "form"), _annotated(row)
    yield _row(turns, summary, row.get("id"), scalars(row, without=("output", "summary")))


def convert_aihub_dialogue(row: Mapping[str, Any]) -> Iterator[ImportedRow]:
    """``{"header": {"dialogueInfo"}, "body": {"dialogue": [{"participantID", "utterance"}], "summary"}}``.

    Raises:
        RowError: no turns, a turn without speaker, or no summary.
    """
    body, header = row.get("body"), row.get("header")
    if not isinstance(body, dict):
        raise RowError("missing_field", "'body' is no object.")
    info = header.get("dialogueInfo") if isinstance(header, dict) else None
    metadata = scalars(info) if isinstance(info, dict) else {}
    turns = _turns(body.get("dialogue"), "participantID", "utterance")
    yield _row(turns, body.get("summary"), metadata.get("dialogueID"), metadata)


def merged_turns(turns: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """``(speaker, text)`` with consecutive turns of one speaker joined by a blank."""
    merged: list[tuple[str, list[str]]] = []
    for speaker, text in turns:
        if merged and merged[-1][0] == speaker:
            merged[-1][1].append(text)
        else:
            merged.append((speaker, [text]))
    return [(speaker, " ".join(texts)) for speaker, texts in merged]


def _turns(turns: object, speaker_key: str, text_key: str) -> list[tuple[str, str]]:
    """Speakers and what they say; turns without any text (noise in the recording) are left out."""
    if not isinstance(turns, list):
        raise RowError("missing_field", "the dialogue is no list of turns.")
    found = []
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise RowError("not_an_object", f"turn {index + 1} is no object.")
        text = optional_text(turn.get(text_key), f"turn {index + 1}: {text_key}")
        if text is not None:
            # A line end within a turn would look like the next speaker.
            speaker = clean_text(turn.get(speaker_key), f"turn {index + 1}: {speaker_key}").strip()
            found.append((speaker, " ".join(text.split())))
    if not found:
        raise RowError("empty_conversation", "the dialogue has no turn with text.")
    return found


def _annotated(row: Mapping[str, Any]) -> object:
    """The summary of a corpus document, beside its turns or in its annotation."""
    if row.get("summary") is not None:
        return row["summary"]
    annotation = row.get("annotation")
    if isinstance(annotation, list) and len(annotation) == 1:
        annotation = annotation[0]
    return annotation.get("summary") if isinstance(annotation, dict) else None


def _row(turns: list[tuple[str, str]], summary: object, name: object, metadata: dict[str, Any]) -> ImportedRow:
    if optional_text(summary, "summary") is None:
        raise RowError("no_answer", "the dialogue has no summary.")
    dialogue = "\n".join(f"{speaker}: {text}" for speaker, text in merged_turns(turns))
    messages = conversation(
        [("user", SUMMARY_TEMPLATE.format(dialogue=dialogue), "dialogue"), ("assistant", summary, "summary")]
    )
    return ImportedRow(
        messages=messages,
        group_id=content_id("group", name if isinstance(name, str) else dialogue),
        metadata={**metadata, "prompt": SUMMARY_PROMPT},
    )
