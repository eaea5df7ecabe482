"""Rules for one sentence: definitions, uses, what something makes possible, "…하려면" and conditions.

Korean keeps question words in place, so the clause or noun phrase that a sentence opens with is already half of its
question. Every rule reads the morphemes of one sentence, gives the phrase of the question, and refuses what does not
name its subject. Pure; must know neither templates nor retrieval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpora.korean.analyse import Morpheme, tokens
from generators.extractive_clauses import POINTS, by_people, clause_of_condition, clause_of_purpose, subject_of
from generators.extractive_deeds import has_object, may_be_done, tells_a_deed
from generators.extractive_phrases import Topic, is_noun_phrase, is_plain_noun, nouns_of
from generators.extractive_text import Sentence, anaphor, opens_elsewhere

__all__ = ["Found", "goes_on", "of_sentence"]

_DEFINES = re.compile(r"(?:말|뜻|의미)(?:합니다|한다|해요)\.?\Z|(?:가리킵니다|가리킨다|일컫습니다|이릅니다)\.?\Z")
_IS = re.compile(r"([가-힣]+)(?:입니다|이다)\.?\Z")
#: Nouns that say nothing of what a thing is.
_EMPTY_KIND = re.compile(
    r"(?:것|수|예|다음|결과|이유|기본값|때문|경우|개|번|중|뿐|편|전|후|원칙|선택|필수|가능|필요|사항|참|거짓"
    r"|예정|목적|동일|하나|가지|중요|옵션|일|점|법|셈|바)\Z"
)
_USED = re.compile(
    r"(?:는|할) 데 (?:사용|이용|활용)(?:합니다|됩니다|한다|된다)\.?\Z|는 데 쓰(?:입니다|인다|ㅂ니다)\.?\Z"
    r"|(?:위해|위하여) (?:사용|이용|활용)(?:합니다|됩니다|한다|된다)\.?\Z"
)
_CAN = re.compile(r"(?:ㄹ|[가-힣]) 수 있(?:습니다|다|어요)\.?\Z")
_PASSIVE = re.compile(
    r"(?:[가-힣](?<![합십])(?:됩니다|집니다|뀝니다|납니다|깁니다|갑니다|옵니다|뜹니다|립니다|힙니다|습니다)"
    r"|발생합니다|실패합니다|[된진난긴간온뜬린힌]다)\.?\Z"
)
#: What is possible or what is used is not yet how it is done.
_HALF = re.compile(
    r"(?:수 있습니다|[을를] (?:사용|이용)해야 합니다|가능합니다|추천합니다|권장합니다|않습니다|없습니다"
    r"|[았었했]습니다)\.?\Z"
    r"|[가-힣A-Za-z]도 (?:\S+ )?\S+야 (?:합니다|한다)\.?\Z|필요하므로"
)
_STATE = re.compile(r"(?:동일|유사|가능|불가능|중요|유용|적합|다양|충분|부족|적절|필수)합니다\.?\Z")
#: "아이콘이 켜져 있으면", but which icon; "다시 열면", but what was before?
_SAME_AGAIN = re.compile(
    r"(?:\A|, |만약 )(?:아이콘|버튼|단추|확인란|체크 ?박스|옵션|상자|필드|항목|값|목록|스위치)"
    r"(?:이|가|을|를|에서?|의)? "
    r"|(?<![가-힣])(?:다시|또|계속|추가로) "
)
_SECOND = ("및 ", "또는 ", "혹은 ", "그리고 ", "안 ", "안되", "안된", "안됩", "되지 ")
_REASON = re.compile(r"(?:므로|니까|때문에|[어아여]서,) ?")
_VAGUE = re.compile(
    r"(?:두|세|네|몇|여러|다음) ?(?:가지|개의)? ?[가-힣 ]{0,12}(?:있습니다|켜야|필요)|먼저 시스템에서|켜져"
    r" 있어야|(?<!수 )있습니다\.?\Z"
)
_ASKED = re.compile(r"(?:십시오|세요|하시오|(?:해|어|아|여)야 (?:합|한|됩|된|해)[가-힣]*)\.?\Z")
_DOES = re.compile(r"(?:습니다|[가-힣]니다|한다|된다|ㄴ다|는다|요)\.?\Z")
_WEAK = re.compile(
    r"(?:것이 좋습니다|야 할 수 있습니다|게 될 수 있[가-힣]+|있어야 (?:합니다|한다)|일이 없습니다|유용합니다"
    r"|것이 중요합니다"
    r"|것입니다|수도 있습니다|필요하지 않습니다|필요할 수"
    r" 있습니다|필요합니다|않아도 됩니다|가능성이 [가-힣]+|[가-힣]입니다|이다|같습니다"
    r"|마찬가지입니다)\.?\Z"
)
_CONTINUES = re.compile(
    r"(?:그런 다음|그 다음|그다음|다음으로|그러면|그리고|이어서|이후|그 ?후|이때|다만|단,|단 |마지막으로"
    r"|이렇게 하면|그렇지 않으면|아니면|또는|계속해서)"
)
_SHORTEST_REST = 12
_SHORTEST_CONSEQUENCE = 14
_SHORTEST_CAPABILITY = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a sentence answers."""

    rule: str  #: Key of ``FORMS``.
    phrase: str  #: The phrase of the question.
    alone: bool = False  #: Whether the phrase is known to stand alone.
    rest: str = ""  #: The main clause behind the phrase, where there is one.


