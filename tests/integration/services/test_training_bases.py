"""Bases that are moved, nowhere, or without torch to load them; stop phrases as they are asked for. No trainer runs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.services import fine_tuning, training
from app.services.adapters import find_adapter
from app.services.context import Services
from app.services.files import create_file
from app.services.fine_tuning import CreateFineTuningJob, create_job, resume_job
from app.services.models import chat_target, get_model
from app.services.training_command import TrainJobParams, train_config
from app.store.tables import AdapterRow
from corpora.errors import MalmoiError, MissingExtraError, NotFoundError
from tests.integration.services.conftest import context_of
from tests.integration.services.test_fine_tuning import make_base, rows


@pytest.fixture
def service(services: Services, tmp_path: Path) -> Services:
    make_base(tmp_path / "models" / "아기")
    return replace(services, settings=services.settings.model_copy(update={"models_dir": tmp_path / "models"}))


def ask(service: Services, **fields: Any) -> dict[str, Any]:
    file_id = create_file(service, "학습.jsonl", "fine-tune", iter([rows()]))["id"]
    return create_job(service, CreateFineTuningJob.model_validate({"model": "아기", "training_file": file_id} | fields))


def paused(service: Services) -> str:
    job = ask(service)["id"]
    row = service.jobs.claim("test", [training.KIND])
    assert row is not None
    service.jobs.finish(row.id, row.attempt, "paused")
    return str(job)


def test_resuming_without_torch_says_what_to_install(service: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    job = paused(service)
    monkeypatch.setattr(fine_tuning, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="malmoi\\[train\\]"):
        resume_job(service, job)
    assert service.jobs.get(job).status == "paused"
    # One that was queued before torch went away.
    monkeypatch.undo()
    resume_job(service, job)
    monkeypatch.setattr(training, "find_spec", lambda _: None)
    row = service.jobs.claim("test", [training.KIND])
    assert row is not None
    with pytest.raises(MissingExtraError):
        training.run_train(service, context_of(service, row.id, row.attempt), TrainJobParams.model_validate(row.params))


def test_a_hub_name_that_is_nowhere_is_refused_at_once(
    service: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MalmoiError) as caught:
        ask(service, model="org/model")
    assert (caught.value.code, caught.value.param) == ("base_not_on_disk", "model")
    assert "MALMOI_MODELS_DIR" in caught.value.hint
    assert "--base" in caught.value.hint
    snapshot = tmp_path / "cache" / "models--org--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}", encoding="utf-8")
    refs = tmp_path / "cache" / "models--org--model" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc", encoding="utf-8")
    assert ask(service, model="org/model")["status"] == "queued"


def test_a_base_that_moved_is_found_by_its_name(service: Services, tmp_path: Path) -> None:
    job = paused(service)
    old = tmp_path / "models" / "아기"
    adapter = tmp_path / "어댑터"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    with service.store.write() as session:
        session.add(
            AdapterRow(
                id="ft:아기:malmoi::1",
                job_id=job,
                base_model="아기",
                recipe="auto",
                base_path=str(old),
                path=str(adapter),
                created_at=1.0,
            )
        )
    new = tmp_path / "models" / "회사" / "아기"
    new.parent.mkdir()
    shutil.move(old, new)
    assert get_model(service, "ft:아기:malmoi::1")["ready"]
    assert chat_target(service, "ft:아기:malmoi::1").base_path == str(new)
    assert find_adapter(service, "ft:아기:malmoi::1").base_path == str(new)
    assert resume_job(service, job)["status"] == "queued"
    # Two of that name: nobody can say which.
    make_base(tmp_path / "models" / "남의 회사" / "아기")
    with pytest.raises(NotFoundError) as caught:
        chat_target(service, "ft:아기:malmoi::1")
    assert caught.value.code == "base_model_missing"
    assert "MALMOI_MODELS_DIR" in caught.value.message


@pytest.mark.parametrize(("asked", "meant"), [(True, "(답변 종료)"), (False, ""), ("  [끝]  ", "[끝]"), (None, None)])
def test_a_stop_phrase_reaches_the_trainer(
    service: Services, tmp_path: Path, asked: bool | str | None, meant: str | None
) -> None:
    body = ask(service, stop_phrase=asked)
    assert body["stop_phrase"] == meant
    params = TrainJobParams.model_validate(service.jobs.get(body["id"]).params)
    config = train_config(service, params, tmp_path)
    assert config.stop_phrase == meant
    assert ("stop_phrase" in config.model_fields_set) == (meant is not None)


@pytest.mark.parametrize("asked", ["", "  ", "가" * 65, 1])
def test_phrases_that_are_refused(asked: object) -> None:
    with pytest.raises(ValueError, match="stop_phrase"):
        CreateFineTuningJob.model_validate({"model": "아기", "training_file": "file-1", "stop_phrase": asked})
