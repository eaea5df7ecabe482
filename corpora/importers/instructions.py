"""Datasets of instructions and answers: Alpaca, KoAlpaca, KULLM, prompt/completion, question/answer, Self-Instruct."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from corpora.ids import content_id
from corpora.importers.chats import message
from corpora.importers.rows import ImportedRow, RowError, check_turns, clean_text, conversation, optional_text, scalars
from corpora.records import Role

__all__ = [
    "ANSWER_NAMES",
    "QUESTION_NAMES",
    "convert_alpaca",
    "convert_prompt_completion",
    "convert_question_answer",
    "convert_self_instruct",
    "fits_alpaca",
    "fits_koalpaca_v1_1",
    "fits_kullm_v2",
    "fits_prompt_completion",
    "fits_question_answer",
    "fits_self_instruct",
]

#: Column names of tables of questions and answers, best first; compared in lower case.
QUESTION_NAMES = ("question", "질문", "q", "instruction", "문의", "문제", "prompt")
ANSWER_NAMES = ("answer", "답변", "a", "output", "답", "응답", "정답", "response", "completion")
CONTEXT_NAMES = ("context", "지문", "문맥", "본문")
_INPUT_NAMES = ("input", "입력")
_SYSTEM_NAMES = ("system", "시스템")
_ALPACA = ("instruction", "input", "output", "system", "history")


def fits_alpaca(row: Mapping[str, Any]) -> bool:
    """``instruction`` and ``output``, with or without ``input``; KoAlpaca v1.0 is of this form too."""
    return "instruction" in row and "output" in row


def fits_koalpaca_v1_1(row: Mapping[str, Any]) -> bool:
    """``instruction``, ``output`` and the ``url`` of the question, no ``input``."""
    return fits_alpaca(row) and "url" in row and "input" not in row


def fits_kullm_v2(row: Mapping[str, Any]) -> bool:
    """``instruction``, ``input``, ``output`` and ``id``, nothing else."""
    return set(row) == {"instruction", "input", "output", "id"}


def fits_prompt_completion(row: Mapping[str, Any]) -> bool:
    """``prompt`` with ``completion`` or ``response``."""
    return "prompt" in row and ("completion" in row or "response" in row)


def fits_question_answer(row: Mapping[str, Any]) -> bool:
    """A column for questions and one for answers."""
    names = {name.lower() for name in row}
    return any(n in names for n in QUESTION_NAMES) and any(n in names for n in ANSWER_NAMES)


def fits_self_instruct(row: Mapping[str, Any]) -> bool:
    """Seed tasks: ``instruction`` and a list of ``instances``."""
    return "instruction" in row and isinstance(row.get("instances"), list)


def convert_alpaca(row: Mapping[str, Any]) -> Iterator[ImportedRow]:
    """``{"instruction", "input"?, "output", "system"?, "history"?}``; history is a list of earlier pairs.

    Raises:
        RowError: a text is missing, empty or broken, or the history is no list of pairs.
    """
    turns: list[tuple[Role, object, str]] = []
    if optional_text(row.get("system"), "system") is not None:
        turns.append(("system", row["system"], "system"))
    for index, pair in enumerate(_pairs(row.get("history"))):
        turns += [("user", pair[0], f"history[{index}][0]"), ("assistant", pair[1], f"history[{index}][1]")]
    turns.append(("user", _asked(row.get("instruction"), row.get("input")), "instruction"))
    turns.append(("assistant", row.get("output"), "output"))
    yield ImportedRow(messages=conversation(turns), metadata=scalars(row, without=_ALPACA))


def convert_prompt_completion(row: Mapping[str, Any]) -> Iterator[ImportedRow]:
    """``{"prompt", "completion" or "response"}``: texts, or lists of messages as TRL has them.

    Raises:
        RowError: a text is missing, empty or broken, or one is a text and the other a list.
    """
    name = "completion" if "completion" in row else "response"
    prompt, completion = row.get("prompt"), row.get(name)
    metadata = scalars(row, without=("prompt", name))
    if isinstance(prompt, list) and isinstance(completion, list):
        turns = [message(t, f"prompt[{i}]", "role", "content") for i, t in enumerate(prompt)]
        turns += [message(t, f"{name}[{i}]", "role", "content") for i, t in enumerate(completion)]
        yield ImportedRow(messages=check_turns(turns), metadata=metadata)
        return
    pair = conversation([("user", prompt, "prompt"), ("assistant", completion, name)])
    yield ImportedRow(messages=pair, metadata=metadata)


def convert_question_answer(row: Mapping[str, Any]) -> Iterator[ImportedRow]:
    """A row with a column for questions and one for answers, in English or Korean; context, input, system optional.

    Raises:
        RowError: there is no such column, or a text is empty or broken.
    """
    names = {name.lower(): name for name in row}
    question, answer = _column(names, QUESTION_NAMES), _column(names, ANSWER_NAMES)
    if question is None or answer is None:
        raise RowError("missing_field", f"no column of {', '.join(QUESTION_NAMES)} or of {', '.join(ANSWER_NAMES)}.")
    context_name, input_name = _column(names, CONTEXT_NAMES), _column(names, _INPUT_NAMES)
    system_name = _column(names, _SYSTEM_NAMES)
    context = optional_text(row[context_name], context_name) if context_name else None
    asked = _asked(row[question], row[input_name] if input_name else None)
    turns: list[tuple[Role, object, str]] = [("user", asked, question), ("assistant", row[answer], answer)]
    if system_name and optional_text(row[system_name], system_name) is not None:
        turns.insert(0, ("system", row[system_name], system_name))
    used = (question, answer, context_name or "", input_name or "", system_name or "")
    yield ImportedRow(
        messages=conversation(turns),
        grounded=context is not None,
        context=context,
        group_id=content_id("group", context) if context is not None else None,
        metadata=scalars(row, without=used),
    )


def convert_self_instruct(row: Mapping[str, Any]) -> Iterator[ImportedRow | RowError]:
    """``{"id", "instruction", "instances": [{"input", "output"}]}``: a row for each instance, all of one group.

    Raises:
        RowError: there are no instances, or the instruction is empty or broken.
    """
    instruction = clean_text(row.get("instruction"), "instruction")
    instances = row.get("instances")
    if not isinstance(instances, list) or not instances:
        raise RowError("missing_field", "'instances' is no list or an empty one.")
    metadata = scalars(row, without=("instruction", "instances"))
    group = content_id("group", instruction)
    for index, instance in enumerate(instances):
        where = f"instances[{index}]"
        if not isinstance(instance, dict):
            yield RowError("not_an_object", f"{where} is no object.", where)
            continue
        try:
            messages = conversation(
                [
                    ("user", _asked(instruction, instance.get("input")), "instruction"),
                    ("assistant", instance.get("output"), f"{where}.output"),
                ]
            )
        except RowError as fault:
            yield RowError(fault.code, fault.message, where)
            continue
        yield ImportedRow(messages=messages, group_id=group, metadata=dict(metadata))


def _asked(instruction: object, given: object) -> object:
    """Instruction and input as one turn, parted by a blank line; what is no text is left to the check of the turn."""
    text = optional_text(given, "input")
    if text is None:
        return instruction
    return f"{clean_text(instruction, 'instruction')}\n\n{text}"


def _pairs(history: object) -> list[tuple[object, object]]:
    if history is None:
        return []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise RowError("broken_history", "'history' is no list of pairs of question and answer.")
    return [(pair[0], pair[1]) for pair in history]


def _column(names: Mapping[str, str], wanted: tuple[str, ...]) -> str | None:
    return next((names[name] for name in wanted if name in names), None)