def goes_on(text: str) -> bool:
    """Whether ``text`` goes on with what the sentence before it began, so that an answer without it is half."""
    return bool(_CONTINUES.match(text))


def of_sentence(sentence: Sentence, topic: Topic) -> Found | None:
    """The question that ``sentence`` answers by itself, or None."""
    text = sentence.text
    if opens_elsewhere(text) or anaphor(text) or not 20 <= len(text) <= 400:
        return None
    morphemes = sentence.morphemes
    return (
        _defined(text, morphemes)
        or _of_topic(sentence, morphemes, topic)
        or _possible(text, morphemes, topic)
        or _purpose(text, morphemes)
        or _condition(text, morphemes)
    )


def _term(text: str) -> bool:
    return 2 <= len(text) <= 40 and is_noun_phrase(text) and bool(nouns_of(text))


def _defined(text: str, morphemes: list[Morpheme]) -> Found | None:
    """``X란 …입니다`` and ``X(이)란 … 말합니다``: the writer says that this is a definition."""
    if not (_DEFINES.search(text) or _IS.search(text)):
        return None
    for position, morpheme in enumerate(morphemes[:20]):
        if morpheme.form != "란" or position == 0 or morpheme.tag not in ("ETM", "JX", "EF", "EC"):
            continue
        copula = morphemes[position - 1]
        head = copula.start if copula.tag == "VCP" and copula.end > copula.start else morpheme.start
        term = text[:head].strip()
        return Found(rule="definition", phrase=term, alone=True) if _term(term) else None
    return None


def _subject(text: str, morphemes: list[Morpheme]) -> tuple[str, int] | None:
    """The noun phrase before the first 은/는 with the position behind it."""
    for position, morpheme in enumerate(morphemes[:20]):
        if morpheme.tag == "JX" and morpheme.form in ("은", "는"):
            term = text[: morpheme.start].strip()
            return (term, position + 1) if is_plain_noun(morphemes[:position]) and _term(term) else None
        if not (morpheme.tag.startswith(("NN", "SL", "SN", "XS", "XPN", "XR", "SS", "SO")) or morpheme.tag == "JKG"):
            return None
    return None


def _agrees(term: str, topic: Topic) -> bool:
    """Whether ``term`` is what the heading path is about."""
    bare = re.sub(r"\s*\([^()]*\)", "", term).replace(" ", "")
    path = [re.sub(r"\s*\([^()]*\)", "", part).replace(" ", "") for part in (topic.title, topic.leaf) if part]
    return len(bare) >= 2 and any(bare in part or (len(part) >= 4 and part in bare) for part in path)


def _two(term: str) -> bool:
    """Whether a term is made of two nouns: asked for what it is, it needs no more."""
    return len(nouns_of(term)) >= 2


def _known(term: str, topic: Topic) -> bool:
    """Whether ``term`` is the heading's subject, or names a thing of its own."""
    return _agrees(term, topic) or _two(term)


