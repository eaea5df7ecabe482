"""Speech level of a text, changed where the meaning stays: only final endings and 나/저 are replaced.

::

    convert("수량을 확인했어.", SpeechLevel.HAEYO).text          # 수량을 확인했어요.
    convert("수량이 다른데.", SpeechLevel.HAEYO).refused[0].reason  # connective_ending

All or nothing: when one sentence is refused, the text stays as it was, since half of it would be mixed. Code, tables
and quotations are never touched; sentences without a level (headings, nominal items) stay. The result is classified
again and its words are compared; what fails is refused too. It is no paraphraser: use a language model for that.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from dataclasses import replace as replace_tag

from corpora.errors import InvalidInputError
from corpora.korean.analyse import Morpheme, join, tokens
from corpora.korean.conversion_context import context, misplaced_call
from corpora.korean.conversion_rules import Reason, Tail, replace
from corpora.korean.prose import Sentence, prose
from corpora.korean.speech import PLAIN, POLITE, SpeechLevel, core, sentence_level, sentence_levels, spoken

__all__ = ["Conversion", "Reason", "Refusal", "convert"]

_TARGETS = POLITE | PLAIN
_KINDS = {"list": Reason.LIST_ITEM, "heading": Reason.HEADING, "quote": Reason.BLOCK_QUOTE}
#: Connectives that Kiwi knows as final endings too.
_UNSAID = ("데", "니까", "다니", "라니", "지만")
_PREDICATES = ("VV", "VA", "VX", "VCP", "VCN", "XSV", "XSA")
#: Bound and asking nouns whose form goes with the level: 할 거예요 but 할 것입니다.
_WRITTEN = {"거": "것", "뭐": "무엇"}
_SPOKEN = {"것": "거", "무엇": "뭐"}
#: Latin capitals and digits that are read with a final consonant: 엘, 엠, 엔, 알; 영, 일, 삼, 육, 칠, 팔.
_CLOSED_SIGNS = frozenset("LMNR013678")
_OPEN_SIGNS = frozenset("ABCDEFGHIJKOPQSTUVWXYZ2459")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A sentence that keeps its level; offsets point into the NFC text."""

    start: int  #: Offset of its first character.
    end: int  #: Offset behind its last character.
    ending: str  #: Its last word, where the ending stands.
    reason: Reason  #: Why.


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """What became of a text."""

    text: str  #: The converted text in NFC, or the original as it was given.
    original: str  #: The text as it was given.
    changed: bool  #: Whether ``text`` differs.
    refused: tuple[Refusal, ...] = ()  #: Sentences that stand in the way; empty when ``changed``.


@dataclass(frozen=True, slots=True)
class _Splice:
    start: int
    end: int
    surface: str


def _pronouns(found: list[Morpheme], text: str, target: SpeechLevel) -> list[_Splice] | Reason:
    """나 for 저 or 저 for 나, with its particles; only words made of nothing else."""
    old, new = ("나", "저") if target in POLITE else ("저", "나")
    splices = []
    for index, morpheme in enumerate(found):
        if morpheme.tag != "NP" or morpheme.form != old:
            continue
        word = [morpheme]
        for following in found[index + 1 :]:
            if text[word[-1].end : following.start].strip() != text[word[-1].end : following.start]:
                break
            word.append(following)
        starts_word = index == 0 or text[morpheme.start - 1] in " \n\t(["
        particles = [m for m in word[1:] if m.tag not in ("SP", "SF", "SSC")]
        if not starts_word or any(not m.tag.startswith("J") for m in particles):
            return Reason.FIRST_PERSON
        surface = join([(new, "NP"), *((m.form, m.tag) for m in particles)])
        if particles and particles[0].tag == "JKG":
            surface = "제" if target in POLITE else "내"
        end = particles[-1].end if particles else morpheme.end
        splices.append(_Splice(morpheme.start, end, surface))
    return splices


