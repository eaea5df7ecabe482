"""Tokens and labels: what is trained is every answer with its stop token, and nothing else."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.schemas.chat import ChatMessage
from corpora.messages import training_rows
from training.encoding import IGNORED, encode_row, encode_rows, prompt_ids
from training.errors import EncodingError
from training.loading import load_tokenizer
from training.templates import load_template

TEMPLATES = ("eeve.jinja", "demo.jinja")
SYSTEM, QUESTION, ANSWER = (
    {"role": "system", "content": "공손히 답합니다."},
    {"role": "user", "content": "피킹이란 무엇인가요?"},
    {"role": "assistant", "content": "상품을 꺼내 모으는 일입니다."},
)


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Any:
    return load_tokenizer(str(tiny_base))


def trained(row: Any, tokenizer: Any) -> str:
    return str(tokenizer.decode([label for label in row.labels if label != IGNORED]))


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_answer_and_its_stop_token_are_trained(tokenizer: Any, name: str) -> None:
    row = encode_row([SYSTEM, QUESTION, ANSWER], tokenizer, load_template(name), 1000)
    assert trained(row, tokenizer) == ANSWER["content"] + tokenizer.eos_token
    assert all(label in (IGNORED, token) for label, token in zip(row.labels, row.input_ids, strict=True))


@pytest.mark.parametrize("name", TEMPLATES)
def test_chat_sees_the_tokens_that_preceded_the_answer_in_training(tokenizer: Any, name: str) -> None:
    template = load_template(name)
    row = encode_row([QUESTION, ANSWER], tokenizer, template, 1000)
    prompt = prompt_ids([QUESTION], tokenizer, template)
    assert row.input_ids[: len(prompt)] == prompt
    assert row.labels[: len(prompt)] == [IGNORED] * len(prompt)
    assert row.labels[len(prompt)] != IGNORED


def test_a_file_in_nfd_is_trained_on_the_tokens_of_chat(tokenizer: Any) -> None:
    apart = json.loads(unicodedata.normalize("NFD", json.dumps([QUESTION, ANSWER], ensure_ascii=False)))
    assert apart != [QUESTION, ANSWER]
    template = load_template("demo.jinja")
    line = json.dumps({"messages": apart}, ensure_ascii=False).encode()
    (row,), _ = encode_rows(training_rows([line]), tokenizer, template, 1000)
    asked = ChatMessage(role="user", content=apart[0]["content"]).plain("messages.0")
    prompt = prompt_ids([asked], tokenizer, template)
    assert row.input_ids[: len(prompt)] == prompt
    assert row.labels[len(prompt)] != IGNORED
    assert prompt == prompt_ids([QUESTION], tokenizer, template)
    assert prompt != prompt_ids(apart[:1], tokenizer, template)


def test_the_eeve_prompt_to_the_letter(tokenizer: Any) -> None:
    text = tokenizer.decode(prompt_ids([QUESTION], tokenizer, load_template("eeve.jinja")))
    assert text == (
        f"{tokenizer.bos_token}A chat between a curious user and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the user's questions.\n"
        "Human: 피킹이란 무엇인가요?\nAssistant:\n"
    )


def test_every_turn_but_those_of_weight_0(tokenizer: Any) -> None:
    ignored = ANSWER | {"content": "잘못된 답입니다.", "weight": 0}
    row = encode_row(
        [QUESTION, ANSWER, QUESTION, ignored, QUESTION, ANSWER], tokenizer, load_template("demo.jinja"), 9999
    )
    assert trained(row, tokenizer) == (ANSWER["content"] + tokenizer.eos_token) * 2


def test_what_is_cut_and_dropped_is_counted(tokenizer: Any) -> None:
    template = load_template("demo.jinja")
    whole = len(encode_row([QUESTION, ANSWER], tokenizer, template, 9999).input_ids)
    long = {"role": "user", "content": "입고 예정을 조회하는 방법을 알려 주세요. " * 20}
    rows, report = encode_rows([(1, [QUESTION, ANSWER]), (4, [long, ANSWER])], tokenizer, template, whole)
    assert (report.rows, report.kept, report.dropped, report.truncated) == (2, 1, 1, 1)
    assert report.dropped_lines == [4]
    assert report.tokens == len(rows[0].input_ids)
    with pytest.raises(EncodingError, match="No row"):
        encode_rows([(1, [long, ANSWER])], tokenizer, template, whole)


def test_a_template_that_loses_the_stop_token_is_refused(tokenizer: Any) -> None:
    marked = load_template("demo.jinja")
    template = marked.replace(" + eos_token", "")
    assert template != marked
    with pytest.raises(EncodingError, match=r"line 2: .*never stop"):
        encode_rows([(2, [QUESTION, ANSWER])], tokenizer, template, 1000)


def test_a_template_without_marks_gives_the_same_rows(tokenizer: Any) -> None:
    marked = load_template("demo.jinja")
    unmarked = marked.replace("{%- generation -%}", "").replace("{%- endgeneration -%}", "")
    assert "generation -%" not in unmarked
    turns: list[dict[str, Any]] = [SYSTEM, QUESTION, ANSWER | {"weight": 0}, QUESTION, ANSWER]
    assert encode_row(turns, tokenizer, unmarked, 1000) == encode_row(turns, tokenizer, marked, 1000)


LETTERS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=15)
TEXTS = st.builds(
    "".join, st.tuples(LETTERS, st.sampled_from(["", "", "<s>", "</s>", "<pad>", "</s"]), LETTERS)
).filter(str.strip)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), st.sampled_from(TEMPLATES))
def test_any_conversation(tokenizer: Any, turns: list[tuple[str, str]], name: str) -> None:
    """Whatever is said, the text of the labels is the text of the answers, and only the template stops."""
    messages = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    row = encode_row(messages, tokenizer, load_template(name), 10**6)
    assert trained(row, tokenizer) == "".join(answer + tokenizer.eos_token for _, answer in turns)
    assert row.input_ids.count(tokenizer.eos_token_id) == len(turns)
    assert row.input_ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.pad_token_id not in row.input_ids
