"""Requests and tokens a minute: buckets that keep to a rate, and what an endpoint's headers say of its own.

Pure: no clock of its own, no waiting, no HTTP. ``limiter`` asks a bucket how long to wait; a transport hands in header
values as plain text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

__all__ = ["Bucket", "RateHints", "Window", "parse_duration", "parse_retry_after", "read_hints"]

_MINUTE_S = 60.0
#: Share of a minute's amount that may go at once. Endpoints enforce a limit by the minute over shorter times too, so
#: a whole minute's worth in one burst is refused.
_BURST_SHARE = 0.05
#: Levels are sums of floats; without slack a bucket could ask for a wait of 1e-16 s for ever.
_SLACK = 1e-6
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One limit as an endpoint reports it."""

    limit: float  #: Units allowed a window.
    remaining: float | None = None  #: Units left of it.
    reset_s: float | None = None  #: Seconds until it is whole again.

    @property
    def period_s(self) -> float:
        """Length of the window: a minute, unless becoming whole again takes longer than that (a limit by the day)."""
        if self.reset_s is None or self.reset_s <= _MINUTE_S or self.remaining is None or self.remaining >= self.limit:
            return _MINUTE_S
        return self.reset_s * self.limit / (self.limit - max(0.0, self.remaining))


@dataclass(frozen=True, kw_only=True, slots=True)
class RateHints:
    """What the headers of one answer say of limits."""

    requests: Window | None = None  #: Requests.
    tokens: Window | None = None  #: Tokens.

    def wait_s(self) -> float | None:
        """Seconds until the window that is used up is whole again, at most a minute; None where none is."""
        waits = [
            min(window.reset_s, _MINUTE_S)
            for window in (self.requests, self.tokens)
            if window is not None and window.reset_s is not None and window.remaining == 0
        ]
        return max(waits, default=None)


class Bucket:
    """At most ``amount`` units in any ``period_s`` seconds, spread out.

    A twentieth of the amount may go at once, the rest drips in; both together never exceed the amount in any half-open
    window. One request larger than what may go at once waits for a full bucket and then overdraws it: refusing it for
    ever would help nobody, so a window can hold the amount plus that one request's excess.
    """

    __slots__ = ("_amount", "_at", "_burst", "_fixed", "_level", "_rate", "_unit", "_whole")

    def __init__(self, amount: float | None, *, now: float, whole_units: bool) -> None:
        """Begin with a full burst.

        Args:
            amount: units a minute; None for no limit until ``learn`` brings one.
            now: seconds on the caller's clock.
            whole_units: whether single units are taken (requests), so that the first of a window costs no wait.
        """
        self._fixed = self._whole = amount
        self._unit = 1.0 if whole_units else 0.0
        self._at = now
        self._amount: float | None = None
        self._burst = self._rate = self._level = 0.0
        if amount is not None:
            self._shape(amount, _MINUTE_S)
            self._level = self._burst

    @property
    def amount(self) -> float | None:
        """Units a window, or None: no limit is known."""
        return self._amount

    def wait_s(self, units: float, now: float) -> float:
        """Seconds until ``units`` may be taken; 0 where they may be taken now."""
        if self._amount is None:
            return 0.0
        self._refill(now)
        missing = min(units, self._burst) - self._level
        return 0.0 if missing <= _SLACK else missing / self._rate

    def take(self, units: float) -> None:
        """Take units; the caller has asked ``wait_s`` first."""
        if self._amount is not None:
            self._level -= units

    def give_back(self, units: float) -> None:
        """Return what an estimate had taken too much (or take what it had too little, where negative)."""
        if self._amount is not None:
            self._level = min(self._burst, self._level + units)

    def learn(self, window: Window, now: float) -> None:
        """Keep to what the endpoint reports, or to the settings where those are stricter."""
        period = window.period_s
        amount = window.limit
        if self._fixed is not None and self._fixed <= amount * _MINUTE_S / period:
            amount, period = self._fixed, _MINUTE_S
        fresh = self._amount is None
        self._refill(now)
        if amount != self._amount or period > _MINUTE_S:
            self._shape(amount, period)
        if fresh:
            self._level = self._burst
        if window.remaining is not None:
            # Others may use the same key: what the endpoint has left is the truth, our own count the rest.
            self._level = min(self._level, window.remaining)

    def divide(self, parts: int, now: float) -> None:
        """Keep to this part of the amount that was set; what the endpoint reports is for all parts together."""
        if self._whole is None:
            return
        self._refill(now)
        self._fixed = self._whole / parts
        self._shape(self._fixed, _MINUTE_S)

    def _shape(self, amount: float, period_s: float) -> None:
        self._amount = amount
        self._burst = max(1.0, math.floor(amount * _BURST_SHARE)) if self._unit else amount * _BURST_SHARE
        # In a half-open window the burst and what drips in make exactly the amount.
        self._rate = (amount - self._burst + self._unit) / period_s
        self._level = min(self._level, self._burst)

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
            self._at = now


def read_hints(headers: Mapping[str, str]) -> RateHints | None:
    """The ``x-ratelimit-*`` headers as OpenAI sends them; None where an answer carries none that can be read."""
    requests, tokens = _window(headers, "requests"), _window(headers, "tokens")
    return RateHints(requests=requests, tokens=tokens) if requests or tokens else None


def parse_duration(text: str | None) -> float | None:
    """Seconds of ``6m0s``, ``1.5s``, ``20ms`` or a bare number; None for anything else."""
    if not text:
        return None
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        parts = _PARTS.findall(text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            return None
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return seconds if 0.0 <= seconds < math.inf else None


def parse_retry_after(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds asked for by ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date).

    Args:
        headers: of the answer, names in lower case or case-insensitive.
        wall: Unix seconds here, used where the answer has no ``date`` of its own: two clocks need not agree.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            number = float(value) * scale
        except ValueError:
            moment = _unix_seconds(value)
            if moment is None:
                continue
            said = _unix_seconds(headers.get("date"))
            number = max(0.0, moment - (wall if said is None else said))
        # NaN compares false with everything and falls through here too.
        if 0.0 <= number < math.inf:
            return number
    return None


def _unix_seconds(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _window(headers: Mapping[str, str], what: str) -> Window | None:
    limit = _number(headers.get(f"x-ratelimit-limit-{what}"))
    if limit is None or limit < 1:
        return None
    return Window(
        limit=limit,
        remaining=_number(headers.get(f"x-ratelimit-remaining-{what}")),
        reset_s=parse_duration(headers.get(f"x-ratelimit-reset-{what}")),
    )


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if 0.0 <= number < math.inf else None