def _tail(found: list[Morpheme], level: SpeechLevel, *, asks: bool) -> tuple[Tail, int] | Reason:
    """The last predicate with its ending, and where it begins in ``found``."""
    last = found[-1]
    ending, stop = last.form, len(found) - 1
    if last.tag == "JX" and last.form == "요" and len(found) > 1:
        last, stop = found[-2], len(found) - 2
        ending = last.form
    # Kiwi takes the endings of 맞니? and 맞나? for connectives.
    question = asks and last.tag == "EC" and ending in ("니", "으니", "나") and stop == len(found) - 1
    unsaid = level is not SpeechLevel.HAPSYO and ending.removesuffix("요").endswith(_UNSAID)
    if (last.tag == "EC" and not question) or unsaid:
        return Reason.CONNECTIVE
    if last.tag not in ("EF", "EC"):
        return Reason.NO_COUNTERPART
    if ending.endswith("죠"):
        ending = ending[:-1] + "지"
    elif ending.endswith("요") and ending not in ("세요", "으세요"):
        ending = ending[:-1]
    begin = stop - 1
    while begin >= 0 and found[begin].tag == "EP":
        begin -= 1
    if begin < 0 or found[begin].tag.partition("-")[0] not in _PREDICATES:
        return Reason.NO_COUNTERPART
    stem, before = tuple(found[begin:stop]), tuple(found[:begin])
    # Behind a noun of the domain Kiwi takes 하다 for an adjective: 할당하다 is none.
    if stem[0].tag == "XSA" and before and before[-1].tag == "NNP":
        stem = (replace_tag(stem[0], tag="XSV"), *stem[1:])
    # 한답니다 is read as 한다고 합니다 and 있잖아 as 있지 않아: both in one syllable, and neither means that.
    contracted = bool(before) and before[-1].tag == "EC" and stem[0].start < before[-1].end
    return Tail(stem=stem, before=before, ending=ending, level=level, asks=asks, contracted=contracted), begin


def _copula(pairs: list[tuple[str, str]], before: str, target: SpeechLevel) -> str | Reason:
    """이다 behind the character ``before``: with a syllable of the same coda in its place."""
    if "가" <= before <= "힣":
        closed = (ord(before) - 0xAC00) % 28 > 0
    elif before in _CLOSED_SIGNS or before in _OPEN_SIGNS:
        closed = before in _CLOSED_SIGNS
    elif target in (SpeechLevel.HAPSYO, SpeechLevel.HAERA) and len(pairs) == 2:
        closed = True  # 입니다 and 이다 follow anything
    else:
        return Reason.AFTER_LATIN
    ending = pairs[-1][0]
    if len(pairs) == 2 and ending in ("어요", "어"):
        return {"어요": "이에요" if closed else "예요", "어": "이야" if closed else "야"}[ending]
    return join([("산" if closed else "가", "NNG"), *pairs])[1:]


def _copula_splice(
    noun: Morpheme, visible: str, pairs: list[tuple[str, str]], target: SpeechLevel, span: tuple[int, int]
) -> _Splice | Reason:
    """이다 behind ``noun``, whose copula and ending take ``span``."""
    asking = pairs[-1][0].startswith("ᆫ가")
    forms = _WRITTEN if asking or target in (SpeechLevel.HAPSYO, SpeechLevel.HAERA) else _SPOKEN
    start, end = span
    if noun.tag in ("NNB", "NP") and noun.form in (*_WRITTEN, *_SPOKEN):
        word = forms.get(noun.form, noun.form)
        rest = _copula(pairs, word[-1], target)
        return rest if isinstance(rest, Reason) else _Splice(noun.start, end, word + rest)
    if start < noun.end:
        return Reason.NOT_REACHED
    # What is read before the ending is the last character inside quotation marks.
    spoken_part = visible[: noun.end].rstrip("\"'”’」』》〉»`")
    rest = _copula(pairs, spoken_part[-1:], target)
    return rest if isinstance(rest, Reason) else _Splice(noun.end, end, rest)


