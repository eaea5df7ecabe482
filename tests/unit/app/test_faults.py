"""Fields that nobody knows are told with those that are known; everything else keeps pydantic's words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.api.errors import install_error_handlers
from app.services.evaluation_request import EvaluationRequest
from app.services.faults import invalid_body, known_fields
from app.services.fine_tuning_request import CreateFineTuningJob

GIVEN: dict[str, Any] = {"model": "malmoi-demo", "training_file": "file-1"}


@pytest.mark.parametrize(
    ("more", "param", "words"),
    [
        ({"lora": {"rank": 8}}, "lora.rank", "Did you mean 'r'? Known are alpha, dropout, r."),
        ({"max_step": 3}, "max_step", "Did you mean 'max_steps'?"),
        ({"색": 3}, "색", "Extra inputs are not permitted. Known are allow_truncated, "),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"betta": 1}}}},
            "method.dpo.hyperparameters.betta",
            "Did you mean 'beta'? Known are batch_size, beta, ",
        ),
        ({"integrations": [{"type": "wandb", "wandb": {"projekt": "a"}}]}, None, "Did you mean 'project'?"),
    ],
)
def test_an_unknown_field_is_told_with_the_known_ones(more: dict[str, Any], param: str | None, words: str) -> None:
    body = GIVEN | more
    with pytest.raises(ValidationError) as caught:
        CreateFineTuningJob.model_validate(body)
    errors = [error for error in caught.value.errors() if error["type"] == "extra_forbidden"]
    told = invalid_body(ValidationError.from_exception_data("", errors[:1]), body, (), CreateFineTuningJob)  # type: ignore[arg-type]
    assert words in told.message
    assert param is None or told.param == param


def test_a_body_whose_type_is_not_known_names_the_field_alone() -> None:
    body = GIVEN | {"max_step": 3}
    with pytest.raises(ValidationError) as caught:
        CreateFineTuningJob.model_validate(body)
    assert invalid_body(caught.value, body).message == "'max_step': Extra inputs are not permitted."
    assert known_fields(None, ()) == ()
    assert "start" not in known_fields(EvaluationRequest, ())
    assert "max_cost_usd" in known_fields(EvaluationRequest, ("budget",))


def test_a_route_tells_the_fields_of_its_body() -> None:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    install_error_handlers(app)

    @app.post("/jobs")
    def create(body: CreateFineTuningJob) -> None:
        raise AssertionError(body)

    client = TestClient(app)
    error = client.post("/jobs", json=GIVEN | {"lora": {"rank": 8}}).json()["error"]
    assert (error["param"], "Known are alpha, dropout, r." in error["message"]) == ("lora.rank", True)
