"""The dry run of a generation job: its plan, the first prompts as they would be sent, and what it would cost.

Built by the code that runs the job, with a model that takes down what it is asked and never answers. Nothing is sent
and nothing stored: even the hold-out that the job would assign is worked out in a transaction that is undone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from app.services.context import Services
from app.services.generation import GenerationParams, GenerationRequest, resolve_request
from app.services.generation_prices import price_of
from app.services.generation_setup import build_generators, read_setup
from generators.base import Generator, SlotPlan, Workspace
from generators.budget import cost_usd
from generators.llm.client import token_upper_bound
from generators.pool import Pool
from generators.ports import ModelRequest, Reply, Usage
from generators.registry import GENERATORS

__all__ = ["dry_run"]

#: Slots of each generator whose prompts are rendered; their mean stands for the others.
SAMPLED_SLOTS = 5
#: Slots of the plan that the answer lists.
LISTED_SLOTS = 20


class _TakenDownError(Exception):
    """The model has taken the request down; ends the slot."""


class _UndoError(Exception):
    """Ends the transaction without a trace."""


class _Scribe:
    """A model that keeps what it is asked and never answers."""

    def __init__(self) -> None:
        self.requests: list[ModelRequest] = []

    async def complete(self, request: ModelRequest) -> tuple[Reply, Usage]:
        self.requests.append(request)
        raise _TakenDownError


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What the sampled slots of one generator would ask first."""

    generator: str
    slots: int
    requests_per_slot: int
    requests: tuple[ModelRequest, ...]

    def mean(self, tokens: Iterable[int]) -> float:
        return sum(tokens) / len(self.requests) if self.requests else 0.0


def dry_run(services: Services, request: GenerationRequest) -> dict[str, Any]:
    """What the job would do.

    Raises:
        MalmoiError: whatever the request itself would be refused for.
    """
    params = _resolved(services, request)
    setup = read_setup(services, params, None)
    scribe = _Scribe()
    sides = setup.sides(scribe)
    weights = build_generators(params)
    plan = setup.plan(weights, sides)
    asked = asyncio.run(_ask(plan, weights, sides, scribe, params))
    return {
        "object": "generation.dry_run",
        "corpus_id": params.corpus_id,
        "generators": params.generators,
        "model": params.model,
        "seed": params.seed,
        "skipped_rows": dict(setup.sources.skipped),
        "plan": _plan_body(plan),
        "prompts": [_prompt_body(entry.generator, entry.requests[0]) for entry in asked if entry.requests],
        "estimate": _estimate(services, params, asked),
    }


def _resolved(services: Services, request: GenerationRequest) -> GenerationParams:
    found: list[GenerationParams] = []
    try:
        with services.store.write() as session:
            found.append(resolve_request(services, session, request))
            raise _UndoError
    except _UndoError:
        return found[0]


async def _ask(
    plan: Sequence[SlotPlan],
    weights: Sequence[tuple[Generator, int]],
    sides: tuple[Workspace, Workspace | None],
    scribe: _Scribe,
    params: GenerationParams,
) -> list[_Asked]:
    """The first request of the first slots of each generator, on an empty pool, as the job begins."""
    asked: list[_Asked] = []
    entries = {entry["type"]: entry for entry in params.generators}
    for generator, _ in weights:
        mine = [planned for planned in plan if planned.generator == generator.name]
        scribe.requests = []
        spec = GENERATORS[generator.name]
        own = {k: v for k, v in entries[generator.name].items() if k in spec.params.model_fields}
        per_slot = spec.requests(spec.params.model_validate(own)) if params.model is not None else 0
        # A generator that asks no model is not run: what it makes costs nothing and is no prompt.
        for planned in islice(mine, SAMPLED_SLOTS if per_slot else 0):
            side = sides[1] if planned.heldout else sides[0]
            assert side is not None
            try:
                await generator.run(planned, side, Pool().until(0))
            except _TakenDownError:
                continue
        asked.append(
            _Asked(
                generator=generator.name,
                slots=len(mine),
                requests_per_slot=per_slot,
                requests=tuple(scribe.requests),
            )
        )
    return asked


def _plan_body(plan: Sequence[SlotPlan]) -> dict[str, Any]:
    by_generator = Counter(planned.generator for planned in plan)
    return {
        "planned": len(plan),
        "heldout": sum(planned.heldout for planned in plan),
        "by_generator": dict(by_generator),
        "by_user_level": dict(Counter(planned.user_level for planned in plan)),
        "first_slots": [
            {
                "slot": planned.slot,
                "generator": planned.generator,
                "heldout": planned.heldout,
                "source": planned.source,
                "user_level": planned.user_level,
            }
            for planned in plan[:LISTED_SLOTS]
        ],
    }


def _prompt_body(generator: str, request: ModelRequest) -> dict[str, Any]:
    return {
        "generator": generator,
        "slot": request.slot,
        "step": request.step,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }


def _estimate(services: Services, params: GenerationParams, asked: Sequence[_Asked]) -> dict[str, Any]:
    """What the whole plan would ask: a target or a budget may end the job long before.

    Tokens are bounded by the UTF-8 bytes of the prompts and by ``max_tokens``, as the budget reserves them; slots that
    were not rendered count as the mean of those that were, and later requests of a slot as its first. What nobody can
    know beforehand is named in ``without``.
    """
    requests = prompt = completion = 0
    for entry in asked:
        count = entry.slots * entry.requests_per_slot
        bounds = [token_upper_bound(r.messages, 0) for r in entry.requests]
        requests += count
        prompt += round(count * entry.mean(bounds))
        completion += round(count * entry.mean(r.max_tokens for r in entry.requests))
    price = price_of(services.settings, params.model) if params.model else None
    cost = cost_usd(price, prompt, completion) if requests else Decimal(0)
    return {
        "requests": requests,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cost_usd": None if cost is None else float(cost),
        "without": ["failed_sends", "repairs", *(["judge"] if params.judge_model is not None else [])],
    }
