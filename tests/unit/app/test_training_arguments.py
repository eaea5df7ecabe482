"""``malmoi train``: what its arguments ask the service for."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from app.cli.training import _request, add_train
from app.services.fine_tuning_request import CreateFineTuningJob
from corpora.errors import InvalidInputError


def body_of(*given: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    add_train(parser.add_subparsers())
    return _request(parser.parse_args(["train", "학습.jsonl", "--model", "아기", "-o", "어댑터", *given]), "아기")


@pytest.mark.parametrize(
    ("given", "phrase"), [([], None), (["--stop-phrase"], "(답변 종료)"), (["--stop-phrase", "[끝]"], "[끝]")]
)
def test_a_stop_phrase(given: list[str], phrase: str | None) -> None:
    asked = CreateFineTuningJob.model_validate(body_of(*given) | {"training_file": "file-1"})
    assert asked.chosen_stop_phrase == phrase


def test_what_http_takes_the_command_line_takes_too() -> None:
    sizes = ("--lora-r", "4", "--lora-alpha", "8", "--no-packing", "--early-stopping-patience", "0")
    asked = CreateFineTuningJob.model_validate(
        body_of(*sizes, "--validation-fraction", "0.25") | {"training_file": "file-1"}
    )
    assert asked.lora is not None
    assert (asked.lora.r, asked.lora.alpha, asked.lora.dropout) == (4, 8, None)
    assert (asked.packing, asked.early_stopping_patience, asked.validation_fraction) == (False, 0, 0.25)
    left_out = body_of()
    names = ("lora", "packing", "early_stopping_patience", "validation_fraction")
    assert [left_out[name] for name in names] == [None] * 4
    assert body_of("--packing")["packing"] is True


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (("--lora-r", "0"), "lora.r"),
        (("--validation-fraction", "0.9"), "validation_fraction"),
        (("--validation-fraction", "0.1", "--validation", "검증.jsonl"), "validation_fraction"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_opened(given: tuple[str, ...], param: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        body_of(*given)
    assert caught.value.param == param
