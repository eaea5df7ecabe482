"""Whether lines are running text: sentences that go on from line to line, as cells of a table do not.

Judged by what stands at the ends of lines and within them, for that is all a page tells. A guess that leans towards
"no": what is taken for a table by mistake is still read row by row, and nothing of it is lost. Knows no columns and no
places but the gaps above lines.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from corpora.readers.pdf_lines import Line

__all__ = ["BULLET", "STEP", "ends_sentence", "ends_sentence_plainly", "leading", "shares_rows", "wraps"]

STEP = re.compile(r"^(?:\(?\d{1,3}[.)](?!\d)|[①-⑳㉠-㉻]|[가-하][.)](?=\s)|\(?[a-zA-Z][.)](?=\s))\s*")
BULLET = re.compile(r"^[•·∙●○▪■□◦▶►➢※\-–*](?=\s)\s*")
#: What ends a sentence where marks are written, and what does where they are not.
_MARK = re.compile(r"[.!?。:…][\"')\]」』”’]*$")
_ENDING = re.compile(r"(?:[다요음함됨임죠]|니까|[는은인한]가|[하있없]나|것)$")
#: The end of a sentence with the next one behind it.
_WITHIN = re.compile(r"(?<=[가-힣a-z])[.!?。][\"')\]」』”’]*\s+\S")
#: Ends of words with which no cell ends. Left out is what nouns end with as well: 창고, 결과, 온도, 화면, 문서.
_OPEN = re.compile(
    r"(?:,|[을를은는에할될된한및]|에서|[아어해]서|에게|으로|까지|부터|[하되있없않]고|[하되으이]며|[하되으]면|하여|또는)$"
)
#: Lines of wrapped text are at most this many letter sizes apart, and a gap is wider than the others from this on.
_WIDEST = 2.1
_WIDER = 1.12
#: Of the lines of a run at least this share shows that the sentence goes on.
_SIGNS = 0.25
#: From so many lines on most of them go on; fewer tell less, and one is enough.
_MANY = 5
#: Rows begin on both sides at one height this often: seen by their gaps, or by what ends above. A line that is shorter
#: than this share of its side ends something.
_BY_GAPS, _BY_ENDS = 2, 3
_SHARED = 0.6
_FULL = 0.8
_SHORT = 0.5


def ends_sentence(text: str) -> bool:
    """Whether a line ends a sentence, with or without a mark."""
    return bool(_MARK.search(text) or _ENDING.search(text))


def ends_sentence_plainly(text: str) -> bool:
    """Whether a mark says so."""
    return bool(_MARK.search(text))


def leading(lines: Sequence[Line]) -> float:
    """The distance between the lines of one paragraph: most are no closer."""
    gaps = sorted(above.bottom - below.bottom for above, below in itertools.pairwise(lines))
    gaps = [gap for gap in gaps if gap > 0]
    return gaps[len(gaps) // 4] if gaps else 0.0


def wraps(lines: Sequence[Line]) -> bool:
    """Whether most lines, from above, break off in the middle of a sentence that goes on in the next one."""
    apart = leading(lines)
    if len(lines) < 2 or apart > _WIDEST * max(line.size for line in lines):
        return False
    going = sum(_going(run) for run in _runs(lines, apart))
    return going > (len(lines) - 1) / 2 if len(lines) >= _MANY else going > 0


def shares_rows(first: Sequence[Line], second: Sequence[Line]) -> bool:
    """Whether rows begin on both sides at the same heights, as in a table whose cells are wrapped."""
    for at_gaps, least in ((True, _BY_GAPS), (False, _BY_ENDS)):
        starts = [_starts(lines, at_gaps) for lines in (first, second)]
        near = 0.3 * max(line.size for line in (*first, *second))
        shared = [at for at in starts[0] if any(abs(at - other) < near for other in starts[1])]
        if len(shared) >= least and len(shared) >= _SHARED * min(map(len, starts)):
            return True
        if at_gaps and shared and _heads(first, shared[0]) and _heads(second, shared[0]):
            return True
    return False


def _runs(lines: Sequence[Line], apart: float) -> list[list[Line]]:
    """Lines up to the end of a sentence, a wider gap or the next item."""
    runs = [[lines[0]]]
    for above, below in itertools.pairwise(lines):
        anew = (
            ends_sentence(above.text)
            or above.bottom - below.bottom > _WIDER * apart
            or STEP.match(below.text)
            or BULLET.match(below.text)
        )
        if anew:
            runs.append([])
        runs[-1].append(below)
    return runs


def _going(run: Sequence[Line]) -> int:
    """How many lines of a run go on in the next one; none where too few show it."""
    signs = sum(
        bool(_OPEN.search(above.text) or _WITHIN.search(above.text) or below.text[:1].islower())
        for above, below in itertools.pairwise(run)
    )
    signs += bool(_WITHIN.search(run[-1].text))
    return len(run) - 1 if signs and signs >= _SIGNS * (len(run) - 1) else 0


def _starts(lines: Sequence[Line], at_gaps: bool) -> list[float]:
    """Heights of the lines that begin something, the first aside."""
    apart = leading(lines)
    left, right = min(line.cells[0][0] for line in lines), max(line.right for line in lines)
    full = left + _FULL * (right - left)
    return [
        below.bottom
        for above, below in itertools.pairwise(lines)
        if above.bottom - below.bottom > _WIDER * apart
        or (not at_gaps and (ends_sentence(above.text) or above.right < full))
    ]


def _heads(lines: Sequence[Line], at: float) -> bool:
    """Whether all that stands above is one short line, as the head of a table's column is."""
    left, right = min(line.cells[0][0] for line in lines), max(line.right for line in lines)
    head = lines[0]
    return (
        len(lines) > 1
        and abs(lines[1].bottom - at) < 0.3 * head.size
        and head.right - head.cells[0][0] < _SHORT * (right - left)
        and abs(head.size - lines[1].size) < 0.6
        and not STEP.match(head.text)
    )
