"""An event loop whose time jumps to the next timer instead of waiting, for tests of what waits for minutes."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from generators.llm.timing import Timing

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """Never blocks: what the loop would have waited is added to its clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits for something that nobody will do")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        return self.jump.now


def clock() -> float:
    return asyncio.get_running_loop().time()


def virtual_timing(uniform: float = 1.0) -> Timing:
    """The running loop's time, with the same "random" number every time."""
    return Timing(clock=clock, sleep=asyncio.sleep, wall=clock, uniform=lambda: uniform)


def play(scene: Coroutine[Any, Any, T]) -> T:
    """Run a scene in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scene)
