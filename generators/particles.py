"""Korean particles that depend on the sound before them: 을/를, 은/는, 이/가, 이란/란."""

from __future__ import annotations

__all__ = ["ends_in_consonant", "with_particle"]

#: Latin letters and digits whose Korean reading ends in a consonant: 엘, 엠, 엔, 알; 영, 일, 삼, 육, 칠, 팔.
_CONSONANT_READINGS = frozenset("lmnrLMNR013678")


def ends_in_consonant(text: str) -> bool:
    """Whether the reading of ``text`` ends in a consonant; what stands in closing brackets is not read."""
    read = text.rstrip()
    while read.endswith(")") and "(" in read:
        read = read[: read.rindex("(")].rstrip()
    for character in reversed(read):
        if "가" <= character <= "힣":
            return (ord(character) - ord("가")) % 28 != 0
        if character.isalnum():
            return character in _CONSONANT_READINGS
    return False


def with_particle(text: str, pair: str) -> str:
    """``text`` with the fitting half of ``pair``: the first after a consonant, the second after a vowel."""
    after_consonant, _, after_vowel = pair.partition("/")
    return text + (after_consonant if ends_in_consonant(text) else after_vowel)
