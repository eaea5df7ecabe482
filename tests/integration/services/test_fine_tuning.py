"""Fine-tuning jobs in the store: what is asked, listed, kept and refused; no trainer runs here."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from app.services import training, training_command, training_files
from app.services.checkpoints import keep_checkpoint
from app.services.context import Services
from app.services.files import create_file
from app.services.fine_tuning import (
    CreateFineTuningJob,
    create_job,
    get_job,
    list_checkpoints,
    list_events,
    list_jobs,
    read_plot,
    resume_job,
    stop_job,
)
from app.services.merged import merged_root
from app.services.model_deletion import delete_model
from app.services.models import chat_target, get_model, list_models
from app.store.tables import AdapterRow
from corpora.errors import ConflictError, InvalidInputError, MalmoiError, NotFoundError
from tests.integration.services.conftest import RunNext, context_of
from tests.integration.services.exports import new_dataset
from tests.integration.services.exports import pair as pair_of
from training.config import TrainConfig

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 4}


def rows(start: int = 0) -> bytes:
    lines = [
        {"messages": [{"role": "user", "content": f"{n}번은?"}, {"role": "assistant", "content": f"{n}층입니다."}]}
        for n in range(start, start + 12)
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def make_base(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def service(services: Services, tmp_path: Path) -> Services:
    """Services with a folder of bases: one, one nested as on the hub, one with code of its own, one without config."""
    models = tmp_path / "models"
    make_base(models / "아기")
    make_base(models / "회사" / "모델:1")
    make_base(models / "나쁜 것", auto_map={"AutoModel": "x.Y"})
    (models / "빈 것").mkdir()
    return replace(services, settings=services.settings.model_copy(update={"models_dir": models}))


@pytest.fixture
def file_id(service: Services) -> str:
    return str(create_file(service, "학습.jsonl", "fine-tune", iter([rows()]))["id"])


def ask(service: Services, file_id: str, **fields: Any) -> dict[str, Any]:
    body = {"model": "아기", "training_file": file_id} | fields
    return create_job(service, CreateFineTuningJob.model_validate(body))


def refused(service: Services, file_id: str, **fields: Any) -> MalmoiError:
    with pytest.raises(MalmoiError) as caught:
        ask(service, file_id, **fields)
    assert list_jobs(service, None, 10)[0] == []
    return caught.value


# -- creating ----------------------------------------------------------------------------------------------------------


def test_hyperparameters_of_each_place_and_method(service: Services, file_id: str) -> None:
    auto = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    plain = ask(service, file_id)
    assert plain["hyperparameters"] == auto
    assert plain["method"] == {"type": "supervised", "supervised": {"hyperparameters": auto}}
    older = ask(service, file_id, hyperparameters={"n_epochs": 3})
    assert older["hyperparameters"]["n_epochs"] == 3
    inner = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.3, "batch_size": 2}}}
    dpo = ask(service, file_id, method=inner, hyperparameters={"n_epochs": 3})
    assert dpo["method"] == {"type": "dpo", "dpo": {"hyperparameters": auto | {"beta": 0.3, "batch_size": 2}}}
    assert dpo["hyperparameters"] == auto | {"batch_size": 2}
    outer = ask(service, file_id, method={"type": "dpo"}, hyperparameters={"n_epochs": 3})
    assert outer["method"]["dpo"]["hyperparameters"] == auto | {"n_epochs": 3, "beta": "auto"}


def test_what_is_ours_is_echoed(service: Services, file_id: str) -> None:
    ours = {"recipe": "auto", "lora": {"r": 8}, "max_steps": 5, "packing": True, "max_length": 128}
    ours |= {"allow_truncated": 0.5, "early_stopping_patience": 2, "validation_fraction": 0.25}
    wandb = {"type": "wandb", "wandb": {"project": "말모이"}}
    body = ask(service, file_id, integrations=[wandb], suffix="물류", **ours)
    assert {name: body[name] for name in ours} == ours
    assert body["integrations"] == [wandb | {"wandb": {"project": "말모이", "name": None, "entity": None, "tags": []}}]
    assert body["user_provided_suffix"] == "물류"
    assert (body["result_files"], body["error"], body["trained_tokens"], body["preflight"]) == ([], None, None, None)


def test_what_is_ours_reaches_the_trainer(service: Services, file_id: str, tmp_path: Path) -> None:
    wandb = {"project": "말모이", "name": "물류", "entity": "창고팀", "tags": ["하나", "둘"]}
    ask(service, file_id, integrations=[{"type": "wandb", "wandb": wandb}], validation_fraction=0.25)
    row = service.jobs.claim("test", [training.KIND])
    assert row is not None
    asked = training_command.TrainJobParams.model_validate(row.params)
    path = training_command.write_config(training_command.train_config(service, asked, tmp_path), tmp_path)
    read = TrainConfig.model_validate_json(path.read_text(encoding="utf-8"))
    assert read.wandb is not None
    assert read.wandb.model_dump() == wandb | {"tags": ("하나", "둘")}
    assert (read.validation_fraction, read.validation_file) == (0.25, None)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("나쁜 것", "custom_code_refused"),
        ("빈 것", "config_missing"),
        ("없는 것", "model_not_found"),
        ("..", "model_not_found"),
        ("회사", "model_not_found"),
        ("ft:아기:malmoi::12345678", "model_not_trainable"),
    ],
)
def test_bases_that_are_refused(service: Services, file_id: str, model: str, code: str) -> None:
    error = refused(service, file_id, model=model)
    assert (error.code, error.param) == (code, "model")


def test_a_fine_tuned_model_is_trained_further_once_it_is_merged(service: Services, file_id: str) -> None:
    job = ask(service, file_id)["id"]
    model, _ = finished(service, job)
    for name in (model, f"{model}:ckpt-step-2"):
        with pytest.raises(InvalidInputError) as caught:
            ask(service, file_id, model=name)
        assert (caught.value.status, caught.value.code, caught.value.param) == (400, "model_not_trainable", "model")
        assert f"POST /v1/models/{name}/merge" in caught.value.message
    merged = make_base(merged_root(service) / "아기-물류")
    (merged / "malmoi.json").write_text('{"base_model": "아기", "recipe": "demo"}', encoding="utf-8")
    again = ask(service, file_id, model="아기-물류")
    assert (again["status"], again["model"]) == ("queued", "아기-물류")
    assert service.jobs.get(again["id"]).params["recipe"] == "demo"


def test_a_wrong_file_does_not_wait_for_the_gpu(service: Services, file_id: str) -> None:
    ask(service, file_id)
    running = service.jobs.claim("test", [training.KIND])
    assert running is not None
    nine = b"".join(rows().splitlines(keepends=True)[:9])
    short = create_file(service, "짧은.jsonl", "fine-tune", iter([nine]))["id"]
    failed = ask(service, short)
    assert failed["status"] == "failed"
    assert failed["finished_at"] == failed["created_at"]
    said = failed["error"]["message"]
    assert said.startswith("Training file has 9 example(s), but must have at least 10 examples (add 1 or more")
    assert failed["error"] == {
        "code": "invalid_n_examples",
        "message": said,
        "param": "training_file",
        "retryable": False,
    }
    told = [(event["level"], event["message"]) for event in list_events(service, failed["id"], None, 10)[0]]
    assert told == [("error", failed["error"]["message"])]
    assert ask(service, file_id)["status"] == "queued"
    for stop in (stop_job, lambda *asked: resume_job(*asked[:2])):
        with pytest.raises(ConflictError):
            stop(service, failed["id"], "cancel")
    # The GPU comes free: the good job is next, and the failed one is nobody's.
    service.jobs.finish(running.id, running.attempt, "cancelled")
    following = service.jobs.claim("test", [training.KIND])
    assert following is not None
    assert following.id != failed["id"]
    service.jobs.finish(following.id, following.attempt, "cancelled")
    assert service.jobs.claim("test", [training.KIND]) is None


def test_recipes_that_are_refused(service: Services, file_id: str) -> None:
    assert refused(service, file_id, recipe="없는 것").code == "recipe_not_found"
    assert refused(service, file_id, recipe="gemma-2b").code == "recipe_does_not_fit"


def test_rows_that_were_trained_are_no_validation(service: Services, file_id: str) -> None:
    same = create_file(service, "검증.jsonl", "fine-tune", iter([rows()]))["id"]
    error = refused(service, file_id, validation_file=same)
    assert (error.code, error.param) == ("validation_equals_training", "validation_file")
    other = create_file(service, "검증.jsonl", "fine-tune", iter([rows(100)]))["id"]
    assert ask(service, file_id, validation_file=other)["validation_file"] == other


# -- lists -------------------------------------------------------------------------------------------------------------


def test_jobs_are_filtered_by_their_metadata(service: Services, file_id: str) -> None:
    made = [
        ask(service, file_id, metadata=metadata)["id"]
        for metadata in (None, {"팀": "물류"}, {"팀": "물류", '"x\\': ""}, {"팀": "재무"}, {})
    ]

    def found(metadata: Any, limit: int = 10, after: str | None = None) -> tuple[list[int], bool]:
        jobs, more = list_jobs(service, after, limit, metadata)
        return [made.index(job["id"]) for job in jobs], more

    assert found(None) == ([4, 3, 2, 1, 0], False)
    assert found({"팀": "물류"}) == ([2, 1], False)
    assert found({"팀": "물류"}, 1) == ([2], True)
    assert found({"팀": "물류"}, 1, made[2]) == ([1], False)
    assert found({'"x\\': ""}) == ([2], False)
    assert found({"팀": ""}) == ([], False)
    assert found("null") == ([4, 0], False)
    with pytest.raises(InvalidInputError):
        found(None, after="ftjob-none")


def test_checkpoints_are_listed_while_the_job_runs(service: Services, file_id: str, tmp_path: Path) -> None:
    job = ask(service, file_id, suffix="물류")["id"]
    assert list_checkpoints(service, job, None, 10) == ([], False)
    with service.store.write() as session:
        for step in (2, 4, 6, 4):  # the last as a resumed run repeats it
            entry = {"step": step, "path": str(tmp_path / f"c-{step}"), "metrics": {"train_loss": 1.5, "other": 3}}
            keep_checkpoint(session, job, f"ft:아기:malmoi:물류:{job[-8:]}", entry, 5.0)
    data, more = list_checkpoints(service, job, None, 2)
    assert ([entry["step_number"] for entry in data], more) == ([4, 6], True)
    assert data[0]["metrics"] == {"step": 4, "train_loss": 1.5}
    assert data[0]["id"].startswith("ftckpt_")
    name = data[0]["fine_tuned_model_checkpoint"]
    assert name == f"ft:아기:malmoi:물류:{job[-8:]}:ckpt-step-4"
    rest, more = list_checkpoints(service, job, data[-1]["id"], 2)
    assert ([entry["step_number"] for entry in rest], more) == ([2], False)
    with pytest.raises(InvalidInputError):
        list_checkpoints(service, job, "ftckpt_none", 2)
    # A model of its own, though no list of models shows it.
    assert get_model(service, name)["base_model"] == "아기"
    assert name not in [model["id"] for model in list_models(service)]
    with pytest.raises(NotFoundError) as caught:
        chat_target(service, name)
    assert caught.value.code == "model_files_missing"
    (tmp_path / "c-4").mkdir()
    assert chat_target(service, name).adapter_path == str(tmp_path / "c-4")


# -- models ------------------------------------------------------------------------------------------------------------


def test_bases_are_listed_with_what_is_wrong_with_them(service: Services) -> None:
    models = {model["id"]: model for model in list_models(service)}
    assert set(models) == {"malmoi-demo", "아기", "회사/모델:1", "나쁜 것", "빈 것"}
    assert {name for name, model in models.items() if model["ready"]} == {"아기", "회사/모델:1"}
    assert "auto_map" in models["나쁜 것"]["problem"]
    assert models["아기"]["recipe"] == "auto"
    assert get_model(service, "회사/모델:1") == models["회사/모델:1"]
    assert chat_target(service, "회사/모델:1").base_path.endswith("/회사/모델:1")
    with pytest.raises(InvalidInputError):
        chat_target(service, "나쁜 것")


def finished(service: Services, job: str) -> tuple[str, Path]:
    """What a finished job leaves in the store and on the disk."""
    run = service.folder("runs", job, "out")
    for name in ("adapter", "checkpoints/checkpoint-2"):
        (run / name).mkdir(parents=True)
        (run / name / "adapter_model.safetensors").write_bytes(b"x")
    model = f"ft:아기:malmoi::{job[-8:]}"
    with service.store.write() as session:
        entry = {"step": 2, "path": str(run / "checkpoints/checkpoint-2")}
        keep_checkpoint(session, job, model, entry, 1.0)
        base = chat_target(service, "아기").base_path
        fields = {"job_id": job, "base_model": "아기", "recipe": "auto", "base_path": base, "created_at": 1.0}
        session.add(AdapterRow(id=model, path=str(run / "adapter"), **fields))
    return model, run


def test_a_model_goes_with_its_checkpoints_and_files(service: Services, file_id: str) -> None:
    job = ask(service, file_id)["id"]
    model, run = finished(service, job)
    (run.parent / "config.json").write_text("{}", encoding="utf-8")
    other = service.folder("runs", "ftjob-다른-작업")
    with pytest.raises(ConflictError) as caught:
        delete_model(service, model)
    assert caught.value.code == "model_in_use"
    assert job in caught.value.message
    service.jobs.request_stop(job, "cancel")
    user = service.jobs.submit("evaluate", {"model": model})
    with pytest.raises(ConflictError):
        delete_model(service, model)
    service.jobs.request_stop(user.id, "cancel")
    assert delete_model(service, model) == {"id": model, "object": "model", "deleted": True}
    # Nothing of it is left: its configuration and log go too.
    assert list(service.folder("runs").iterdir()) == [other]
    for name in (model, f"{model}:ckpt-step-2"):
        with pytest.raises(NotFoundError):
            get_model(service, name)
    assert list_checkpoints(service, job, None, 10) == ([], False)


def test_one_checkpoint_may_go_alone(service: Services, file_id: str) -> None:
    job = ask(service, file_id)["id"]
    model, run = finished(service, job)
    service.jobs.request_stop(job, "cancel")
    delete_model(service, f"{model}:ckpt-step-2")
    assert (run / "adapter").is_dir()
    assert list((run / "checkpoints").iterdir()) == []
    assert chat_target(service, model).adapter_path == str(run / "adapter")
    delete_model(service, model)
    assert list(service.folder("runs").iterdir()) == []


def test_nothing_outside_the_data_folder_is_deleted(service: Services, file_id: str, tmp_path: Path) -> None:
    job = ask(service, file_id)["id"]
    service.jobs.request_stop(job, "cancel")
    theirs = tmp_path / "남의 것"
    (theirs / "adapter").mkdir(parents=True)
    link = service.folder("runs", job) / "link"
    for number, path in enumerate((theirs / "adapter", link, service.folder("runs") / ".." / ".." / "남의 것")):
        # With its last model the run's own folder goes.
        service.folder("runs", job)
        link.symlink_to(theirs / "adapter")
        fields = {"job_id": job, "base_model": "아기", "recipe": "auto", "base_path": "/m", "created_at": 1.0}
        with service.store.write() as session:
            session.add(AdapterRow(id=f"ft:{number}", path=str(path), **fields))
        delete_model(service, f"ft:{number}")
    assert (theirs / "adapter").is_dir()
    for model in ("아기", "malmoi-demo"):
        with pytest.raises(InvalidInputError) as caught:
            delete_model(service, model)
        assert caught.value.code == "model_not_deletable"


# -- running -----------------------------------------------------------------------------------------------------------

SCRIPT = """
import json, os, sys
def say(kind, message="말", **data):
    print(json.dumps({"type": kind, "level": "info", "message": message, "data": data}), flush=True)
