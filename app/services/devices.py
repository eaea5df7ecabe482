"""Which GPUs this machine lets us use, told without importing torch.

The service never loads torch; its children do. What they would see is read from the same sources: the installed
torch's own version (a CPU build sees none), the NVIDIA driver's files, and ``CUDA_VISIBLE_DEVICES``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["chat_environment", "gpus", "training_environment"]

_DRIVER = Path("/proc/driver/nvidia/gpus")
_DEVICES = Path("/dev")
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def gpus(
    environ: Mapping[str, str] | None = None,
    *,
    torch_version: str | None = None,
    driver: Path = _DRIVER,
    devices: Path = _DEVICES,
) -> tuple[str, ...]:
    """What ``CUDA_VISIBLE_DEVICES`` would name each usable GPU, in order; empty where torch computes on the CPU.

    Args:
        environ: Instead of this process's environment.
        torch_version: Instead of the installed torch's.
        driver: Folder with one entry a GPU, as the NVIDIA driver shows it.
        devices: Folder of the device files, where containers hide the former.
    """
    if torch_version is None:
        try:
            torch_version = version("torch")
        except PackageNotFoundError:
            return ()
    if torch_version.endswith("+cpu"):
        return ()
    there = _present(driver, devices)
    named = (os.environ if environ is None else environ).get(_VISIBLE)
    if named is None or there == 0:
        return tuple(str(number) for number in range(there))
    visible: list[str] = []
    for name in (part.strip() for part in named.split(",")):
        # CUDA reads the list up to the first entry that names nothing.
        if not name or name.startswith("-") or (name.isdecimal() and int(name) >= there):
            break
        visible.append(name)
    return tuple(visible)


def _present(driver: Path, devices: Path) -> int:
    if driver.is_dir():
        return sum(1 for _ in driver.iterdir())
    return sum(1 for path in devices.glob("nvidia*") if path.name.removeprefix("nvidia").isdecimal())


def chat_environment(usable: tuple[str, ...]) -> dict[str, str]:
    """What the chat process adds to its environment: the last of several GPUs, so that training keeps the first."""
    return {_VISIBLE: usable[-1]} if len(usable) > 1 else {}


def training_environment(usable: tuple[str, ...], processes: int) -> dict[str, str]:
    """What the trainer adds to its environment: the first GPUs, one a process, where there are more than those.

    A single process that saw several would spread its batches over all of them (``DataParallel``), chat's included.
    """
    return {_VISIBLE: ",".join(usable[:processes])} if processes < len(usable) else {}
