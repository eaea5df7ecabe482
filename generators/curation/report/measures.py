"""What the report measures, one judged sample at a time, in memory that does not grow with their number.

Everything is counted over all rows, except what needs whole texts analysed (speech levels, n-grams): that is measured
on an even sample of at most ``ANALYSED_ROWS`` accepted rows, and the report says on how many of how many. Every other
cap stands under ``limits`` with what it left out. Knows no file and no picture.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from corpora.errors import MalmoiError
from corpora.korean.analyse import content_morphemes
from corpora.korean.script import hangul_share
from corpora.korean.speech import speech_level
from corpora.records import Candidate, Sample
from generators.curation.report.counting import EvenSample, Spread, Tally
from generators.curation.report.examples import example
from generators.curation.report.openings import question_template

__all__ = ["ANALYSED_ROWS", "EXAMPLES", "SPREADS", "STAGES", "TOP_TEMPLATES", "Report"]

#: Stages in the order in which candidates meet them; others that verdicts name follow these.
STAGES = (
    *("parse", "grounding", "filter", "speech_level", "personal_data", "contamination"),
    *("near_duplicate", "semantic_duplicate"),
)
EXAMPLES = 3
TOP_TEMPLATES = 20
#: 10,000 rows or more stay when halving begins: shares are off by at most 1 percentage point, 95 times in 100.
ANALYSED_ROWS = 20_000
#: Content morphemes of the analysed rows: three n-grams of 8 bytes each make 48 MB at most.
ANALYSED_MORPHEMES = 2_000_000
#: Names of stages, reasons, flags, generators: a hundred at most in practice.
NAMES = 500
#: Templates held at once: about 15 MB.
TEMPLATES = 50_000
NGRAMS = (1, 2, 3)

#: Name of the distribution -> lower edges of its bins, largest value told apart, divisor.
SPREADS: dict[str, tuple[tuple[int, ...], int, int]] = {
    "question_chars": ((0, 10, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 4000), 20_000, 1),
    "answer_chars": ((0, 20, 50, 100, 150, 200, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 4000), 20_000, 1),
    "hangul_share": (tuple(range(0, 1000, 100)), 1000, 1000),
    "turns": ((0, 1, 2, 3, 4, 5, 6, 11), 1000, 1),
}


@dataclass(frozen=True, slots=True)
class _Analysed:
    """What whole-text analysis found of one accepted row."""

    levels: tuple[str, str]  #: Speech level of question and answer.
    grams: tuple[tuple[array[int], ...], tuple[array[int], ...]]  #: Hashed 1-, 2-, 3-grams of both.


class Report:
    """Accumulates judged samples; ``to_json`` may be asked at any time."""

    def __init__(self, *, analysed_rows: int = ANALYSED_ROWS, templates: int = TEMPLATES, names: int = NAMES) -> None:
        """An empty report.

        Args:
            analysed_rows: Accepted rows at most whose speech level and n-grams are measured.
            templates: Question templates at most that are held at once.
            names: Stages, reasons, flags and generators at most, of each kind.
        """
        self._candidates = 0
        self._accepted = 0
        self._rejected = 0
        self._unreadable = 0
        self._stages: Tally[str] = Tally(names)
        self._reasons: Tally[tuple[str, str]] = Tally(names)
        self._examples: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._flags: dict[bool, Tally[str]] = {True: Tally(names), False: Tally(names)}
        self._generators: dict[bool, Tally[str]] = {True: Tally(names), False: Tally(names)}
        self._decided: Tally[tuple[tuple[str, str], ...]] = Tally(names)
        self._splits: Counter[str] = Counter()
        self._before, self._after = _spreads(), _spreads()
        self._templates: Tally[str] = Tally(templates)
        self._analysed: EvenSample[_Analysed] = EvenSample(rows=analysed_rows, weight=ANALYSED_MORPHEMES)

    def add(self, sample: Sample) -> None:
        """Count one judged sample, accepted or rejected."""
        self._candidates += 1
        candidate = sample.candidate
        self._generators[sample.accepted].add(candidate.provenance.generator)
        self._decided.add(tuple(sorted(candidate.provenance.versions.items())))
        for name in sample.flags:
            self._flags[sample.accepted].add(name)
        if candidate.malformed is None:
            for name, value in _values(candidate).items():
                self._before[name].add(value)
                if sample.accepted:
                    self._after[name].add(value)
        else:
            self._unreadable += 1
        if sample.accepted:
            self._accepted += 1
            self._keep(sample)
        else:
            self._rejected += 1
            self._drop(sample)

    def _keep(self, sample: Sample) -> None:
        self._splits[sample.split] += 1
        self._templates.add(question_template(sample.candidate.question))
        ticket = self._analysed.ticket()
        if ticket is not None:
            question, answer = sample.candidate.question, sample.candidate.answer
            grams = (_grams(question), _grams(answer))
            analysed = _Analysed((speech_level(question).value, speech_level(answer).value), grams)
            self._analysed.keep(ticket, analysed, len(grams[0][0]) + len(grams[1][0]))

    def _drop(self, sample: Sample) -> None:
        key = (sample.verdict.stage, sample.verdict.reason)
        self._stages.add(key[0])
        self._reasons.add(key)
        if len(self._examples) > len(self._reasons.counts):
            self._examples = {kept: shown for kept, shown in self._examples.items() if kept in self._reasons}
        if key in self._reasons:
            shown = self._examples.setdefault(key, [])
            if len(shown) < EXAMPLES:
                shown.append(example(sample))

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values.

        Raises:
            MalmoiError: counters that were kept apart do not agree: a fault of ours.
        """
        self._check()
        return {
            "version": 1,
            "counts": {
                "candidates": self._candidates,
                "accepted": self._accepted,
                "rejected": self._rejected,
                "unreadable": self._unreadable,
            },
            # Settings and versions in force, as every row carries them; more than one set where rows differ.
            "decided_by": [{"rows": rows, "versions": dict(versions)} for versions, rows in self._decided.ranked()],
            "funnel": self._funnel(),
            "reasons": [
                {
                    "stage": stage,
                    "reason": reason,
                    "count": count,
                    "share": _share(count, self._candidates),
                    "examples": self._examples.get((stage, reason), []),
                }
                for (stage, reason), count in self._reasons.ranked()
            ],
            "flags": _both(self._flags),
            "generators": _both(self._generators),
            "splits": dict(sorted(self._splits.items())),
            "distributions": {
                name: {"before": self._before[name].to_json(), "after": self._after[name].to_json()} for name in SPREADS
            },
            "speech_levels": self._levels(),
            "diversity": self._diversity(),
            "openings": self._openings(),
            "limits": self._limits(),
        }

    def _check(self) -> None:
        """Candidates = accepted + rejected, and each side adds up by what it was counted by."""
        sums = {
            "accepted + rejected": (self._candidates, self._accepted + self._rejected),
            "rejections by stage": (self._rejected, self._stages.total),
            "rejections by reason": (self._rejected, self._reasons.total),
            "accepted by split": (self._accepted, self._splits.total()),
            "accepted by template": (self._accepted, self._templates.total),
            "accepted by generator": (self._accepted, self._generators[True].total),
            "rejected by generator": (self._rejected, self._generators[False].total),
            "rows by what decided": (self._candidates, self._decided.total),
            "readable": (self._candidates - self._unreadable, self._before["question_chars"].total),
        }
        wrong = [f"{name}: {expected} and {found}" for name, (expected, found) in sums.items() if expected != found]
        if wrong:
            raise MalmoiError(f"The report does not add up: {'; '.join(wrong)}.")

    def _funnel(self) -> list[dict[str, Any]]:
        """What each stage met, dropped and left, ending with what was accepted."""
        counts, left = self._stages.counts, self._candidates
        dropping = [(stage, counts[stage]) for stage in (*STAGES, *sorted(set(counts) - set(STAGES)))]
        if self._stages.pruned:
            dropping.append(("(other)", self._stages.pruned))
        rows = []
        for stage, dropped in dropping:
            left -= dropped
            rows.append({"stage": stage, "dropped": dropped, "left": left})
        if left != self._accepted:
            raise MalmoiError(f"The report does not add up: {left} rows left the funnel, {self._accepted} accepted.")
        return [*rows, {"stage": "accepted", "dropped": 0, "left": left}]

    def _levels(self) -> dict[str, Any]:
        parts: dict[str, Counter[str]] = {"question": Counter(), "answer": Counter()}
        for row in self._analysed:
            for counter, level in zip(parts.values(), row.levels, strict=True):
                counter[level] += 1
        ranked = {part: dict(sorted(found.items(), key=lambda e: (-e[1], e[0]))) for part, found in parts.items()}
        return {"measured": len(self._analysed), "of": self._accepted, **ranked}

    def _diversity(self) -> dict[str, Any]:
        """Distinct-n (Li et al. 2016, "A Diversity-Promoting Objective"): different n-grams among all; 1 is best."""
        found: dict[str, Any] = {"measured": len(self._analysed), "of": self._accepted}
        for place, part in enumerate(("question", "answer")):
            measured: dict[str, Any] = {}
            for number, size in enumerate(NGRAMS):
                total, distinct = 0, set[int]()
                for row in self._analysed:
                    grams = row.grams[place][number]
                    total += len(grams)
                    distinct.update(grams)
                share = round(len(distinct) / total, 4) if total else None
                measured |= {f"ngrams_{size}": total, f"distinct_{size}": share}
            found[part] = measured
        return found

    def _openings(self) -> dict[str, Any]:
        ranked = self._templates.ranked()
        return {
            "questions": self._accepted,
            "templates": len(ranked),
            "pruned": self._templates.pruned,
            "largest_share": _share(ranked[0][1], self._accepted) if ranked else None,
            "top": [
                {"template": template, "count": count, "share": _share(count, self._accepted)}
                for template, count in ranked[:TOP_TEMPLATES]
            ],
        }

    def _limits(self) -> dict[str, Any]:
        """Every cap, and what it left out."""
        sides = (*self._flags.values(), *self._generators.values())
        named: tuple[Tally[Any], ...] = (self._stages, self._reasons, self._decided, *sides)
        return {
            "analysed_rows": {"cap": self._analysed.rows, "measured": len(self._analysed), "of": self._accepted},
            "analysed_morphemes": {"cap": self._analysed.weight},
            "templates": {"cap": self._templates.cap, "pruned_rows": self._templates.pruned},
            "names": {"cap": self._reasons.cap, "pruned_rows": sum(tally.pruned for tally in named)},
            "examples_per_reason": {"cap": EXAMPLES},
        }