"""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Puts a script in the trainer's place: deaths and disks that are full cannot be had from the real one."""

    def use(code: str) -> None:
        path = tmp_path / "trainer.py"
        path.write_text(SCRIPT + code, encoding="utf-8")
        monkeypatch.setattr(training, "train_command", lambda *_: [sys.executable, str(path)])

    return use


def test_a_trainer_that_dies_is_tried_again_and_says_its_last_words(
    service: Services, file_id: str, run_next: RunNext, scripted: Any
) -> None:
    scripted("print('메모리가 없습니다', file=sys.stderr, flush=True)\nos.kill(os.getpid(), 9)")
    job = ask(service, file_id)["id"]
    row = service.jobs.claim("test", ["train"])
    assert row is not None
    context = context_of(service, job, row.attempt)
    outcome = training.run_train(service, context, training.TrainJobParams.model_validate(row.params))
    assert outcome.status == "retry"
    newest = list_events(service, job, None, 1)[0][0]
    assert (newest["level"], newest["type"]) == ("error", "message")
    assert newest["data"] == {"signal": "SIGKILL", "log": ["메모리가 없습니다"]}
    service.jobs.release(job, row.attempt, crashed=True)
    scripted("print('판이 깨졌습니다', file=sys.stderr, flush=True)\nsys.exit(3)")
    assert run_next("train").status == "failed"
    error = get_job(service, job)["error"]
    assert error["code"] == "training_failed"
    assert "code 3" in error["message"]
    assert "판이 깨졌습니다" in error["message"]
    assert set(error) == {"code", "message", "param", "retryable"}
    assert "trainer.log" in error["message"]  # what to do is said in the message, as of an HTTP error
    told = list_events(service, job, None, 1)[0][0]
    assert told["message"] == error["message"]
    assert told["data"] == {"code": "training_failed", "param": None, "retryable": False}


