"""Pairs in tokens: one prompt, the one that chat has, and behind it either answer with its stop token."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.preferences import Preference
from tests.integration.training.test_any_conversation import TEMPLATES, TEXTS, said
from tests.small_tokenizers import KINDS
from training.encoding import IGNORED, encode_row, prompt_ids
from training.errors import EncodingError
from training.preferences import better_rows, encode_preferences


def pair(question: str, preferred: str, other: str) -> Preference:
    messages = [{"role": "system", "content": "존댓말로 답합니다."}, {"role": "user", "content": question}]
    return Preference(messages=messages, preferred=preferred, non_preferred=other)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(question=TEXTS, better=TEXTS, worse=TEXTS, name=st.sampled_from([n for n in TEMPLATES if n != "trimming"]))
def test_any_pair(kind: str, question: str, better: str, worse: str, name: str) -> None:
    tokenizer, (template, tail) = KINDS[kind](), TEMPLATES[name]
    asked = pair(question, better, worse)
    (row,), report = encode_preferences([(3, asked)], tokenizer, template, 10**6)
    assert row.prompt_ids == prompt_ids(asked.messages, tokenizer, template)
    for ids, answer in ((row.chosen_ids, better), (row.rejected_ids, worse)):
        whole = [*row.prompt_ids, *ids]
        wanted = answer.replace("▁", " ") if kind == "unigram_bytes" else answer
        assert said(tokenizer, whole, len(row.prompt_ids), len(whole)) == wanted + tail
        supervised = encode_row([*asked.messages, {"role": "assistant", "content": answer}], tokenizer, template, 10**6)
        assert [label for label in supervised.labels if label != IGNORED] == list(ids)
    assert report.tokens == len(row.prompt_ids) + len(row.chosen_ids) + len(row.rejected_ids)


def test_what_is_cut_and_dropped_is_counted() -> None:
    tokenizer, template = KINDS["byte_level"](), TEMPLATES["demo"][0]
    pairs: list[tuple[int, Preference]] = [
        (1, pair("재고?", "있습니다.", "몰라.")),
        (4, pair("재고?", "있습니다. " * 50, "몰라.")),
        (6, pair("재고? " * 50, "있습니다.", "몰라.")),
    ]
    rows, report = encode_preferences(pairs, tokenizer, template, 80)
    assert [row.line for row in rows] == [1, 4]
    assert [row.truncated for row in rows] == [False, True]
    assert (report.rows, report.kept, report.dropped, report.truncated, report.unstopped) == (3, 2, 1, 2, 1)
    assert (report.truncated_lines, report.dropped_lines) == ([4, 6], [6])
    assert max(len(row.prompt_ids) + len(row.chosen_ids) for row in rows) == 80
    flat = better_rows(rows)
    assert flat.last_trained()[0] == tokenizer.eos_token_id
    assert [flat.line(place) for place in range(2)] == [1, 4]
    assert [label for label in flat[0].labels if label != IGNORED] == list(rows[0].chosen_ids)
    prompt = len(rows[0].prompt_ids)
    (tight,), _ = encode_preferences(pairs[:1], tokenizer, template, prompt + 1)
    assert (len(tight.chosen_ids), len(tight.rejected_ids), tight.truncated) == (1, 1, True)
    with pytest.raises(EncodingError, match="No pair"):
        # Not one token of an answer has room.
        encode_preferences(pairs[:1], tokenizer, template, prompt)
    with pytest.raises(EncodingError, match="No pair"):
        encode_preferences(pairs[2:], tokenizer, template, 80)


def test_a_refused_pair_is_named() -> None:
    wrong: Any = pair("재고?", "\ud800", "몰라.")
    with pytest.raises(EncodingError, match=r"^line 9: messages\[2\] holds half") as caught:
        encode_preferences([(9, wrong)], KINDS["byte_level"](), TEMPLATES["demo"][0], 80, "validation_file")
    assert caught.value.param == "validation_file"
