"""The plan of a job: which generator runs which slot, on which side, with which seed. Pure and repeatable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from generators.base import Generator, SlotPlan, Workspace
from generators.speech import SpeechContract, user_level

__all__ = ["POOL_SLOTS", "plan_slots", "restore_plan", "slot_seed"]

#: Slots for each slot of the other generators that one which works on their samples gets at most: they give about three
#: candidates a slot, and a slot that comes too early finds nothing and is spent.
POOL_SLOTS = 8


def slot_seed(seed: int, slot: int) -> int:
    """63 bits out of the job's seed and the slot's number; neighbours have nothing in common."""
    digest = hashlib.sha256(f"{seed}:{slot}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def plan_slots(
    generators: Sequence[tuple[Generator, int]],
    sides: tuple[Workspace, Workspace | None],
    *,
    seed: int,
    heldout_fraction: float,
    contract: SpeechContract | None = None,
    pooled: frozenset[str] = frozenset(),
) -> list[SlotPlan]:
    """Every slot that the generators can fill, mixed by weight, a proportional share of them held out.

    Args:
        generators: Each with its weight; one that works on neither documents nor rows runs on the training side only.
        sides: Workspaces of the training and of the held-out documents (None when nothing is held out).
        seed: The job's seed.
        heldout_fraction: Share of the slots that runs on held-out documents, while there are any.
        contract: How the user side speaks; None leaves it open.
        pooled: Generators that work on what the others make: they get no more slots than those could feed.

    Returns:
        Slots numbered from 0. The job ends earlier when it reaches its target.
    """
    train, heldout = sides
    sources: dict[str, tuple[Sequence[str | None], Sequence[str | None]]] = {
        generator.name: (
            generator.sources(train),
            generator.sources(heldout) if heldout is not None and _held(generator, heldout) else (),
        )
        for generator, _ in generators
    }
    fed = sum(len(side) for name, both in sources.items() if name not in pooled for side in both)
    if fed:
        sources |= {name: (sources[name][0][: POOL_SLOTS * fed], ()) for name in pooled & sources.keys()}
    left = {name: [len(side) for side in both] for name, both in sources.items()}
    used = {name: [0, 0] for name in sources}
    plan: list[SlotPlan] = []
    held = 0
    while True:
        open_ = [(g, weight) for g, weight in generators if sum(left[g.name]) > 0]
        if not open_:
            return plan
        # Smooth weighted round-robin: whoever is furthest behind its weight goes next, by position on ties.
        generator, _ = min(open_, key=lambda entry: (sum(used[entry[0].name]) + 1) / entry[1])
        remaining = left[generator.name]
        wants_held = held < heldout_fraction * (len(plan) + 1)
        side = 1 if remaining[1] > 0 and (wants_held or remaining[0] == 0) else 0
        source = sources[generator.name][side][used[generator.name][side]]
        plan.append(_slot(len(plan), (generator.name, bool(side), source), seed, contract or SpeechContract()))
        held += side
        remaining[side] -= 1
        used[generator.name][side] += 1


def _held(generator: Generator, heldout: Workspace) -> bool:
    return (generator.both_sides and bool(heldout.chunks)) or bool(heldout.items.get(generator.name))


def restore_plan(
    slots: Iterable[tuple[str, bool, str | None]], seed: int, contract: SpeechContract | None = None
) -> list[SlotPlan]:
    """The plan out of what was stored of it: (generator, held out, source) of each slot in order."""
    return [_slot(slot, entry, seed, contract or SpeechContract()) for slot, entry in enumerate(slots)]


def _slot(slot: int, entry: tuple[str, bool, str | None], job_seed: int, contract: SpeechContract) -> SlotPlan:
    generator, heldout, source = entry
    seed = slot_seed(job_seed, slot)
    return SlotPlan(
        slot=slot,
        generator=generator,
        heldout=heldout,
        seed=seed,
        source=source,
        user_level=user_level(contract, seed),
    )