def pair(number: int, **more: Any) -> dict[str, Any]:
    answers = {"preferred_output": f"{number}층입니다.", "non_preferred_output": "몰라요."}
    outputs = {name: [{"role": "assistant", "content": text}] for name, text in answers.items()}
    return {"input": {"messages": [{"role": "user", "content": f"{number}번은?"}]}} | outputs | more


def encoded(several: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in several).encode()


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("third", "count", "fault"),
    [
        ({"preferred_output": []}, 12, ("training_file", "line 3: preferred_output must be a list of one message.")),
        ({"non_preferred_output": None, "input": {}}, 12, ("validation_file", 'line 3: needs an object "input"')),
        ({}, 7, ("training_file", "Training file has 7 example(s), but must have at least 10 examples")),
    ],
)
def test_pairs_are_checked_before_the_trainer_starts(
    service: Services,
    run_next: RunNext,
    scripted: Any,
    monkeypatch: pytest.MonkeyPatch,
    third: dict[str, Any],
    count: int,
    fault: tuple[str, str],
    at_once: bool,
) -> None:
    param, words = fault
    scripted("sys.exit(3)")  # what a trainer that did start would end with
    lines = [pair(number) | (third if number == 2 else {}) for number in range(count)]
    whole = [pair(number) for number in range(20, 32)]
    good, given = (
        create_file(service, "선호.jsonl", "fine-tune", iter([encoded(several)]))["id"] for several in (whole, lines)
    )
    files = {"training_file": good} | {param: given}
    if not at_once:
        monkeypatch.setattr(training_files, "CHECKED_AT_ONCE", 0)
    made = ask(service, files.pop("training_file"), method={"type": "dpo"}, **files)
    job = made["id"]
    if not at_once:
        assert (made["status"], made["error"]) == ("queued", None)
        assert run_next("train").status == "failed"
    else:
        assert made == get_job(service, job)
    error = get_job(service, job)["error"]
    assert set(error) == {"code", "message", "param", "retryable"}
    assert error["param"] == param
    assert error["message"].startswith(words)
    assert error["code"] == ("invalid_n_examples" if count < 10 else "invalid_training_file")
    assert not list(service.folder("runs").glob("*/trainer.log"))


