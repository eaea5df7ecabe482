"""What ``evolve`` starts from: rows of a file or dataset, seed tasks, or what the job itself has accepted.

A root is one of these; a parent is the deepest evolution of a root that the slot may see, or the root itself. So a
chain of depth *k* is *k* slots that each went one step further, every step is a sample of its own, and what failed is
tried again from where it stood, as in the paper. Must not know prompts or models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from corpora.bundled.loader import SeedTask
from corpora.context import context_turn, wrap_context
from corpora.records import Message, Sample
from generators.base import PoolView, SlotPlan, SourceItem, Workspace

__all__ = ["DEPTH", "NAME", "ROOT", "Parent", "find_parent"]

NAME = "evolve"
#: Traits of an evolved candidate.
DEPTH, ROOT = "depth", "root_id"
#: Label of a passage whose title nobody knows, as imported rows have it.
_UNTITLED = "지문"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """A task to evolve."""

    id: str  #: Of the sample, the row or the seed task.
    root: str  #: Of what its chain began with; its own where it is a root.
    depth: int  #: Steps between root and parent.
    task: str  #: The user's turn: instruction, blank line, input.
    context: str = ""  #: The system turn that it is asked under; empty where there is none.
    group: str = ""  #: What a split must not part it from.
    document_id: str | None = None  #: Document that a dataset's sample was made of.


def find_parent(plan: SlotPlan, workspace: Workspace, pool: PoolView, *, own: bool, max_depth: int) -> Parent | None:
    """The parent of this slot, or None: nothing is there, or everything is evolved as deep as it may be.

    Args:
        plan: the slot; its source is the root where the job has rows, else its seed draws one.
        workspace: rows and seed tasks.
        pool: accepted samples that the slot may see.
        own: whether the job's own samples are the roots, whatever else is there.
        max_depth: deepest evolution.
    """
    side = "test" if plan.heldout else "train"
    accepted = [sample for sample in pool.accepted() if sample.split == side]
    deepest: dict[str, Parent] = {}
    for sample in accepted:
        if sample.candidate.provenance.generator != NAME:
            continue
        parent = _of_evolution(sample)
        if parent.root not in deepest or parent.depth > deepest[parent.root].depth:
            deepest[parent.root] = parent
    for root in _drawn(_roots(plan, workspace, accepted, own=own), plan.seed):
        parent = deepest.get(root.id, root)
        if parent.depth < max_depth:
            return parent
    return None


def _roots(plan: SlotPlan, workspace: Workspace, accepted: Sequence[Sample], *, own: bool) -> list[Parent]:
    item = workspace.item(NAME, plan.source)
    if item is not None:
        root = _of_item(item)
        return [root] if root is not None else []
    if workspace.seed_tasks and not own:
        return [_of_seed(task, plan.seed) for task in workspace.seed_tasks]
    return [
        _of_sample(sample)
        for sample in accepted
        # What rests on documents would be evolved away from them; of a conversation no turn is a task.
        if sample.candidate.provenance.generator != NAME
        and not sample.candidate.grounded
        and sum(message.role == "user" for message in sample.candidate.messages) == 1
    ]


def _of_item(item: SourceItem) -> Parent | None:
    """A row's first user turn, under its passage where it has one; None where nobody asks anything."""
    task = next((m.content.strip() for m in item.messages if m.role == "user"), "")
    context = _system(item.messages)
    if not context and item.text.strip():
        context = context_turn(wrap_context([(_UNTITLED, item.text.strip())]))
    if not task:
        return None
    return Parent(
        id=item.id,
        root=item.id,
        depth=0,
        task=task,
        context=context,
        group=item.group or item.id,
        document_id=item.origin.document_id if item.origin is not None else None,
    )


def _of_seed(seed: SeedTask, slot_seed: int) -> Parent:
    """A seed task with one of its inputs, chosen by the slot's seed."""
    task_input, _ = seed.instances[_digest(f"{slot_seed}:instance", seed.id)[0] % len(seed.instances)]
    task = f"{seed.instruction}\n\n{task_input}" if task_input else seed.instruction
    return Parent(id=seed.id, root=seed.id, depth=0, task=task, group=seed.id)


def _of_sample(sample: Sample) -> Parent:
    candidate = sample.candidate
    group = candidate.provenance.group or candidate.group_id or sample.id
    context = _system(candidate.messages)
    return Parent(id=sample.id, root=sample.id, depth=0, task=candidate.question, context=context, group=group)


def _of_evolution(sample: Sample) -> Parent:
    candidate = sample.candidate
    origin = candidate.provenance
    return Parent(
        id=sample.id,
        root=str(origin.traits[ROOT]),
        depth=int(origin.traits[DEPTH]),
        task=candidate.question,
        context=_system(candidate.messages),
        group=origin.group or sample.id,
        document_id=origin.document_id,
    )


def _system(messages: Sequence[Message]) -> str:
    return next((m.content.strip() for m in messages if m.role == "system"), "")


def _drawn(roots: Sequence[Parent], seed: int) -> list[Parent]:
    """Roots in the slot's own order, by hash: the same whatever order they come in."""
    return sorted(roots, key=lambda root: _digest(f"{seed}:root", root.task))


def _digest(salt: str, name: str) -> bytes:
    return hashlib.sha256(f"{salt}:{name}".encode()).digest()
