"""Whether a main clause says what a person does, all of it, and without the sentence before it.

A sentence with "…하려면" answers "어떻게 해야 하나요?" only where its main clause ends in a deed: 누르다, 입력하다.
"…를 사용합니다" names a means, "…창을 엽니다" is a first step, "…이 일어납니다" an event; all are refused. The list
of deeds is closed: a verb that is not in it is refused too. Pure; must know no rule, no form and no document.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from corpora.korean.analyse import Morpheme, tokens
from generators.extractive_phrases import ACTIONS, nouns_of
from generators.particles import ends_in_consonant, with_particle

__all__ = ["goes_further", "has_object", "leans_on", "may_be_done", "opens_only", "particles_fit", "tells_a_deed"]

#: Nouns that take 하다 and name what a person does to something.
_DEED_NOUNS = frozenset(ACTIONS) | frozenset({
    "클릭", "스캔", "터치", "체크", "드래그", "저장", "제출", "요청", "전송", "복사", "교체", "로그인", "로그아웃",
    "재시작", "재부팅", "종료", "호출", "전달", "제공", "작성", "첨부", "부착", "분리", "포함", "제외", "추출",
    "보관", "격리", "반납", "폐기", "허용", "정정", "보고", "통보", "신고", "발송", "결제", "예약", "차단", "중지",
    "중단", "생략", "명시", "대체", "정렬", "배치", "재배치", "배열", "결합", "병합", "변환", "발행", "갱신", "반환",
    "문의", "연락", "위임", "조작", "제한", "표시", "공유", "다운로드", "업로드", "지정", "고정", "부여", "이동",
    "인증", "등재", "마감", "정지", "환불", "반품", "회수", "이관", "이체", "기재", "날인", "서명", "봉인", "재생",
    "녹화", "녹음", "촬영", "추가", "삽입", "거부", "거절", "암호화", "복구", "백업", "새로고침", "표기", "첨가",
})  # fmt: skip
#: Verbs of the same kind.
_DEED_VERBS = frozenset({
    "누르", "고르", "끌", "끄", "켜", "넣", "집어넣", "붙이", "붙여넣", "옮기", "내리", "올리", "바꾸", "고치", "만들",
    "적", "찍", "보내", "받", "맡기", "앞당기", "늦추", "울리", "세우", "비우", "채우", "닫", "지우", "빼", "늘리",
    "줄이", "나누", "묶", "잠그", "풀", "돌리", "밀", "당기", "놓", "떼", "싣", "담", "매기", "알리", "숨기", "덮",
    "끼우", "뽑", "걸", "맞추", "돌려보내", "되돌리", "내보내", "불러오", "가져오", "옮겨놓", "벗기", "감추", "없애",
    "높이", "낮추", "살리", "치우", "꽂", "끊", "멈추", "두", "꺼내", "펼치", "접", "쌓", "자르", "합치", "거르",
})  # fmt: skip
#: To look is no deed where looking was not asked for.
_LOOKS = frozenset({"확인", "조회", "검토", "검색", "점검", "찾", "보", "살펴보", "조사", "대조", "비교"})
_LOOKED_FOR = re.compile(r"(?:확인|조회|검토|검색|점검|비교|대조|찾|보|열|액세스|접근)(?:거나 \S+|\S{0,4})\Z")
#: What may be done too, but is too wide for "how".
_MAY_NOUNS = frozenset({"추적", "비교", "측정", "분석", "감시", "모니터링", "관리", "제어", "보호", "접근", "방지"})
#: One of these alone opens a menu or a window: a first step.
_CLICKS = frozenset({"클릭", "선택", "누르", "터치", "고르"})
#: A main clause that is a first step, a means, a further thing beside one that was named, or an appeal.
_NOT_ALL = re.compile(
    r"(?:탭|메뉴|창|화면|페이지|대화 ?상자|도구 모음|패널|팝업|폼|양식|섹션|영역)(?:으로|로|을|를|에서)\S* ?"
    r"(?:클릭|선택|열|엽|누르|누릅|이동|들어)[가-힣]*(?:\s?[가-힣]{1,3})?[.]?\Z"
    r"|(?:마우스 )?오른쪽 (?:마우스 )?(?:버튼|단추)(?:으로|을|를) (?:클릭|누르|누릅)[가-힣]*\.?\Z"
    r"|(?<!수 )있습니다|\A대신 |, 대신 |\A(?:만|도|까지) |마십시오|마세요|말아야|잊지|주의|유의|기억|고려"
    r"|다른 (?:두|세|한|몇|모든|\d)|[가-힣]도록 (?:합니다|하십시오|하세요|해야)"
)
_FIRST_ONLY = re.compile(r"(?:\A|\s)(?:먼저|우선) ")
_SEQUENCE = re.compile(r"다음|뒤|후|[가-힣]고 |나중에|[가-힣]지 말고")
_OWN_CLAUSE = re.compile(r"(?:려면|면|경우|때)(?:에|에는|는)?[ ,]")
#: "이 단계를 완료하는 방법에는 두 가지가 있습니다": how it is done follows.
_HOW_AHEAD = re.compile(r"이 (?:단계|작업|절차|과정|설정|구성|기능)|.{0,20}방법(?:은|에는|으로)|다음")
#: "표시되는지 확인한 다음": its subject is not that of the sentence.
_WHETHER = re.compile(r"[^,.]*?(?:는|은|인|된|한)지(?: 여부)?(?:를|가)? ")
#: What nobody wants is possible, not offered.
_HARM = re.compile(r"실수로|잘못|위험|손상|잃|유실|문제가|오류가|충돌|방해")
_VAGUE_OBJECT = re.compile(
    r"(?:여러|다양한|모든|기타|일부|추가|다른|같은|몇) ?(?:가지 |개의 )?(?:속성|기능|작업|옵션|설정|요소|정보|방법|방식"
    r"|형식|항목|일)(?:을|를|으로|에)"
)
_OPENS = re.compile(r"(?:대화 ?상자|창|마법사|화면)(?:를|을|가|이) (?:엽|열|표시|나타|호출)")
_SOUNDS = {
    "을": "을/를",
    "를": "을/를",
    "은": "은/는",
    "는": "은/는",
    "이": "이/가",
    "가": "이/가",
    "과": "과/와",
    "와": "과/와",
}
#: What an object is made of: "이중선의 한 쪽".
_OBJECT_TAGS = ("NN", "NR", "MM", "XS", "XPN", "XR", "SL", "SN", "JKG")
_PARTICLE_TAGS = ("JKO", "JX", "JKS", "JC", "JKB")
_OBJECT_PARTICLE = re.compile(r"(?<=[가-힣A-Za-z0-9])(을|를)(?= |\Z)")


def has_object(found: Sequence[Morpheme]) -> bool:
    """Whether the last verb of a clause of purpose is done to something: "송장을 출력하려면", not "전에 실행하려면"."""
    at = max((n for n, m in enumerate(found) if m.tag == "JKO"), default=-1)
    behind = found[at + 1 :]
    return (
        at >= 0
        and not any(m.tag in ("ETM", "JKS", "SP") for m in behind)
        and not any(m.form in ("있", "없", "않", "되", "이") and m.tag.startswith(("V", "XSV")) for m in behind[-3:])
    )


def tells_a_deed(rest: str, purpose: str | None = None) -> bool:
    """Whether the main clause ``rest`` ends in a deed and is all of it.

    Args:
        rest: The main clause.
        purpose: The clause with "…하려면" before it, where there is one: to look at something is an answer only then
            when looking was asked for.
    """
    found = tokens(rest)
    deed = _last_verb(found)
    if purpose is not None and deed in _CLICKS and not _SEQUENCE.search(rest) and "키를" not in rest:
        return False
    if deed is None or _NOT_ALL.search(rest) or _also(found):
        return False
    if _FIRST_ONLY.search(rest) and not _SEQUENCE.search(rest):
        return False
    if deed in _LOOKS or deed == "이동" or (">" in rest and not _SEQUENCE.search(rest)):
        return purpose is None or bool(_LOOKED_FOR.search(purpose.removesuffix("려면")))
    return deed in _DEED_NOUNS or deed in _DEED_VERBS


def may_be_done(rest: str) -> bool:
    """Whether "… 할 수 있습니다" says what a person can do to something, and more than "여러 속성을 편집"."""
    found = tokens(rest)
    end = max((n for n, m in enumerate(found) if m.form == "수" and m.tag == "NNB"), default=-1)
    deed = _last_verb(found[:end])
    at = max((n for n, m in enumerate(found) if m.tag == "JKO"), default=-1)
    if deed is None or not 0 <= at < end or _NOT_ALL.search(rest.removesuffix(".").removesuffix("있습니다")):
        return False
    if any(m.tag in ("JKS", "VCP", "VX") for m in found[at:end]) or _also(found[:end]):
        return False
    if _VAGUE_OBJECT.search(rest) or _HARM.search(rest):
        return False
    return deed in _DEED_NOUNS | _DEED_VERBS | _LOOKS | _MAY_NOUNS


def _last_verb(found: Sequence[Morpheme]) -> str | None:
    """The noun before 하다, or the stem of the last verb; auxiliaries and "…하면 됩니다" are passed over."""
    number = len(found) - 1
    while number >= 0:
        m = found[number]
        if m.tag == "XSV":
            noun = found[number - 1] if number else None
            return noun.form if m.form in ("하", "시키") and noun is not None and noun.tag.startswith("NN") else None
        if m.tag.startswith("VV"):
            allowed = m.form in ("되", "하") and number and found[number - 1].form in ("면", "으면", "어야", "아야")
            if not allowed:
                return m.form
        elif m.tag.startswith(("VA", "VC")):
            return None
        number -= 1
    return None


def _also(found: Sequence[Morpheme]) -> bool:
    """Whether "…도" adds to something that was said before."""
    pairs = pairwise(found)
    return any(
        m.tag == "JX" and m.form == "도" and before.tag.startswith(("NN", "SL", "SN", "SS")) for before, m in pairs
    )


def goes_further(later: str) -> bool:
    """Whether the next sentence of a paragraph is one more step: done to something, without clause or topic."""
    if _HOW_AHEAD.match(later):
        return True
    if _OWN_CLAUSE.search(later):
        return False
    found = tokens(_WHETHER.sub("", later))
    topic = any((m.tag == "JX" and m.form in ("은", "는")) or m.tag == "JKS" for m in found)
    deed = _last_verb(found)
    return not topic and deed is not None and (any(m.tag == "JKO" for m in found) or deed in _DEED_NOUNS | {"이동"})


def opens_only(rest: str, around: str) -> bool:
    """Whether one click is all that is told, and the text around says that it opens a window: a first step."""
    return _SEQUENCE.search(rest) is None and _OPENS.search(around) is not None


def leans_on(rest: str, before: str, known: str) -> bool:
    """Whether the main clause takes up a thing that only the sentences before it name: "교차점을 더블 클릭합니다"."""
    found = tokens(rest)
    for number, m in enumerate(found):
        if m.tag != "JKO":
            continue
        first = number
        while first and found[first - 1].tag.startswith(_OBJECT_TAGS):
            first -= 1
        nouns = nouns_of(rest[found[first].start : m.start]) if first < number else frozenset()
        nouns = frozenset(noun for noun in nouns if noun not in known.lower())
        if nouns and all(noun in before.lower() for noun in nouns):
            return True
    return False


def particles_fit(phrase: str) -> bool:
    """Whether 을/를, 은/는, 이/가 and 과/와 fit the sound before them: a manual's slip is no question."""
    # Kiwi takes a noun with a wrong 을 or 를 for one word, so that these two are looked up as they are written.
    found = [(match.start(1), match[1]) for match in _OBJECT_PARTICLE.finditer(phrase)]
    found += [(m.start, m.form) for m in tokens(phrase) if m.tag in _PARTICLE_TAGS and m.form in _SOUNDS]
    return all(_fits(phrase[:start], form) for start, form in found)


def _fits(word: str, form: str) -> bool:
    """Whether ``form`` fits behind ``word``; letters that may be read either way are let through."""
    if not word or not word[-1].isalnum() or with_particle(word, _SOUNDS[form]) == word + form:
        return True
    return word[-1] < "가" and ends_in_consonant(word)
