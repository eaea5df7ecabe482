"""Loss and accuracy of trained tokens without training: before, in the middle, after, always by the same function.

Every trained token weighs the same, however rows fall into batches. Knows nothing of files and events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from training.encoding import IGNORED, EncodedRow
from training.errors import OutOfMemoryRunError
from training.oom import ran_out

__all__ = ["Measured", "measure"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Sums over trained tokens; divide by ``tokens``."""

    loss: float  #: Nats.
    right: int  #: Tokens that were the likeliest.
    tokens: int

    @property
    def mean_loss(self) -> float:
        """Nats a token."""
        return self.loss / self.tokens

    @property
    def accuracy(self) -> float:
        """Share of tokens that were the likeliest."""
        return self.right / self.tokens


@torch.no_grad()
def measure(model: Any, rows: Sequence[EncodedRow], pad_id: int, batch: int = 8) -> Measured:
    """Loss and accuracy over ``rows``.

    Args:
        model: A causal language model with TRL's fused head, which never holds all logits at once.
        rows: Encoded conversations; may be none.
        pad_id: Any token; it is masked.
        batch: Rows at once, halved where memory runs out.

    Raises:
        OutOfMemoryRunError: a single row does not fit.
    """
    was_training = model.training
    model.eval()
    # Rows of like length together: less padding. Sums do not mind the order.
    order = sorted(rows, key=lambda row: len(row.input_ids))
    loss, right, tokens, start = 0.0, 0, 0, 0
    try:
        while start < len(order):
            try:
                sums = _sums(model, order[start : start + batch], pad_id)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                if batch == 1:
                    raise OutOfMemoryRunError("Memory does not suffice to evaluate a single row.") from error
                batch //= 2
                continue
            start += batch
            loss, right, tokens = loss + sums[0], right + sums[1], tokens + sums[2]
    finally:
        model.train(was_training)
    return Measured(loss, right, tokens)


def _sums(model: Any, part: Sequence[EncodedRow], pad_id: int) -> tuple[float, int, int]:
    where = next(model.parameters()).device
    width = max(len(row.input_ids) for row in part)
    ids = torch.tensor([row.input_ids + [pad_id] * (width - len(row.input_ids)) for row in part], device=where)
    labels = torch.tensor([row.labels + [IGNORED] * (width - len(row.labels)) for row in part], device=where)
    mask = torch.tensor([[1] * len(r.input_ids) + [0] * (width - len(r.input_ids)) for r in part], device=where)
    out = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
    return -float(out.log_probs.double().sum()), int(out.is_top1.sum()), int(out.label_mask.sum())
