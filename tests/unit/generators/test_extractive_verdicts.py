"""The page on the quality of rows by rule says what the judgements say, row by row."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "extractive_quality.md").read_text(encoding="utf-8")
with (ROOT / "tests" / "data" / "extractive_verdicts.tsv").open(encoding="utf-8", newline="") as opened:
    VERDICTS = list(csv.DictReader(opened, delimiter="\t"))


def unusable(number: str) -> Counter[str]:
    return Counter(row["class"] for row in VERDICTS if row["round"] == number and row["class"])


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def rows_of(number: str) -> list[dict[str, str]]:
    return [row for row in VERDICTS if row["round"] == number]


def not_in_round_10(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    read = {row["row"] for row in rows_of("10")}
    return [row for row in rows if row["row"] not in read]


def shown_of(number: str) -> list[int | None]:
    """The leading numbers in the cells of a round: of rows, usable, new, usable of these, at the places 3 to 6."""
    (line,) = re.findall(rf"^\| {number} \| [34].*$", PAGE, re.MULTILINE)
    return [int(match[1]) if (match := re.match(r"(\d+)", cell)) else None for cell in cells(line)]


def usable_of(rows: list[dict[str, str]]) -> int:
    return sum(not row["class"] for row in rows)


def by_rule(text: str) -> dict[str, tuple[int, int]]:
    found = re.findall(r"`([\w*]+)`\s+(\d+)\s+and\s+(\d+)", text)
    return {name: (int(usable), int(not_usable)) for name, usable, not_usable in found}


def counted(rows: list[dict[str, str]]) -> dict[str, tuple[int, int]]:
    names = [re.sub(r"^heading_.*", "heading_*", row["template"].rsplit(".", 1)[0]) for row in rows]
    tally = Counter((name, bool(row["class"])) for name, row in zip(names, rows, strict=True))
    return {name: (tally[name, False], tally[name, True]) for name in names}


@pytest.mark.parametrize("number", ["6", "7", "8", "9", "10", "11"])
def test_rounds_that_are_kept_whole(number: str) -> None:
    rows = rows_of(number)
    assert shown_of(number)[3:5] == [len(rows), usable_of(rows)]
    assert len({row["row"] for row in rows}) == len(rows)


@pytest.mark.parametrize("number", ["6", "7", "8", "9", "11"])
def test_rows_new_to_a_round(number: str) -> None:
    rows = rows_of(number)
    new = not_in_round_10(rows) if number == "11" else [row for row in rows if row["read_before"] == "no"]
    assert shown_of(number)[5:7] == [len(new), usable_of(new)]


def test_round_11_takes_over_round_10() -> None:
    earlier = {row["row"]: row["class"] for row in rows_of("10")}
    both = [row for row in rows_of("11") if row["row"] in earlier]
    assert all(row["class"] == earlier[row["row"]] for row in both)
    assert all(row["read_before"] == "yes" for row in both)


def test_strict_and_by_the_four_words() -> None:
    rows = rows_of("11")
    new = not_in_round_10(rows)
    of_the_source = {"source_garbled", "names_differ"}
    old = [row for row in rows if row not in new]
    for name, some in (("not in round 10", new), ("judged in round 10", old), ("all", rows)):
        (line,) = re.findall(rf"^\| {name} \| \d+ \| \d+ \(.*$", PAGE, re.MULTILINE)
        shown = [int(cells(line)[place].split()[0]) for place in (1, 2, 4)]
        by_words = sum(row["class"] in {"", *of_the_source} for row in some)
        assert shown == [len(some), usable_of(some), by_words]


def test_rules_of_rounds_10_and_11() -> None:
    (ten,) = re.findall(r"^Of round 10 by rule:.*?\. Eight", PAGE, re.MULTILINE | re.DOTALL)
    (eleven,) = re.findall(r"^Of round 11 by rule:.*?\.\n\n", PAGE, re.MULTILINE | re.DOTALL)
    whole, new = re.split(r"Of\s+its\s+rows", eleven)
    rows = rows_of("11")
    assert by_rule(ten) == counted(rows_of("10"))
    assert by_rule(whole) == counted(rows)
    assert by_rule(new) == counted(not_in_round_10(rows))


def test_classes_of_every_round() -> None:
    lines = [cells(line) for line in PAGE.splitlines()]
    (head,) = [line for line in lines if line[:2] == ["class", "what is wrong"]]
    table = [line for line in lines if len(line) == len(head) and re.fullmatch(r"`\w+`|all", line[0])]
    assert head[2:] == ["1", "2", "3", "4", "5", "6", "7", "8", "10", "11"]
    for column, number in enumerate(head[2:], start=2):
        counts = {line[0].strip("`"): int(line[column]) for line in table if line[column]}
        assert counts.pop("all") == sum(counts.values())
        assert counts == unusable(number), f"round {number}"
