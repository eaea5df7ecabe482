"""How fast this machine computes, measured in half a second, for the estimate of a run's time.

Three things are timed, each a median: a product of bfloat16 matrices as wide as the base, the unpacking of NF4 weights,
and a tiny operation, which is what a small model's time is made of. Knows nothing of runs: ``training.duration`` makes
seconds of it. ``measured_speed(hidden=768, device="cpu")``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import bitsandbytes as bnb
import torch

from training.duration import Speed

__all__ = ["measured_speed"]

#: Rows of the product: enough to keep the cores busy, few enough for a wide base.
ROWS = 128
#: Widest matrix that is multiplied, and the one that is unpacked; both are linear in their size beyond it.
WIDEST, UNPACKED = 4096, 1024
#: Seconds for each of the three; the first call, which is slower, does not count.
EACH_S = 0.12
MOST, LEAST = 50, 3


def _median(work: Callable[[], object], device: str) -> float:
    """Seconds of one call."""

    def once() -> float:
        began = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    once()
    found, spent = list[float](), 0.0
    while len(found) < MOST and (len(found) < LEAST or spent < EACH_S):
        found.append(once())
        spent += found[-1]
    return statistics.median(found)


@torch.no_grad()
def measured_speed(hidden: int, device: str = "cpu") -> Speed:
    """The speed of this machine as it is now, whatever else it is doing.

    Args:
        hidden: Width of the base.
        device: As torch names it.
    """
    width = max(64, min(hidden, WIDEST))
    # No random number is drawn: a run that is measured first must be the run that is not.
    weight = torch.full((width, width), 0.5, dtype=torch.bfloat16, device=device)
    rows = torch.full((ROWS, width), 0.5, dtype=torch.bfloat16, device=device)
    began = time.perf_counter(), time.thread_time()
    product = _median(lambda: rows @ weight, device)
    plain = torch.linspace(-1, 1, UNPACKED * UNPACKED, dtype=torch.bfloat16, device=device).reshape(UNPACKED, UNPACKED)
    packed, state = bnb.functional.quantize_4bit(plain, quant_type="nf4", compress_statistics=True)
    unpacking = _median(lambda: bnb.functional.dequantize_4bit(packed, state), device)
    small = torch.ones(64, device=device)
    operation = _median(lambda: [small.add(1.0) for _ in range(100)], device) / 100
    passed, computed = time.perf_counter() - began[0], time.thread_time() - began[1]
    return Speed(
        flops=2.0 * ROWS * width * width / product,
        unpacked_per_second=UNPACKED * UNPACKED / unpacking,
        operation_seconds=operation,
        # A median hides that others compute too. A GPU is waited for anyway.
        busy=max(1.0, passed / computed) if device == "cpu" and computed > 0 else 1.0,
    )
