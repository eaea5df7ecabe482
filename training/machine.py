"""What this process computes on: device, memory, speed, and which of several processes it is.

``accelerate launch`` says the last in the environment. Knows nothing of models.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from training.estimate import peak_flops
from training.loading import device, local_device
from training.plan import Machine

__all__ = ["this_machine"]


def _free_bytes() -> int | None:
    """Memory that a run could take now: the GPU's, or the machine's where it computes on the CPU; None if unknown."""
    if device() == "cuda":
        return int(torch.cuda.mem_get_info(local_device())[0])
    table = Path("/proc/meminfo")
    if not table.is_file():
        return None
    lines = dict(line.split(":", 1) for line in table.read_text(encoding="ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def this_machine() -> Machine:
    """Device and processes of this run, and which of them this one is."""
    return Machine(
        device=device(),
        processes=int(os.environ.get("WORLD_SIZE", "1")),
        rank=int(os.environ.get("RANK", "0")),
        free_bytes=_free_bytes(),
        flops=peak_flops(torch.cuda.get_device_name(local_device())) if device() == "cuda" else None,
    )
