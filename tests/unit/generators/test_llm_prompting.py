from __future__ import annotations

import hashlib
import re

import jinja2
import pytest

from corpora.errors import NotFoundError
from generators.prompting import prompt_id, prompt_names, prompt_source, render

#: What ``rag_qa`` shows beside passages and known questions.
RAG_QA = {"plan": "definition|입고 담당자|easy", "companion": "0", "user_level": "any"}
#: The English reference modes: their parsers read numbers and marks, not JSON.
ENGLISH = ("self_instruct.alpaca", "self_instruct.bootstrap")


def test_every_prompt_is_korean_versioned_and_names_its_json() -> None:
    assert {"rag_qa", "self_instruct", "self_instruct.instructions", "repair"} <= set(prompt_names())
    for name in prompt_names():
        source = prompt_source(name)
        assert re.match(r"\{# v\d+ ", source), name
        if name.startswith(ENGLISH):
            assert not re.search(r"[가-힣]", source), name
            continue
        assert len(re.findall(r"[가-힣]", source)) > 200, name
        assert "JSON" in source, name


def test_the_id_is_name_version_and_hash_of_the_template() -> None:
    digest = hashlib.sha256(prompt_source("self_instruct").encode("utf-8")).hexdigest()[:8]
    assert prompt_id("self_instruct") == f"self_instruct@v2#{digest}"
    prompt = render("self_instruct", count="3", example_count="1", examples="{}", user_level="any")
    assert prompt.id == prompt_id("self_instruct")
    assert prompt.text.startswith("당신은")


def test_a_part_that_depends_on_a_value_appears_only_with_it() -> None:
    without = render("judge", dialogue="질문: 입고란?", passages="").text
    within = render("judge", dialogue="질문: 입고란?", passages="[1] 입고\n본문").text
    assert "<지문>" not in without
    assert "[1] 입고\n본문" in within
    assert "\n\n\n" not in without


def test_template_code_inside_a_document_is_only_text() -> None:
    hostile = "{{ 7 * 7 }} {% for x in y %}<b>&amp;</b>{# 주석 #}"
    assert hostile in render("judge", passages=hostile, dialogue="").text


def test_a_missing_value_and_an_unknown_prompt_are_errors() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("judge", dialogue="")
    with pytest.raises(NotFoundError, match="rag_qa"):
        render("../ports", count="1")
