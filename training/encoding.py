"""Conversations to ``input_ids`` and ``labels``: every character is tokenised once, labels come from its offsets.

Every assistant turn (but those of weight 0) is trained with its stop token; all else is -100. Rows over the length are
cut at the end and counted; nothing is dropped silently. The trainer is handed the numbers and masks nothing itself.

The text of a conversation is cut where the model begins to speak, at the start of each answer, and nowhere else. There
chat cuts as well: it tokenises a prompt and lets the model go on. So the tokens of a prompt are those that precede the
answer in training, whatever the answer begins with; over a whole text a line break of the template and one of the
answer may be one token, which then is neither prompt nor answer. How that is done stands in ``training.reading``.

What a person wrote is text: a control token spelled in a message ("</s>") becomes letters, in training as in chat, or
the message is refused where the tokenizer does not allow it (see ``training.control_tokens``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from transformers import PreTrainedTokenizerBase

from training.errors import EncodingError
from training.reading import Read, reader
from training.rows import IGNORED, LISTED, EncodedRow, EncodedRows, EncodingReport

__all__ = [
    "IGNORED",
    "EncodedRow",
    "EncodedRows",
    "EncodingReport",
    "encode_row",
    "encode_rows",
    "prompt_ids",
    "stop_ids",
]

#: Conversations that are tokenised together; more gain nothing.
BATCH = 256
#: Refused rows after which the rest of a file is not read: the fault is then no row's.
MOST_REFUSED = 100

Messages = Sequence[Mapping[str, Any]]


def prompt_ids(messages: Messages, tokenizer: PreTrainedTokenizerBase, template: str) -> list[int]:
    """Tokens after which the model answers; the same tokens precede the answer in training.

    Raises:
        EncodingError: a message cannot be read as text, or the template refuses the conversation.
    """
    return list(_one(reader(tokenizer, template).read([messages], prompt=True)).ids)


def stop_ids(tokenizer: PreTrainedTokenizerBase, template: str) -> list[int]:
    """Tokens that end an answer: the one that the template writes after it, then the tokenizer's own end of text.

    Raises:
        EncodingError: the template writes no stop token.
    """
    trained = reader(tokenizer, template).stop_id()
    return list(dict.fromkeys(i for i in (trained, tokenizer.eos_token_id) if i is not None))


def _one(read: Sequence[Read | EncodingError]) -> Read:
    if isinstance(read[0], EncodingError):
        raise read[0]
    return read[0]


def _trained(read: Read, messages: Messages) -> bytearray:
    """One byte a token: whether it is trained.

    Raises:
        EncodingError: a trained answer stands after another prompt than it would have in chat.
    """
    marks = bytearray(len(read.ids))
    weights = [message.get("weight", 1) for message in messages if message["role"] == "assistant"]
    for number, ((start, end), weight) in enumerate(zip(read.answers, weights, strict=True)):
        if weight == 0:
            continue
        if number in read.otherwise:
            raise EncodingError(
                f"The chat template writes answer {number + 1} of {len(weights)} after another prompt than it has when "
                "it is the last one, so chat would never see what training saw.",
                hint='Give the earlier answers "weight": 0, split the conversation, or use a recipe with a template.',
            )
        marks[start:end] = b"\1" * (end - start)
    return marks


def encode_row(messages: Messages, tokenizer: PreTrainedTokenizerBase, template: str, max_length: int) -> EncodedRow:
    """One conversation in tokens.

    Raises:
        EncodingError: a trained turn does not end in the stop token, the template lost or changed a turn, or a message
            cannot be read as text.
    """
    read = _one(reader(tokenizer, template).read([messages]))
    marks = _trained(read, messages)
    labels = [token if mark else IGNORED for token, mark in zip(read.ids, marks, strict=True)]
    return EncodedRow(read.ids[:max_length], labels[:max_length], truncated=len(read.ids) > max_length)


def encode_rows(
    rows: Iterable[tuple[int, Messages]],
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    max_length: int,
    param: str = "training_file",
) -> tuple[EncodedRows, EncodingReport]:
    """Every conversation in tokens, with what was cut and dropped. Reads as it goes: five bytes a token stay.

    Args:
        rows: Line number and messages, as ``corpora.messages.training_rows`` gives them.
        tokenizer: The base's.
        template: Jinja source.
        max_length: Most tokens of a row.
        param: The request's field that named the file, for errors.

    Raises:
        EncodingError: rows cannot be encoded; the message names the first line with its reason, and the other lines.
            Or no row is left.
    """
    report, kept = EncodingReport(), EncodedRows()
    refused: list[tuple[int, EncodingError]] = []
    for number, read, marks in _encoded(rows, tokenizer, template, refused):
        report.rows += 1
        unknown = read.ids[:max_length].count(tokenizer.unk_token_id)
        if _keep(number, read, marks, max_length, unknown, (report, kept)):
            report.unknown_tokens += unknown
    if refused:
        raise _refusal(refused, param)
    if not kept:
        raise EncodingError(
            f"No row has a trained token within the length limit of {max_length} tokens.",
            param=param,
            hint="Raise max_length, shorten the prompts, or give the answers weight 1.",
        )
    return kept, report


def _encoded(
    rows: Iterable[tuple[int, Messages]],
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    refused: list[tuple[int, EncodingError]],
) -> Iterator[tuple[int, Read, bytearray]]:
    """Line, tokens and marks of each row; what is refused goes to ``refused``."""
    reads = reader(tokenizer, template)
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        for (number, messages), read in zip(batch, reads.read([messages for _, messages in batch]), strict=True):
            try:
                marks = _trained(_one([read]), messages)
            except EncodingError as exc:
                refused.append((number, exc))
                if len(refused) == MOST_REFUSED:
                    return
                continue
            assert not isinstance(read, EncodingError)
            yield number, read, marks


def _keep(
    number: int,
    read: Read,
    marks: bytearray,
    max_length: int,
    unknown: int,
    out: tuple[EncodingReport, EncodedRows],
) -> bool:
    """Cut one row, count it, and keep it if anything in it is trained; whether it was kept."""
    report, kept = out
    length, inside = len(read.ids), marks[:max_length]
    report.longest = max(report.longest, length)
    truncated = length > max_length
    if truncated:
        report.truncated += 1
        report.tokens_cut += length - max_length
        if len(report.truncated_lines) < LISTED:
            report.truncated_lines.append(number)
    trained = inside.count(1)
    if trained == 0:
        report.dropped += 1
        if marks.count(1):
            report.dropped_cut += 1
        else:
            report.dropped_untrained += 1
        if len(report.dropped_lines) < LISTED:
            report.dropped_lines.append(number)
        return False
    report.kept += 1
    report.tokens += len(inside)
    report.trained_tokens += trained
    # An answer is in pieces where a token on each side of the cut is trained: answers never touch.
    unstopped = truncated and marks[max_length - 1] == marks[max_length] == 1
    report.unstopped += unstopped
    odd = (max(0, length - max_length), int(unstopped), unknown)
    kept.append(read.ids[:max_length], inside, truncated=truncated, line=number, odd=odd)
    return True


def _refusal(refused: Sequence[tuple[int, EncodingError]], param: str) -> EncodingError:
    number, first = refused[0]
    others = ", ".join(str(line) for line, _ in refused[1:21])
    more = f" Refused too: {len(refused) - 1} more, lines {others}" if others else ""
    more += " …" if len(refused) > 21 else "." if others else ""
    return EncodingError(f"line {number}: {first.message}{more}", param=param, hint=first.hint, code=first.code)
