"""A warm-up whose first update trains: the rate rises from 1/(w+1) of its peak, where the library begins at 0.

Knows schedules only. ``risen(scheduler, optimizer, steps)`` stands in for the library's own scheduler.
"""

from __future__ import annotations

from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

__all__ = ["risen"]


def risen(scheduler: LRScheduler, optimizer: Optimizer, steps: int) -> LRScheduler:
    """The same schedule, with update ``n`` of the warm-up at (n + 1) / (steps + 1) of the peak.

    Args:
        scheduler: By ``transformers.get_scheduler``; one that is no ``LambdaLR`` is given back as it is.
        optimizer: Whose rates it sets.
        steps: Updates of the warm-up.
    """
    if steps == 0 or not isinstance(scheduler, LambdaLR):
        return scheduler

    def raised(rate: Callable[[int], float]) -> Callable[[int], float]:
        return lambda step: (step + 1) / (steps + 1) if step < steps else rate(step)

    return LambdaLR(optimizer, [raised(rate) for rate in scheduler.lr_lambdas])
