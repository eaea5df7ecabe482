"""Times of the day: what an hour can mean, by the half of the day that is said before it.

``clock_readings`` gives minutes since midnight: two where nobody says whether before or after noon. Must not know
quantities or contexts.
"""

from __future__ import annotations

import re
from fractions import Fraction

__all__ = ["HOURS", "clock_readings"]

HOURS = 24
_HALF_OF_DAY = re.compile(r"(오전|새벽|아침|오후|저녁|밤|낮|AM|PM)(?:에)? ?\Z", re.IGNORECASE)
_MORNING = frozenset({"오전", "새벽", "아침", "am"})
#: 밤 12시 and 밤 2시 are behind midnight, 밤 9시 is before it.
_LATE = 6 * 60


def clock_readings(text: str, start: int, minutes: int, *, leading: bool) -> frozenset[tuple[str, Fraction]]:
    """What a time at ``start`` can mean.

    Args:
        text: The text it stands in.
        start: Offset of its first digit.
        minutes: Hour and minute as written, in minutes.
        leading: Whether it is written with a leading zero, which says that it is before noon.
    """
    half = _HALF_OF_DAY.search(text, max(0, start - 5), start)
    morning, evening = minutes % 720, minutes % 720 + 720
    if half is None:
        chosen = {morning, evening} if 60 <= minutes < 780 and not leading else {minutes}
    elif minutes >= 780:
        chosen = {minutes}  # 오후 14시 says it twice.
    elif half.group(1).lower() in _MORNING or (half.group(1) == "밤" and morning < _LATE):
        chosen = {morning}
    else:
        chosen = {evening}
    return frozenset(("clock", Fraction(one)) for one in chosen)
