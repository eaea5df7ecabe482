"""``malmoi train``: what its arguments ask the service for."""

from __future__ import annotations

import argparse

import pytest

from app.cli.training import _request, add_train
from app.services.fine_tuning_request import CreateFineTuningJob


@pytest.mark.parametrize(
    ("given", "phrase"), [([], None), (["--stop-phrase"], "(답변 종료)"), (["--stop-phrase", "[끝]"], "[끝]")]
)
def test_a_stop_phrase(given: list[str], phrase: str | None) -> None:
    parser = argparse.ArgumentParser()
    add_train(parser.add_subparsers())
    arguments = parser.parse_args(["train", "학습.jsonl", "--model", "아기", "-o", "어댑터", *given])
    body = _request(arguments, "아기")
    asked = CreateFineTuningJob.model_validate(body | {"training_file": "file-1"})
    assert asked.chosen_stop_phrase == phrase
