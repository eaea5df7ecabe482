"""Korean particles that depend on the sound before them: 을/를, 은/는, 이/가, 이란/란, 으로/로, 과/와.

Latin letters and digits are read aloud: 번호 3 is 삼, RT-120 ends in 영, an abbreviation is spelled (ASN: 엔), a word
with small letters is read as English, by its last letters. What stands in brackets at the end is not read.
"""

from __future__ import annotations

import re

__all__ = ["ends_in_consonant", "with_particle"]

#: Capital letters whose Korean names end in a consonant: 엘, 엠, 엔, 알. 디, 비, 시, 에이치 (…) end in vowels.
_CONSONANT_LETTERS = frozenset("LMNR")
#: 영, 일, 삼, 육, 칠, 팔.
_CONSONANT_DIGITS = frozenset("013678")
_ENGLISH_WORD = re.compile(r"[A-Za-z]+\Z")
#: Endings of English words that Korean writes with a final consonant: login 로그인, label 라벨, map 맵, pick 픽.
_CONSONANT_WORD = re.compile(r"(?:[lmn]|ng|[aeiou](?:p|ck|k|b|t)|le|me|ne)\Z", re.IGNORECASE)
#: Of those, endings that Korean lengthens by a vowel: note 노트, gate 게이트, like 라이크.
_VOWEL_WORD = re.compile(r"(?:[aeiou]{2}[kpt]|[aeo](?:te|ke|pe)|rt|st|nt|ct|ft|lt)\Z", re.IGNORECASE)
#: ㄹ, the final consonant that 으로 treats as a vowel, as an offset of the Hangul syllables.
_RIEUL = 8


def _read(text: str) -> str:
    """``text`` up to its last letter or digit that is read aloud."""
    read = text.rstrip()
    while read.endswith(")") and "(" in read:
        read = read[: read.rindex("(")].rstrip()
    while read and not read[-1].isalnum():
        read = read[:-1]
    return read


def _english(word: str) -> bool:
    if word.isupper() or len(word) == 1:
        return word[-1].upper() in _CONSONANT_LETTERS
    return bool(_CONSONANT_WORD.search(word)) and not _VOWEL_WORD.search(word)


def ends_in_consonant(text: str) -> bool:
    """Whether the reading of ``text`` ends in a consonant; what stands in closing brackets is not read."""
    read = _read(text)
    if not read:
        return False
    last = read[-1]
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28 != 0
    if last.isascii() and last.isdigit():
        return last in _CONSONANT_DIGITS
    match = _ENGLISH_WORD.search(read)
    return _english(match[0]) if match else False


def _ends_in_rieul(text: str) -> bool:
    read = _read(text)
    if not read:
        return False
    last = read[-1]
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28 == _RIEUL
    return last in "178" or (last in "LR" and not read[-2:-1].islower()) or read.endswith(("l", "le"))


def with_particle(text: str, pair: str) -> str:
    """``text`` with the fitting half of ``pair``: the first after a consonant, the second after a vowel.

    Args:
        text: A word or phrase.
        pair: Both halves, the one after a consonant first: 을/를, 이/가, 과/와. 으로/로 has 로 after ㄹ too.
    """
    after_consonant, _, after_vowel = pair.partition("/")
    if after_consonant == "으로" and _ends_in_rieul(text):
        return text + after_vowel
    return text + (after_consonant if ends_in_consonant(text) else after_vowel)
