"""Conversion between speech levels: what it writes, what it refuses, what it leaves alone."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import InvalidInputError
from corpora.korean.speech import SpeechLevel, sentence_levels, speech_level
from corpora.korean.speech_conversion import Reason, convert

DATA = Path(__file__).resolve().parents[2] / "data"
LEVELS = (SpeechLevel.HAPSYO, SpeechLevel.HAEYO, SpeechLevel.HAE, SpeechLevel.HAERA)


def table(name: str) -> list[list[str]]:
    """Rows of a table; ⏎ stands for a line break."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()[1:]
    return [line.replace("⏎", "\n").split("\t") for line in lines]


SENTENCES = [text for level, text in table("speech_levels.tsv") if level != "mixed"]


@pytest.mark.parametrize(("target", "source", "expected"), table("speech_conversion.tsv"))
def test_every_row_of_the_table(target: str, source: str, expected: str) -> None:
    found = convert(source, SpeechLevel(target))
    assert found.original == source
    if expected.startswith("REFUSED:"):
        assert expected.removeprefix("REFUSED:") in {refusal.reason for refusal in found.refused}
        assert (found.text, found.changed) == (source, False)
    else:
        assert (found.text, found.refused) == (expected, ())
        assert found.changed == (source != expected)


def test_the_table_has_every_reason_but_one() -> None:
    """A result that fails its check is tested below."""
    reasons = {row[2].removeprefix("REFUSED:") for row in table("speech_conversion.tsv") if "REFUSED:" in row[2]}
    assert reasons == set(Reason) - {Reason.NOT_REACHED}
    assert len(table("speech_conversion.tsv")) >= 100


def test_a_refusal_points_at_its_sentence_and_stops_the_whole_text() -> None:
    text = "수량을 확인했어. 라벨이 찢어졌는데. 다시 붙였어."
    found = convert(text, SpeechLevel.HAEYO)
    assert (found.text, found.changed) == (text, False)
    assert [(text[r.start : r.end], r.ending, r.reason) for r in found.refused] == [
        ("라벨이 찢어졌는데.", "찢어졌는데.", Reason.CONNECTIVE)
    ]


def test_a_sentence_that_would_not_be_read_as_meant_is_refused() -> None:
    # 상자야 calls a box.
    found = convert("보충 기준은 열 상자다(냉동은 다섯 상자).", SpeechLevel.HAE)
    assert [refusal.reason for refusal in found.refused] == [Reason.NOT_REACHED]


def test_decomposed_text_is_read_and_kept() -> None:
    source = unicodedata.normalize("NFD", "수량을 확인했어.")
    found = convert(source, SpeechLevel.HAPSYO)
    assert (found.text, found.original) == ("수량을 확인했습니다.", source)
    unchanged = convert(source, SpeechLevel.HAE)
    assert (unchanged.text, unchanged.changed) == (source, False)


@pytest.mark.parametrize("level", [SpeechLevel.NOMINAL, SpeechLevel.MIXED, SpeechLevel.NEUTRAL])
def test_only_levels_are_targets(level: SpeechLevel) -> None:
    with pytest.raises(InvalidInputError, match="hapsyo, haeyo, hae or haera"):
        convert("수량을 확인했어.", level)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=3), st.sampled_from(LEVELS))
def test_what_is_converted_is_of_one_level_and_stays(texts: list[str], target: SpeechLevel) -> None:
    text = "\n\n".join(texts)
    found = convert(text, target)
    if found.changed:
        assert found.refused == ()
        assert speech_level(found.text) is target
        assert {level for level in sentence_levels(found.text) if level in LEVELS} == {target}
        assert len(sentence_levels(found.text)) == len(sentence_levels(text))
        again = convert(found.text, target)
        assert (again.text, again.changed, again.refused) == (found.text, False, ())
    else:
        assert found.text == text
        assert found.refused or {level for level in sentence_levels(text) if level in LEVELS} <= {target}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SENTENCES), st.sampled_from(LEVELS))
def test_numbers_names_and_quotations_stay(text: str, target: SpeechLevel) -> None:
    found = convert(text, target).text
    assert [c for c in found if c.isdigit() or c.isascii()] == [c for c in text if c.isdigit() or c.isascii()]
