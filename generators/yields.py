"""Whether a generator still brings anything: one that asks a model and has given nothing new for long is used up.

Judged by decided slots alone, in slot order, so that an attempt after a kill stops exactly where an undisturbed one
would. Generators that cost nothing are never stopped. Must not know why a candidate was refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from generators.base import Generator, SlotPlan
from generators.ports import SlotOutcome

__all__ = ["Patience", "Yields"]


class Patience(Protocol):
    """What is asked of the pipeline's configuration."""

    @property
    def window(self) -> int:
        """Slots that may run ahead of the last decided one."""
        ...

    @property
    def patience(self) -> int | None:
        """Slots in a row without an accepted sample after which a generator is used up; None waits for ever."""
        ...

    @property
    def patience_from(self) -> int:
        """First slot that counts."""
        ...


class Yields:
    """Counts, for each generator, the slots since it last gave an accepted sample."""

    def __init__(self, plan: Sequence[SlotPlan], generators: Mapping[str, Generator], config: Patience) -> None:
        self._config = config
        self._costly = {name for name, generator in generators.items() if generator.needs_model}
        self._last = {planned.generator: planned.slot for planned in plan}
        self._barren = dict.fromkeys(generators, 0)
        #: Slot whose decision used a generator up.
        self._used_up_at: dict[str, int] = {}

    def count(self, outcome: SlotOutcome, accepted: int) -> None:
        """Take in the next decided slot."""
        name = outcome.generator
        patience = self._config.patience
        if patience is None or outcome.slot < self._config.patience_from or name not in self._costly:
            return
        if accepted:
            self._barren[name] = 0
        # A slot that could not run says nothing about what is left to be found.
        elif outcome.failed is None:
            self._barren[name] += 1
            if self._barren[name] >= patience:
                self._used_up_at.setdefault(name, outcome.slot)

    def used_up(self, planned: SlotPlan) -> bool:
        """Whether ``planned`` need not run: known from the slots that it may see, whatever was decided since."""
        at = self._used_up_at.get(planned.generator)
        return at is not None and at <= planned.slot - self._config.window

    @property
    def stopped(self) -> bool:
        """Whether some generator was used up before its slots were."""
        return bool(self._used_up_at)

    def over(self, decided: int) -> bool:
        """Whether every generator that has slots left from ``decided`` on is used up."""
        left = {name for name, last in self._last.items() if last >= decided}
        return bool(left) and left <= self._used_up_at.keys()
