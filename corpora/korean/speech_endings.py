"""The level that each final ending of Korean stands for.

Facts of grammar (표준국어대사전 under each ending), no analysis: forms are Kiwi's, where a leading consonant is a bare
coda (ᆸ니다). 하오체 counts as 합쇼체 and 하게체 as 해체, their neighbours: both are rare and never mixed with them.
"""

from __future__ import annotations

import enum

__all__ = ["SpeechLevel", "connective_level", "ending_level", "is_yo"]


class SpeechLevel(enum.StrEnum):
    """Levels by their usual romanisation."""

    HAPSYO = "hapsyo"  #: 합쇼체: -습니다, -ㅂ니까, -십시오.
    HAEYO = "haeyo"  #: 해요체: -아요, -세요, -지요.
    HAE = "hae"  #: 해체: -아, -지, -네.
    HAERA = "haera"  #: 해라체: -다, -냐, -자, -라.
    NOMINAL = "nominal"  #: Ends in a noun form: -ㅁ, -기, -것, or a bare noun.
    MIXED = "mixed"  #: Sentences of polite and of plain level in one text.
    NEUTRAL = "neutral"  #: No sentence has a level.


_FIRST_SYLLABLE, _CODAS, _CODA_B = 0xAC00, 28, 17
#: Behind a ㅂ coda only: 확인하니까 and 모르니까 are connectives, 합니까 and 한답니까 ask.
_BEHIND_B = ("니다", "니까", "시오", "시다", "디다", "디까")
_HAPSYO = frozenset(
    {"오", "으오", "소", "십시오", "으십시오", "소서", "으소서", "옵소서", "슴다", "ᆷ다", "시오", "으시오"}
)
#: Kiwi tags a closing -ㅁ as a final ending where the sentence has no full stop.
_NOMINAL = frozenset({"ᆷ", "음", "기"})
_HAERA_TAILS = (
    *("다", "냐", "니", "자", "라", "구나", "마", "렴", "려무나", "도다", "쏘냐", "은가", "ᆫ가", "는가", "던가"),
    *("노라", "리오"),
)
#: -다니, -라니 (exclamations) and -더라니 end like -니 but are 해체.
_HAE_TAILS = ("다니", "라니", "자니", "냐니", "구만", "구먼", "더라고", "더라구", "더라니까", "다니까", "라니까")
#: Kiwi tags some final endings as connectives; these are final wherever a sentence ends in them.
_ALWAYS = {
    **dict.fromkeys(("어", "아", "ᆯ까", "을까"), SpeechLevel.HAE),
    **dict.fromkeys(("냐", "다", "ᆫ다", "는다", "어라", "는가", "ᆫ가", "은가"), SpeechLevel.HAERA),
}
#: Final only where a sign closes the sentence: 수량이 맞니? but 세어 보니.
_IF_CLOSED = {
    **dict.fromkeys(("지", "나", "네", "거든"), SpeechLevel.HAE),
    **dict.fromkeys(("니", "으니", "자"), SpeechLevel.HAERA),
    **dict.fromkeys(("소", "오", "으오"), SpeechLevel.HAPSYO),
}
#: Final only in a question: 수량이 맞는지? but the item "수량이 맞는지" of a list.
_IF_ASKED = ("ᆫ지", "는지", "은지", "ᆯ지", "을지")
#: Connectives that speakers close a sentence with; without a closing sign the sentence is only cut off.
_CLOSING = (
    *("는데", "ᆫ데", "은데", "던데", "텐데", "니까", "어서", "아서", "라서", "여서", "지만", "고", "려고", "으려고"),
    *("다면서", "라면서", "냐면서", "자면서", "든지", "든가", "듯이", "다니", "라니", "다가", "느라", "느라고"),
)


def is_yo(form: str) -> bool:
    """Whether ``form`` of an ending or particle carries 요: 어요, 세요, contracted 죠, spoken 아여."""
    return form.endswith(("요", "죠", "쥬")) or (len(form) > 1 and form.endswith("여"))


def _has_b_coda(character: str) -> bool:
    return character == "ᆸ" or (ord(character) - _FIRST_SYLLABLE) % _CODAS == _CODA_B


def ending_level(form: str) -> SpeechLevel:
    """The level of the final ending ``form``."""
    if form in _NOMINAL:
        return SpeechLevel.NOMINAL
    if is_yo(form):
        return SpeechLevel.HAEYO
    if form in _HAPSYO or (len(form) > 2 and form.endswith(_BEHIND_B) and _has_b_coda(form[-3])):
        return SpeechLevel.HAPSYO
    if form.endswith(_HAE_TAILS):
        return SpeechLevel.HAE
    return SpeechLevel.HAERA if form.endswith(_HAERA_TAILS) else SpeechLevel.HAE


def connective_level(form: str, sign: str) -> SpeechLevel | None:
    """The level of a sentence that ends in the connective ``form`` and the closing ``sign`` ("" for none), if any."""
    level = _ALWAYS.get(form)
    if level is None and sign:
        level = _IF_CLOSED.get(form)
        if level is None and (form.endswith(_CLOSING) or (sign == "?" and form in _IF_ASKED)):
            level = SpeechLevel.HAE
    return level
