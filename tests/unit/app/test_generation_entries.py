"""Entries of a generation request: what each needs is checked before anything is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.services.generation_entries import is_reference, resolve_entries
from app.settings import Settings
from corpora.errors import InvalidInputError


def resolve(*entries: dict[str, Any], endpoint: bool = True, corpus: bool = True) -> list[dict[str, Any]]:
    url = "http://127.0.0.1:9/v1" if endpoint else None
    settings = Settings(data_dir=Path("unused"), model_base_url=url, model="m")
    return resolve_entries(settings, list(entries), corpus_id="corpus_1" if corpus else None, model=None)


def test_a_generator_that_can_do_without_a_model_needs_none() -> None:
    (entry,) = resolve({"type": "speech_variants"}, endpoint=False)
    assert entry["type"] == "speech_variants"
    with pytest.raises(InvalidInputError, match="MALMOI_MODEL_BASE_URL"):
        resolve({"type": "speech_variants", "method": "model"}, endpoint=False)


def test_a_model_of_another_provider_needs_no_endpoint() -> None:
    settings = Settings(data_dir=Path("unused"), model="langchain:anthropic:claude")
    (entry,) = resolve_entries(settings, [{"type": "self_instruct"}], corpus_id=None, model=None)
    assert entry["type"] == "self_instruct"


def test_something_to_work_on_must_be_named() -> None:
    with pytest.raises(InvalidInputError, match="corpus_id, or the entry's source"):
        resolve({"type": "dialogue_summary"}, corpus=False)
    (entry,) = resolve({"type": "dialogue_summary", "source": "file-abc"}, corpus=False)
    assert entry["source"] == "file-abc"
    assert resolve({"type": "evolve"}, corpus=False)


@pytest.mark.parametrize("mode", ["alpaca", "bootstrap"])
def test_english_reference_modes_stand_alone(mode: str) -> None:
    entry = {"type": "self_instruct", "mode": mode, "seed_tasks": "file-english"}
    assert is_reference(resolve(entry, corpus=False))
    assert not is_reference(resolve({"type": "self_instruct"}, corpus=False))
    with pytest.raises(InvalidInputError, match="job of their own"):
        resolve(entry, {"type": "rag_qa"})