def _of_topic(sentence: Sentence, morphemes: list[Morpheme], topic: Topic) -> Found | None:
    """``X는 …입니다``, ``X는 …하는 데 사용됩니다`` and ``X의 목적은 …`` where X is what the heading names."""
    text = sentence.text
    aim = re.match(r"(.{2,40})의 목적은 .+(?:것입니다|위해서입니다|위한 것입니다)\.\Z", text)
    if aim is not None and _term(aim[1]) and _known(aim[1], topic):
        return Found(rule="purpose_of", phrase=aim[1], alone=_two(aim[1]))
    subject = _subject(text, morphemes)
    if subject is None:
        return None
    term = subject[0]
    if _USED.search(text):
        return Found(rule="use", phrase=term, alone=_two(term)) if _known(term, topic) else None
    if sentence.term != term and not _agrees(term, topic):
        return None
    kind = _IS.search(text)
    if (_DEFINES.search(text) and not text.rstrip(".").endswith(("가리킵니다", "가리킨다"))) or (
        kind and not _EMPTY_KIND.search(kind[1]) and _modified(morphemes[subject[1] :])
    ):
        return Found(rule="definition", phrase=term, alone=_two(term))
    return None


def _modified(rest: list[Morpheme]) -> bool:
    """Whether the predicate's noun has a clause before it: "…하는 작업입니다" defines, "기본값은 10입니다" does not."""
    return any(m.tag == "ETM" for m in rest) and not any(m.tag == "SN" for m in rest[-4:])


def _possible(text: str, morphemes: list[Morpheme], topic: Topic) -> Found | None:
    """``X를 사용하면/사용하여/통해 … 할 수 있습니다``."""
    if not _CAN.search(text):
        return None
    match = re.match(
        r"(.{2,50}?)(?:을|를) (?:사용하면|사용하여|사용해|이용하면|이용하여|활용하면|활용하여|통해|통하여)(?: |,)", text
    )
    if match is None:
        return None
    term = match[1].strip()
    cut = len(match[1])
    if not is_plain_noun([m for m in morphemes if m.end <= cut]) or not _term(term):
        return None
    rest = text[match.end() :]
    if len(rest) < _SHORTEST_CAPABILITY or not _tells(term, rest) or not may_be_done(rest) or not by_people(rest):
        return None
    named = _known(term, topic) or bool(nouns_of(term) & topic.nouns)
    return Found(rule="capability", phrase=term) if named else None


def _purpose(text: str, morphemes: list[Morpheme]) -> Found | None:
    clause = clause_of_purpose(text, morphemes)
    if clause is None or _WEAK.search(text) or _VAGUE.search(text[clause[1] :]) or _HALF.search(text):
        return None
    rest = text[clause[1] :].lstrip(", ")
    aim = [m for m in morphemes if m.end <= clause[1]]
    if len(rest) < _SHORTEST_REST or not _tells(clause[0], rest) or not has_object(aim):
        return None
    good = tells_a_deed(rest, clause[0]) and by_people(rest)
    return Found(rule="purpose", phrase=clause[0], rest=rest) if good else None


def _tells(asked: str, rest: str) -> bool:
    """Whether the main clause brings two nouns or numbers that the question does not have."""
    new = nouns_of(rest) - nouns_of(asked)
    return len(new) + len(re.findall(r"\d+", rest)) >= 2


def _condition(text: str, morphemes: list[Morpheme]) -> Found | None:
    """``…하면``, ``…하는 경우``: what must be done, what happens, what can be done."""
    clause = clause_of_condition(text, morphemes)
    if clause is None or _WEAK.search(text) or POINTS.search(clause) or _SAME_AGAIN.search(clause):
        return None
    rest = text[len(clause) :].lstrip("는, ")
    if len(rest) < _SHORTEST_CONSEQUENCE or len(nouns_of(clause)) < 2 or not _tells(clause, rest):
        return None
    if _VAGUE.search(rest) or _REASON.search(rest) or re.search(r"[가-힣]더라도|에만 [가-힣]+니다", rest):
        return None
    # A second condition, which the question would drop: "… 및 …", "…하면 안 된다면", "… 경우 …하면".
    if rest.startswith(_SECOND) or any(m.tag == "EC" and m.form in ("면", "으면", "다면") for m in tokens(rest)):
        return None
    rule = _consequence(rest)
    return Found(rule=rule, phrase=clause, rest=rest) if rule else None


def _consequence(rest: str) -> str | None:
    """What the main clause says: an order, a possibility of people, an event, an action of people."""
    people = by_people(rest)
    subject = subject_of(rest)
    named = subject is not None and people
    if _ASKED.search(rest):
        return "must_if" if people and tells_a_deed(rest) else None
    if _CAN.search(rest):
        return "may_if" if people and may_be_done(rest) else None
    if re.search(r"시스템(?:이|은|에서)", rest) or (subject is not None and _PASSIVE.search(rest)):
        return "happens_if"
    return "handled_if" if named and _DOES.search(rest) and not _STATE.search(rest) else None
