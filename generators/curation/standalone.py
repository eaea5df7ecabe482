"""Questions that lean on a text their reader does not see: "위 문서", "이 표", "1장에서", "매뉴얼에 따르면".

``pointing_phrase`` finds the words; the filter refuses. A free task that brings its own text may point at it.
"""

from __future__ import annotations

import re

from corpora.records import Candidate, Verdict
from generators.curation.settings import Limits
from generators.curation.verdicts import rejected

__all__ = ["needs_no_document", "pointing_phrase"]

_WORD_BEFORE = r"(?<![가-힣A-Za-z0-9])"
# Short nouns need their end: 이 장비, 이 장소, 이 표준, 이 절차 are things, 이 장에서 is a text.
_END = r"(?=[은는이가을를의에로과와도만]|[^가-힣]|\Z)"
_TEXT_NOUN = (
    r"(?:문서|문단|단락|문장|지문|본문|내용|그림|도표|목록|자료|매뉴얼|페이지|화면|예시|항목|설명|섹션|챕터|텍스트|지침"
    r"|가이드(?:라인)?|보고서|안내서|설명서|발췌문"
    rf"|(?:글(?!로벌)|표|절|장(?!애|비|치|소)){_END})"
)
#: Texts that a question cannot mean by itself; 출고 문서 and 작업 매뉴얼 are things, and are asked for.
_BARE_TEXT = r"(?:본문|지문|텍스트|제시문|발췌문)"
_NAMED_TEXT = r"(?:문서|매뉴얼|자료|글|가이드|안내서|설명서|교재)"
_TOLD = r"(?:언급|설명|말하|말한|소개|제시|다루|나온|나오는|나타난|정의|서술|기술|이야기)"
_STEP_NOUN = r"(?:경우|단계|절차|과정|규정|규칙|기준|방법|상황|조건|작업)"
_PATTERNS = (
    # 다음 and 아래 point into the text only before a noun that means text: "피킹 다음 단계" is a fine question.
    rf"{_WORD_BEFORE}(?:위|아래|다음|앞|상기|하기)(?:의|에서 말한|에 나온)?\s+{_TEXT_NOUN}",
    rf"{_WORD_BEFORE}(?:위|상기)(?:의)?\s+{_STEP_NOUN}",
    rf"{_WORD_BEFORE}(?:이|해당|본)\s+(?:{_TEXT_NOUN}|{_STEP_NOUN})(?!기)",
    # "라벨 1장" counts labels: a chapter is meant at the start of the question, after 제, or with 에서/에 따르면.
    r"제\s?\d+\s?[장절항](?![가-힣]*비)",
    r"\A\s*\d+(?:\.\d+)*\s?[장절항](?:\s|의|에|은|을)",
    r"\d+(?:\.\d+)*\s?[장절항]에\s?(?:따르면|의하면|나온|나오는|설명된)",
    r"(?:문서|본문|지문|매뉴얼|자료|글)(?:에|의 내용에)\s?(?:따르면|의하면|나온|언급된|나와 있는|제시된)",
    rf"(?:\A\s*|[,.] ){_BARE_TEXT}(?:에서?|의|은|는|을|이)(?=[ ,])",
    rf"(?:\A\s*|{_WORD_BEFORE}(?:주어진|제시된|제공된|첨부된) ){_NAMED_TEXT}에서? ?{_TOLD}",
    rf"{_WORD_BEFORE}(?:주어진|제시된|제공된|첨부된) (?:{_TEXT_NOUN}|{_BARE_TEXT})",
    rf"{_WORD_BEFORE}(?:문서|글|매뉴얼)의 (?:첫|마지막|처음|두|세) ?(?:번째 )?(?:문장|문단|단락|줄|부분|항목)",
    r"\A\s*(?:문단|단락)의 ",
    # Tables and figures by number: "표 3장" are tickets.
    rf"{_WORD_BEFORE}(?:표|그림|도표|도식|사진) ?\d+(?:[-.]\d+)*(?! ?(?:장|매|개|점|컷|차|명|일|월|년|원)|[\d.-])",
    rf"{_WORD_BEFORE}(?:챕터|단원|부록|별표|별첨|별지) ?(?:\d+|[A-Z](?![A-Za-z]))",
    r"(?i:\b(?:chapter|section|appendix|figure|table) ?(?:\d+|[A-Z]\b))",
    r"(?:(?:제 ?)?\d+|첫|두|세|마지막) ?(?:번째 )?섹션",
    r"\A\s*\d+(?:\.\d+)+(?:의|에서|에) ",
    r"\A\s*\d+과(?:의|에서) ",
    r"\A\s*(?:이것|그것|저것|이들|여기|거기|이곳|그곳|저곳)(?:은|는|이|의|을|를|에서는?|서는?|에는?)(?=[ ?])",
    r"\A\s*(?:해당 [가-힣]+[은는이가의을를에]|언급(?:된|한) |그렇게 )",
    rf"{_WORD_BEFORE}다음 중(?:에서)?(?=[ ,])|{_WORD_BEFORE}보기 중(?:에서)?(?=[ ,])",
    r"(?:앞서|앞에서|위에서)\s+(?:말한|설명한|언급한|나온|언급된|설명된)",
    r"(?:지문|passage)\s*\[?\d|\[\d+\]",
)
_NOT_ALONE = re.compile("|".join(_PATTERNS))
# A text that a question brings with it stands behind a line break, a colon or inside quotes.
_OWN_TEXT = re.compile(r"\n|:|[\"“‘「『'].{4,}[\"”’」』']", re.DOTALL)


def pointing_phrase(question: str) -> str | None:
    """The words by which a question points into an unseen text, or None."""
    match = _NOT_ALONE.search(question)
    return match.group(0).strip() if match else None


def needs_no_document(candidate: Candidate, _limits: Limits) -> Verdict | None:
    """The question can be understood by someone who has nothing but the question."""
    if not candidate.grounded and _brings_text(candidate):
        return None
    phrase = pointing_phrase(candidate.question)
    return rejected("question_not_standalone", pattern=phrase) if phrase else None


def _brings_text(candidate: Candidate) -> bool:
    """A free task with its own text, or one of a conversation that has said more than the question."""
    turns = [message.role for message in candidate.messages]
    return turns[:1] != ["user"] or len(turns) > 2 or bool(_OWN_TEXT.search(candidate.question.strip()))
