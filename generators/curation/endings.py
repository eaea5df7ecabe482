"""The filter of broken endings: an answer that stops in the middle of a sentence, a bracket, a quotation or its code.

By letters alone, without morphemes: only endings that no finished Korean text has are refused. A label, a noun, a list
of nouns and a table are finished (입고, 결과, 허가, 경로 and 창고 look like words with a particle).
"""

from __future__ import annotations

import re

from corpora.records import Candidate, Verdict
from generators.curation.settings import Limits
from generators.curation.verdicts import rejected

__all__ = ["complete_ending", "ending_fault"]

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_OPEN = re.compile(r"[(\[「『“][^()\[\]「」『』“”]*\Z")
_INLINE_CODE = re.compile(r"`[^`\n]*`")
#: Marks that decorate the end without finishing a sentence.
_DECORATION = " \t*_~`\"'”’』」"
_CONTINUES = (",", "、", "·", ";", "(", "[", "{", "/", "=", "&", "+", "<")
_FINISHED = (".", "!", "?", "…", "。", "~")
#: A marker of a list with nothing behind it.
_EMPTY_ITEM = re.compile(r"(?:\A|\n)[ \t]*(?:\d{1,2}[.)]|[-*•①-⑳])[ \t]*\Z")
#: Particles and connectives that no noun ends with and that nobody ends a sentence with in writing.
_UNFINISHED = re.compile(
    r"(?:"
    # Any word with a particle; 마을, 가을, 노을 and 고을 are nouns.
    r"[가-힣]를|[가-힣]{2,}(?<![마가노고])을|[가-힣]{2,}에서|[가-힣]{2,}에게|[가-힣]{2,}으로써?|[가-힣]까지의"
    r"|[가-힣](?:하며|으며|면서|하거나|이거나|하도록|되도록|하려면|하려고|함으로써|이므로|하므로|되므로|였으나|했으나)"
    r"|[가-힣] ?기 ?(?:위해서?|위한)|(?:하는|되는|있는|없는|라는)"
    r"|(?:에 대한|에 따른|[을를] 위한|에 의한|[을를] 통한|[을를] 통해|에 따라|[와과] 같은)"
    r"|(?:^|\s)(?:및|또는|그리고|혹은|그러나|하지만|따라서|그러므로|즉|특히|때문에|위해|위한|대한|통해|같은)"
    # A stem or an ending cut in two: 합니(다), 있습(니다), 했(다).
    r"|[가-힣](?:습니|있습|없습|았|었|겠|했|됐|였)|(?:합니|됩니|입니|십니|줍니|갑니|옵니|봅니|십시|주십|주세|하세)"
    r")\Z"
)


def ending_fault(text: str) -> str | None:
    """What is unfinished at the end: ``code``, ``list``, ``bracket``, ``comma`` or ``word``; None where it is whole."""
    body = text.rstrip()
    if len(_FENCE.findall(body)) % 2:
        return "code"
    if body.endswith(("```", "~~~", "|")):
        return None
    last = body.rsplit("\n", 1)[-1]
    bare = last.rstrip(_DECORATION)
    if _EMPTY_ITEM.search(last):
        return "list"
    return None if bare.endswith(_FINISHED) else _fault_of_line(bare)


def _fault_of_line(line: str) -> str | None:
    """The same for a last line that no mark of a sentence closes."""
    if _OPEN.search(_INLINE_CODE.sub("x", line)):
        return "bracket"
    if line.endswith(_CONTINUES):
        return "comma"
    return "word" if "가" <= line[-1:] <= "힣" and _UNFINISHED.search(line[-12:]) else None


def complete_ending(candidate: Candidate, limits: Limits) -> Verdict | None:
    """The answer is finished; what is as short as a label is not asked."""
    answer = candidate.answer.strip()
    if len(answer) < limits.min_ending_chars:
        return None
    fault = ending_fault(answer)
    return rejected("answer_truncated", fault=fault, tail=answer[-30:]) if fault else None
