"""Harder and rarer tasks out of given ones, after Evol-Instruct (WizardLM, Xu et al., 2023, arXiv 2304.12244).

A slot takes one step: it draws one of six operations with equal chance (add constraints, deepen, concretise, increase
reasoning steps, complicate the input; mutate makes a new task of the same field), asks for the evolved task, has it
checked, and asks for its answer. From the paper: 10 to 20 words more in a step, 4 rounds, temperature 1, top-p 0.9,
2048 tokens, and the rules of elimination (``evolve_rules``). Changed: prompts of our own in Korean; the input of a task
that is not to grow is attached by us instead of copied by the model; the check also asks whether the task can be
answered at all; what rests on a passage passes gates of grounding, and is flagged where the passage orders a model
about. An evolved task is compared like any new one: it is no variant of its parent. Must not know the endpoint or the
store.

Worked example: the row ``f:0`` asks "재고 실사 절차를 알려 주세요."; max_depth 2 gives two slots on it. Slot 0 draws
``add_constraints`` and keeps "야간에 두 명이 할 수 있는 재고 실사 절차를 알려 주세요." (depth 1, parent f:0). Slot
9, which may see it, draws ``deepen`` and goes on from there (depth 2, parent the sample of slot 0, root f:0). Had slot
0 been refused, slot 9 would have started from f:0 again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from corpora.records import Candidate, Message, Provenance, Verdict
from generators.ask_one import ask_one
from generators.asking import REPLY_FORM, AskedForm, unreadable
from generators.base import ModelClient, PoolView, SlotPlan, SlotResult, Workspace
from generators.evolve_parents import DEPTH, NAME, ROOT, Parent, find_parent
from generators.evolve_rules import (
    answer_fault,
    context_answer_fault,
    context_task_fault,
    input_fault,
    instruction_fault,
    refused,
)
from generators.fencing import fenced
from generators.grounding import SUSPECT
from generators.grounding_injection import suspects
from generators.llm.parsing import Malformed
from generators.ports import ModelRequest, Usage
from generators.prompting import Prompt, render

__all__ = ["OPERATIONS", "REQUESTS", "Evolve", "EvolveParams", "Operation"]

Operation = Literal["add_constraints", "deepen", "concretise", "increase_reasoning", "complicate_input", "mutate"]
OPERATIONS: tuple[Operation, ...] = (
    "add_constraints", "deepen", "concretise", "increase_reasoning", "complicate_input", "mutate",
)  # fmt: skip
#: Requests of a slot that comes to its end: evolve, check, answer.
REQUESTS = 3
#: What a complicated input may look like; the paper names XML, SQL, code, HTML, shell and JSON.
_INPUT_FORMATS = ("표", "JSON", "CSV", "작업 기록(로그)", "XML", "SQL", "프로그램 코드", "전자 우편")

#: Forms of a reply, the best first: of the slot's replies the worst is told.
_FORMS: tuple[AskedForm, ...] = ("strict", "fenced", "repaired", "asked_again", "unreadable")

ItemT = TypeVar("ItemT", bound=BaseModel)
ChoiceT = TypeVar("ChoiceT", bound=str)


class EvolveParams(BaseModel):
    """Parameters of ``evolve``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_from: Literal["auto", "pool"] = Field(
        default="auto",
        description="auto: the rows of 'source', else the seed tasks; pool: what the job's other generators have made.",
    )
    operations: tuple[Operation, ...] = Field(
        default=OPERATIONS, min_length=1, description="Operations to draw from, each with equal chance."
    )
    max_depth: int = Field(default=4, ge=1, le=10, description="Steps from a task to its deepest evolution.")
    pool_slots: int = Field(
        default=200, ge=1, le=100_000, description="Upper limit of slots on the job's own samples: they have no end."
    )
    max_added_words: int = Field(
        default=40,
        ge=1,
        le=500,
        description="Words (어절) by which an instruction may grow; 10 to 20 are asked for.",
    )
    temperature: float = Field(default=1.0, ge=0, le=2, description="Sampling temperature of task and answer.")
    top_p: float = Field(default=0.9, gt=0, le=1, description="Nucleus of the sampling of task and answer.")
    max_tokens: int = Field(default=2048, ge=64, le=32768, description="Upper limit of one reply in tokens.")


