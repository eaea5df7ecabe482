"""The mode ``korean``: both methods with what breaks in Korean mended; replies are JSON instead of numbered marks.

``batch`` asks for whole tasks, as Alpaca does, beside six human tasks and two of the job's own, as Self-Instruct does.
``bootstrap`` asks for instructions, then in one request which of them are classification, then for the instances of
each: label first where it is, material first where it is not, beside seeds of the same kind. Must not know the English
modes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from corpora.bundled.loader import SeedTask
from corpora.records import Candidate, Provenance, Verdict
from generators.asking import Asked, ask_items, unreadable
from generators.base import SlotResult
from generators.llm.parsing import Malformed
from generators.ports import Usage
from generators.prompting import render
from generators.self_instruct.examples import Example, draw_seeds
from generators.self_instruct.filters import Pair, korean_instruction_fault, korean_pair_fault, refused
from generators.self_instruct.slot import Slot, Tried, all_of, task_candidate

__all__ = ["run_batch", "run_bootstrap"]

#: Seeds of each kind that show what classification is; the reference shows 12 and 19 of its own.
_CLASSIFIED, _OTHERS = 6, 8
#: Seeds of the same kind beside an instruction that waits for its instances.
_WORKED = 4
#: Kinds of up to 16 instructions, and the instances of one, need no more.
_KIND_TOKENS, _INSTANCE_TOKENS = 1024, 2048


class _Task(BaseModel):
    """One task as the model must write it."""

    model_config = ConfigDict(strict=True)
    instruction: str = Field(min_length=1)
    input: str
    output: str


class _Instruction(BaseModel):
    model_config = ConfigDict(strict=True)
    instruction: str = Field(min_length=1)


class _Kind(BaseModel):
    model_config = ConfigDict(strict=True)
    number: int
    is_classification: bool


class _Labelled(BaseModel):
    """Output-first: the order of the fields is the order in which the model writes."""

    model_config = ConfigDict(strict=True)
    label: str
    input: str

    def pair(self) -> Pair:
        return Pair(input=self.input, output=self.label)


class _Worked(BaseModel):
    """Input-first."""

    model_config = ConfigDict(strict=True)
    input: str
    output: str

    def pair(self) -> Pair:
        return Pair(input=self.input, output=self.output)


async def run_batch(slot: Slot) -> SlotResult:
    """Ask for whole tasks and check their form."""
    examples = slot.examples()
    prompt = render(
        "self_instruct",
        count=str(slot.params.tasks_per_request),
        example_count=str(len(examples)),
        examples="\n".join(example.line() for example in examples),
        user_level=slot.plan.user_level,
    )
    asked = await ask_items(slot.model, slot.request("tasks", prompt), "tasks", _Task)
    if asked.failed is not None:
        return SlotResult(usage=asked.usage, failed=asked.failed)
    origin = asked.origin(slot.origin(prompt, asked.model, examples))
    candidates = []
    for item in asked.items:
        if isinstance(item, Malformed):
            candidates.append(unreadable(item, origin))
            continue
        pair = Pair(input=item.value.input, output=item.value.output)
        instruction = " ".join(item.value.instruction.split())
        fault = _instruction_fault(slot, instruction) or korean_pair_fault(instruction, pair)
        candidates.append(task_candidate(instruction, pair, origin, fault))
    return SlotResult(candidates=tuple(candidates), usage=asked.usage)


async def run_bootstrap(slot: Slot) -> SlotResult:
    """Ask for instructions, for their kinds, and for the instances of those that pass."""
    examples = slot.examples()
    prompt = render(
        "self_instruct.instructions",
        count=str(slot.params.tasks_per_request),
        example_count=str(len(examples)),
        examples="\n".join(_instruction_line(example.instruction) for example in examples),
        user_level=slot.plan.user_level,
        only_classification="yes" if slot.params.classification_seeds_only else "",
    )
    asked = await ask_items(slot.model, slot.request("instructions", prompt), "instructions", _Instruction)
    if asked.failed is not None:
        return SlotResult(usage=asked.usage, failed=asked.failed)
    origin = asked.origin(slot.origin(prompt, asked.model, examples))
    known = {"".join(example.instruction.split()) for example in examples}
    candidates: list[Candidate] = []
    passed: list[str] = []
    for item in asked.items:
        if isinstance(item, Malformed):
            candidates.append(unreadable(item, origin))
            continue
        instruction = " ".join(item.value.instruction.split())
        dense = "".join(instruction.split())
        fault = _instruction_fault(slot, instruction)
        if fault is None and dense in known:
            # Word for word: the curator would drop it, after its instances were paid for.
            fault = refused("repeats_shown_task")
        known.add(dense)
        if fault is None:
            passed.append(instruction)
        else:
            candidates.append(task_candidate(instruction, None, origin, fault))
    # Sorted once a slot: there may be many seeds, and every instruction draws from them.
    seeds = {kind: [task for task in slot.seeds if task.is_classification is kind] for kind in (True, False)}
    kinds, usage = await _kinds(slot, passed, seeds)
    work = []
    for place, text in enumerate(passed):
        kind = kinds.get(place + 1)
        shown = draw_seeds(slot.plan.seed, seeds[bool(kind)], _WORKED, f"worked:{place}")
        work.append(_try(slot, place, text, kind, origin, shown))
    for tried in await all_of(work):
        candidates += tried.candidates
        usage += tried.usage
    return SlotResult(candidates=tuple(candidates), usage=asked.usage + usage)


async def _kinds(
    slot: Slot, instructions: Sequence[str], seeds: Mapping[bool, Sequence[SeedTask]]
) -> tuple[dict[int, bool], Usage]:
    """Whether each instruction, by its number from 1, is classification; those that the reply leaves out are missing.

    Numbers given twice with different answers are left out too.
    """
    if not instructions:
        return {}, Usage()
    shown = [
        (task.instruction, kind)
        for kind, count in ((True, _CLASSIFIED), (False, _OTHERS))
        for task in draw_seeds(slot.plan.seed, seeds[kind], count, f"kind:{kind}")
    ]
    prompt = render(
        "self_instruct.classify",
        examples="\n".join(_kind_line(text, classification=kind) for text, kind in shown) if _both(shown) else "",
        instructions="\n".join(f"{n}. {_instruction_line(text)}" for n, text in enumerate(instructions, start=1)),
    )
    asked = await ask_items(slot.model, slot.greedy("classify", prompt, _KIND_TOKENS), "kinds", _Kind)
    found: dict[int, set[bool]] = {}
    for item in asked.items:
        if not isinstance(item, Malformed):
            found.setdefault(item.value.number, set()).add(item.value.is_classification)
    return {number: said.pop() for number, said in found.items() if len(said) == 1}, asked.usage


async def _try(
    slot: Slot, place: int, instruction: str, kind: bool | None, origin: Provenance, shown: Sequence[Example]
) -> Tried:
    """The instances of one instruction; as in the reference, one of unknown kind is no classification."""
    name = "classification" if kind else "generation"
    prompt = render(
        f"self_instruct.{name}",
        count=str(slot.params.instances_per_task),
        examples="\n".join(_labelled_line(example) if kind else example.line() for example in shown),
        instruction=_instruction_line(instruction),
    )
    request = slot.greedy(f"instances.{place}", prompt, _INSTANCE_TOKENS)
    asked: Asked[_Labelled] | Asked[_Worked]
    if kind:
        asked = await ask_items(slot.model, request, "instances", _Labelled)
    else:
        asked = await ask_items(slot.model, request, "instances", _Worked)
    traits = {"task_type": name, "kind_known": kind is not None, "asked_by": origin.prompt}
    origin = asked.origin(replace(origin, prompt=prompt.id, traits={**origin.traits, **traits}))
    if asked.failed is not None or not asked.items:
        fault = refused("no_instances", why=asked.failed or "empty list")
        return Tried(candidates=(task_candidate(instruction, None, origin, fault),), usage=asked.usage)
    pairs = [item.value.pair() for item in asked.items if not isinstance(item, Malformed)]
    candidates = slot.instances(instruction, [(pair, korean_pair_fault(instruction, pair)) for pair in pairs], origin)
    candidates += [unreadable(item, origin) for item in asked.items if isinstance(item, Malformed)]
    return Tried(candidates=tuple(candidates), usage=asked.usage)


def _instruction_fault(slot: Slot, instruction: str) -> Verdict | None:
    params = slot.params
    return korean_instruction_fault(
        instruction, params.min_instruction_chars, params.max_instruction_chars, params.blocked_stems
    )


def _both(shown: Sequence[tuple[str, bool]]) -> bool:
    """Whether both kinds are shown: examples of one kind alone would teach one answer."""
    return len({kind for _, kind in shown}) == 2


def _line(value: object) -> str:
    # "<\/질문>" is the same text in JSON and no closing tag.
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/")


def _instruction_line(instruction: str) -> str:
    return _line({"instruction": instruction})


def _kind_line(instruction: str, *, classification: bool) -> str:
    return _line({"instruction": instruction, "is_classification": classification})


def _labelled_line(example: Example) -> str:
    return _line({"instruction": example.instruction, "label": example.output, "input": example.input})
