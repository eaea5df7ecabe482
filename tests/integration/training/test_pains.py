"""The eight complaints of those who fine-tune elsewhere, each as one direct test of what is done about it here.

Details are tested where the parts are; these say that none of the eight comes back.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, Trainer

from app.jobs.kinds import JobContext, JobOutcome
from app.services import training as training_job
from app.services.checkpoints import checkpoint_page
from app.services.context import Services, worker_config
from app.services.files import create_file
from app.services.fine_tuning import CreateFineTuningJob, create_job, get_job, list_events
from app.services.training_command import train_command
from app.settings import Settings
from app.store.blobs import BlobStore
from app.store.database import open_store
from app.store.jobs import JobStore
from tests.integration.training.conftest import ROWS, TinyBase, write_rows
from tests.integration.training.runs import Heard, InterruptedRunError, config, same_outcome
from tests.integration.training.test_limits import Scarce
from tests.small_tokenizers import CHATML, KINDS
from tests.tiny_base import FAMILIES
from training.chat import Chat
from training.encoding import IGNORED, encode_row, prompt_ids
from training.errors import EncodingError, PreflightError
from training.loading import load_adapter, load_base, load_tokenizer
from training.merge import MergeConfig, merge_adapter
from training.parity import compare, logits_of, parity_prompts
from training.recipes import RECIPES
from training.run import run_training
from training.templates import chat_template

QUESTION = {"role": "user", "content": "3번 로케이션은 어디에 있나요?"}


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("demo", "polyglot-ko-1.3b"):
            small: dict[str, Any] = {"lora_r": 4, "lora_alpha": 8, "lora_dropout": 0.1, "eval_steps": 3}
            small |= {"micro_batch": 4, "accumulation": 1}
            patch.setitem(RECIPES, name, dataclasses.replace(RECIPES[name], **small))
        yield


@pytest.fixture(scope="module")
def finished(tiny_base: Path, training_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of an undisturbed run of twelve steps."""
    heard = Heard()
    run_training(config(tiny_base, training_file, tmp_path_factory.mktemp("calm")), heard)
    return heard.result()


def test_the_model_never_stops(family_base: TinyBase, training_file: Path, tmp_path: Path) -> None:
    """Where the stop token pads too, padding is masked by place: what the trainer is fed still ends in a stop."""
    base = family_base("gpt_neox")
    tokenizer = load_tokenizer(str(base))
    stop = tokenizer.eos_token_id
    assert tokenizer.pad_token_id == stop
    fed: list[dict[str, torch.Tensor]] = []
    whole = Trainer.training_step

    def step(trainer: Any, model: Any, inputs: dict[str, torch.Tensor], *args: Any) -> Any:
        fed.append({name: tensor.clone() for name, tensor in inputs.items() if isinstance(tensor, torch.Tensor)})
        return whole(trainer, model, inputs, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "training_step", step)
        asked = {"recipe": "polyglot-ko-1.3b", "packing": False, "max_steps": 4, "validation_file": None}
        run_training(config(base, training_file, tmp_path, **asked), Heard())
    padding = 0
    for batch in fed:
        rows = (batch[name].tolist() for name in ("input_ids", "labels", "attention_mask"))
        for ids, labels, mask in zip(*rows, strict=True):
            assert [label for label in labels if label != IGNORED][-1] == stop
            assert labels.count(stop) == 1
            assert {ids[place] for place in range(sum(mask), len(ids))} <= {stop}
            assert set(labels[sum(mask) :]) <= {IGNORED}
            padding += mask.count(0)
    assert len(fed) == 4
    assert padding


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_begins_where_the_answer_does(kind: str) -> None:
    """An answer whose first line break flows into the template's: prompt in chat, prompt in training, answer, stop."""
    tokenizer = KINDS[kind]()
    turns = [
        {"role": "user", "content": "피킹 절차는?"},
        {"role": "assistant", "content": "\n\n- 차량 번호와 도착 시각"},
        {"role": "user", "content": "그다음은?"},
        {"role": "assistant", "content": " 검수입니다.\n"},
    ]
    row = encode_row(turns, tokenizer, CHATML, 10_000)
    ids, places = row.input_ids, [place for place, label in enumerate(row.labels) if label != IGNORED]
    said = "".join(f"{turn['content']}{tokenizer.eos_token}" for turn in turns if turn["role"] == "assistant")
    stop = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert [row.labels[place] for place in places].count(stop) == 2
    trained = tokenizer.decode([ids[place] for place in places])
    assert trained.replace("<|im_end|>", tokenizer.eos_token) == said
    for answers in (1, 3):
        prompt = prompt_ids(turns[:answers], tokenizer, CHATML)
        assert ids[: len(prompt)] == prompt
        assert len(prompt) in places
        assert len(prompt) - 1 not in places
    if kind == "byte_level":
        # The usual way, two tokenisations and a length, is off by a token here.
        text = tokenizer.apply_chat_template(turns[:2], chat_template=CHATML, tokenize=False)
        joined = tokenizer(text, add_special_tokens=False)["input_ids"]
        prompt = prompt_ids(turns[:1], tokenizer, CHATML)
        assert joined[: len(prompt)] != prompt


