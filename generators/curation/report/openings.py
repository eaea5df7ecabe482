"""The template of a question: its topic replaced by ``~``, so that a dataset that always asks alike shows it.

"입고 절차에 대해 설명해 주세요." becomes "~에 대해 설명해 주세요.". A question is read as topic, question words (무엇,
왜, 어떻게, 어떤 …) and a final predicate. Before the predicate, everything up to the last topic noun becomes ``~``,
once on each side of a question word; particles that follow the sound before them are written as pairs (을/를). Nouns
that only ask (방법, 이유, 차이) stay behind a clause or 의. It does not judge and knows no statistics.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from corpora.korean.analyse import ASKING_NOUNS, Morpheme, sentences, tokens

__all__ = ["SLOT", "TEMPLATE_CHARS", "question_template"]

SLOT = "~"
#: Longer templates are cut, with an ellipsis: what follows is a text that the question brings along.
TEMPLATE_CHARS = 80

_SIGNS = frozenset({"SF", "SP", "SS", "SSO", "SSC", "SE", "SO", "SW", "SB", "Z_CODA", "W_EMOJI"})
_CLOSING = frozenset({"SS", "SSC"})
_NOUNS = frozenset({"NNG", "NNP", "NP", "NR", "SL", "SN", "SH", "XR", "XSN", "W_URL", "W_EMAIL", "W_SERIAL"})
_ASKING = {
    **dict.fromkeys(("무엇", "뭐", "무어", "어디", "누구", "누", "언제", "얼마"), ("NP", "NNG", "MAG", "NR")),
    **dict.fromkeys(("왜", "언제", "얼마나", "어찌", "어째서"), ("MAG", "IC", "NP")),
    **dict.fromkeys(("어떤", "무슨", "어느", "몇", "웬"), ("MM", "NR")),
    **dict.fromkeys(("어떻", "어떠하", "어떡하"), ("VA", "VV")),
}
#: Stay in the template behind a clause (-는), behind 의 and behind 어떤.
_ASKED = ASKING_NOUNS | {
    *("차이", "차이점", "공통점", "장점", "단점", "장단점", "특징", "역할", "의미", "뜻", "정의"),
    *("목적", "원인", "조건", "종류", "예", "예시", "필요성", "중요성", "해결책", "기능"),
}
#: Say when or in which case; they stay behind whatever they belong to.
_CASES = frozenset({"때", "전", "후", "뒤", "경우"})
#: Nouns that are a predicate with 하다, 부탁하다 or alone: "절차 설명을 부탁드립니다".
_ACTS = frozenset({"설명", "소개", "답변", "안내", "요약", "정리", "비교", "추천", "작성", "번역", "부탁"})
_LIGHT_VERBS = frozenset({"하", "드리", "주", "부탁", "바라"})
#: 해야 하나요, 해도 되나요, 하면 되나요, 주시기 바랍니다: the predicate is what stands in front.
_AUXILIARY = frozenset({"하", "되", "바라", "좋"})
_BEFORE_AUXILIARY = frozenset({"어야", "아야", "여야", "어도", "아도", "여도", "면", "으면", "기"})
_ENDINGS = frozenset({"EF", "EP", "EC", "ETM", "ETN", "VX"})
_PAIRS = {
    **dict.fromkeys((("이", "JKS"), ("가", "JKS"), ("이", "JKC"), ("가", "JKC")), "이/가"),
    **dict.fromkeys((("은", "JX"), ("는", "JX"), ("ᆫ", "JX")), "은/는"),
    **dict.fromkeys((("을", "JKO"), ("를", "JKO"), ("ᆯ", "JKO")), "을/를"),
    **dict.fromkeys((("으로", "JKB"), ("로", "JKB")), "으로/로"),
    **dict.fromkeys((("와", "JC"), ("과", "JC"), ("와", "JKB"), ("과", "JKB")), "와/과"),
    **dict.fromkeys((("이란", "JX"), ("란", "JX"), ("란", "ETM")), "이란/란"),
}
_REQUEST_ENDINGS = ("세요", "시오", "라", "렴", "나요", "까", "까요", "는가", "은가")
_REQUEST_WORDS = frozenset({("주", "VX"), ("부탁", "NNG"), ("궁금하", "VA"), ("바라", "VV"), ("싶", "VX")})
_STUCK = frozenset({"주", "드리"})
_BLANKS = re.compile(r"\s+")


def question_template(question: str) -> str:
    """The template of ``question``: of its first sentence that asks for something, else of its last with a topic.

    Only the first paragraph counts: what stands below a blank line is material. A question without a topic is its own
    template, and an empty one gives the empty string.
    """
    text = unicodedata.normalize("NFC", question).strip().split("\n\n", 1)[0]
    found = tokens(text)
    made = []
    spans = sentences(text)
    for number, (start, end) in enumerate(spans):
        following = spans[number + 1][0] if number + 1 < len(spans) else len(text)
        body = [m for m in found if m.start >= start and m.end <= end]
        while body and _tag(body[-1]) in _SIGNS:
            body.pop()
        # Signs are looked for in the text: a sentence may be cut in front of its own.
        sign = _sign(body, text[body[-1].end : following]) if body else ""
        if body:
            made.append((_of_sentence(text, body) + sign, _asks(body, sign)))
    with_topic = [entry for entry in made if SLOT in entry[0]]
    chosen = next((template for template, asks in with_topic if asks), None)
    if chosen is None:
        chosen = with_topic[-1][0] if with_topic else made[0][0] if made else text
    chosen = _BLANKS.sub(" ", chosen).strip()
    return chosen if len(chosen) <= TEMPLATE_CHARS else f"{chosen[: TEMPLATE_CHARS - 1]}…"


def _tag(morpheme: Morpheme) -> str:
    return morpheme.tag.partition("-")[0]


def _sign(body: list[Morpheme], rest: str) -> str:
    """The one sign that closes the template of ``body``, behind which ``rest`` stands."""
    if "?" in rest or "？" in rest:
        return "?"
    return "." if _tag(body[-1]).startswith("E") else ""


def _asks(body: list[Morpheme], sign: str) -> bool:
    last = body[-1]
    imperative = _tag(last).startswith("E") and last.form.endswith(_REQUEST_ENDINGS)
    return sign == "?" or imperative or any((m.form, _tag(m)) in _REQUEST_WORDS for m in body[-6:])


def _of_sentence(text: str, body: list[Morpheme]) -> str:
    """The template of one sentence, without its closing sign."""
    predicate = _predicate(body)
    changes: list[tuple[int, int, str]] = []
    for start, end in _segments(body, predicate):
        topic = max((i for i in range(start, end) if _is_topic(body, i)), default=None)
        if topic is not None:
            changes.append(_slot(body, start, topic))
    for before, morpheme in pairwise(body):
        # 설명해주세요 and 설명해 주세요 are one template.
        if morpheme.form in _STUCK and _tag(morpheme) == "VX" and _tag(before) == "EC" and _joined(before, morpheme):
            changes.append((morpheme.start, morpheme.start, " "))
    pieces, cursor = [], body[0].start
    for start, end, instead in sorted(changes):
        if start >= cursor:
            pieces += [text[cursor:start], instead]
            cursor = end
    return "".join((*pieces, text[cursor : body[-1].end]))


def _joined(first: Morpheme, second: Morpheme) -> bool:
    return second.start <= first.end


def _slot(body: list[Morpheme], start: int, topic: int) -> tuple[int, int, str]:
    """From the segment's first character to the topic's last, its closing quotation mark and particle included."""
    end, following = body[topic].end, topic + 1
    while following < len(body) and _tag(body[following]) in _CLOSING and body[following].start == end:
        end, following = body[following].end, following + 1
    # 검수란: Kiwi sees 이다 without a letter of its own before 란.
    if following + 1 < len(body) and body[following].start == body[following].end:
        following += 1
    if following < len(body) and body[following].start <= end:
        particle = body[following]
        pair = _PAIRS.get((particle.form, _tag(particle)))
        if pair is not None:
            return body[start].start, max(end, particle.end), SLOT + pair
    return body[start].start, end, SLOT


def _predicate(body: list[Morpheme]) -> int:
    """Index of the final predicate's first morpheme; the number of morphemes where there is none."""
    i = len(body) - 1
    while i >= 0:
        form, tag = body[i].form, _tag(body[i])
        before = body[i - 1] if i else None
        if tag in _ENDINGS or (form == "요" and tag == "JX"):
            i -= 1
        elif form in ("있", "없") and (ability := _ability(body, i)) is not None:
            i = ability - 1
        elif form in _AUXILIARY and before is not None and before.form in _BEFORE_AUXILIARY:
            i -= 1
        elif tag in ("VV", "VA", "VCN"):
            return _with_act(body, i) if form in _LIGHT_VERBS else i
        elif tag == "VCP":
            return i
        elif tag in ("XSV", "XSA"):
            noun = max(i - 1, 0)
            while noun and _tag(body[noun]) == "XSN":
                noun -= 1
            return _with_act(body, noun) if body[noun].form in _ACTS else noun
        else:
            break
    # Noun style: "입고 절차 설명", "재고 실사 방법".
    last = len(body)
    while last > 1 and body[last - 1].form in _ASKED | _ACTS and _tag(body[last - 1]) == "NNG":
        last -= 1
    return last


