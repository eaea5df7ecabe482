"""What every mode of ``self_instruct`` does with a slot: draw examples, build requests, make candidates.

Knows no prompt and no parser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from corpora.bundled.loader import SeedTask
from corpora.errors import InvalidInputError
from corpora.ids import content_id
from corpora.records import Candidate, Message, Provenance, Verdict
from generators.base import ModelClient, PoolView, SlotPlan
from generators.llm.parsing import MalformedReplyError, clean_text
from generators.ports import ModelRequest, Usage
from generators.prompting import Prompt
from generators.self_instruct.examples import Example, choose, draw_examples, join_task
from generators.self_instruct.filters import Pair, common_faults, refused
from generators.self_instruct.params import SelfInstructParams

__all__ = ["NAME", "Slot", "Tried", "all_of", "task_candidate", "weed"]

NAME = "self_instruct"
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What came of one instruction of a bootstrap."""

    candidates: tuple[Candidate, ...]  #: Its instances, or the one fault.
    usage: Usage  #: What its requests cost.


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One slot and what it may use."""

    params: SelfInstructParams
    plan: SlotPlan
    model: ModelClient
    seeds: tuple[SeedTask, ...]
    pool: PoolView

    def examples(self) -> list[Example]:
        """The tasks that stand in the prompt for new ones.

        Raises:
            InvalidInputError: only classification is asked for, and no seed is one.
        """
        wanted = self.params.constants
        if not self.params.classification_seeds_only:
            return draw_examples(
                self.plan.seed, self.seeds, self.pool, generator=NAME, human=wanted.human, machine=wanted.machine
            )
        seeds = [task for task in self.seeds if task.is_classification]
        if not seeds:
            raise InvalidInputError("None of the seed tasks is a classification task.", param="seed_tasks")
        # The pool does not know which of its tasks are: only seeds stand in this prompt.
        count = wanted.human + wanted.machine
        return draw_examples(self.plan.seed, seeds, self.pool, generator=NAME, human=count, machine=0)

    def request(self, step: str, prompt: Prompt, *, stop: tuple[str, ...] = (), presence: float = 0.0) -> ModelRequest:
        """The request for new tasks, sampled as the mode's constants say."""
        constants = self.params.constants
        return ModelRequest(
            slot=self.plan.slot,
            step=step,
            messages=(Message(role="user", content=prompt.text),),
            max_tokens=constants.max_tokens,
            temperature=constants.temperature,
            top_p=constants.top_p,
            seed=self.plan.seed % 2**31,
            stop=stop,
            presence_penalty=presence,
        )

    def greedy(
        self, step: str, prompt: Prompt, max_tokens: int, *, stop: tuple[str, ...] = (), presence: float = 0.0
    ) -> ModelRequest:
        """A request for the likeliest reply.

        The reference sends top_p 0 as well, which several servers refuse; at temperature 0 it changes nothing.
        """
        request = self.request(step, prompt, stop=stop, presence=presence)
        return replace(request, max_tokens=max_tokens, temperature=0.0, top_p=1.0)

    def origin(self, prompt: Prompt, model: str | None, examples: Sequence[Example]) -> Provenance:
        """Where the slot's candidates come from."""
        mode = self.params.mode if self.params.mode != "korean" else f"korean_{self.params.variant}"
        return Provenance(
            generator=NAME,
            slot=self.plan.slot,
            model=model,
            prompt=prompt.id,
            seed_ids=tuple(example.id for example in examples),
            traits={"mode": mode},
        )

    def instances(
        self, instruction: str, found: Sequence[tuple[Pair, Verdict | None]], origin: Provenance
    ) -> list[Candidate]:
        """A candidate an instance of one instruction, those to drop with what is wrong with them.

        Sound ones share a group: novelty goes by the instruction, and each would be the next one's duplicate.
        """
        judged = weed(found, self.params.instances_per_task, f"{self.plan.seed}:{instruction}")
        sound = [pair for pair, fault in judged if fault is None]
        group = None
        if len(sound) > 1:
            # Their texts are part of it: the same slot of another job, with another reply, is another group.
            texts = (text for pair in sound for text in (pair.input, pair.output))
            group = content_id("group", NAME, self.plan.seed, self.plan.slot, instruction, *texts)
        return [
            replace(task_candidate(instruction, pair, origin, fault), group_id=group if fault is None else None)
            for pair, fault in judged
        ]


def weed(found: Sequence[tuple[Pair, Verdict | None]], limit: int, salt: str) -> list[tuple[Pair, Verdict | None]]:
    """Instances of one instruction, each with what is wrong with it: by itself, beside the others, or one too many.

    Args:
        found: instances in order, with what is wrong with each by itself.
        limit: how many may stay; which ones is drawn by hash of ``salt``.
        salt: of the draw.
    """
    judged = list(found)
    sound = [index for index, (_, fault) in enumerate(judged) if fault is None]
    for index, fault in zip(sound, common_faults([judged[index][0] for index in sound]), strict=True):
        judged[index] = (judged[index][0], fault)
    left = [index for index in sound if judged[index][1] is None]
    kept = {left[place] for place in choose(len(left), limit, salt)}
    for index in left:
        if index not in kept:
            judged[index] = (judged[index][0], refused("too_many_instances", len(left), limit=limit))
    return judged


def task_candidate(instruction: str, pair: Pair | None, origin: Provenance, fault: Verdict | None) -> Candidate:
    """The candidate of a task; without ``pair`` that of an instruction which never got an instance.

    Blanks and line breaks inside an instruction mean nothing, as in the originals; input and output keep theirs.
    """
    try:
        asked = " ".join(clean_text(instruction).split())
        task_input, output = ("", "") if pair is None else (clean_text(pair.input), clean_text(pair.output))
    except MalformedReplyError as error:
        return Candidate(messages=(), provenance=origin, malformed=str(error), raw=f"{instruction}\n\n{pair}")
    messages = [Message(role="user", content=join_task(asked, task_input))]
    if pair is not None:
        messages.append(Message(role="assistant", content=output))
    return Candidate(messages=tuple(messages), provenance=origin, rejection=fault)


async def all_of(work: Iterable[Coroutine[Any, Any, ResultT]]) -> list[ResultT]:
    """Results in order, all at once; raises the first error when every other one has ended.

    Whatever was sent has arrived by then and is cached: a resumed job does not pay for it again.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
