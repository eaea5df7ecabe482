"""Korean words for what the report counts; what has no entry is shown by its own name."""

from __future__ import annotations

from typing import Any

__all__ = ["DISTRIBUTIONS", "LEVELS", "STAGES", "bin_label", "label", "percent"]

STAGES = {
    "parse": "읽기",
    "grounding": "근거",
    "filter": "필터",
    "speech_level": "말투",
    "personal_data": "개인정보",
    "contamination": "시험 데이터 유출",
    "near_duplicate": "표현 중복",
    "semantic_duplicate": "의미 중복",
    "accepted": "채택",
}
LEVELS = {
    "hapsyo": "합쇼체",
    "haeyo": "해요체",
    "hae": "해체",
    "haera": "해라체",
    "nominal": "명사형",
    "mixed": "섞임",
    "neutral": "말투 없음",
}
DISTRIBUTIONS = {
    "question_chars": "질문 길이(글자)",
    "answer_chars": "답변 길이(글자)",
    "hangul_share": "한글 비율",
    "turns": "대화 차례(사용자)",
}


def label(names: dict[str, str], key: str) -> str:
    """The Korean word for ``key``, or ``key``."""
    return names.get(key, key)


def percent(share: float | None) -> str:
    """A share from 0 to 1 as text: ``12.3%``; what is not nothing is never shown as nothing."""
    if share is None:
        return "–"
    return "0.1% 미만" if 0 < share < 0.0005 else f"{share:.1%}"


def bin_label(entry: dict[str, Any], *, whole: bool = True) -> str:
    """A histogram's bin: ``10–19`` for whole numbers, ``0.1–0.2`` for shares, ``4,000+`` for the open one."""
    low, high = entry["from"], entry["to"]
    if high is None:
        return f"{low:,}+" if whole else f"{low:g}–1"
    if whole:
        return f"{low:,}" if high - 1 == low else f"{low:,}–{high - 1:,}"
    return f"{low:g}–{high:g}"
