"""The schema of preference files: an input, an answer that is preferred to another, and that other.

A line is ``{"input": {"messages": […]}, "preferred_output": [one], "non_preferred_output": [one]}``; the older names
``preferred_completion`` and ``non_preferred_completion`` are read too. ``preference_rows`` reads a file for the
trainer, ``validate_preference_file`` checks one; both refuse what ``corpora.messages`` refuses in a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from corpora.errors import InvalidTrainingFileError
from corpora.messages import (
    MIN_EXAMPLES,
    TrainingFileReport,
    TrainingLineError,
    check_message,
    check_turns,
    composed,
    decomposed_warning,
    load_line,
    noting_tools,
    numbered_texts,
    too_few,
    tools_warning,
)
from corpora.overlap import conversation_key

__all__ = ["Preference", "parse_preference_line", "preference_rows", "validate_preference_file"]

_OUTPUTS = (("preferred_output", "preferred_completion"), ("non_preferred_output", "non_preferred_completion"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """Two answers to one input."""

    messages: list[dict[str, Any]]  #: The input; the last message is the user's.
    preferred: str  #: What the better answer says.
    non_preferred: str  #: What the worse one says.
    decomposed: bool = False  #: Whether words of the line were not in NFC; here they are.


def _output(row: Mapping[str, Any], names: tuple[str, str], number: int) -> dict[str, Any]:
    given = [name for name in names if name in row]
    if len(given) != 1:
        which = "both" if given else "neither"
        raise TrainingLineError(number, f"has {which} of '{names[0]}' and '{names[1]}'.", "missing_output")
    value = row[given[0]]
    if not isinstance(value, list) or len(value) != 1:
        raise TrainingLineError(number, f"{given[0]} must be a list of one message.", "missing_output")
    check_message(value[0], number, f"{given[0]}[0]")
    if value[0]["role"] != "assistant":
        raise TrainingLineError(number, f"{given[0]}[0] must be of 'assistant'.", "unrecognized_role")
    if "weight" in value[0]:
        raise TrainingLineError(number, f"{given[0]}[0] has a weight; a pair has none.", "invalid_weight")
    return dict(value[0])


def parse_preference_line(line: str, number: int) -> Preference:
    """The pair of one line.

    Raises:
        TrainingLineError: the line breaks the schema; the message names it and says how.
    """
    row = load_line(line, number)
    asked = row.get("input")
    messages = asked.get("messages") if isinstance(asked, dict) else None
    if not isinstance(messages, list) or not messages:
        hint = (
            'It is a line of messages: train with the method "supervised", or give lines of preferences.'
            if "messages" in row
            else None
        )
        raise TrainingLineError(
            number,
            'needs an object "input" with a list "messages" of at least one message.',
            "missing_messages_list",
            hint,
        )
    better, worse = (_output(row, names, number) for names in _OUTPUTS)
    # The input alone may have no answer; with one it is a conversation like any other.
    check_turns([*messages, better], number, "input.messages")
    if conversation_key([better]) == conversation_key([worse]):
        raise TrainingLineError(number, "prefers an answer to itself, so there is nothing to learn.", "same_outputs")
    (*asked_for, chosen, rejected), changed = composed([*messages, better, worse])
    return Preference(
        messages=asked_for, preferred=chosen["content"], non_preferred=rejected["content"], decomposed=changed
    )


def preference_rows(lines: Iterable[bytes], *, param: str = "training_file") -> Iterator[tuple[int, Preference]]:
    """Line number (from 1, blank lines counted) and pair of every line of a file.

    Raises:
        TrainingLineError: a line is wrong; the message names it, and ``param`` the request's field.
    """
    try:
        for number, line in numbered_texts(lines):
            yield number, parse_preference_line(line, number)
    except InvalidTrainingFileError as exc:
        exc.param = param
        raise


def validate_preference_file(
    lines: Iterable[bytes], *, minimum: int = MIN_EXAMPLES, param: str = "training_file"
) -> TrainingFileReport:
    """Check a whole file.

    Raises:
        InvalidTrainingFileError: a line is wrong, or there are fewer than ``minimum`` examples
            (``invalid_n_examples``).
    """
    examples = decomposed = 0
    tools: list[int] = []
    for _, pair in preference_rows(noting_tools(lines, tools), param=param):
        examples += 1
        decomposed += pair.decomposed
    if examples < minimum:
        raise too_few(examples, minimum, param)
    return TrainingFileReport(examples=examples, warnings=decomposed_warning(decomposed) + tools_warning(tools))
