"""The mix of questions that one slot of ``rag_qa`` asks for: their type, who asks, how hard they are.

Chosen by the slot's seed and by weights, among the types that suit the chunk: no question for a number where there is
none, no question over two passages without a second one that shares its matter. Types that the chunk has given already
become less likely. Suitability is read off the text by wording, which errs on the side of allowing. Knows no prompts.

Use::

    companion = find_companion(shown)
    plan = plan_questions(seed, 3, suited(weights, shown[0], companion), personas, difficulties, used)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from corpora.korean.quantities import quantities
from corpora.records import Chunk
from generators.grounding_draws import weighted

__all__ = [
    "DIFFICULTIES",
    "PERSONAS",
    "QUESTION_TYPES",
    "Difficulty",
    "PlannedQuestion",
    "QuestionType",
    "find_companion",
    "plan_questions",
    "suited",
]

QuestionType = Literal[
    "definition", "procedure", "comparison", "troubleshooting", "number", "multi_hop", "unanswerable"
]
Difficulty = Literal["easy", "medium", "hard"]

#: Default weights. What manuals mostly hold (procedures) comes most often; one question in 13 has no answer there.
QUESTION_TYPES: dict[QuestionType, int] = {
    "definition": 2,
    "procedure": 3,
    "comparison": 1,
    "troubleshooting": 2,
    "number": 2,
    "multi_hop": 2,
    "unanswerable": 1,
}
DIFFICULTIES: dict[Difficulty, int] = {"easy": 1, "medium": 2, "hard": 1}
#: Who asks, in a warehouse.
PERSONAS: tuple[str, ...] = (
    "입고 담당자",
    "출고·피킹 작업자",
    "재고 관리자",
    "반품 담당자",
    "물류센터장",
    "현장에 갓 배치된 신입 사원",
    "고객사(화주) 담당자",
    "전산 담당자",
    "운송·배차 담당자",
    "안전 관리자",
)

#: Stems that two passages share before a question is asked over both; one or two join any pages of one manual.
_SHARED_STEMS = 3
#: Above this share of common stems two passages say the same, and nothing is left to combine.
_SAME_TEXT = 0.8
_WORD = re.compile(r"[가-힣]{2,}|[A-Za-z][A-Za-z0-9-]+")

_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t].*$", re.MULTILINE)
_LIST_MARK = re.compile(r"^[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.MULTILINE)
_STEPS = re.compile(r"단계|절차|순서|하려면|먼저|이어서|그런 다음|클릭|누르|선택|등록|입력|스캔|확인")
_CONTRAST = re.compile(r"반면|비해|와 달리|과 달리|차이|구분|종류|유형|각각|또는|경우에는|보다 ")
_TROUBLE = re.compile(
    r"오류|에러|실패|경고|이상|문제|불일치|파손|결품|누락|지연|초과|부족|않으면|안 되|되지 않|못 ?한|반려|취소"
    r"|고장|중단|분실|잘못"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedQuestion:
    """One question as it is asked for."""

    kind: QuestionType  #: What it asks for.
    persona: str | None  #: Who asks; None leaves it open.
    difficulty: Difficulty  #: How much of the passage its answer takes.


def find_companion(shown: Sequence[Chunk]) -> Chunk | None:
    """The first neighbour that a question can join with the source ``shown[0]``, or None.

    It shares at least three stems that do not stand in every shown passage, and says something else too: of the smaller
    one's stems at most 80 % stand in both. Stems are first syllables (입고를, 입고된: 입고), because morphemes of whole
    passages would cost more than the request.
    """
    stems = [_stems(chunk) for chunk in shown]
    common = set.intersection(*stems) if len(stems) > 2 else set()
    for chunk, other in zip(shown[1:], stems[1:], strict=True):
        shared = stems[0] & other
        same = len(shared) > _SAME_TEXT * min(len(stems[0]), len(other))
        if len(shared - common) >= _SHARED_STEMS and not same:
            return chunk
    return None


def _stems(chunk: Chunk) -> set[str]:
    return {word[:2] if word[0] >= "가" else word.casefold() for word in _WORD.findall(chunk.text)}


def suited(weights: Mapping[QuestionType, int], source: Chunk, companion: Chunk | None) -> dict[QuestionType, int]:
    """The types with a weight that the source can answer, in the order of ``weights``."""
    body = _LIST_MARK.sub("", _HEADING.sub("", source.text))
    rows = len(_TABLE_ROW.findall(source.text))
    items = len(_LIST_MARK.findall(source.text))
    fits: dict[QuestionType, bool] = {
        "definition": True,
        "procedure": items > 1 or bool(_STEPS.search(body)),
        # Header, rule and two rows, or words that set things side by side.
        "comparison": rows > 3 or bool(_CONTRAST.search(body)),
        "troubleshooting": bool(_TROUBLE.search(body)),
        "number": any(one.firm and one.unit is not None for one in quantities(body)),
        "multi_hop": companion is not None,
        "unanswerable": True,
    }
    return {kind: weight for kind, weight in weights.items() if weight > 0 and fits[kind]}


def plan_questions(
    seed: int,
    count: int,
    types: Mapping[QuestionType, int],
    personas: Sequence[str],
    difficulties: Mapping[Difficulty, int],
    used: Mapping[QuestionType, int],
) -> list[PlannedQuestion]:
    """``count`` questions, or none where ``types`` is empty.

    Args:
        seed: The slot's.
        count: How many are asked for.
        types: Types with their weights, those that suit the source.
        personas: Who may ask; empty leaves it open.
        difficulties: Difficulties with their weights.
        used: How often the source has given each type already; as often as its weight says halves that weight.
    """
    planned: list[PlannedQuestion] = []
    taken: Counter[QuestionType] = Counter(used)
    for position in range(count if types else 0):
        left = {kind: Fraction(weight**2, weight + taken[kind]) for kind, weight in types.items()}
        kind = weighted(seed, f"type:{position}", left)
        taken[kind] += 1
        persona = weighted(seed, f"persona:{position}", dict.fromkeys(personas, 1)) if personas else None
        difficulty = weighted(seed, f"difficulty:{position}", difficulties)
        planned.append(PlannedQuestion(kind=kind, persona=persona, difficulty=difficulty))
    return planned