def _ability(body: list[Morpheme], i: int) -> int | None:
    """Index of 수 in -ㄹ 수 있다."""
    j = i - 1
    while j > 0 and _tag(body[j]) in ("JX", "JKS"):
        j -= 1
    return j if j > 0 and (body[j].form, _tag(body[j])) == ("수", "NNB") else None


def _with_act(body: list[Morpheme], i: int) -> int:
    """Index of the first of the nouns that make one predicate with the verb at ``i``: 설명을 해, 설명 부탁."""
    while i:
        j = i - 2 if _tag(body[i - 1]) == "JKO" and i > 1 else i - 1
        if body[j].form not in _ACTS or _tag(body[j]) != "NNG":
            break
        i = j
    return i


def _is_asking(morpheme: Morpheme) -> bool:
    return _tag(morpheme) in _ASKING.get(morpheme.form, ())


def _segments(body: list[Morpheme], predicate: int) -> list[tuple[int, int]]:
    """What stands before the predicate, cut at question words with all that is written in one with them."""
    found, start, i = [], 0, 0
    while i < predicate:
        if not _is_asking(body[i]):
            i += 1
            continue
        found.append((start, i))
        determiner = _tag(body[i]) in ("MM", "NR")
        i = _word_end(body, i, predicate)
        if i < predicate:
            following = body[i]
            stays = following.form in _ASKED | _CASES or _tag(following) == "NNB"
            # 어떤 경우에, 몇 시까지; 어떻게 하면, 무엇을 하는.
            if (determiner and stays) or (not determiner and (following.form, _tag(following)) == ("하", "VV")):
                i = _word_end(body, i, predicate)
        start = i
    found.append((start, predicate))
    return [(first, last) for first, last in found if first < last]


def _word_end(body: list[Morpheme], i: int, limit: int) -> int:
    i += 1
    while i < limit and _joined(body[i - 1], body[i]):
        i += 1
    return i


def _is_topic(body: list[Morpheme], i: int) -> bool:
    tag, form = _tag(body[i]), body[i].form
    before = body[i - 1] if i else None
    if tag == "NNB":
        # 3건, 세 가지 count something; 것, 수, 중 are grammar.
        return before is not None and _tag(before) in ("SN", "NR", "MM") and not _is_asking(before)
    if tag not in _NOUNS or _is_manner(body, i):
        return False
    if form in _CASES and before is not None:
        return False
    return not (form in _ASKED and before is not None and (_tag(before) in ("ETM", "JKG") or _is_asking(before)))


def _is_manner(body: list[Morpheme], i: int) -> bool:
    """단계별로, 구체적으로: how to tell, not what of."""
    at = i if _tag(body[i]) == "XSN" else i + 1
    suffix = at + 1 < len(body) and body[at].form in ("별", "적") and _tag(body[at]) == "XSN"
    return suffix and body[at + 1].form in ("로", "으로")