def _spreads() -> dict[str, Spread]:
    return {name: Spread(edges, ceiling=ceiling, scale=scale) for name, (edges, ceiling, scale) in SPREADS.items()}


def _values(candidate: Candidate) -> dict[str, int]:
    """Lengths of the first question and the last answer, thousandths of Hangul in both, user turns."""
    question, answer = candidate.question, candidate.answer
    return {
        "question_chars": len(question),
        "answer_chars": len(answer),
        "hangul_share": round(hangul_share(f"{question}\n{answer}") * 1000),
        "turns": sum(message.role == "user" for message in candidate.messages),
    }


def _grams(text: str) -> tuple[array[int], ...]:
    """The 1-, 2- and 3-grams of content morphemes as 64-bit hashes."""
    found = content_morphemes(text)
    return tuple(array("q", _hashes(found, size)) for size in NGRAMS)


def _hashes(found: tuple[str, ...], size: int) -> Iterator[int]:
    return (hash(found[start : start + size]) for start in range(len(found) - size + 1))


def _share(count: int, total: int) -> float:
    return round(count / total, 6) if total else 0.0


def _both(sides: dict[bool, Tally[str]]) -> list[dict[str, Any]]:
    """Names with their counts among the accepted and among the rejected, most frequent first."""
    accepted, rejected = sides[True].counts, sides[False].counts
    names = sorted(set(accepted) | set(rejected), key=lambda name: (-accepted[name] - rejected[name], name))
    return [{"name": name, "accepted": accepted[name], "rejected": rejected[name]} for name in names]