def _ending(found: list[Morpheme], visible: str, level: SpeechLevel, target: SpeechLevel) -> _Splice | Reason:
    rest = visible[found[-1].end :]
    # 있었?, 했습니당: a coda that no ending of a dictionary has.
    if any(m.tag == "Z_CODA" for m in tokens(visible)[-3:]):
        return Reason.NO_COUNTERPART
    asks = "?" in rest or "？" in rest
    tail = _tail(found, level, asks=asks)
    if isinstance(tail, Reason):
        return tail
    parsed, begin = tail
    pairs = replace(parsed, target)
    if isinstance(pairs, Reason):
        return pairs
    end = found[-1].end
    if parsed.tag == "VCP":
        return _copula_splice(found[begin - 1], visible, pairs, target, (parsed.stem[0].start, end))
    if parsed.tag == "VCN" and pairs[-1][0] in ("어요", "어") and len(pairs) == 2:
        pairs[-1] = ("에요" if pairs[-1][0] == "어요" else "야", "EF")
    # A stem that shares a syllable with what stands in front (줘 of 알려줘 does not) is joined with it.
    while begin > 0 and found[begin].start < found[begin - 1].end:
        begin -= 1
        pairs.insert(0, (found[begin].form, found[begin].tag))
    return _Splice(found[begin].start, end, join(pairs))


def _words(sentence: str) -> list[str]:
    """What the sentence says, its endings, particles and persons left out."""
    kept = [m for m in tokens(sentence) if m.tag.startswith(("N", "V", "M", "X", "S")) and m.tag not in ("NP", "VCP")]
    # 어떻게 is an adverb before one ending and an adjective before another.
    return [_WRITTEN.get(m.form, m.form.removesuffix("게") if m.tag == "MAG" else m.form) for m in kept]


def _convert(sentence: Sentence, text: str, level: SpeechLevel, target: SpeechLevel) -> list[_Splice] | Reason:
    """Splices into ``sentence``, offsets within it."""
    if sentence.kind in _KINDS:
        return _KINDS[sentence.kind]
    visible = text[sentence.start : sentence.end]
    found = spoken(core(sentence.masked))
    crossing = (target in POLITE) != (level in POLITE)
    splices = _pronouns(found, sentence.masked, target) if crossing else []
    last = _ending(found, visible, level, target)
    reason = context(found, target, level)
    for result in (reason, last, splices):
        if isinstance(result, Reason):
            return result
    assert isinstance(splices, list)
    assert isinstance(last, _Splice)
    splices = [*splices, last]
    after = _apply(sentence.masked, splices)
    if sentence_level(after) is not target or _words(after) != _words(sentence.masked):
        return Reason.NOT_REACHED
    return splices if _apply(visible, splices) != visible else Reason.NOT_REACHED


def _apply(text: str, splices: list[_Splice]) -> str:
    for splice in sorted(splices, key=lambda s: s.start, reverse=True):
        text = text[: splice.start] + splice.surface + text[splice.end :]
    return text


def convert(text: str, target: SpeechLevel) -> Conversion:
    """``text`` at the level ``target`` (one of the four), or as it is with the sentences that stand in the way.

    Raises:
        InvalidInputError: ``target`` is nominal, mixed or neutral.
    """
    if target not in _TARGETS:
        raise InvalidInputError(f"{target.value} is no level to convert to; use hapsyo, haeyo, hae or haera.")
    normal = unicodedata.normalize("NFC", text)
    splices: list[_Splice] = []
    refused: list[Refusal] = []
    for sentence in prose(normal):
        level = sentence_level(sentence.masked)
        found = _splices(sentence, normal, level, target)
        if isinstance(found, Reason):
            words = normal[sentence.start : sentence.end].split()
            refused.append(Refusal(start=sentence.start, end=sentence.end, ending=words[-1], reason=found))
        else:
            splices += [_Splice(sentence.start + s.start, sentence.start + s.end, s.surface) for s in found]
    result = _apply(normal, splices)
    if refused or not splices:
        return Conversion(text=text, original=text, changed=False, refused=tuple(refused))
    if {level for level in sentence_levels(result) if level in _TARGETS} != {target}:
        whole = Refusal(start=0, end=len(normal), ending=normal.split()[-1], reason=Reason.NOT_REACHED)
        return Conversion(text=text, original=text, changed=False, refused=(whole,))
    return Conversion(text=result, original=text, changed=True)


def _splices(sentence: Sentence, text: str, level: SpeechLevel, target: SpeechLevel) -> list[_Splice] | Reason:
    if level is target:
        return []
    if level in _TARGETS:
        return _convert(sentence, text, level, target)
    last = spoken(core(sentence.masked))[-1:]
    if last and last[0].tag == "EC":
        return Reason.CONNECTIVE
    if last and misplaced_call(last[0], target):
        return Reason.INTERJECTION
    return []
