"""Phrases that a question is made of: whether they are noun phrases, whether they stand alone, what context they need.

A question is read by someone who has nothing else, so a phrase must name its subject: by a noun of the document's
title, or by several nouns that are more than the furniture of a screen (필드, 옵션, 항목). Where it doesn't, the
document's topic is put in front. Must know no rule and no document but the heading path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpora.korean.analyse import Morpheme, tokens
from corpora.records import Chunk
from generators.extractive_text import anaphor, opens_elsewhere
from generators.particles import with_particle

__all__ = [
    "ACTIONS",
    "Topic",
    "action",
    "before",
    "heading_text",
    "is_nominal",
    "is_noun_phrase",
    "nouns_of",
    "topic_of",
]

#: Headings that name no subject of their own, alone or with a number.
_BARE_HEADING = re.compile(
    r"(?:개요|소개|요약|설명|배경|목차|용어|정리|기타|참고|주의|유의|예|예시|예제|절차|방법|단계|사용|설정"
    r"|구성|준비|정보|세부|추가|관련|다음"
    r"|필수|전제|사전|요구|조건|사항|리소스|단계|및|팁|중요|문제|해결|질문|제한|이점|기능|실행|흐름|시작|작업"
    r"|보기|생산|일반|고급|기본|전체|모든"
    r"|하기|전에|자세히|알아보기|FAQ|결과|목적|범위|항목|자료|샘플|[0-9]|\s|[.,:()/-])+\Z"
)
#: Headings of stories and exercises: what stands below holds for the example only.
_EXAMPLE = re.compile(
    r"시나리오|예시|예제|샘플|연습|데모|실습|사례|(?:^|\s)예(?:$|[\s:])|\d+ ?단계|단계 ?\d+|다음 단계|추가"
    r" 리소스|자주 묻|FAQ|\d+ ?부"
)
#: The furniture of screens and manuals: nouns that name no subject.
_GENERIC = frozenset({
    "필드", "옵션", "값", "페이지", "설정", "항목", "라인", "줄", "행", "열", "데이터", "탭", "단추", "버튼", "창",
    "화면", "메뉴", "목록", "표", "그룹", "유형", "이름", "번호", "코드", "설명", "정보", "레코드", "작업", "기능",
    "사용", "생성", "추가", "변경", "선택", "입력", "지정", "확인", "구성", "정의", "관리", "처리", "수행", "진행",
    "실행", "시작", "완료", "종료", "등록", "삭제", "수정", "업데이트", "편집", "표시", "적용", "포함", "필요",
    "가능", "경우", "때", "수", "것", "방법", "절차", "과정", "단계", "순서", "내용", "사항", "시스템", "프로세스",
    "시간", "대상", "상태", "결과", "문제", "조건", "기준", "규칙", "여부", "다음", "여러", "하나", "전", "후", "중",
    "등", "및", "각", "새", "해당", "특정", "기존", "현재", "자동", "수동", "다른", "템플릿", "방식", "수량", "관련",
    "오류", "방지", "발생", "개선", "향상", "작성", "활성화", "비활성화", "허용", "제한", "할당", "연결", "요청",
    "매개", "변수", "유지", "보기", "조회", "저장",
})  # fmt: skip
#: Nouns that take 하다 and head a heading that says what is done.
ACTIONS = (
    "설정", "구성", "생성", "추가", "정의", "등록", "변경", "편집", "처리", "준비", "삭제", "업데이트", "확인",
    "선택", "할당", "지정", "기록", "조정", "초기화", "검사", "추적", "수정", "실행", "입력", "계산", "승인",
    "활성화", "비활성화", "설치", "출고", "입고", "배정", "접수", "해제", "취소", "복원", "이동", "전환", "매핑",
    "연결", "완료", "확정", "인쇄", "출력", "발급", "조회", "수행", "검토", "제거", "적용", "배포", "예약", "릴리스",
    "통합", "분할", "포장", "게시", "검증", "내보내기", "가져오기", "만들기", "재설정", "켜기", "끄기", "닫기",
    "열기", "찾기", "보내기", "받기", "넘기기", "바꾸기",
)  # fmt: skip
#: Numbers of chapters, sections and appendices.
_NUMBER = re.compile(
    r"\A(?:(?:제 ?)?\d+ ?[장절항부편](?: |[.:)] ?)|\d+(?:[.-]\d+)*[.)] ?|\d+(?:\.\d+)+ |부록"
    r" ?[A-Z가-힣]?[.:)]? ?|[A-Z가나다라마바사][.)] )"
)
_HANGUL = re.compile(r"[가-힣]")
_TAIL = re.compile(r"\s*(?:개요|소개|요약|안내|매뉴얼|설명서)\Z")
#: "운송 관리 개요" is about 운송 관리; "도착 개요" without its last word would be about anything.
MIN_TITLE_NOUNS = 2
#: A shorter title is a word that any manual may use.
SHORTEST_CONTEXT = 3
_NOUNISH = ("NN", "NR", "NP", "SL", "SN", "SH", "XR", "XSN", "XPN", "SS", "SO", "SW", "SP", "MM", "SB")
#: Ends of sentences, calls and quotations: none of them stands within a noun phrase.
_WITHOUT = ("EF", "SF", "SE", "IC", "JKV", "JKQ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """What a chunk is about, from its heading path."""

    title: str  #: The document's title without 개요 and the like; empty where it names nothing.
    leaf: str  #: The heading right above the text; the title where there is none.
    example: bool  #: Whether the text belongs to an example or an exercise.
    nouns: frozenset[str]  #: Nouns of the title that are more than furniture.


def before(topic: Topic, phrase: str) -> str | None:
    """What must stand before ``phrase`` for it to stand alone: nothing, or the topic; None where nothing helps.

    Args:
        topic: What the phrase's chunk is about.
        phrase: A noun phrase or a clause.
    """
    own = nouns_of(phrase)
    shared = own & topic.nouns
    alone = len(shared) >= 2 or (len(own) >= 2 and bool(shared) and shared == topic.nouns)
    if alone or (topic.title and topic.title in phrase and own):
        return ""
    # "운송 관리 할인에서 운송 관리를 …" asks for more than a page on discounts says; "개념에서", "게임하기와 관련하여"
    # say nothing.
    bare = topic.title.endswith("하기") and len(topic.nouns) < MIN_TITLE_NOUNS
    if not own or phrase in topic.title or len(topic.title) < SHORTEST_CONTEXT or bare:
        return None
    short = _TAIL.sub("", topic.title)
    if short != topic.title or short.endswith("기") or "에서" in phrase:
        return f"{with_particle(short, '과/와')} 관련하여 "
    return f"{topic.title}에서 "


def heading_text(heading: str) -> str:
    """A heading without its number and closing marks: "6.3. 입고 확정" and "제2장 입고 확정" are 입고 확정."""
    return _NUMBER.sub("", " ".join(heading.split())).rstrip(".:?! ")


def nouns_of(phrase: str) -> frozenset[str]:
    """Nouns of ``phrase`` that name something, the furniture of screens left out."""
    return frozenset(
        m.form.lower()
        for m in tokens(phrase)
        if m.tag in ("NNG", "NNP", "SL", "XR") and m.form not in _GENERIC and (len(m.form) > 1 or m.tag == "SL")
    )


def topic_of(chunk: Chunk) -> Topic:
    """The topic of ``chunk``; without headings there is none."""
    path = [heading_text(heading) for heading in chunk.headings]
    title = path[0] if path else ""
    short = _TAIL.sub("", title)
    title = short if len(nouns_of(short)) >= MIN_TITLE_NOUNS else title
    usable = (
        len(title) <= 30
        and bool(_HANGUL.search(title))
        and not re.search(r"경우|때(?: |의|\Z)", title)
        and is_noun_phrase(title)
        and bool(nouns_of(title))
        and is_nominal(title)
    )
    return Topic(
        title=title if usable else "",
        leaf=path[-1] if path else "",
        example=any(_EXAMPLE.search(heading) for heading in path),
        nouns=nouns_of(title),
    )


def is_noun_phrase(text: str) -> bool:
    """Whether ``text`` ends in a noun and reads as one phrase that points at nothing outside."""
    if not 2 <= len(text) <= 60 or opens_elsewhere(text) or anaphor(text) or _BARE_HEADING.match(text):
        return False
    if any(mark in text for mark in ':;|?!"“”<>[]{}=…–') or text.count("(") != text.count(")"):
        return False
    found = tokens(text)
    if not found or found[0].tag.startswith(("J", "E", "XS", "SP", "MAJ")) or found[-1].tag in ("SP", "SW"):
        return False
    closing = found[-1].tag
    ends = closing.startswith(("NN", "SL", "SN", "XSN", "XR", "ETN")) or (closing == "SSC" and "(" in text[1:])
    return ends and not any(m.tag.startswith(_WITHOUT) for m in found)


def is_nominal(text: str) -> bool:
    """Whether ``text`` holds no object and no adverbial: "운임 조정 설정", not "워크벤치를 사용하여 적재 계획"."""
    found = tokens(text)
    clause = max((at for at, m in enumerate(found) if m.tag == "ETM"), default=-1)
    return not any(m.tag in ("JKO", "JKB", "EC", "JKS", "JX") for m in found[clause + 1 :])


def is_plain_noun(morphemes: list[Morpheme]) -> bool:
    """Whether these are nouns only: no particle, no ending between them."""
    return bool(morphemes) and all(m.tag.startswith(_NOUNISH) or m.tag == "JKG" for m in morphemes)


def action(heading: str) -> tuple[str, str] | None:
    """How a heading that says what is done is asked for; None: it says no action, or says it half.

    Returns:
        The rule's name and the phrase: ``방법`` with "입고를 등록하는 방법" as it stands, or with "기준 계획과
        연결하는 방법" for a noun that has an object before it; ``작업`` with "새 로드 만들기".
    """
    last = heading.rsplit(" ", 1)[-1]
    if last in ("방법", "절차") and " " in heading.strip():
        return "방법", heading
    if last not in ACTIONS and not last.endswith(("하기", "만들기")):
        return None
    if last.endswith("하기"):
        return "방법", f"{heading.removesuffix('기')}는 방법"
    if is_nominal(heading):
        return "작업", heading
    found = tokens(heading)
    if last.endswith("기") or any(m.tag == "ETM" for m in found) or not any(m.tag == "JKO" for m in found):
        return None
    return "방법", f"{heading}하는 방법"
