"""Whether a base keeps rows apart that share a sequence, tried on the loaded model with rows of a few tokens.

A class that takes no notice of position ids lets packed rows read one another, in silence; another one raises. So two
rows are read packed and alone. How much of a difference is rounding, and how much is another row, no number says for
every base; the base itself does: the same two rows are read as one text, which is what a row looks like that sees the
other. And one of two packed rows is replaced, which must change nothing in the other: there is no rounding in that.
Measured in NF4 and bfloat16 on a CPU, tiny random models, as shares of what seeing changes: alone 0.04 and less, the
other row replaced 0 where rows are apart (Llama, Qwen3, Gemma 1 to 3, GPT-NeoX, GPT-2, GPT-J, Mixtral, Qwen3-MoE);
0.39 and 0.27 or more where they are not (BLOOM, MPT, Falcon, OPT, Mamba2).

``check_packing(model, tokenizer)``. Draws no random number of the run, and leaves the model as it was.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from training.errors import BaseModelError
from training.oom import ran_out

__all__ = ["PackingCheck", "check_packing"]

#: Tokens of the two rows; together fewer than any base has positions.
_FIRST, _SECOND = 11, 14
#: Of what a row changes that sees the other one. Alone a row is computed in other shapes, and rounded otherwise;
#: experts that are chosen by a hair make the most of it. Packed beside another row it is not.
MOST_DIFFERENCE, MOST_INFLUENCE = 0.2, 0.05
_SEED = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class PackingCheck:
    """What came out; shares are of what a row changes that sees the other, None where packed rows are not read."""

    apart: bool  #: Whether rows may be packed.
    difference: float | None = None  #: Share of a row, packed against alone, in the mean of squares.
    influence: float | None = None  #: Share at its largest when the row beside it becomes another, in training mode.
    refusal: str | None = None  #: What the base said.

    def words(self) -> str:
        """One line for a log."""
        if self.apart:
            return (
                "묶은 행이 서로를 보지 않음을 확인했습니다(서로를 볼 때와 견준 로짓 차이 "
                f"{self.difference:.1%}, 옆 행을 바꿀 때 {self.influence:.1%})."
            )
        if self.refusal is not None:
            return f"이 기반 모델은 묶은 행을 읽지 못하여 행을 묶지 않고 학습합니다: {self.refusal}"
        return (
            f"이 기반 모델은 묶은 행이 서로를 보므로(서로를 볼 때와 견준 로짓 차이 {self.difference:.1%}, "
            f"옆 행을 바꿀 때 {self.influence:.1%}) 행을 묶지 않고 학습합니다."
        )


@torch.no_grad()
def check_packing(model: Any, tokenizer: PreTrainedTokenizerBase) -> PackingCheck:
    """Read two rows packed and alone.

    Args:
        model: The base as it will be trained, in NF4 or not.
        tokenizer: Its own; the rows are of its ordinary tokens.

    Raises:
        BaseModelError: the base cannot even read a row that is alone.
    """
    first, other, second = _rows(tokenizer)
    with _undisturbed(model):
        try:
            alone = _logits(model.eval(), _whole(second))
            seen = _logits(model, _whole([*first, *second]))[_FIRST:]
        except (ValueError, TypeError, RuntimeError, IndexError) as exc:
            if ran_out(exc):
                raise
            raise BaseModelError(
                f"The base is loaded, but cannot read a row of {_FIRST + _SECOND} tokens: {_first_line(exc)}",
                param="model",
                hint="Its architecture does not work with weights in NF4 here; take another base.",
            ) from exc
        try:
            packed = _logits(model, _packed(first, second))[_FIRST:]
            # In training mode some classes take another way. Masks of dropout are the same by length and seed.
            trained = [_seeded(model.train(), _packed(row, second))[_FIRST:] for row in (first, other)]
        except (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError) as exc:
            if ran_out(exc):
                raise
            return PackingCheck(apart=False, refusal=_first_line(exc))
    change = seen - alone
    difference = _share((packed - alone).square().mean().sqrt(), change.square().mean().sqrt())
    influence = _share((trained[0] - trained[1]).abs().max(), change.abs().max())
    apart = difference <= MOST_DIFFERENCE and influence <= MOST_INFLUENCE
    return PackingCheck(apart=apart, difference=difference, influence=influence)


def _rows(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int], list[int]]:
    """Two rows that may come first, of one length and without a token in common place, and the second one."""
    special = set(tokenizer.all_special_ids)
    words = [token for token in range(len(tokenizer)) if token not in special]
    draw = random.Random(_SEED)  # noqa: S311 -- rows to try, no secret
    first, second = draw.choices(words, k=_FIRST), draw.choices(words, k=_SECOND)
    other = [words[(words.index(token) + len(words) // 2) % len(words)] for token in first]
    return first, other, second


def _whole(row: Sequence[int]) -> dict[str, Any]:
    ids = torch.tensor([list(row)])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _packed(first: Sequence[int], second: Sequence[int]) -> dict[str, Any]:
    """As the trainer's collator gives it."""
    ids = [*first, *second]
    collator = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    batch: dict[str, Any] = collator([{"input_ids": ids, "labels": ids, "seq_lengths": [len(first), len(second)]}])
    del batch["labels"]
    return batch


def _logits(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    where = next(model.parameters()).device
    placed = {name: value.to(where) if torch.is_tensor(value) else value for name, value in batch.items()}
    # With a cache the library takes no notice of where a row begins.
    logits: torch.Tensor = model(**placed, use_cache=False).logits[0]
    return logits.float()


def _seeded(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    torch.manual_seed(_SEED)
    return _logits(model, batch)


def _share(part: torch.Tensor, whole: torch.Tensor) -> float:
    """1 where nothing can be told: no number, or a base on which a row seen has no effect but the rounding."""
    if not (torch.isfinite(part) and torch.isfinite(whole)):
        return 1.0
    if float(whole) == 0.0:
        return float(part > 0)
    return float(part / whole)


@contextmanager
def _undisturbed(model: Any) -> Iterator[None]:
    """The model's mode and all random states are the same after as before."""
    was_training, where = model.training, next(model.parameters()).device
    devices = [where] if where.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            model.train(was_training)


def _first_line(exc: BaseException) -> str:
    return next(iter(str(exc).splitlines()), "") or type(exc).__name__
