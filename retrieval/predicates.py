"""What a question does with its nouns: verbs, adjectives, adverbs, numerals, and when one stands for another.

"설비를 켜려면" and "설비를 끄려면" share everything but the verb; so do "알려 주세요" and "설명해 주세요", which ask
the same. Two tests, both of pairs whose wording is nearly equal already:

- ``opposed``: one has a word whose opposite the other has, by a closed list; other days and numerals too.
- ``replaced``: the texts are the same but for one verb, adjective, adverb or numeral, and the two words are neither
  empty (하다, 되다, 있다), nor the asking itself (알리다, 궁금하다), nor of one root, nor synonyms by a closed list.

Knows Korean words only: no thresholds, no nouns that stand for one another (``retrieval.guards`` has those).
"""

from __future__ import annotations

import functools
import unicodedata
from itertools import permutations, product
from typing import NamedTuple

from corpora.korean.analyse import ASKING_NOUNS, Morpheme, tokens

__all__ = ["EMPTY", "OPPOSITES", "SYNONYMS", "analysed", "opposed", "replaced"]

#: Opposites, two sides or more a line: words of one side against words of the others. Stems without 하.
_OPPOSITES = """
켜 키 / 끄
켜지 / 꺼지
늘리 늘이 늘 늘어나 / 줄이 줄 줄어들 줄
높이 높 / 낮추 낮
올리 오르 올라가 / 내리 내려가 낮추
크 키우 / 작 줄이
많 많이 / 적 조금
빠르 빨리 일찍 이르 신속 / 느리 늦 늦추 천천히
앞당기 당기 / 늦추 미루
열 열리 / 닫 닫히 잠그
잠그 잠기 / 풀 풀리
묶 / 풀
싣 실리 / 내리 부리
넣 담 더하 / 빼 꺼내 덜
들어오 / 나가
들이 / 내보내
보내 / 받
주 / 받
빌리 / 갚 돌려주
사 / 팔
붙이 붙 / 떼 떨어지
합치 모으 / 나누 쪼개 가르
쌓 / 헐 허물
채우 / 비우
차 / 비
남 / 모자라 부족
충분 넉넉 / 부족 모자라
시작 / 끝내 끝나 마치 종료 멈추
만들 생성 / 지우 없애 삭제
켜 시작 가동 / 멈추 정지
연결 잇 / 끊 해제
걸 / 풀
맡기 / 찾 되찾
입 신 쓰 / 벗
펴 펼치 / 접 덮
길 / 짧
넓 넓히 / 좁 좁히
두껍 / 얇
굵 / 가늘
깊 / 얕
무겁 / 가볍
밝 / 어둡
덥 뜨겁 따뜻 / 춥 차갑 시원
강 세 / 약
쉽 간단 / 어렵 복잡
좋 / 나쁘
싸 저렴 / 비싸
같 동일 / 다르 상이
맞 옳 / 틀리 그르 어긋나
이기 / 지
얻 / 잃
찾 / 잃어버리
허용 허락 허가 / 막 금하 거부
승인 / 반려 거절
깨끗 청결 / 더럽 지저분
안전 / 위험
단단 / 무르
새롭 / 오래되 낡
젖 / 마르
가깝 / 멀
먼저 미리 / 나중
함께 같이 / 따로
자주 늘 항상 / 가끔 드물
모두 전부 다 / 일부
직접 / 대신
자동 / 수동
처음 첫 / 마지막
모든 / 일부
그제 / 어제 / 오늘 / 내일 / 모레
지난 / 이번 / 다음
한 / 두 / 세 / 네 / 다섯 / 여섯 / 일곱 / 여덟 / 아홉 / 열
"""
#: Words that may stand for one another without changing what is asked; a word may stand in several lines.
_SYNONYMS = """
나 나오 나타나 생기 발생 일어나
고르 선택 택 정하
바꾸 고치 변경 수정
바뀌 변경 달라지
쓰 사용 이용 활용
쓰 작성 적
보 조회 확인 살펴보 찾 찾아보 검색 알아보
옮기 이동 나르
보내 전송 전달 발송 부치
받 수신 전달받 수령
내리 내려받 다운로드 다운받
지우 삭제 없애 비우
만들 생성 작성
넣 입력 추가 담 기입
빼 제외 제거
켜 키 틀 작동 가동
열 켜
멈추 정지 중단 서
끝나 끝내 마치 완료 종료
시작 개시 착수
나누 분류 구분 분할
합치 합 통합 모으
올리 등록 업로드 게시
맡 담당
두 놓 보관 저장 적치 위치
막 방지 예방 차단
고장나 망가지 고장
망가지 깨지 부서지 파손
잃 잃어버리 분실
접속 들어오 들어가 로그인
들어가 포함 담 담기 나오 출현
만나 보
생각 같
잊 잊어버리 까먹
늘리 늘이 늘 늘어나 증가
줄이 줄 줄어들 감소 축소
높이 올리
낮추 내리 줄이
빠르 빨리 신속 얼른 어서
이르 일찍 빨리
먼저 우선 미리 빨리
나중 이후 추후
함께 같이
따로 별도 각각 개별
모두 전부 다 모든 전체
많 많이 여러 가득
항상 늘 언제나 매번
자주 종종
반드시 꼭 필히 무조건
보통 대개 주로 일반적 평소
즉시 바로 곧 곧바로 당장
다시 또 재
직접 손수 스스로
같 동일 똑같
다르 상이
좋 괜찮 낫 편하 적합 적절 알맞
좋아하 선호 즐기
쉽 간단 편하 간편 용이
어렵 힘들 까다롭
필요 요구
중요 핵심
크 높 많
안전 안심
깨끗 청결
가능 되 괜찮
걸리 소요 들
바라 원하 희망
생각 보 여기
"""
#: Empty verbs, words that ask or point, and adverbs that may come and go: neither replaces the other's word.
_EMPTY = """
하 되 있 계시 이루어지 주 드리 가 오 보 싶 말 대하 관하 위하 따르 통하 의하 인하
알리 말하 설명하 가르치 들려주 보이 묻 답하 대답 이야기 얘기 알 알아보 찾 찾아보 궁금 궁금하 원하 바라
부탁 부탁드리 확인
어떻 어떠하 어떻게 어떤 어느 무슨 왜 몇 얼마나 언제 어디 이 그 저 이런 그런 저런 이렇 그렇 저렇
좀 혹시 그냥 잘 더 가장 제일 매우 아주 정말 아직 지금 현재 이미 새로 다시 또 꼭 반드시 보통 주로 대략 약
바로 즉시 곧
"""
_PREDICATES = frozenset(("VV", "VA", "MAG", "XR", "MM", "XPN"))
_NOUNS = frozenset(("NNG", "NNP", "NR", "SL", "SN", "SH"))
#: 하다 and 되다 behind a noun, which make it a predicate: 부족/NNG 하/XSA against 충분하/VA.
_SUFFIXES = ("XSA", "XSV")


