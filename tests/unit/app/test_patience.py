"""The demonstration waits while something moves and gives up when nothing does; the clock is the test's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.demo.patience import LIMIT_S, POLL_S, STALL_S, DemoError, Patience


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def keep_waiting(patience: Patience, look: Callable[[], object]) -> None:
    while True:
        patience.wait(look())


def test_a_slow_step_that_moves_may_take_long() -> None:
    clock = Clock()
    patience = Patience("fine-tuning job", clock, clock.sleep)
    # News every 250 s, ten times as long in all as one silence may last.
    while clock.now < 1000 + 10 * STALL_S:
        patience.wait(("running", (clock.now - 1000) // 250))


def test_a_step_that_stands_still_is_given_up() -> None:
    clock = Clock()
    patience = Patience("fine-tuning job", clock, clock.sleep)
    with pytest.raises(DemoError, match="fine-tuning job made no progress for 300 s"):
        keep_waiting(patience, lambda: ("running", "event-7"))
    assert STALL_S < clock.now - 1000 <= STALL_S + 2 * POLL_S


def test_a_step_that_moves_forever_is_given_up_too() -> None:
    clock = Clock()
    patience = Patience("generation job", clock, clock.sleep)
    with pytest.raises(DemoError, match="generation job was not done after 60 minutes"):
        keep_waiting(patience, clock)
    assert clock.now - 1000 > LIMIT_S
