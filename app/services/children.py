"""The environment of child processes that compute with torch: its threads sleep between tasks instead of spinning.

Knows nothing of what the children do. ``subprocess.Popen(..., env=torch_environment())``.
"""

from __future__ import annotations

import os

__all__ = ["torch_environment"]

#: GNU's and Intel's OpenMP let a thread that has nothing to do spin for up to 200 ms. Where every core is taken that
#: keeps the others from finishing what it waits for; figures in docs/decisions.md.
_SLEEPING_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def torch_environment() -> dict[str, str]:
    """This process's environment with threads that sleep; what the user has set stays."""
    return _SLEEPING_THREADS | dict(os.environ)
