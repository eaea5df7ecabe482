from __future__ import annotations

import hashlib
import re

import jinja2
import pytest

from corpora.errors import NotFoundError
from generators.prompting import prompt_id, prompt_names, prompt_source, render


def test_every_prompt_is_korean_versioned_and_names_its_json() -> None:
    assert {"rag_qa", "self_instruct"} <= set(prompt_names())
    for name in prompt_names():
        source = prompt_source(name)
        assert re.match(r"\{# v\d+ ", source), name
        assert len(re.findall(r"[가-힣]", source)) > 200, name
        assert "JSON" in source, name


def test_the_id_is_name_version_and_hash_of_the_template() -> None:
    digest = hashlib.sha256(prompt_source("self_instruct").encode("utf-8")).hexdigest()[:8]
    assert prompt_id("self_instruct") == f"self_instruct@v1#{digest}"
    prompt = render("self_instruct", count="3", example_count="1", examples="{}")
    assert prompt.id == prompt_id("self_instruct")
    assert prompt.text.startswith("당신은")


def test_known_questions_appear_only_where_there_are_some() -> None:
    without = render("rag_qa", count="2", passages="[1] 입고\n본문", known="").text
    within = render("rag_qa", count="2", passages="[1] 입고\n본문", known="- 입고란 무엇인가요?").text
    assert "이미 만든 질문" not in without
    assert "- 입고란 무엇인가요?" in within
    assert "2개 만드십시오" in without
    assert "\n\n\n" not in without


def test_template_code_inside_a_document_is_only_text() -> None:
    hostile = "{{ 7 * 7 }} {% for x in y %}<b>&amp;</b>{# 주석 #}"
    assert hostile in render("rag_qa", count="1", passages=hostile, known="").text


def test_a_missing_value_and_an_unknown_prompt_are_errors() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("rag_qa", count="1", known="")
    with pytest.raises(NotFoundError, match="rag_qa"):
        render("../ports", count="1")
