"""Clauses that a sentence opens with, "…하려면" and "…하면", and who acts in the main clause behind them.

A clause is half of a question already; it must have an object or an adverbial of its own, contrast nothing and point at
nothing outside. Pure; must know no rule, no surface form and no document.
"""

from __future__ import annotations

import re

from corpora.korean.analyse import Morpheme, tokens
from generators.extractive_text import opens_elsewhere

__all__ = ["POINTS", "by_people", "clause_of_condition", "clause_of_purpose", "subject_of"]

_PEOPLE = (
    r"(?:(?:사용|관리|작업|담당|책임|운영|개발|운전|승인|신청|소유|판매|구매|수령|감독|기술|근로|보관|보행)자"
    r"|(?:조|반|팀|센터|부서|점|소|실)장|(?:직|사|팀|운전|검수|상담|점)원"
    r"|팀|담당|화주|기사|고객|부서|센터|업체|회사|조직|관리인|사람)"
)
_CONTRAST = re.compile(r"지만|는데|으나|더라도|거나 .*거나")
#: "프로세스가 완료된 후에": its subject is not that of the main clause.
_SUBORDINATE = re.compile(r"\S+[이가은는] [^,]{0,30}?[된한은는인할될난] (?:후|경우|때|동안)(?:에만|에는|에)?")
#: Words of a clause that point at something outside it.
POINTS = re.compile(
    r"(?<![가-힣A-Za-z0-9])(?:이|그|저|이러한|그러한|이런|그런|해당|본|동일한|위의?|아래의?|다음|반대|나머지|앞의?) "
)


def clause_of_purpose(text: str, morphemes: list[Morpheme]) -> tuple[str, int] | None:
    """The clause that ``text`` opens with up to "-려면", and where it ends."""
    for position, morpheme in enumerate(morphemes):
        if (morpheme.tag in ("SF", "SP") and position > 0) or (
            morpheme.tag == "EC" and morpheme.form in ("면", "으면")
        ):
            return None
        if morpheme.tag == "EC" and morpheme.form.endswith("려면"):
            clause = text[: morpheme.end].strip()
            good = (
                6 <= len(clause) <= 70
                and _verbal(morphemes[:position])
                and not opens_elsewhere(clause)
                and not _CONTRAST.search(clause)
            )
            return (clause, morpheme.end) if good and not POINTS.search(clause) else None
    return None


def _verbal(before: list[Morpheme]) -> bool:
    """A clause with an object or an adverbial of its own, beside its verb."""
    nouns = [m for m in before if m.tag in ("NNG", "NNP", "SL")]
    return len(nouns) >= 2 and any(m.tag.startswith(("JK", "JX", "JC")) for m in before)


def clause_of_condition(text: str, morphemes: list[Morpheme]) -> str | None:
    """The clause that ``text`` opens with up to "-면" or "…는 경우"."""
    for position, morpheme in enumerate(morphemes):
        if morpheme.tag in ("SF", "SP", "JX") and position > 0:
            return None
        if morpheme.tag == "EC":
            if morpheme.form not in ("면", "으면"):
                continue
            end = morpheme.end
            break
        if morpheme.form == "경우" and morpheme.tag == "NNG" and position and morphemes[position - 1].tag == "ETM":
            if text[morpheme.end :].startswith(("도", "에도", "에만", "가", "를", "의", "와", "만", "로")):
                return None
            end = morpheme.end + (1 if text[morpheme.end : morpheme.end + 1] == "에" else 0)
            break
    else:
        return None
    clause = text[:end].strip()
    if clause.count("(") != clause.count(")"):
        return None
    whole = 10 <= len(clause) <= 70 and _verbal(morphemes[:position]) and not _CONTRAST.search(clause)
    return clause if whole and not clause.endswith(("아니면", "그러면", "하려면", "다면")) else None


def by_people(rest: str) -> bool:
    """Whether the main clause leaves its subject out, which is the reader then, or names people."""
    subject = subject_of(rest)
    return subject is None or re.search(_PEOPLE + r"\Z", subject) is not None


def subject_of(rest: str) -> str | None:
    """The word before the first 이/가 or 은/는 of a main clause, clauses of time left out; None without one."""
    clause = _SUBORDINATE.sub("", rest)
    for morpheme in tokens(clause):
        if morpheme.tag == "JKS" or (morpheme.tag == "JX" and morpheme.form in ("은", "는")):
            return clause[: morpheme.start].rsplit(" ", 1)[-1] or None
    return None