class _Rewritten(BaseModel):
    model_config = ConfigDict(strict=True)
    instruction: str = Field(min_length=1)


class _WithInput(_Rewritten):
    input: str


class _Check(BaseModel):
    model_config = ConfigDict(strict=True)
    same: bool
    answerable: bool
    reason: str


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)
    answer: str = Field(min_length=1)


class _StoppedError(Exception):
    """The slot ends here, with this result; never leaves the module."""

    def __init__(self, result: SlotResult) -> None:
        super().__init__()
        self.result = result


@dataclass(kw_only=True, slots=True)
class _Step:
    """One slot on its way: what was planned, spent and said so far."""

    plan: SlotPlan
    params: EvolveParams
    model: ModelClient
    parent: Parent
    operation: Operation
    origin: Provenance
    usage: Usage = field(default_factory=Usage)
    messages: tuple[Message, ...] = ()

    async def ask(self, step: str, prompt: Prompt, key: str, item: type[ItemT], *, free: bool = True) -> ItemT:
        """One request; a reply that can't be used ends the slot."""
        prompts = {**self.origin.traits["prompts"], step: prompt.id}
        self.origin = replace(self.origin, traits={**self.origin.traits, "prompts": prompts})
        request = ModelRequest(
            slot=self.plan.slot,
            step=step,
            messages=(Message(role="user", content=prompt.text),),
            max_tokens=self.params.max_tokens,
            temperature=self.params.temperature if free else 0.0,
            top_p=self.params.top_p if free else 1.0,
            seed=self.plan.seed % 2**31,
        )
        one = await ask_one(self.model, request, key, item)
        self.usage += one.usage
        if one.failed is not None:
            raise _StoppedError(SlotResult(usage=self.usage, failed=one.failed))
        self.origin = replace(self.origin, model=one.model, prompt=self.origin.prompt or prompt.id)
        self.note(**{REPLY_FORM: max(self.origin.traits.get(REPLY_FORM, "strict"), one.form, key=_FORMS.index)})
        if isinstance(one.value, Malformed):
            told = replace(one.value, reason=f"{one.value.reason} ({step})")
            raise _StoppedError(SlotResult(candidates=(unreadable(told, self.origin),), usage=self.usage))
        return one.value

    def refuse(self, verdict: Verdict | None) -> None:
        """End the slot where there is a fault."""
        if verdict is not None:
            raise _StoppedError(self.result(verdict))

    def note(self, **traits: Any) -> None:
        self.origin = replace(self.origin, traits={**self.origin.traits, **traits})

    def result(self, verdict: Verdict | None = None) -> SlotResult:
        """The slot's one candidate, as far as it came."""
        # An input that was made up beside the passage is a text of its own: the answer rests on both.
        grounded = bool(self.parent.context) and not any("\n\n" in m.content for m in self.messages if m.role == "user")
        candidate = Candidate(messages=self.messages, provenance=self.origin, grounded=grounded, rejection=verdict)
        return SlotResult(candidates=(candidate,), usage=self.usage)


