"""New Korean instructions from seed tasks and the growing pool, after Self-Instruct (Wang et al., 2022), for Korean.

A slot shows 8 tasks, 6 from the human seeds and 2 that the job itself has made (all human until there are any), and
asks for new ones. Kept from the method: the mix, the shuffled order, dropping what repeats its input or is unfinished.
Changed for Korean: the first character may be Hangul, lengths are counted in characters, the list of what a text model
can't do matches stems whatever the particle. Novelty against seeds and pool is the curator's. Must not know documents,
the endpoint or the store.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from corpora.bundled.loader import SeedTask
from corpora.records import Candidate, Message, Provenance, Verdict
from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.llm.errors import ContextTooSmallError
from generators.llm.parsing import Malformed, parse_items
from generators.prompting import render

__all__ = ["SelfInstruct", "SelfInstructParams", "join_task", "split_task"]

# Stems of what a model of text can't do, compared with blanks removed, so that "그림을 그려" and "그림을그리세요" hit.
# 파일, 지도 and 그래프 alone are ordinary words of a warehouse and stay allowed, other than in the English list.
_BLOCKED_STEMS = (
    "그림을그", "이미지를그", "이미지를생성", "이미지를만들", "사진을찍", "사진을보", "사진을첨부", "그래프를그",
    "차트를그",
    "순서도를그", "다이어그램을그", "지도를그", "영상을보", "영상을만들", "동영상", "노래를불", "음악을들",
    "음악을재생",
    "녹음을", "음성을", "첨부된", "첨부한", "링크를열", "링크를클릭", "웹사이트에접속", "인터넷에서검색",
    "인터넷에서찾",
)  # fmt: skip
_PLACEHOLDER = re.compile(r"\A(?:<?noinput>?|없음|해당\s?없음|n/?a|none|null|-)\.?\Z", re.IGNORECASE)
_FIRST_CHARACTER = re.compile(r"[가-힣A-Za-z0-9\"'“‘(\[<「『]")


class SelfInstructParams(BaseModel):
    """Parameters of ``self_instruct``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed_tasks: str = Field(
        default="builtin:all", description="Seed tasks: builtin:wms, builtin:general, builtin:all or an uploaded file."
    )
    tasks_per_request: int = Field(default=5, ge=1, le=16, description="New tasks asked for in one request.")
    human_examples: int = Field(default=6, ge=1, le=16, description="Seed tasks in a prompt.")
    machine_examples: int = Field(
        default=2, ge=0, le=16, description="Tasks made by this job in a prompt; seeds stand in until there are any."
    )
    rounds: int = Field(
        default=200, ge=1, le=100_000, description="Upper limit of requests: this generator never ends."
    )
    min_instruction_chars: int = Field(default=8, ge=1, description="Shortest instruction in characters.")
    max_instruction_chars: int = Field(default=300, ge=1, description="Longest instruction in characters.")
    blocked_stems: tuple[str, ...] = Field(
        default=_BLOCKED_STEMS, description="An instruction that contains one of these (blanks removed) is refused."
    )
    temperature: float = Field(default=1.0, ge=0, le=2, description="Sampling temperature.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus of the sampling.")
    max_tokens: int = Field(default=3072, ge=64, le=32768, description="Upper limit of one reply in tokens.")


class _Task(BaseModel):
    """One task as the model must write it."""

    model_config = ConfigDict(strict=True)
    instruction: str = Field(min_length=1)
    input: str
    output: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Example:
    """A task that stands in the prompt."""

    id: str
    instruction: str
    input: str
    output: str

    def line(self) -> str:
        """The task in the form in which new ones are asked for."""
        task = {"instruction": self.instruction, "input": self.input, "output": self.output}
        return json.dumps(task, ensure_ascii=False)


def join_task(instruction: str, task_input: str) -> str:
    """The user turn of a task: the instruction, and behind a blank line its input where there is one."""
    return f"{instruction}\n\n{task_input}" if task_input else instruction


def split_task(user_turn: str) -> tuple[str, str]:
    """Instruction and input of a user turn made by ``join_task``; an instruction holds no blank line."""
    instruction, _, task_input = user_turn.partition("\n\n")
    return instruction, task_input