def _pairs(lines: str) -> frozenset[tuple[str, str]]:
    """Each word of one side with each of the others, both ways round."""
    sides = [[side.split() for side in line.split("/")] for line in lines.strip().splitlines()]
    return frozenset(pair for line in sides for left, right in permutations(line, 2) for pair in product(left, right))


OPPOSITES = _pairs(_OPPOSITES)
EMPTY = frozenset(_EMPTY.split()) | ASKING_NOUNS
SYNONYMS = frozenset(
    (a, b) for line in _SYNONYMS.strip().splitlines() for a in line.split() for b in line.split() if a != b
)


class _Words(NamedTuple):
    """The words of a text; sets, because a word said twice replaces none: "켤래, 켤래?" is "어느 것을 켤래?"."""

    stems: frozenset[str]  #: Every word that may have an opposite.
    predicates: frozenset[str]  #: Verbs, adjectives, adverbs, numerals, nouns with 하다 or 되다; without empty ones.
    nouns: frozenset[str]  #: The other nouns, numbers and Latin words; without those that ask.


def opposed(first: str, second: str) -> bool:
    """Each text has a word that the other lacks, and the two are opposites: 켜다/끄다, 부족/충분; 오늘/내일, 두/세."""
    ours, theirs = _words(first).stems, _words(second).stems
    here, there = ours - theirs, theirs - ours
    return any((a, b) in OPPOSITES for a in here for b in there)


def replaced(first: str, second: str) -> bool:
    """The texts are the same but for one predicate, which means something else: 발행하다/폐기하다, 두 번/세 번."""
    ours, theirs = _words(first), _words(second)
    if ours.nouns != theirs.nouns:
        return False
    here, there = ours.predicates - theirs.predicates, theirs.predicates - ours.predicates
    if len(here) != 1 or len(there) != 1:
        return False
    (a,), (b,) = here, there
    # One root: 한가/한가하, 많/많이, 기억/기억나.
    return not (a.startswith(b) or b.startswith(a) or (a, b) in SYNONYMS)


@functools.lru_cache(maxsize=1_000)
def analysed(text: str) -> tuple[Morpheme, ...]:
    """The morphemes of a text that several guards ask for, one after the other."""
    return tuple(tokens(unicodedata.normalize("NFC", text)))


@functools.lru_cache(maxsize=100_000)
def _words(text: str) -> _Words:
    """The words of a text that may be asked for again and again: rows of one template all meet one another."""
    found = analysed(text)
    stems, predicates, nouns = set(), set(), set()
    for place, token in enumerate(found):
        tag = token.tag.partition("-")[0]
        behind = found[place + 1].tag.partition("-")[0] if place + 1 < len(found) else ""
        form = token.form.lower()
        stem = form[:-1] if form.endswith("하") and tag in _PREDICATES and len(form) > 1 else form
        if tag in _PREDICATES or tag in _NOUNS:
            stems.add(stem)
        if form in EMPTY or stem in EMPTY:
            continue
        if tag in _PREDICATES or (tag in _NOUNS and behind in _SUFFIXES):
            predicates.add(stem)
        elif tag in _NOUNS:
            nouns.add(form)
    return _Words(frozenset(stems), frozenset(predicates), frozenset(nouns))