class Evolve:
    """The generator ``evolve``."""

    name = NAME
    needs_model = True
    both_sides = False

    def __init__(self, params: EvolveParams | None = None) -> None:
        self.params = params or EvolveParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """Every row once a round, or one slot a seed task and round, or as many as the cap allows."""
        items = workspace.items.get(self.name, ())
        if self.params.start_from == "pool":
            return [None] * self.params.pool_slots
        if items:
            return [item.id for item in items] * self.params.max_depth
        return [None] * (len(workspace.seed_tasks) * self.params.max_depth or self.params.pool_slots)

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Evolve one task by one step, check it, answer it."""
        if workspace.model is None:
            raise ValueError("evolve needs a workspace with a model")
        own = self.params.start_from == "pool"
        parent = find_parent(plan, workspace, pool, own=own, max_depth=self.params.max_depth)
        if parent is None:
            return SlotResult(failed="nothing_to_evolve")
        operation = _drawn("operation", self.params.operations, plan.seed)
        traits: dict[str, Any] = {"operation": operation, DEPTH: parent.depth + 1, "parent_id": parent.id}
        traits |= {ROOT: parent.root} | ({SUSPECT: [parent.root]} if suspects(parent.context) else {})
        origin = Provenance(
            generator=self.name,
            slot=plan.slot,
            seed_ids=(parent.id,),
            group=parent.group,
            document_id=parent.document_id,
            traits={**traits, "prompts": {}},
        )
        step = _Step(
            plan=plan, params=self.params, model=workspace.model, parent=parent, operation=operation, origin=origin
        )
        try:
            task = await self._evolve(step)
            await self._check(step, task)
            return await self._answer(step, task)
        except _StoppedError as stopped:
            return stopped.result

    async def _evolve(self, step: _Step) -> str:
        """The evolved task, instruction and input, after the rules that need no model."""
        instruction, _, old_input = step.parent.task.partition("\n\n")
        shape = ""
        if step.operation == "complicate_input":
            shape = _drawn("input_format", _INPUT_FORMATS, step.plan.seed)
            step.note(input_format=shape)
        prompt = render(
            "evolve",
            operation=step.operation,
            input_format=shape,
            instruction=fenced(instruction),
            input=fenced(old_input),
            context=fenced(step.parent.context),
            level=step.plan.user_level,
        )
        kind = _WithInput if step.operation in ("complicate_input", "mutate") else _Rewritten
        evolved = await step.ask("evolve", prompt, "evolved", kind)
        new_input = evolved.input if isinstance(evolved, _WithInput) else old_input
        # Blanks and line breaks inside an instruction mean nothing; a blank line would look like its end.
        told = " ".join(evolved.instruction.split())
        task = f"{told}\n\n{new_input}" if new_input else told
        system = (Message(role="system", content=step.parent.context),) if step.parent.context else ()
        step.messages = (*system, Message(role="user", content=task))
        limit = None if step.operation == "mutate" else self.params.max_added_words
        fault = instruction_fault(told, step.parent.task, limit)
        if fault is not None and fault.reason == "same_as_parent" and step.operation == "complicate_input":
            fault = None  # the input may be all that changes
        if fault is None and step.operation == "complicate_input":
            fault = input_fault(new_input, old_input)
        step.refuse(fault or context_task_fault(task, step.parent.context))
        return task

    async def _check(self, step: _Step, task: str) -> None:
        """The model's judgement: whether anything was gained, and whether the task can be answered."""
        prompt = render(
            "evolve.check", parent=fenced(step.parent.task), evolved=fenced(task), context=fenced(step.parent.context)
        )
        check = await step.ask("check", prompt, "checks", _Check, free=False)
        step.note(check=check.reason)
        if check.same:
            step.refuse(refused("no_information_gain", why=check.reason))
        if not check.answerable:
            step.refuse(refused("not_answerable", why=check.reason))

    async def _answer(self, step: _Step, task: str) -> SlotResult:
        prompt = render("evolve.answer", task=fenced(task), context=fenced(step.parent.context))
        reply = await step.ask("answer", prompt, "answers", _Answer)
        step.messages = (*step.messages, Message(role="assistant", content=reply.answer))
        fault = answer_fault(reply.answer, task.split("\n\n", 1)[0])
        return step.result(fault or context_answer_fault(reply.answer, task, step.parent.context))


def _drawn(salt: str, choices: Sequence[ChoiceT], seed: int) -> ChoiceT:
    """One of ``choices`` with equal chance, by hash: the same in every Python version."""
    digest = hashlib.sha256(f"{seed}:{salt}".encode()).digest()
    return choices[int.from_bytes(digest[:8], "big") % len(choices)]
