"""Flags: what is worth knowing about a candidate and is no reason to drop it.

``flags(candidate, limits)`` gives the evidence by the flag's name, for those that are raised. A person who reviews
samples, or a recipe that wants a cleaner subset, asks for them; no flag ever rejects.
"""

from __future__ import annotations

import re
from typing import Any

from corpora.korean.script import prose
from corpora.records import Candidate
from generators.curation.settings import Limits
from generators.curation.verdicts import Flag

__all__ = ["FLAGS", "flags"]

_PARENTHESES = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|<[^<>]*>")
#: A lower-case English word; what is part of a path, a name with marks or a call is none.
_ENGLISH = re.compile(r"(?<![A-Za-z0-9_./\\:@#$%&=<>-])[a-z]{5,}(?![A-Za-z0-9_/\\:@=<>(-]|\.[A-Za-z0-9])")
_TRANSLATIONESE = re.compile(
    r"(?<![가-힣])(?:이것|그것|저것)(?:은|들은|을|들을|이)(?= )|(?<![가-힣])당신(?:은|의|이|을|에게|께)?(?![가-힣])"
    r"|되어지|보여지|보여진|불리우|쓰여지|쓰여진|잊혀지|잊혀진|나뉘어지|나뉘어진|만들어지게 되"
    r"|에 대하여|에 있어서(?= )|로부터의|에 의하여|에 의해서(?= )|[을를] 가지고 있|[을를] 필요로 하|[을를] 통하여"
    r"|하는 것(?:이|은) 가능|것으로 (?:예상|기대)되어|에도 불구하고|에 위치(?:해|하고) 있"
    r"|들의 (?:대부분|일부|하나)|아무리 강조해도|가장 [가-힣]+ 것 중 하나"
)
_CHATTER = re.compile(
    r"\A\W*(?:물론(?:입니다|이죠|이에요|이지요)|네,? (?:물론|알겠습니다|좋습니다)|알겠습니다|좋은 질문|훌륭한 질문"
    r"|Sure\b|Certainly\b|Of course\b)"
    r"|도움이 (?:되|됐)[가-힣]* ?(?:바랍|좋겠|기를)"
    r"|궁금한 (?:점|사항|것)이 (?:더 )?(?:있|생기)[가-힣]* (?:언제든|말씀|문의|질문)"
)
_QUOTED = re.compile(r"\A\s*(?:\"[^\"]+\"|“[^“”]+”|'[^']+'|「[^「」]+」|『[^『』]+』)\s*\Z")


def mixed_english(candidate: Candidate, limits: Limits) -> dict[str, Any] | None:
    """Lower-case English words inside Korean prose; code, paths, brackets, names and abbreviations aside."""
    words = _ENGLISH.findall(_PARENTHESES.sub(" ", prose(candidate.answer)))
    return {"words": words[:10], "count": len(words)} if len(words) >= limits.flag_english_words else None


def translationese(candidate: Candidate, limits: Limits) -> dict[str, Any] | None:
    """Phrases that translations have and Korean writers avoid: 당신은, 되어지다, ~을 가지고 있다."""
    found = [match.group(0) for match in _TRANSLATIONESE.finditer(prose(candidate.answer))]
    return {"phrases": found[:10], "count": len(found)} if len(found) >= limits.flag_translationese else None


def chatter(candidate: Candidate, _limits: Limits) -> dict[str, Any] | None:
    """Courtesies of an assistant around the answer: "물론입니다!", "도움이 되셨기를 바랍니다"."""
    found = [match.group(0).strip() for match in _CHATTER.finditer(candidate.answer)]
    return {"phrases": found} if found else None


def quoted_question(candidate: Candidate, _limits: Limits) -> dict[str, Any] | None:
    """The whole question stands in quotation marks, as a model that lists questions writes them."""
    return {"question": candidate.question[:40]} if _QUOTED.match(candidate.question) else None


def colon_ending(candidate: Candidate, _limits: Limits) -> dict[str, Any] | None:
    """The answer ends by announcing something: a cut list, or a heading that lost its list."""
    answer = candidate.answer.rstrip(" \n*_")
    return {"tail": answer[-30:]} if answer.endswith((":", "：")) else None


FLAGS: dict[str, Flag] = {
    "mixed_english": mixed_english,
    "translationese": translationese,
    "chatter": chatter,
    "quoted_question": quoted_question,
    "colon_ending": colon_ending,
}


def flags(candidate: Candidate, limits: Limits) -> dict[str, dict[str, Any]]:
    """The evidence of every flag that is raised, by its name; empty for an inconspicuous candidate."""
    raised = {name: flag(candidate, limits) for name, flag in FLAGS.items()}
    return {name: evidence for name, evidence in raised.items() if evidence is not None}
