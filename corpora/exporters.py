"""Conversations as lines and files that other tools read: messages, ShareGPT, Alpaca, prompt/completion, CSV, Parquet.

A conversation that a format cannot carry (several turns, a system turn or an answer that is not trained on in Alpaca,
prompt/completion and CSV) is refused and counted by reason; nothing is cut. What is written here is read back by
``corpora.importers`` as the same messages. Cells of CSV are written as they are: one that begins with ``=`` is a
formula to a spreadsheet, and guarding it would change the data, so open such files there as text. Knows nothing of
stores and of HTTP.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from corpora.errors import InvalidInputError
from corpora.messages import message_line
from corpora.records import Message

__all__ = ["EXPORTS", "LINE_EXPORTS", "ExportReport", "NotExportableError", "export_line", "refusal", "write_export"]

#: A conversation with what is to stand beside it.
ExportRow = tuple[Sequence[Message], Mapping[str, Any] | None]
_CSV_HEADER = ("question", "answer")
_SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}
#: Rows of one row group of a Parquet file.
_GROUP_ROWS = 1000


class NotExportableError(InvalidInputError):
    """The conversation does not fit into the format."""

    code = "not_exportable"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportReport:
    """What became of the rows; ``written`` and ``refused`` add up to them."""

    written: int  #: Conversations in the file.
    refused: dict[str, int] = field(default_factory=dict)  #: Conversations that the format cannot carry, by reason.


def _messages(messages: Sequence[Message], metadata: Mapping[str, Any] | None) -> str:
    return message_line([{"role": m.role, "content": m.content, "weight": m.weight} for m in messages], metadata)


def _sharegpt(messages: Sequence[Message], metadata: Mapping[str, Any] | None) -> str:
    turns: list[dict[str, Any]] = [{"from": _SPEAKERS[m.role], "value": m.content} for m in messages]
    for turn, message in zip(turns, messages, strict=True):
        if message.weight is not None:
            turn["weight"] = message.weight
    return _line({"conversations": turns}, metadata)


def _alpaca(messages: Sequence[Message], metadata: Mapping[str, Any] | None) -> str:
    return _line({"instruction": messages[0].content, "input": "", "output": messages[1].content}, metadata)


def _prompt_completion(messages: Sequence[Message], metadata: Mapping[str, Any] | None) -> str:
    return _line({"prompt": messages[0].content, "completion": messages[1].content}, metadata)


def _line(row: dict[str, Any], metadata: Mapping[str, Any] | None) -> str:
    return json.dumps(row if metadata is None else {**row, "metadata": dict(metadata)}, ensure_ascii=False)


#: Formats of one JSON object a line.
LINE_EXPORTS: dict[str, Callable[[Sequence[Message], Mapping[str, Any] | None], str]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt_completion": _prompt_completion,
}
#: All formats of files.
EXPORTS = (*LINE_EXPORTS, "csv", "parquet")
_SINGLE_TURN = frozenset({"alpaca", "prompt_completion", "csv"})


def refusal(messages: Sequence[Message], format: str) -> str | None:  # noqa: A002 - the name users know
    """Why the format cannot carry the conversation; None when it can.

    ``no_answer``, ``system_turn``, ``multi_turn``, or ``untrained_turn``: an answer of weight 0.
    """
    roles = [message.role for message in messages]
    if "assistant" not in roles:
        return "no_answer"
    if format in _SINGLE_TURN:
        if "system" in roles:
            return "system_turn"
        if roles != ["user", "assistant"]:
            return "multi_turn"
        # Without its weight of 0 the answer would be trained on; a weight of 1 says what is so anyway.
        if messages[1].weight == 0:
            return "untrained_turn"
    return None


def export_line(
    messages: Sequence[Message],
    format: str,  # noqa: A002 - the name users know
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """One conversation as a line of JSON, without a line end; Hangul stays as it is.

    Raises:
        InvalidInputError: no such format of lines.
        NotExportableError: the format cannot carry it; ``code`` is the reason.
    """
    if format not in LINE_EXPORTS:
        raise _unknown(format, tuple(LINE_EXPORTS))
    reason = refusal(messages, format)
    if reason is not None:
        raise NotExportableError(f"The format '{format}' cannot carry this conversation: {reason}.", code=reason)
    return LINE_EXPORTS[format](messages, metadata)


def write_export(rows: Iterable[ExportRow], stream: BinaryIO, format: str) -> ExportReport:  # noqa: A002
    """Write a file, row by row.

    Metadata stands beside the messages in formats of lines, as a JSON text in the column ``metadata`` of Parquet (with
    the turns' ``weights``, where a row has any), and has no place in CSV.

    Args:
        rows: Conversations with their metadata or None.
        stream: Where the bytes go; stays open.
        format: Name in ``EXPORTS``.

    Raises:
        InvalidInputError: no such format.
    """
    if format not in EXPORTS:
        raise _unknown(format, EXPORTS)
    refused: Counter[str] = Counter()
    fitting = _fitting(rows, format, refused)
    if format == "csv":
        written = _write_csv(fitting, stream)
    elif format == "parquet":
        written = _write_parquet(fitting, stream)
    else:
        written = 0
        for messages, metadata in fitting:
            stream.write((LINE_EXPORTS[format](messages, metadata) + "\n").encode("utf-8"))
            written += 1
    return ExportReport(written=written, refused=dict(refused))


def _fitting(rows: Iterable[ExportRow], name: str, refused: Counter[str]) -> Iterator[ExportRow]:
    for messages, metadata in rows:
        reason = refusal(messages, name)
        if reason is None:
            yield messages, metadata
        else:
            refused[reason] += 1


def _write_csv(rows: Iterator[ExportRow], stream: BinaryIO) -> int:
    # All cells quoted: line ends of any kind within them survive. Written through a buffer, so that the stream stays
    # the caller's to close.
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(_CSV_HEADER)
    written = 0
    for messages, _ in rows:
        writer.writerow([message.content for message in messages])
        stream.write(_taken(buffer))
        written += 1
    stream.write(_taken(buffer))
    return written


def _taken(buffer: io.StringIO) -> bytes:
    data = buffer.getvalue().encode("utf-8")
    buffer.seek(0)
    buffer.truncate()
    return data


def _write_parquet(rows: Iterator[ExportRow], stream: BinaryIO) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema([("messages", pa.list_(message)), ("metadata", pa.string())])
    written = 0
    with pq.ParquetWriter(stream, schema) as writer:
        while group := list(islice(rows, _GROUP_ROWS)):
            table = [
                {
                    "messages": [{"role": m.role, "content": m.content} for m in messages],
                    "metadata": _beside(messages, metadata),
                }
                for messages, metadata in group
            ]
            writer.write_table(pa.Table.from_pylist(table, schema=schema))
            written += len(group)
    return written


def _beside(messages: Sequence[Message], metadata: Mapping[str, Any] | None) -> str | None:
    """The metadata of a row of Parquet, and the weights of its turns where it has any.

    As a field of the messages they would be null in every other row, and a null weight is no messages schema.
    """
    weights = [message.weight for message in messages]
    told = dict(metadata or {})
    if any(weight is not None for weight in weights):
        told["weights"] = weights
    elif metadata is None:
        return None
    return json.dumps(told, ensure_ascii=False)


def _unknown(name: str, known: Sequence[str]) -> InvalidInputError:
    return InvalidInputError(
        f"There is no format '{name}'; known are {', '.join(known)}.", param="format", code="unknown_format"
    )
