"""Check digits of Korean numbers, of cards and of barcodes. Each takes a string of ASCII digits of the right length.

A random number passes nine times out of a hundred or ten, so a checksum alone proves nothing. Resident and foreigner
numbers issued since October 2020 are random behind the gender digit and carry none, so a failure clears nothing.
"""

from __future__ import annotations

from datetime import date

__all__ = [
    "birth_date",
    "business_check",
    "corporate_check",
    "ean13_check",
    "foreigner_check",
    "luhn_check",
    "resident_check",
]

_RESIDENT_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_BUSINESS_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)
#: The gender digit also tells the century: 1-4 for nationals, 5-8 for foreigners. 9 and 0 are births before 1900.
_CENTURIES = {"1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def birth_date(digits: str) -> date | None:
    """The birth date that 13 digits of a resident or foreigner number tell, None when they tell none."""
    century = _CENTURIES.get(digits[6])
    if century is None:
        return None
    try:
        return date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return None


def resident_check(digits: str) -> bool:
    """Whether 13 digits pass the check of resident numbers issued until October 2020."""
    return (11 - _weighted(digits[:12], _RESIDENT_WEIGHTS) % 11) % 10 == int(digits[12])


def foreigner_check(digits: str) -> bool:
    """Whether 13 digits pass the check of foreigner numbers issued until October 2020."""
    return (13 - _weighted(digits[:12], _RESIDENT_WEIGHTS) % 11) % 10 == int(digits[12])


def business_check(digits: str) -> bool:
    """Whether 10 digits pass the check of business registration numbers."""
    total = _weighted(digits[:9], _BUSINESS_WEIGHTS) + int(digits[8]) * 5 // 10
    return (10 - total % 10) % 10 == int(digits[9])


def corporate_check(digits: str) -> bool:
    """Whether 13 digits pass the check of corporate registration numbers (weights 1 and 2, not summed by digit)."""
    return (10 - _weighted(digits[:12], (1, 2) * 6) % 10) % 10 == int(digits[12])


def ean13_check(digits: str) -> bool:
    """Whether 13 digits are a valid EAN-13 barcode (weights 1 and 3)."""
    return (10 - _weighted(digits[:12], (1, 3) * 6) % 10) % 10 == int(digits[12])


def luhn_check(digits: str) -> bool:
    """Whether the digits, as many as there are, pass Luhn's formula, as card numbers do."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