def test_no_label_is_left(tiny_base: Path, family_base: TinyBase, tmp_path: Path) -> None:
    """A file that teaches nothing fails with its reason before a weight is read; a template without marks does not."""
    rows = [[row[0], row[1] | {"weight": 0}] for row in ROWS]
    heard = Heard()
    with pytest.raises(EncodingError, match="No row has a trained token") as caught:
        run_training(config(tiny_base, write_rows(tmp_path / "무게.jsonl", rows), tmp_path / "out"), heard)
    assert caught.value.param == "training_file"
    assert "weight 1" in caught.value.hint
    assert not [type_ for type_, _, _ in heard.lines if type_ == "metrics"]
    tokenizer = load_tokenizer(str(family_base("qwen2")))
    template = chat_template(RECIPES["auto"], tokenizer)
    row = encode_row(ROWS[0], tokenizer, template, 10_000)
    trained = tokenizer.decode([label for label in row.labels if label != IGNORED])
    assert trained == ROWS[0][1]["content"] + FAMILIES["qwen2"].tokens["eos"]


def test_rows_are_cut_in_silence(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    """Unless somebody allows it the run fails and names the lines; where it is allowed, every token is counted."""
    with pytest.raises(PreflightError) as caught:
        run_training(config(tiny_base, training_file, tmp_path / "strict", max_length=30), Heard())
    assert (caught.value.code, caught.value.param) == ("too_many_truncated", "training_file")
    assert "Lines 1, 2, 3" in caught.value.message
    heard = Heard(die_at="preflight")
    with pytest.raises(InterruptedRunError):
        run_training(config(tiny_base, training_file, tmp_path / "lax", max_length=30, allow_truncated=1.0), heard)
    told = heard.lines[-1][2]["train"]
    tokenizer = load_tokenizer(str(tiny_base))
    template = chat_template(RECIPES["demo"], tokenizer)
    lengths = [len(encode_row(row, tokenizer, template, 10**6).input_ids) for row in ROWS[:16]]
    assert told["truncated"] == sum(length > 30 for length in lengths) > 0
    assert told["tokens_cut"] == sum(max(0, length - 30) for length in lengths)
    assert told["kept"] + told["dropped"] == told["rows"] == 16
    assert heard.levels[-1] == "warn"


def test_the_merged_model_differs_from_the_adapter(tiny_base: Path, finished: dict[str, Any], tmp_path: Path) -> None:
    """Merged into bfloat16 and compared before it is published; merged into NF4, the usual cause, it would differ."""
    adapter = Path(finished["adapter_dir"])
    values = {"base": str(tiny_base), "base_label": "tiny", "adapter": adapter, "adapter_label": "물류"}
    out = tmp_path / "합친 모델"
    result = merge_adapter(MergeConfig.model_validate(values | {"recipe": "demo", "output_dir": out}), Heard())
    assert result["parity"]["max_logit_difference"] < 0.15
    assert result["parity"]["top1_share"] == 1.0
    tokenizer = load_tokenizer(str(out))
    prompts = parity_prompts(tokenizer, str(tokenizer.chat_template), 4, 1)
    tuned = logits_of(load_adapter(load_base(str(tiny_base), quantised=False), adapter), prompts)
    assert compare(tuned, logits_of(load_base(str(out), quantised=False), prompts)).good
    wrong = load_adapter(load_base(str(tiny_base)), adapter).merge_and_unload()
    assert not compare(tuned, logits_of(wrong, prompts)).good


def test_the_loss_jumps_when_a_run_is_resumed(
    tiny_base: Path, training_file: Path, finished: dict[str, Any], tmp_path: Path
) -> None:
    """Killed between two checkpoints and started again: the same curve, tokens and weights, to the last bit."""
    with pytest.raises(InterruptedRunError):
        run_training(config(tiny_base, training_file, tmp_path), Heard(die_at=8))
    resumed = Heard()
    run_training(config(tiny_base, training_file, tmp_path), resumed)
    assert resumed.said("checkpoint-6에서 이어서")
    same_outcome(finished, resumed.result())


def test_chat_asks_otherwise_than_training_did(tiny_base: Path, finished: dict[str, Any]) -> None:
    """One template, one beginning of text: in training, in chat, and for who opens the adapter with transformers."""
    tokenizer = load_tokenizer(str(tiny_base))
    template = chat_template(RECIPES["demo"], tokenizer)
    answer = {"role": "assistant", "content": "1층 통로에 있습니다."}
    trained = encode_row([QUESTION, answer], tokenizer, template, 10_000)
    chat = Chat()
    chat.shelf.open(str(tiny_base))
    prompt = prompt_ids([QUESTION], chat.shelf.tokenizer, chat.shelf.manner("demo").template)
    assert trained.input_ids[: len(prompt)] == prompt
    assert trained.labels[len(prompt)] != IGNORED
    assert prompt.count(tokenizer.bos_token_id) == 1
    model = {"base": str(tiny_base), "adapter": finished["adapter_dir"], "recipe": "demo"}
    said = chat.answer({"model": model, "messages": [QUESTION], "max_tokens": 4, "temperature": 0})
    assert said["prompt_tokens"] == len(prompt)
    plain = AutoTokenizer.from_pretrained(finished["adapter_dir"])
    elsewhere = plain.apply_chat_template([QUESTION], add_generation_prompt=True, return_dict=True)["input_ids"]
    assert list(elsewhere) == prompt


def test_memory_runs_out(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    """The run halves its micro-batch, says so, and makes all its steps over the same rows."""
    heard = Heard()
    scarce = Scarce(150, backward=False)
    with pytest.MonkeyPatch.context() as patch:
        scarce.install(patch)
        run_training(config(tiny_base, training_file, tmp_path, max_steps=3), heard)
    assert scarce.raised
    told = [data for _, _, data in heard.lines if data.get("code") == "out_of_memory"]
    assert told[0]["micro_batch"] * told[0]["accumulation"] == 4
    with Path(heard.result()["result_csv"]).open(encoding="utf-8") as handle:
        assert [row["step"] for row in csv.DictReader(handle)] == ["1", "2", "3"]
    # What was to be needed was told before the first step.
    kinds = [type_ for type_, _, _ in heard.lines]
    assert kinds.index("preflight") < kinds.index("metrics")
    assert next(data for type_, _, data in heard.lines if type_ == "preflight")["estimate"]["memory_bytes"] > 0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_trainer_killed_for_memory_loses_no_job(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the machine's memory guard kills it. The store, opened anew, knows everything, and the job goes on."""
    service = _opened(tmp_path, tiny_base.parent)
    lines = "".join(json.dumps({"messages": row}, ensure_ascii=False) + "\n" for row in ROWS).encode()
    file = create_file(service, "학습.jsonl", "fine-tune", iter([lines]))["id"]
    body = {"model": tiny_base.name, "training_file": file, "recipe": "demo", "max_steps": 400}
    job = create_job(service, CreateFineTuningJob.model_validate(body))["id"]
    pid_file = tmp_path / "pid"

    def command(path: Path, processes: int) -> list[str]:
        inner = train_command(path, processes)
        return ["sh", "-c", f'echo $$ > "{pid_file}"; exec "$@"', inner[0], *inner]

    def kill_at_the_second_checkpoint() -> None:
        # By what lies on the disk: events wait in a pipe, and a trainer that nobody reads from runs on to its end.
        folder = service.settings.data_dir / "runs" / job / "out" / "checkpoints" / "checkpoint-200"
        while not over.wait(0.02):
            if folder.is_dir():
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
                return

    monkeypatch.setattr(training_job, "train_command", command)
    over = threading.Event()
    killer = threading.Thread(target=kill_at_the_second_checkpoint, daemon=True)
    killer.start()
    try:
        killed = _attempt(service, job)
    finally:
        over.set()
        killer.join(10)
    assert killed.status == "retry", killed.error
    service.store.dispose()
    service = _opened(tmp_path, tiny_base.parent)
    body = get_job(service, job)
    assert (body["status"], body["error"]) == ("queued", None)
    assert body["preflight"]["train"]["rows"] == len(ROWS)
    events = list_events(service, job, None, 100)[0]
    assert [event["data"]["signal"] for event in events if "signal" in (event["data"] or {})] == ["SIGKILL"]
    with service.store.read() as session:
        assert checkpoint_page(session, job, None, 10)[0]
    ended = _attempt(service, job)
    assert ended.status == "succeeded", ended.error
    assert any("이어서" in event["message"] for event in list_events(service, job, None, 1000)[0])
    assert get_job(service, job)["fine_tuned_model"].startswith(f"ft:{tiny_base.name}:malmoi:")
    service.store.dispose()


def _opened(folder: Path, models: Path) -> Services:
    settings = Settings(data_dir=folder / "data", models_dir=models)
    store = open_store(None, settings.data_dir)
    return Services(settings=settings, store=store, blobs=BlobStore(settings.data_dir / "blobs"), jobs=JobStore(store))


def _attempt(service: Services, job: str) -> JobOutcome:
    """One attempt, as a worker makes it."""
    row = service.jobs.claim("test", ["train"])
    assert row is not None

    def log(level: str, message: str, kind: str, data: dict[str, Any] | None) -> None:
        service.jobs.event(job, row.attempt, level, message, kind, data)

    context = JobContext(
        store=service.store,
        settings=worker_config(service.settings)["settings"],
        job_id=job,
        attempt=row.attempt,
        stop=lambda: None,
        log=log,
        report=lambda progress: service.jobs.progress(job, row.attempt, progress),
        advance=lambda: service.jobs.advanced(job, row.attempt),
    )
    outcome = training_job.run_train(service, context, training_job.TrainJobParams.model_validate(row.params))
    if outcome.status == "retry":
        service.jobs.release(job, row.attempt, crashed=True)
    else:
        service.jobs.finish(job, row.attempt, outcome.status, outcome.result, outcome.error)
    return outcome
