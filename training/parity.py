"""Whether two models say the same: their logits at the ends of seeded Korean conversations, position by position.

Knows nothing of adapters and merging. ``compare(logits_of(one, prompts), logits_of(other, prompts))``.

Both compute in float32 on their own bfloat16 weights, a layer at a time: so what is compared are the weights. In
bfloat16 logits of 16 and more have steps of 0.125, and the rounding of every layer between would be louder than a
wrong merge. Two tokens whose logits differ by no more than one step of bfloat16 are equally likely: which of them comes
first is no difference between models.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from corpora.bundled import seed_tasks
from training.encoding import encode_row
from training.errors import MergeError

__all__ = ["ALLOWED_DIFFERENCE", "Logits", "Parity", "compare", "logits_of", "parity_prompts"]

#: Measured: 0.09 between a bfloat16 base with an adapter and the same merged; another base or NF4 is at 1.05.
ALLOWED_DIFFERENCE = 0.15
#: Last positions of each conversation that are compared, the answer's as a rule.
POSITIONS = 16
#: Tokens of a conversation that are read.
LONGEST = 512
#: bfloat16 has 8 bits of precision: neighbours are this share of the number apart, at most.
STEP = 2.0**-7

#: One tensor a prompt: positions x vocabulary, float32, on the CPU.
Logits = list[torch.Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How far two models are from one another."""

    prompts: int  #: Conversations.
    positions: int  #: Tokens at which logits were compared.
    max_logit_difference: float
    mean_logit_difference: float
    top1_share: float  #: Positions whose likeliest token is the same.
    reached: float  #: Largest logit, so that the difference can be judged.

    @property
    def good(self) -> bool:
        """Whether the logits are near enough and every likeliest token is the same."""
        return self.max_logit_difference <= ALLOWED_DIFFERENCE and self.top1_share == 1.0


def parity_prompts(tokenizer: Any, template: str, count: int, seed: int) -> list[list[int]]:
    """Tokens of ``count`` bundled Korean questions with their answers, as the model is trained and asked.

    Args:
        tokenizer: Of the models.
        template: Jinja source.
        count: Conversations, at most as many as there are.
        seed: Which ones.
    """
    tasks = seed_tasks("all")
    chosen = random.Random(seed).sample(tasks, min(count, len(tasks)))  # noqa: S311 -- a choice, no secret
    rows = []
    for task in chosen:
        given, answer = task.instances[0]
        asked = f"{task.instruction}\n{given}" if given else task.instruction
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        rows.append(encode_row(turns, tokenizer, template, LONGEST).input_ids)
    return rows


@torch.no_grad()
def logits_of(model: Any, prompts: Sequence[Sequence[int]]) -> Logits:
    """Logits at the last positions of each prompt."""
    where = next(model.parameters()).device
    model.eval()
    found = []
    with _in_float32(model):
        for ids in prompts:
            keep = min(POSITIONS, len(ids))
            output = model(input_ids=torch.tensor([list(ids)], device=where), logits_to_keep=keep, use_cache=False)
            found.append(output.logits[0, -keep:].float().cpu())
    return found


@contextmanager
def _in_float32(model: Any) -> Iterator[None]:
    """Have every layer compute in float32; its weights are widened while it runs, and are the same ones afterwards."""
    kept: dict[Any, list[tuple[Any, torch.Tensor]]] = {}

    def widen(layer: Any, _inputs: Any) -> None:
        narrow = [p for p in layer.parameters(recurse=False) if p.is_floating_point() and p.dtype != torch.float32]
        kept[layer] = [(parameter, parameter.data) for parameter in narrow]
        for parameter in narrow:
            parameter.data = parameter.data.float()

    def restore(layer: Any, _inputs: Any, _output: Any) -> None:
        for parameter, data in kept.pop(layer, ()):
            parameter.data = data

    def widen_output(_layer: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output.float()

    handles = []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Embedding):
            # A table of all tokens need not be widened for the few that are looked up.
            handles.append(layer.register_forward_hook(widen_output))
        elif next(layer.parameters(recurse=False), None) is not None:
            handles.append(layer.register_forward_pre_hook(widen))
            handles.append(layer.register_forward_hook(restore, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def compare(expected: Logits, got: Logits) -> Parity:
    """How far ``got`` is from ``expected``.

    Raises:
        MergeError: a logit is no number (``weights_not_finite``), or the vocabularies differ in size
            (``merge_parity_failed``).
    """
    largest, total, numbers, same, positions, reached = 0.0, 0.0, 0, 0, 0, 0.0
    for one, other in zip(expected, got, strict=True):
        if one.shape != other.shape:
            raise MergeError(
                f"The models give logits of shapes {tuple(one.shape)} and {tuple(other.shape)}.",
                code="merge_parity_failed",
            )
        difference = (one - other).abs()
        if not bool(torch.isfinite(difference).all()):
            raise MergeError("A model gives logits that are no numbers.", code="weights_not_finite")
        largest = max(largest, float(difference.max()))
        total += float(difference.double().sum())
        numbers += difference.numel()
        same += _same_first(one, other)
        positions += one.shape[0]
        reached = max(reached, float(one.abs().max()))
    return Parity(
        prompts=len(expected),
        positions=positions,
        max_logit_difference=largest,
        mean_logit_difference=total / numbers,
        top1_share=same / positions,
        reached=reached,
    )


def _same_first(left: torch.Tensor, right: torch.Tensor) -> int:
    """Positions at which the likeliest token of ``right`` is a likeliest of ``left`` too."""
    best = left.max(dim=-1).values
    chosen = left.gather(-1, right.argmax(dim=-1, keepdim=True)).squeeze(-1)
    return int((best - chosen <= best.abs() * STEP).sum())
