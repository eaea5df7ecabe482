"""Which tasks stand in a prompt: human seeds and tasks that the job has made, drawn by the slot's seed.

Everything is drawn by hash instead of ``random``: the same in every version of Python. The pool is probed at a few
places instead of read, so that a slot costs the same whether it holds a hundred tasks or a million. Must not know what
is asked about the examples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corpora.bundled.loader import SeedTask
from corpora.records import Sample
from generators.base import PoolView

__all__ = ["Example", "choose", "draw_examples", "draw_seeds", "join_task", "split_task"]

#: Places at which the pool is looked at before it is read whole: enough where this generator made a tenth of it.
_PROBES = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A task that stands in the prompt."""

    id: str  #: Of the seed task or sample.
    instruction: str  #: What is asked.
    input: str  #: Material; may be empty.
    output: str  #: The answer.

    def line(self) -> str:
        """The task in the form in which new ones are asked for: one line of JSON that ends no fence."""
        task = {"instruction": self.instruction, "input": self.input, "output": self.output}
        # "<\/예시>" is the same text in JSON and no closing tag.
        return json.dumps(task, ensure_ascii=False).replace("</", "<\\/")


def join_task(instruction: str, task_input: str) -> str:
    """The user turn of a task: the instruction, and behind a blank line its input where there is one."""
    return f"{instruction}\n\n{task_input}" if task_input else instruction


def split_task(user_turn: str) -> tuple[str, str]:
    """Instruction and input of a user turn made by ``join_task``; an instruction holds no blank line."""
    instruction, _, task_input = user_turn.partition("\n\n")
    return instruction, task_input


def draw_examples(
    seed: int, seeds: Sequence[SeedTask], pool: PoolView, *, generator: str, human: int, machine: int
) -> list[Example]:
    """``human`` seeds and ``machine`` tasks of the pool in shuffled order; seeds stand in for tasks not yet made.

    Args:
        seed: the slot's seed.
        seeds: human tasks.
        pool: what the job has accepted; only training samples of ``generator`` count.
        generator: whose tasks.
        human: how many seeds.
        machine: how many tasks of the pool.
    """
    made = [_of_sample(sample) for sample in _probe(pool.accepted(), generator, machine, f"{seed}:machine")]
    both = [*draw_seeds(seed, seeds, human + machine - len(made), "human"), *made]
    # By place and not by id: a sample's id holds its job's, and the same job made again must ask the same.
    return [both[place] for place in choose(len(both), len(both), f"{seed}:order")]


def draw_seeds(seed: int, seeds: Sequence[SeedTask], count: int, salt: str) -> list[Example]:
    """At most ``count`` seeds without replacement, each with one of its instances, all chosen by the slot's seed."""
    chosen = (seeds[index] for index in choose(len(seeds), count, f"{seed}:{salt}"))
    return [_of_seed(task, seed) for task in chosen]


def choose(total: int, count: int, salt: str) -> list[int]:
    """At most ``count`` different numbers below ``total``, each equally likely, in random order, by hash of ``salt``.

    Costs as many hashes as ``count``, up to a small factor, however large ``total`` is.
    """
    if 2 * count >= total:
        return sorted(range(total), key=lambda index: _digest(salt, str(index)))[:count]
    found: dict[int, None] = {}
    for number in _numbers(salt):
        if len(found) == count:
            break
        found.setdefault(number % total)
    return list(found)


def _probe(samples: Sequence[Sample], generator: str, count: int, salt: str) -> list[Sample]:
    """``count`` of the samples that ``generator`` made for training, or all there are."""
    found: list[Sample] = []
    if len(samples) > _PROBES:
        for index in choose(len(samples), _PROBES, salt):
            if len(found) < count and _usable(samples[index], generator):
                found.append(samples[index])
    if len(found) < count:
        usable = [sample for sample in samples if _usable(sample, generator)]
        found = [usable[index] for index in choose(len(usable), count, salt)]
    return found


def _usable(sample: Sample, generator: str) -> bool:
    return sample.candidate.provenance.generator == generator and sample.split == "train"


def _of_sample(sample: Sample) -> Example:
    instruction, task_input = split_task(sample.candidate.question)
    return Example(id=sample.id, instruction=instruction, input=task_input, output=sample.candidate.answer)


def _of_seed(task: SeedTask, seed: int) -> Example:
    """A seed with one of its instances, chosen by the slot's seed."""
    number = int.from_bytes(_digest(f"{seed}:instance", task.id)[:8], "big")
    task_input, output = task.instances[number % len(task.instances)]
    return Example(id=task.id, instruction=task.instruction, input=task_input, output=output)


def _numbers(salt: str) -> Iterator[int]:
    count = 0
    while True:
        yield int.from_bytes(_digest(salt, str(count))[:8], "big")
        count += 1


def _digest(salt: str, text: str) -> bytes:
    return hashlib.sha256(f"{salt}:{text}".encode()).digest()
