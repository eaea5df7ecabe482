"""Conversations to ``input_ids`` and ``labels``: one tokenisation each, labels from its offsets.

Every assistant turn (but those of weight 0) is trained with its stop token; all else is -100. Rows over the length are
cut at the end and counted; nothing is dropped silently. The trainer is handed the numbers and masks nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from training.errors import EncodingError

__all__ = ["IGNORED", "EncodedRow", "EncodingReport", "encode_row", "encode_rows", "prompt_ids"]

#: Label of a token that is not trained.
IGNORED = -100


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One conversation in tokens; both lists have the same length."""

    input_ids: list[int]  #: Tokens.
    labels: list[int]  #: The same where trained, -100 elsewhere.
    truncated: bool = False  #: Whether tokens were cut off at the end.


@dataclass(slots=True)
class EncodingReport:
    """What encoding a file came to: rows = kept + dropped."""

    rows: int = 0  #: Conversations read.
    kept: int = 0  #: Rows with something to train.
    dropped: int = 0  #: Rows without a trained token after cutting.
    truncated: int = 0  #: Rows that lost tokens.
    tokens: int = 0  #: Tokens of the kept rows.
    trained_tokens: int = 0  #: Of these, trained.
    dropped_lines: list[int] = field(default_factory=list)  #: Line numbers of the dropped rows, the first hundred.

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def _render(
    messages: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, template: str, *, prompt: bool = False
) -> tuple[str, list[tuple[int, int]]]:
    """Text and character ranges of the assistant turns."""
    plain = [{"role": m["role"], "content": m["content"]} for m in messages]
    rendered, ranges = render_jinja_template(
        [plain],
        chat_template=template,
        return_assistant_tokens_mask=True,
        add_generation_prompt=prompt,
        bos_token=tokenizer.bos_token or "",
        eos_token=tokenizer.eos_token,
    )
    return rendered[0], [(int(a), int(b)) for a, b in ranges[0]]


def prompt_ids(messages: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, template: str) -> list[int]:
    """Tokens after which the model answers; the same tokens precede the answer in training."""
    text, _ = _render(messages, tokenizer, template, prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_row(
    messages: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, template: str, max_length: int
) -> EncodedRow:
    """One conversation in tokens.

    Raises:
        EncodingError: a trained turn does not end in the stop token, or the template lost a turn.
    """
    text, ranges = _render(messages, tokenizer, template)
    answers = [m for m in messages if m["role"] == "assistant"]
    if len(ranges) != len(answers):
        raise EncodingError(f"The template marks {len(ranges)} answers of {len(answers)}.")
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = list(encoded["input_ids"]), encoded["offset_mapping"]
    labels = [IGNORED] * len(ids)
    for (start, end), message in zip(ranges, answers, strict=True):
        if message.get("weight", 1) == 0:
            continue
        inside = [i for i, (low, high) in enumerate(offsets) if low >= start and high <= end and high > low]
        if not inside or ids[inside[-1]] != tokenizer.eos_token_id:
            raise EncodingError(
                "The last trained token of an answer is not the stop token; the model would never stop."
            )
        for i in inside:
            labels[i] = ids[i]
    return EncodedRow(ids[:max_length], labels[:max_length], truncated=len(ids) > max_length)


def encode_rows(
    rows: Iterable[Sequence[Mapping[str, Any]]], tokenizer: PreTrainedTokenizerBase, template: str, max_length: int
) -> tuple[list[EncodedRow], EncodingReport]:
    """Every conversation in tokens, with what was cut and dropped.

    Raises:
        EncodingError: a row cannot be encoded; the message names it. Or no row is left.
    """
    report, kept = EncodingReport(), []
    for number, messages in enumerate(rows, start=1):
        report.rows += 1
        try:
            row = encode_row(messages, tokenizer, template, max_length)
        except EncodingError as exc:
            raise EncodingError(f"row {number}: {exc.message}", param="training_file") from exc
        report.truncated += row.truncated
        trained = sum(label != IGNORED for label in row.labels)
        if trained == 0:
            report.dropped += 1
            if len(report.dropped_lines) < 100:
                report.dropped_lines.append(number)
            continue
        report.kept += 1
        report.tokens += len(row.input_ids)
        report.trained_tokens += trained
        kept.append(row)
    if not kept:
        raise EncodingError("No row has a trained token within the length limit.", param="training_file")
    return kept, report