def test_whole_files_of_pairs_reach_the_trainer(service: Services, run_next: RunNext, scripted: Any) -> None:
    scripted("say('paused', '멈춤', step=4)")
    data = encoded([pair(number) for number in range(12)])
    file = create_file(service, "선호.jsonl", "fine-tune", iter([data]))["id"]
    ask(service, file, method={"type": "dpo"})
    assert run_next("train").status == "paused"


def test_the_trainer_is_given_its_gpus_and_no_more(
    service: Services, file_id: str, run_next: RunNext, scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    scripted("say('message', os.environ['CUDA_VISIBLE_DEVICES'])\nsay('paused', '멈춤', step=1)")
    for module in (training, training_command):
        monkeypatch.setattr(module, "gpus", lambda: ("3", "5", "7"))
    for setting, seen in ((3, "3,5,7"), ("auto", "3,5")):
        chosen = replace(service, settings=service.settings.model_copy(update={"train_gpus": setting}))
        job = ask(chosen, file_id)["id"]
        row = chosen.jobs.claim("test", ["train"])
        assert row is not None
        params = training.TrainJobParams.model_validate(row.params)
        assert training.run_train(chosen, context_of(chosen, job, row.attempt), params).status == "paused"
        assert seen in [event["message"] for event in list_events(chosen, job, None, 10)[0]]
        chosen.jobs.finish(job, row.attempt, "cancelled", None, None)
    more = replace(service, settings=service.settings.model_copy(update={"train_gpus": 4}))
    job = ask(more, file_id)["id"]
    row = more.jobs.claim("test", ["train"])
    assert row is not None
    outcome = training.run_train(
        more, context_of(more, job, row.attempt), training.TrainJobParams.model_validate(row.params)
    )
    assert outcome.error is not None
    assert (outcome.status, outcome.error["code"], outcome.error["retryable"]) == ("failed", "gpus_missing", True)
    assert "TRAIN_GPUS is 4" in outcome.error["message"]


def test_the_plot_is_there_while_the_job_runs(service: Services, file_id: str) -> None:
    job = ask(service, file_id)["id"]
    for unknown, code in ((job, "plot_not_ready"), ("ftjob-none", "fine_tune_not_found")):
        with pytest.raises(NotFoundError) as caught:
            read_plot(service, unknown)
        assert caught.value.code == code
    assert service.jobs.claim("test", ["train"]) is not None
    out = service.folder("runs", job, "out")
    for picture in (b"\x89PNG 1", b"\x89PNG 2"):
        (out / "curves.png").write_bytes(picture)
        assert read_plot(service, job) == picture


def test_a_dataset_trains_under_its_manifest(service: Services, file_id: str) -> None:
    made = new_dataset(service)
    made.add(*[pair_of(f"{n}번 도크는?", f"{n}층입니다.") for n in range(12)])
    job = ask(service, made.dataset_id, dataset_licence="CC-BY-4.0")
    manifest = job["dataset_manifest"]
    assert (manifest["dataset_id"], manifest["split"], manifest["version"]) == (made.dataset_id, "train", 1)
    params = training.TrainJobParams.model_validate(service.jobs.get(job["id"]).params)
    assert manifest["rows_sha256"] == params.training_sha256
    assert len(params.dataset_sha256) == 64
    assert params.dataset_sha256 != params.training_sha256
    assert job["dataset_licence"] == "CC-BY-4.0"
    plain = ask(service, file_id)
    assert (plain["dataset_manifest"], plain["dataset_licence"]) == (None, None)


def test_a_failure_that_may_pass_can_be_resumed(
    service: Services, file_id: str, run_next: RunNext, scripted: Any
) -> None:
    scripted(
        "say('error', '디스크가 가득 찼습니다', code='disk_full', retryable=True, hint='비우세요', param=None)\n"
        "sys.exit(1)"
    )
    job = ask(service, file_id)["id"]
    assert run_next("train").status == "failed"
    assert get_job(service, job)["error"] == {
        "code": "disk_full",
        "message": "디스크가 가득 찼습니다 비우세요",
        "param": None,
        "retryable": True,
    }
    assert resume_job(service, job)["status"] == "queued"
    scripted("say('error', '손실이 NaN입니다', code='training_diverged', retryable=False)\nsys.exit(1)")
    run_next("train")
    with pytest.raises(ConflictError):
        resume_job(service, job)
    stops: tuple[Literal["cancel", "pause"], ...] = ("cancel", "pause")
    for what in stops:
        with pytest.raises(ConflictError) as caught:
            stop_job(service, job, what)
        assert caught.value.status == 400  # the official client sends a 409 again


def test_events_become_the_jobs(service: Services, file_id: str, run_next: RunNext, scripted: Any) -> None:
    scripted(
        "say('preflight', '검사', rows=12)\n"
        "say('checkpoint', '저장', step=2, path='/c/2', metrics={'step': 2, 'train_loss': 0.5})\n"
        "say('checkpoint', '저장', step=4, path='/c/4', metrics={'step': 4})\n"
        "say('checkpoint_removed', '삭제', step=2)\n"
        "say('metrics', '단계', step=4, total_steps=8, estimated_finish=99)\n"
        "say('message', '쪽지', step=1)\n"
        "say('paused', '멈춤', step=4)\n"
    )
    job = ask(service, file_id)["id"]
    assert run_next("train").status == "paused"
    body = get_job(service, job)
    assert (body["status"], body["preflight"], body["estimated_finish"]) == ("paused", {"rows": 12}, None)
    assert [entry["step_number"] for entry in list_checkpoints(service, job, None, 10)[0]] == [4]
    events = list_events(service, job, None, 100)[0]
    # OpenAI's clients know two types.
    assert {event["type"] for event in events} == {"message", "metrics"}
    by_message = {event["message"]: event["data"] for event in events}
    assert by_message["검사"] == {"preflight": {"rows": 12}}
    assert by_message["삭제"]["checkpoint_removed"]["step"] == 2
    assert by_message["단계"] == {"step": 4, "total_steps": 8, "estimated_finish": 99}
    assert by_message["멈춤"] == {"paused": {"step": 4}}
    assert resume_job(service, job)["status"] == "queued"
