"""Pairs of answers in tokens: one prompt, and behind it the better answer or the worse one.

Each answer is encoded with its prompt as any conversation is (``training.reading``); a pair's prompts are the same
tokens, for both are cut where the answer begins. An answer over the length is cut at its end and counted; a pair whose
prompt leaves no room is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from corpora.preferences import Preference
from training.encoding import BATCH
from training.errors import EncodingError
from training.reading import Read, reader
from training.rows import LISTED, Counted, EncodedRows, EncodingReport

__all__ = ["PreferenceRow", "better_rows", "encode_preferences"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferenceRow:
    """One pair in tokens."""

    prompt_ids: Sequence[int]  #: Tokens before either answer.
    chosen_ids: Sequence[int]  #: The better answer with its stop token, if that was not cut off.
    rejected_ids: Sequence[int]  #: The worse one, likewise.
    line: int  #: Of its file.
    truncated: bool = False  #: Whether an answer lost tokens.
    cut: int = 0  #: Tokens that stood behind the cut, of both answers.
    unstopped: int = 0  #: Answers that lost their stop token.

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens of the prompt with the better answer, and with the worse one: what goes through the model."""
        prompt = len(self.prompt_ids)
        return prompt + len(self.chosen_ids), prompt + len(self.rejected_ids)

    @property
    def counted(self) -> Counted:
        """What the pair adds to a report: its prompt once, and both answers."""
        prompt, answers = len(self.prompt_ids), (len(self.chosen_ids), len(self.rejected_ids))
        longest = prompt + max(answers) + self.cut
        return Counted(self.line, prompt + sum(answers), sum(answers), longest, self.cut, self.unstopped)


def encode_preferences(
    rows: Iterable[tuple[int, Preference]],
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    max_length: int,
    param: str = "training_file",
) -> tuple[list[PreferenceRow], EncodingReport]:
    """Every pair in tokens, with what was cut and dropped.

    Args:
        rows: Line number and pair, as ``corpora.preferences.preference_rows`` gives them.
        tokenizer: The base's.
        template: Jinja source.
        max_length: Most tokens of a prompt with one answer.
        param: The request's field that named the file, for errors.

    Returns:
        Pairs, and the report: a row is a pair, tokens are those of prompt and both answers.

    Raises:
        EncodingError: a row cannot be encoded; the message names its line. Or no row is left.
    """
    report, kept = EncodingReport(), list[PreferenceRow]()
    reads, source = reader(tokenizer, template), iter(rows)
    while batch := list(islice(source, BATCH)):
        both: list[list[dict[str, Any]]] = [
            [*pair.messages, {"role": "assistant", "content": answer}]
            for _, pair in batch
            for answer in (pair.preferred, pair.non_preferred)
        ]
        waiting = iter(reads.read(both))
        for number, _ in batch:
            better, worse = (_good(next(waiting), number, param) for _ in range(2))
            row = _cut(number, better, worse, max_length, report)
            if row is not None:
                kept.append(row)
    if not kept:
        raise EncodingError(f"No pair has an answer within the length limit of {max_length} tokens.", param=param)
    return kept, report


def _good(read: Read | EncodingError, number: int, param: str) -> Read:
    if isinstance(read, EncodingError):
        raise EncodingError(f"line {number}: {read.message}", param=param, hint=read.hint, code=read.code)
    return read


def _cut(number: int, better: Read, worse: Read, max_length: int, report: EncodingReport) -> PreferenceRow | None:
    """Cut one pair to the length and count it; None where nothing of an answer is left."""
    (start, _), (_, end), (_, other_end) = better.answers[-1], better.answers[-1], worse.answers[-1]
    lengths = (end, other_end)
    report.rows += 1
    report.longest = max(report.longest, *lengths)
    lost = sum(max(0, length - max_length) for length in lengths)
    if lost:
        report.truncated += 1
        report.tokens_cut += lost
        if len(report.truncated_lines) < LISTED:
            report.truncated_lines.append(number)
    if start >= max_length:
        report.dropped += 1
        report.dropped_cut += 1
        if len(report.dropped_lines) < LISTED:
            report.dropped_lines.append(number)
        return None
    report.kept += 1
    unstopped = sum(length > max_length for length in lengths)
    report.unstopped += unstopped
    chosen, rejected = better.ids[start : min(end, max_length)], worse.ids[start : min(other_end, max_length)]
    report.trained_tokens += len(chosen) + len(rejected)
    report.tokens += start + len(chosen) + len(rejected)
    return PreferenceRow(
        prompt_ids=better.ids[:start],
        chosen_ids=chosen,
        rejected_ids=rejected,
        line=number,
        truncated=lost > 0,
        cut=lost,
        unstopped=unstopped,
    )


def better_rows(pairs: Iterable[PreferenceRow]) -> EncodedRows:
    """Prompts with their better answers, as rows: what preflight looks at, and the loss of answers is measured on."""
    rows = EncodedRows()
    for pair in pairs:
        marks = bytes(len(pair.prompt_ids)) + b"\1" * len(pair.chosen_ids)
        rows.append([*pair.prompt_ids, *pair.chosen_ids], marks, truncated=pair.truncated, line=pair.line)
    return rows