class SelfInstruct:
    """The generator ``self_instruct``."""

    name = "self_instruct"
    needs_model = True
    needs_corpus = False

    def __init__(self, params: SelfInstructParams | None = None) -> None:
        self.params = params or SelfInstructParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:  # noqa: ARG002 - part of the protocol
        """As many slots as the cap allows, about no document: there is no natural end."""
        return [None] * self.params.rounds

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Ask for new tasks beside examples drawn by the slot's seed, and check their form."""
        if workspace.model is None or not workspace.seed_tasks:
            raise ValueError("self_instruct needs a workspace with seed tasks and a model")
        examples = self._examples(plan, workspace.seed_tasks, pool)
        prompt = render(
            "self_instruct",
            count=str(self.params.tasks_per_request),
            example_count=str(len(examples)),
            examples="\n".join(example.line() for example in examples),
        )
        try:
            reply, usage = await workspace.model.complete(
                slot=plan.slot,
                step="tasks",
                messages=[Message(role="user", content=prompt.text)],
                max_tokens=self.params.max_tokens,
                temperature=self.params.temperature,
                top_p=self.params.top_p,
                seed=plan.seed % 2**31,
            )
        except ContextTooSmallError as error:
            return SlotResult(candidates=(), usage=error.usage, failed=error.code)
        origin = Provenance(
            generator=self.name,
            slot=plan.slot,
            model=reply.model,
            prompt=prompt.id,
            seed_ids=tuple(example.id for example in examples),
        )
        candidates: list[Candidate] = []
        for item in parse_items(reply, "tasks", _Task):
            if isinstance(item, Malformed):
                candidates.append(Candidate(messages=(), provenance=origin, malformed=item.reason, raw=item.raw))
            else:
                candidates.append(self._candidate(item.value, origin))
        return SlotResult(candidates=tuple(candidates), usage=usage)

    def _examples(self, plan: SlotPlan, seeds: Sequence[SeedTask], pool: PoolView) -> list[_Example]:
        made = [
            _of_sample(sample.id, sample.candidate)
            for sample in pool.accepted()
            if sample.candidate.provenance.generator == self.name and sample.split == "train"
        ]
        machine = _draw(made, self.params.machine_examples, f"{plan.seed}:machine")
        wanted = self.params.human_examples + self.params.machine_examples - len(machine)
        human = _draw([_of_seed(seed, plan.seed) for seed in seeds], wanted, f"{plan.seed}:human")
        both = [*human, *machine]
        return _draw(both, len(both), f"{plan.seed}:order")

    def _candidate(self, task: _Task, origin: Provenance) -> Candidate:
        # Blanks and line breaks inside an instruction mean nothing, as in the original; the input keeps its own.
        instruction = " ".join(task.instruction.split())
        return Candidate(
            messages=(
                Message(role="user", content=join_task(instruction, task.input)),
                Message(role="assistant", content=task.output),
            ),
            provenance=origin,
            rejection=self._fault(instruction, task),
        )

    def _fault(self, instruction: str, task: _Task) -> Verdict | None:
        return self._fault_of_instruction(instruction) or _fault_of_instance(instruction, task)

    def _fault_of_instruction(self, instruction: str) -> Verdict | None:
        length = len(instruction)
        if length < self.params.min_instruction_chars:
            return _refused("instruction_too_short", length, limit=self.params.min_instruction_chars)
        if length > self.params.max_instruction_chars:
            return _refused("instruction_too_long", length, limit=self.params.max_instruction_chars)
        if not _FIRST_CHARACTER.match(instruction):
            return _refused("bad_first_character", character=instruction[0])
        dense = "".join(instruction.split())
        stem = next((stem for stem in self.params.blocked_stems if stem in dense), None)
        return None if stem is None else _refused("not_for_text_model", stem=stem)


def _fault_of_instance(instruction: str, task: _Task) -> Verdict | None:
    if _PLACEHOLDER.match(task.input):
        return _refused("placeholder_input", input=task.input)
    if not task.output:
        return _refused("empty_output")
    if task.output in (task.input, instruction):
        return _refused("output_repeats_task")
    if task.output.endswith((":", "：")):
        return _refused("output_unfinished", ending=task.output[-20:])
    return None


def _refused(reason: str, score: float | None = None, **evidence: str | int) -> Verdict:
    return Verdict(stage="filter", reason=reason, score=score, evidence=dict(evidence))


def _of_sample(sample_id: str, candidate: Candidate) -> _Example:
    instruction, task_input = split_task(candidate.question)
    return _Example(id=sample_id, instruction=instruction, input=task_input, output=candidate.answer)


def _of_seed(seed: SeedTask, slot_seed: int) -> _Example:
    """A seed with one of its instances, chosen by the slot's seed."""
    task_input, output = seed.instances[_digest(f"{slot_seed}:instance", seed.id)[0] % len(seed.instances)]
    return _Example(id=seed.id, instruction=seed.instruction, input=task_input, output=output)


def _draw(examples: Sequence[_Example], count: int, salt: str) -> list[_Example]:
    """At most ``count`` examples without replacement, in shuffled order.

    By hash instead of ``random``: the same in every Python version, whatever order the examples come in.
    """
    return sorted(examples, key=lambda example: _digest(salt, example.id))[:count]


def _digest(salt: str, example_id: str) -> bytes:
    return hashlib.sha256(f"{salt}:{example_id}".encode()).digest()
