"""The mode ``alpaca``: one prompt, many tasks, exactly parsed and filtered as stanford_alpaca does (761dc5b).

Three seeds stand in the prompt; the reply continues at item 4 and stops before item 20, so that one prompt gives at
most 16 tasks. Its parser splits at ``###`` and then at ``k. Instruction:``, ``k. Input:`` and ``k. Output:``, where k
counts blocks: one number wrong, and all that follow are lost. Inputs and outputs are never filtered. Novelty is the
curator's, with the tokenizer ``english`` at 0.7.

Not carried over, since chat endpoints have no such thing: five prompts in one request, the bias against token 50256.
Must not know the other modes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from corpora.records import Candidate, Provenance, Verdict
from generators.asking import ask_text
from generators.base import SlotResult
from generators.prompting import render
from generators.self_instruct.examples import Example
from generators.self_instruct.filters import ALPACA_BLACKLIST, Pair, english_instruction_fault
from generators.self_instruct.slot import Slot, task_candidate

__all__ = ["Block", "encode", "parse", "run"]

#: The published list names the second twice.
_STOP = ("\n20", "20.")
_MARK = "###"
_NO_INPUT = "<noinput>"
#: Parts of a block that is split at its three headings, each with the heading's word: 1 + 3 * 2.
_PARTS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """What stood between two marks of a reply."""

    raw: str  #: As the model wrote it.
    instruction: str = ""
    input: str = ""
    output: str = ""
    malformed: str | None = None  #: Why it is no task; None for a task.
    fault: Verdict | None = None  #: The filter that drops it; None for what the reference keeps.


def encode(examples: Sequence[Example]) -> str:
    """The numbered tasks of a prompt; a whole prompt goes on with the mark and the next number."""
    blocks = []
    for number, example in enumerate(examples, start=1):
        instruction = re.sub(r"\s+", " ", example.instruction).strip().rstrip(":")
        blocks.append(
            f"{_MARK}\n{number}. Instruction: {instruction}\n{number}. Input:\n{example.input or _NO_INPUT}\n"
            f"{number}. Output:\n{example.output}"
        )
    return "\n".join(blocks)


def parse(text: str, finish_reason: str, shown: int) -> list[Block]:
    """The blocks of a reply, those that the reference drops included, but for empty ones.

    Args:
        text: the reply, as it follows ``{shown + 1}. Instruction:``.
        finish_reason: ``length`` makes the last block unusable, and only that.
        shown: tasks in the prompt.
    """
    pieces = f"{shown + 1}. Instruction:{text}".split(_MARK)
    blocks = []
    for position, piece in enumerate(pieces):
        if not piece.strip():
            continue
        if position == len(pieces) - 1 and finish_reason == "length":
            blocks.append(Block(raw=piece, malformed="truncated_reply"))
            continue
        number = position + shown + 1
        parts = re.split(rf"{number}\.\s+(Instruction|Input|Output):", piece)
        if len(parts) != _PARTS:
            blocks.append(Block(raw=piece, malformed=f"wrong_shape: no item {number} in three parts"))
            continue
        instruction, task_input, output = (parts[place].strip() for place in (2, 4, 6))
        blocks.append(
            Block(
                raw=piece,
                instruction=instruction,
                input="" if task_input.lower() == _NO_INPUT else task_input,
                output=output,
                fault=english_instruction_fault(instruction, ALPACA_BLACKLIST),
            )
        )
    return blocks


async def run(slot: Slot) -> SlotResult:
    """Ask for a batch and take it apart."""
    examples = slot.examples()
    heading = f"{len(examples) + 1}. Instruction:"
    prompt = render("self_instruct.alpaca", tasks=encode(examples), next=str(len(examples) + 1))
    told = await ask_text(slot.model, slot.request("tasks", prompt, stop=_STOP))
    if told.reply is None:
        return SlotResult(usage=told.usage, failed=told.failed)
    # A chat model often repeats the heading that a completion model would only continue.
    text = told.reply.text
    bare = text.lstrip().removeprefix(_MARK).lstrip()
    text = bare.removeprefix(heading) if bare.startswith(heading) else text
    origin = slot.origin(prompt, told.reply.model, examples)
    blocks = parse(text, told.reply.finish_reason, len(examples))
    return SlotResult(candidates=tuple(_candidate(block, origin) for block in blocks), usage=told.usage)


def _candidate(block: Block, origin: Provenance) -> Candidate:
    if block.malformed is not None:
        return Candidate(messages=(), provenance=origin, malformed=block.malformed, raw=block.raw)
    return task_candidate(block.instruction, Pair(input=block.input, output=block.output), origin, block.fault)
