"""What becomes of a final ending at another speech level: pure rules over morphemes, no text.

``replace`` finds what an ending does (states, asks, commands ...) and gives the morphemes that do the same at another
level, or a reason why none do. A rule is here only where both sides mean the same; everything else is refused.
Forms are Kiwi's. Splicing, sentences and pronouns are ``speech_conversion``'s.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from corpora.korean.analyse import Morpheme
from corpora.korean.speech_endings import SpeechLevel

__all__ = ["HONORIFIC_VERBS", "Reason", "Tail", "replace"]

_HAPSYO, _HAEYO, _HAE, _HAERA = SpeechLevel.HAPSYO, SpeechLevel.HAEYO, SpeechLevel.HAE, SpeechLevel.HAERA
#: (form, tag) pairs, as ``join`` takes them.
Pairs = list[tuple[str, str]]


class Reason(enum.StrEnum):
    """Why a sentence is not converted."""

    CONNECTIVE = "connective_ending"  #: …는데, …어서: the rest is left unsaid.
    NO_COUNTERPART = "no_counterpart"  #: 더라, 구나, 다니요: no ending of the target means the same.
    MAY_COMMAND = "may_be_command"  #: 해체 -어 of an act states or commands.
    PROPOSAL = "proposal"  #: 합시다, 하자 have no 해요체 or 해체 of their own.
    INTENTION = "intention"  #: 하겠습니다 promises or guesses.
    HONORIFIC = "honorific"  #: 시, 께서, 님, 드리다 hang together with politeness.
    SECOND_PERSON = "second_person"  #: 너, 당신, 고객님.
    FIRST_PERSON = "first_person"  #: A form of 나, 저 that is not replaced for sure.
    GREETING = "greeting"  #: 안녕하세요 is no sentence about being well.
    INTERJECTION = "interjection"  #: 네, 응, 아니 have a level and no ending.
    INNER_ENDING = "inner_ending"  #: 좋아요, 내가 할게요: a level in the middle of the sentence.
    AFTER_LATIN = "copula_after_sign"  #: Whether 예요 or 이에요 follows depends on how a sign is read.
    LIST_ITEM = "list_item"  #: Items of a list stay as they are.
    HEADING = "heading"  #: So do headings.
    BLOCK_QUOTE = "block_quote"  #: And quoted blocks.
    NOT_REACHED = "not_reached"  #: The result is not of the target level, or its words are read differently.


class _Act(enum.Enum):
    STATE = enum.auto()  # 확인했다, 확인했습니다
    OPEN = enum.auto()  # -어(요) of an act: states, commands or proposes
    ASK = enum.auto()
    COMMAND = enum.auto()
    PROPOSE = enum.auto()
    PROMISE = enum.auto()


#: Endings that only 요 parts: 해체 without, 해요체 with.
_PAIRS = frozenset(
    ("네", "군", "거든", "지", "ᆯ까", "을까", "잖아", "더라고", "ᆯ걸", "을걸", "ᆯ래", "을래", "대", "ᆫ대", "는대", "래")
)
_ASKING = frozenset(("ᆸ니까", "습니까", "나", "냐", "느냐", "으냐", "니", "으니", "는가", "은가", "ᆫ가"))
_STATING = frozenset(("ᆸ니다", "습니다", "다", "ᆫ다", "는다"))
_COMMANDING = frozenset(("ᆸ시오", "십시오", "으십시오", "세요", "으세요", "어라", "거라", "너라", "라", "으라", "여라"))
_OPEN = frozenset(("어", "아", "야", "에", "예", "여"))
_PROMISING = frozenset(("ᆯ게", "을게"))
_PROPOSING = frozenset(("ᆸ시다", "읍시다", "자"))
_ACTS = {
    **dict.fromkeys(_ASKING, _Act.ASK),
    **dict.fromkeys(_STATING, _Act.STATE),
    **dict.fromkeys(_COMMANDING, _Act.COMMAND),
    **dict.fromkeys(_OPEN, _Act.OPEN),
    **dict.fromkeys(_PROMISING, _Act.PROMISE),
    **dict.fromkeys(_PROPOSING, _Act.PROPOSE),
}
HONORIFIC_VERBS = frozenset(
    (
        "계시",
        "드시",
        "주무시",
        "잡수시",
        "드리",
        "뵙",
        "뵈",
        "여쭙",
        "여쭈",
        "모시",
        "말씀드리",
        "계세",
        "드세",
        "주무",
        "편찮",
    )
)
#: Kiwi's stems of 드세요, 계세요 and 주무세요: there is no such verb.
_MISREAD = frozenset(("드세", "계세", "주무"))
#: Verbs that nobody commands in a manual of work: their -어 states.
_STATIVE = frozenset(("있", "없", "않", "못하", "모르", "되", "싶", "같", "계시", "걸리", "남", "부족하", "필요하"))
_ADJECTIVES = ("VA", "VCP", "VCN", "XSA")
_PREDICATES = ("VV", "VA", "VX", "VCP", "VCN", "XSV", "XSA")
#: Connectives behind which another subject begins.
_CLAUSES = ("면", "니", "니까", "거든", "는데", "ᆫ데", "은데", "지만", "도록")
#: 맞나 보다, 낮은가 보다.
_GUESSES = ("나", "은가", "ᆫ가", "는가")
#: 겠 behind these tells a state, not an intention.
_KNOWING = frozenset(("알", "모르", "있", "없"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """The end of a sentence that shall change."""

    stem: tuple[Morpheme, ...]  #: From the last predicate to the ending, that left out: 하/XSV 었/EP.
    before: tuple[Morpheme, ...]  #: All morphemes in front.
    ending: str  #: Kiwi's form of the ending without 요.
    level: SpeechLevel  #: Level of the sentence.
    asks: bool  #: A question mark closes it.
    contracted: bool = False  #: 한답니다, 한단다: reported speech in one word, whose parts say something else.

    @property
    def tag(self) -> str:
        """Part of speech of the predicate, VV-I and VV-R alike."""
        return self.stem[0].tag.partition("-")[0]

    @property
    def marks(self) -> set[str]:
        """Pre-final endings: 었, 겠, 시."""
        return {morpheme.form for morpheme in self.stem[1:]}

    @property
    def honors(self) -> bool:
        """시 stands before the ending or in it."""
        return bool(self.marks & {"시", "으시"}) or self.ending in ("세요", "으세요", "십시오", "으십시오")


def _states_for_sure(tail: Tail) -> bool:
    if tail.marks & {"었", "았", "겠", "었었"} or tail.tag in _ADJECTIVES or tail.stem[0].form in _STATIVE:
        return True
    # 확인해야 해: duty is stated. 맞나 봐: so is a guess.
    return tail.tag == "VX" and bool(tail.before) and tail.before[-1].form in ("어야", "아야", "여야", *_GUESSES)


def _has_subject(tail: Tail, *, surely: bool) -> bool:
    """Whether the last predicate may have a subject of its own in the sentence; ``surely``: whether it must."""
    subject = False
    for morpheme in tail.before:
        if morpheme.tag == "JKS":
            subject = True
        elif (morpheme.tag == "EC" and morpheme.form.endswith(_CLAUSES)) or (surely and morpheme.tag in ("ETM", "ETN")):
            subject = False
    return subject


def _of_seyo(tail: Tail) -> _Act | Reason:
    """세요 asks with a question mark, states behind adjectives, commands else; with a subject nobody can tell."""
    if tail.asks:
        return _Act.ASK
    if tail.tag in _ADJECTIVES:
        return _Act.STATE
    return Reason.MAY_COMMAND if _has_subject(tail, surely=False) else _Act.COMMAND


def _act(tail: Tail) -> _Act | Reason:
    if tail.ending in ("세요", "으세요"):
        return _of_seyo(tail)
    act = _ACTS.get(tail.ending)
    if act is _Act.OPEN and tail.asks:
        return _Act.ASK
    if act is _Act.OPEN and _states_for_sure(tail):
        return _Act.STATE
    # 좋아라, 확인한다?, 확인하니.: exclamations, echoes and connectives.
    strange = (
        (act is _Act.COMMAND and tail.tag in _ADJECTIVES)
        or (act is _Act.STATE and tail.asks)
        or (act is _Act.ASK and not tail.asks and tail.ending in ("나", "니", "으니"))
    )
    return Reason.NO_COUNTERPART if act is None or strange else act


def _resolve_open(tail: Tail, target: SpeechLevel) -> _Act | Reason:
    """What -어(요) of an act does: 확인해 주세요 asks for it, 확인해 may, 담당자가 확인해요 states."""
    if tail.level is _HAEYO:
        if target is _HAE:
            return _Act.STATE  # both are open to the same readings
        return _Act.STATE if _has_subject(tail, surely=True) else Reason.MAY_COMMAND
    asked = tail.tag == "VX" and tail.stem[0].form in ("주", "말") and not _has_subject(tail, surely=False)
    return _Act.COMMAND if asked else Reason.MAY_COMMAND


def _plain_present(tail: Tail) -> str:
    """다 behind adjectives, 있다 and pre-final endings, ㄴ다 behind verbs; 않다 and 못하다 follow what they negate."""
    first = tail.stem[0].form
    tag = tail.tag
    if tail.marks or tag in _ADJECTIVES or first in ("있", "없", "싶"):
        return "다"
    if tag == "VX" and first in ("않", "못하"):
        for noun, morpheme in reversed(list(itertools.pairwise((None, *tail.before)))):
            kind = morpheme.tag.partition("-")[0] if morpheme is not None else ""
            if morpheme is not None and kind in _PREDICATES:
                domain = noun is not None and noun.tag == "NNP"
                adjective = (kind in _ADJECTIVES and not domain) or morpheme.form in ("있", "없", "싶")
                return "다" if adjective else "ᆫ다"
    return "ᆫ다"


def _asking(tail: Tail, target: SpeechLevel) -> str:
    if target is _HAPSYO:
        return "습니까"
    adjective = (tail.tag in _ADJECTIVES or tail.stem[0].form == "싶") and not tail.marks - {"시", "으시"}
    adjective = adjective and not tail.stem[0].form.endswith(("있", "없"))
    if target is _HAERA:
        return "ᆫ가" if adjective else "는가"
    if "겠" in tail.marks or (tail.level is _HAE and tail.ending in _OPEN):
        return "어요"
    return "ᆫ가요" if adjective else "나요"


def _without_si(stem: Sequence[Morpheme]) -> Pairs:
    return [(m.form, m.tag) for m in stem if not (m.tag == "EP" and m.form in ("시", "으시"))]


def _command(tail: Tail, target: SpeechLevel) -> Pairs | Reason:
    if tail.stem[0].form in HONORIFIC_VERBS:
        return Reason.HONORIFIC
    endings: dict[SpeechLevel, Pairs] = {
        _HAPSYO: [("시", "EP"), ("ᆸ시오", "EF")],
        _HAEYO: [("세요", "EF")],
        _HAE: [("어", "EF")],
        _HAERA: [("어라", "EF")],
    }
    return _without_si(tail.stem) + endings[target]


def _statement(tail: Tail, target: SpeechLevel) -> Pairs | Reason:
    guess = tail.tag == "VX" and tail.stem[0].form == "보" and tail.before and tail.before[-1].form in _GUESSES
    if guess and target is _HAERA:
        return Reason.NO_COUNTERPART
    ending = {_HAPSYO: "습니다", _HAEYO: "어요", _HAE: "어", _HAERA: _plain_present(tail)}[target]
    if "겠" in tail.marks and tail.ending not in _OPEN and target in (_HAEYO, _HAE):
        known = tail.stem[0].form in _KNOWING or tail.tag in _ADJECTIVES
        if not known:
            return Reason.INTENTION
    # 확인합니다 states, 확인해 commands as well; a subject keeps it a statement.
    if target is _HAE and tail.level is not _HAEYO and not (_states_for_sure(tail) or _has_subject(tail, surely=True)):
        return Reason.MAY_COMMAND
    stem = [(m.form, m.tag) for m in tail.stem]
    if tail.ending in ("세요", "으세요"):
        stem.append(("시", "EP"))
    return [*stem, (ending, "EF")]


def _question(tail: Tail, target: SpeechLevel) -> Pairs:
    stem = [(m.form, m.tag) for m in tail.stem]
    if tail.ending in ("세요", "으세요"):
        stem.append(("시", "EP"))
    return [*stem, (_asking(tail, target) if target is not _HAE else "어", "EF")]


def _proposal(tail: Tail, target: SpeechLevel) -> Pairs | Reason:
    ending = {_HAPSYO: "ᆸ시다", _HAERA: "자"}.get(target)
    return [*((m.form, m.tag) for m in tail.stem), (ending, "EF")] if ending else Reason.PROPOSAL


def _promise(tail: Tail, target: SpeechLevel) -> Pairs | Reason:
    ends: dict[SpeechLevel, Pairs] = {
        _HAPSYO: [("겠", "EP"), ("습니다", "EF")],
        _HAEYO: [("ᆯ게요", "EF")],
        _HAE: [("ᆯ게", "EF")],
    }
    return [*((m.form, m.tag) for m in tail.stem), *ends[target]] if target in ends else Reason.NO_COUNTERPART


def _paired(tail: Tail, target: SpeechLevel) -> Pairs | Reason:
    if target is _HAE and tail.honors:
        return Reason.HONORIFIC
    return [*((m.form, m.tag) for m in tail.stem), (tail.ending + ("요" if target is _HAEYO else ""), "EF")]


_BUILD: dict[_Act, Callable[[Tail, SpeechLevel], Pairs | Reason]] = {
    _Act.STATE: _statement,
    _Act.ASK: _question,
    _Act.COMMAND: _command,
    _Act.PROPOSE: _proposal,
    _Act.PROMISE: _promise,
}


def replace(tail: Tail, target: SpeechLevel) -> Pairs | Reason:
    """The morphemes of ``tail.stem`` and of the ending that does at ``target`` what ``tail.ending`` does."""
    if tail.stem[0].form in _MISREAD or tail.contracted:
        return Reason.NO_COUNTERPART
    if tail.ending in _PAIRS and {tail.level, target} == {_HAE, _HAEYO}:
        return _paired(tail, target)
    act = _act(tail)
    if act is _Act.OPEN:
        act = _resolve_open(tail, target)
    if isinstance(act, Reason):
        return act
    if target in (_HAE, _HAERA) and tail.honors and act is not _Act.COMMAND:
        return Reason.HONORIFIC
    return _BUILD[act](tail, target)
