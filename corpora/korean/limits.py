"""What limits a number: 이내, 이상, 미만, 최대, 이후 and the like, as marks that can be compared.

``limits_at`` gives the marks of the words beside a number: ``<=`` (이하, 이내, 까지, 최대), ``<`` (미만), ``>=``
(이상, 최소, 부터), ``>`` (초과, 넘는), ``after`` (이후, 뒤) and ``before`` (이전, 전). Empty where none stands there;
more than one where the sentence may turn its word round ("10도 이하로 내려가지 않게"). ``limits_agree`` compares two.
Must not know numbers, answers or verdicts.
"""

from __future__ import annotations

import re

__all__ = ["limits_agree", "limits_at"]

_UPPER, _BELOW, _LOWER, _ABOVE, _AFTER, _BEFORE = "<=", "<", ">=", ">", "after", "before"
_NOUN_END = r"(?=[은는이가을를의에로과와도만인일면]|[^가-힣]|까지|부터|에서|입니|였|으로|$)"
#: Longest first: 이전까지 and 전까지 are before, not until.
_BEHIND: tuple[tuple[str, str], ...] = (
    (rf"이하{_NOUN_END}", _UPPER),
    (r"(?:이내|안|내)(?=에|로|의|에서|까지|[ ,.)|]|$)", _UPPER),
    (rf"미만{_NOUN_END}", _BELOW),
    (rf"이상{_NOUN_END}", _LOWER),
    (r"초과|넘(?=는|으|을|긴|어|었|지)|보다 ?(?:많|크|높|길|무거)", _ABOVE),
    (r"보다 ?(?:적|작|낮|짧|가벼)", _BELOW),
    (r"(?:이후|후|뒤)(?=에|의|부터|로|까지|[ ,.)|]|$)|지나|지난|경과", _AFTER),
    (r"(?:이전|전)(?=에|의|까지|부터|[ ,.)|]|$)", _BEFORE),
    (r"까지", _UPPER),
    (r"부터", _LOWER),
)
_BEHIND_PATTERN = re.compile(
    r"[ ]?(?:[을를이가의에]|째|간)? ?(?:" + "|".join(f"({pattern})" for pattern, _ in _BEHIND) + ")"
)
_FRONT: dict[str, str] = {
    "최대": _UPPER, "최고": _UPPER, "많아야": _UPPER, "늦어도": _UPPER, "최소": _LOWER, "최저": _LOWER,
    "적어도": _LOWER,
}  # fmt: skip
#: A word or two may stand between ("최대 적재 높이는 180cm"), no other number.
_FRONT_PATTERN = re.compile(rf"(?<![가-힣])({'|'.join(_FRONT)})(?:한|로)?(?: ?[가-힣]{{1,6}}){{0,3}} ?(?:약 )?[-−–]?\Z")
_NEGATED = re.compile(r"[^.!?,\n]{0,14}?(?:않|없|안 ?[되돼됩된]|못하|아니|아닌|금지|마십|마세|말[아고])")
#: 초과하지 않게, 넘지 않는: the word itself is turned round.
_OWN_NEGATION = re.compile(r"(?:초과|넘)[가-힣]{0,4}(?: 수)? ?(?:않|없|안 되|안 됩|못)")
_REVERSE = {_UPPER: _ABOVE, _ABOVE: _UPPER, _LOWER: _BELOW, _BELOW: _LOWER, _AFTER: _AFTER, _BEFORE: _BEFORE}
#: 부터 with its 까지 is a span: it may be told as 에서 or ~ as well.
_SPAN = re.compile(r"부터[^.!?\n]{0,25}까지")
#: Marks that may stand for one another: 3일이 지나면 and 3일 이상, 6시 전 and 6시 미만.
_LIKE = {
    _AFTER: frozenset({_AFTER, _ABOVE, _LOWER}), _ABOVE: frozenset({_ABOVE, _AFTER}),
    _LOWER: frozenset({_LOWER, _AFTER}), _BEFORE: frozenset({_BEFORE, _BELOW}), _BELOW: frozenset({_BELOW, _BEFORE}),
}  # fmt: skip


def limits_at(text: str, start: int, end: int) -> frozenset[str]:
    """The marks of the limit words around the number at ``start`` whose unit ends at ``end``; empty without one."""
    found: set[str] = set()
    front = _FRONT_PATTERN.search(text, max(0, start - 30), start)
    if front:
        found.add(_FRONT[front.group(1)])
    behind = _BEHIND_PATTERN.match(text, end)
    if behind is None:
        return frozenset(found)
    mark = _BEHIND[(behind.lastindex or 1) - 1][1]
    word = behind.start(behind.lastindex or 1)
    if _OWN_NEGATION.match(text, word):
        return frozenset({*found, _REVERSE[mark]})
    if mark == _LOWER and text.startswith("부터", word) and _SPAN.match(text, word):
        return frozenset(found)
    found.add(mark)
    if _NEGATED.match(text, behind.end()):
        # The verb or the limit may be denied: both are what the sentence can say.
        found |= {_REVERSE[mark]} | ({_AFTER} if mark == _UPPER else set())
    return frozenset(found)


def limits_agree(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    """Whether the limits of one number in two texts can say the same; a text without any agrees with every other."""
    if not ours or not theirs:
        return True
    wide = frozenset().union(*(_LIKE.get(mark, frozenset({mark})) for mark in ours))
    return bool(wide & theirs)
