"""Token sets on which the lexical near-duplicate join is measured: real, natural and hard; seeded, any size.

::

    real = real_tokens(Path("path/to/data"))    # content morphemes of the questions in known Korean corpora
    rows = make("hard", 200_000, real)          # the same rows in every process

- ``real``: questions of people, shuffled; as many as there are.
- ``natural``: one row in ``REAL_EVERY`` is real, the others come from templates whose slots take 6,000 nouns, skewed
  as in a manual: a few are everywhere. From a quarter (50,000 rows) to four in ten (a million) repeat an earlier one.
- ``hard``: every row has the same seven words and five slots that take 64,000 nouns: any two rows have a ROUGE-L F1 of
  7/12 at least, and nearly all are kept at 0.7.
- ``hard_mixed``: six such frames, of six to nine words with four to six slots, and one slot left out in every third
  row, so that lengths differ; two thirds are kept of a million.

Templates are written here, in the tokens that content morphemes would give; nothing of a corpus is stored.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

from corpora.korean.analyse import content_morphemes_many

__all__ = ["SETS", "Row", "make", "real_questions", "real_tokens"]

Row = tuple[str, ...]
SEED = 20261121
#: There are some 50,000 real questions for a million rows; one share for every size keeps the growth comparable.
REAL_EVERY = 20
NATURAL_NOUNS = 6_000


def _words(text: str) -> list[str]:
    return text.split()


#: Three parts of a thing in a warehouse: 40 x 40 x 40 nouns.
QUALITIES = _words(
    "냉동 냉장 상온 수입 국산 대형 소형 중형 반품 신규 재고 임시 긴급 예약 정기 특가 혼합 단품 묶음 대량 "
    "소량 경량 중량 고가 저가 친환경 수출 위탁 직송 당일 새벽 야간 주말 계절 행사 한정 시범 표준 특수 일반"
)
GOODS = _words(
    "과일 채소 생선 정육 우유 과자 음료 생수 주류 커피 차류 쌀 밀가루 소금 설탕 간장 식초 기름 라면 통조림 "
    "세제 비누 샴푸 치약 휴지 기저귀 화장품 의류 신발 가방 모자 장갑 양말 침구 가구 가전 공구 부품 서적 완구"
)
CARRIERS = _words(
    "상자 팔레트 봉투 바구니 컨테이너 트레이 드럼 자루 캔 병 롤 세트 낱개 포장 라벨 바코드 로트 구역 선반 랙 "
    "통로 도크 차량 송장 전표 명세서 주문서 작업대 컨베이어 저울 카트 지게차 대차 보관함 검수대 출하장 입하장 "
    "창구 목록 장부"
)

#: ``*`` takes a noun. One or two nouns: most rows repeat an earlier one; four or more: most are new.
TEMPLATES = tuple(
    line.split()
    for line in (
        "* 입고 예정 등록 방법",
        "* 재고 * 옮기 절차 알리",
        "* 출고 지시 취소 * 다시 확정 순서",
        "* * 차이 설명",
        "* * * 실사 계획 세우 인원 나누",
        "* 수량 맞 않 * 조정 사유 입력",
        "* 바코드 읽 않 * 대신 쓰 방법",
        "작업자 * 구역 * 권한 주 * 막 설정",
        "* 세트 풀 * 낱개 * 다시 묶 작업",
        "* 선반 꽉 차 * 보충 미루 * 기준",
        "오늘 * 검수 끝나 * 적치 * 위치 * 어디",
        "* 피킹 * 포장 * 함께 * 처리 조건",
        "지난주 * 들어오 * * 목록 * 내려받",
        "* 안전 재고 * 정하 * 알림 받 * * 설정",
        "* 거래처 * 단가 * 바뀌 * 적용 * 날짜",
        "* * * * 보관 온도 벗어나 조치",
        "* 출하 늦 * 이유 * 배차 * 함께 보 * 묻",
        "* 로트 * 나가 * 들어오 * * 추적",
        "* * 합포장 나누 * * 송장 * 다시 출력",
        "신입 * 장비 * 쓰 * 전 * 교육 * 확인",
        "월말 * * 마감 * 전 * * 전표 * 정리",
        "* 파손 * 사진 * 보험 * 청구 * 서류",
        "* * * * * 순서 싣 차량",
        "* * 빼 * * 넣 * * 바꾸",
    )
)
#: Words of the hard frames; each frame takes its own stretch.
FRAME_WORDS = _words(
    "창고 담당자 오전 작업 시작 전 화면 열 조회 누르 선택 옮기 저장 확인 보고 승인 요청 대기 완료 인쇄 "
    "부착 전달 기록 마감 점검 교대 인계 분류 적재 하차 상차 배정 변경 통보 합산 검토 서명 보관 회수 정산"
)
#: (frame words, slots) of ``hard_mixed``: no two rows of a frame are above 0.7 unless they share slots.
MIXED = ((6, 5), (7, 5), (8, 5), (9, 6), (6, 4), (7, 4))


def real_questions(folder: Path) -> list[str]:
    """Questions of the corpora found under ``folder``, by file: sae4k, songys Chatbot_data, ParaKQC, KorQuAD 1.0.

    Raises:
        FileNotFoundError: none of these files is there.
    """
    found: list[str] = []
    for pattern, read in READERS.items():
        for path in sorted(folder.rglob(pattern)):
            found += [text for text in read(path) if text.strip()]
    if not found:
        raise FileNotFoundError(f"none of {', '.join(READERS)} under {folder}")
    random.Random(SEED).shuffle(found)
    return found


def real_tokens(folder: Path) -> list[Row]:
    """Content morphemes of ``real_questions``, without texts that have none."""
    return [row for row in content_morphemes_many(real_questions(folder)) if row]


def make(name: str, size: int, real: Sequence[Row]) -> list[Row]:
    """``size`` rows of the set ``name``, fewer only where ``real`` ends first.

    Raises:
        KeyError: there is no set of that name.
    """
    return SETS[name](size, real, random.Random(f"{SEED}-{name}"))


def nouns() -> list[str]:
    """All 64,000, in a fixed shuffled order."""
    found = ["".join(parts) for parts in product(QUALITIES, GOODS, CARRIERS)]
    random.Random(SEED).shuffle(found)
    return found


def _real(size: int, real: Sequence[Row], _draw: random.Random) -> list[Row]:
    return list(real[:size])


def _natural(size: int, real: Sequence[Row], draw: random.Random) -> list[Row]:
    words, rows = nouns()[:NATURAL_NOUNS], list[Row]()
    uniform = draw.random
    for number in range(size):
        if number % REAL_EVERY == 0 and number // REAL_EVERY < len(real):
            rows.append(real[number // REAL_EVERY])
            continue
        template = TEMPLATES[int(uniform() * len(TEMPLATES))]
        rows.append(tuple([words[int(NATURAL_NOUNS * uniform() ** 2)] if t == "*" else t for t in template]))
    return rows


def _hard(size: int, _real: Sequence[Row], draw: random.Random) -> list[Row]:
    return _framed(size, draw, ((7, 5),))


def _hard_mixed(size: int, _real: Sequence[Row], draw: random.Random) -> list[Row]:
    return _framed(size, draw, MIXED)


def _framed(size: int, draw: random.Random, shapes: Sequence[tuple[int, int]]) -> list[Row]:
    """Rows of frame words in order with slots at fixed places among them; every third of several lengths lacks one."""
    frames = []
    for number, (words, slots) in enumerate(shapes):
        start = number * 6
        frame: list[str] = list(FRAME_WORDS[start : start + words])
        for slot in range(slots):
            frame.insert(1 + slot * (words + slots - 1) // slots, "*")
        frames.append(frame)
    words_, uniform, rows = nouns(), draw.random, list[Row]()
    for number in range(size):
        row = [
            words_[int(len(words_) * uniform())] if token == "*" else token
            for token in frames[int(uniform() * len(frames))]
        ]
        if len(shapes) > 1 and number % 3 == 0:
            del row[1]  # the first slot
        rows.append(tuple(row))
    return rows


def _sae4k(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        yield line.split("\t")[0]


def _chatbot(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        for row in csv.DictReader(handle):
            yield row["Q"]


def _parakqc(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        yield line.split("\t")[-1]


def _korquad(path: Path) -> Iterator[str]:
    for document in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in document["paragraphs"]:
            for item in paragraph["qas"]:
                yield item["question"]


READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    "sae4k_v1.txt": _sae4k,
    "ChatbotData.csv": _chatbot,
    "paraKQC*.txt": _parakqc,
    "KorQuAD_v1.0_*.json": _korquad,
}
SETS: dict[str, Callable[[int, Sequence[Row], random.Random], list[Row]]] = {
    "real": _real,
    "natural": _natural,
    "hard": _hard,
    "hard_mixed": _hard_mixed,
}
