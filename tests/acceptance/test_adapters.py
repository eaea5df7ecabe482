"""``malmoi train`` as a user runs it, and what becomes of the adapter: a zip, a merged model, an upload, its end."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from corpora.bundled import MANUAL_DIR
from tests.hub_server import running_hub
from tests.tiny_base import build_tiny_base
from training.recipes import RECIPES

ROWS = [(f"{n}번 로케이션은 어디에 있나요?", f"{n}번 로케이션은 {n % 4 + 1}층 통로에 있습니다.") for n in range(16)]


def malmoi(
    *arguments: str | Path, cwd: Path, question: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALMOI_")}
    command = [sys.executable, "-m", "app.cli", *map(str, arguments)]
    return subprocess.run(
        command, input=question, capture_output=True, text=True, timeout=200, check=False, cwd=cwd, env=clean | environ
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base in ``models``, a training file, and what ``malmoi train`` has made of both."""
    root = tmp_path_factory.mktemp("학습")
    build_tiny_base(root / "models" / "tiny", MANUAL_DIR)
    lines = [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in ROWS
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (root / "학습.jsonl").write_text(text, encoding="utf-8")
    (root / "검증.jsonl").write_text(text.replace("어디에", "어느 층에"), encoding="utf-8")
    arguments = ["--model", "tiny", "--recipe", "demo", "--validation", "검증.jsonl", "--max-steps", "4", "--seed", "3"]
    arguments += ["--suffix", "상담", "--data-dir", "data", "-o", "어댑터"]
    done = malmoi("train", "학습.jsonl", *arguments, cwd=root, MALMOI_MODELS_DIR="models")
    assert done.returncode == 0, done.stderr
    (root / "out.txt").write_text(done.stdout, encoding="utf-8")
    (root / "err.txt").write_text(done.stderr, encoding="utf-8")
    return root


def test_a_file_becomes_an_adapter(root: Path) -> None:
    out, err = (root / "out.txt").read_text(), (root / "err.txt").read_text()
    assert "학습 손실" in out
    assert "검증 손실" in out
    assert out.splitlines()[-1] == "어댑터: 어댑터"
    assert "사전 점검: 16행" in err
    assert "4/4단계" in err
    assert "\r" not in err
    assert not [path for path in root.iterdir() if path.name.startswith(".")]
    names = {path.name for path in (root / "어댑터").iterdir()}
    assert names >= {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "README.md", "curves.png"}
    assert opened(root, root / "어댑터")


def opened(root: Path, folder: Path) -> bool:
    """Whether plain PEFT puts it on the base and the answers change."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = AutoModelForCausalLM.from_pretrained(root / "models" / "tiny")
    ids = torch.tensor([AutoTokenizer.from_pretrained(folder)("도크는 어디인가요?")["input_ids"]])
    with torch.no_grad():
        before = base(input_ids=ids).logits.clone()
        after = PeftModel.from_pretrained(base, folder)(input_ids=ids).logits
    return not torch.equal(before, after)


def test_the_card_tells_the_run(root: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(root / "어댑터" / "README.md")
    assert card.data.base_model == "tiny"
    assert (card.data.library_name, card.data.language) == ("peft", ["ko"])
    assert card.data.license == "apache-2.0"
    sha256 = card.data.malmoi["dataset_sha256"]
    assert len(sha256) == 64
    assert card.data.datasets == [f"sha256-{sha256}"]
    assert card.data.malmoi | {"dataset_sha256": None} == {
        "recipe": "demo", "method": "supervised", "seed": 3, "dataset_sha256": None,
    }  # fmt: skip
    text = card.text
    for words in (
        "상담",
        "![학습 곡선](curves.png)",
        "## 학습 설정",
        f"| lora_r | {RECIPES['demo'].lora_r} |",
        "# English",
        "| transformers |",
    ):
        assert words in text, words
    assert "| 학습 | 16 | 16 | 0 | 0 |" in text
    assert str(root) not in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["없음.jsonl", "--model", "tiny", "-o", "새로"], "There is no file"),
        (["학습.jsonl", "--model", "없음", "-o", "새로"], "There is no base model"),
        (["학습.jsonl", "--model", "tiny", "-o", "어댑터"], "--force"),
        (["학습.jsonl", "--model", "tiny", "-o", "models", "--force"], "holds something else"),
        (["학습.jsonl", "--model", "tiny", "-o", "학습.jsonl", "--force"], "is no folder"),
        (["학습.jsonl", "--model", "tiny", "-o", "새로", "--epochs", "10001"], "n_epochs"),
        (["학습.jsonl", "--model", "tiny", "-o", "새로", "--suffix", "가" * 65], "suffix"),
        (["학습.jsonl", "--model", "tiny", "-o", "새로", "--recipe", "없음"], "There is no recipe"),
        (["학습.jsonl", "--model", "tiny", "-o", "새로", "--validation", "학습.jsonl"], "validation_file"),
    ],
)
def test_what_is_refused_at_once(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(root)
    monkeypatch.setenv("MALMOI_MODELS_DIR", "models")
    assert main(["train", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert not (root / "새로").exists()


@pytest.fixture
def service(root: Path, start_service: Any, tmp_path: Path) -> Any:
    """A service on a copy of the store that ``malmoi train`` has filled; its models are where they were."""
    return start_service(
        data=str(root / "data"), MALMOI_MODELS_DIR=str(root / "models"), HF_TOKEN="", HF_HOME=str(tmp_path)
    )


def tuned(service: Any) -> str:
    models = service.ok("GET", "/models")["data"]
    return str(next(model["id"] for model in models if model["id"].startswith("ft:")))


def test_an_export_is_a_zip_that_peft_opens(root: Path, service: Any, tmp_path: Path) -> None:
    model = tuned(service)
    answer = service.http.get(f"/models/{model}/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert "; filename*=UTF-8''ft-tiny-malmoi-%EC%83%81%EB%8B%B4-" in answer.headers["content-disposition"]
    assert service.http.get(f"/models/{model}/export").content == answer.content
    seen = {"If-None-Match": answer.headers["etag"]}
    assert service.http.get(f"/models/{model}/export", headers=seen).status_code == 304
    unpacked = unpack(answer.content, tmp_path / "풀린 것")
    assert json.loads((unpacked / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    weights = "adapter_model.safetensors"
    assert (unpacked / weights).read_bytes() == (root / "어댑터" / weights).read_bytes()
    assert opened(root, unpacked)
    job = service.ok("GET", "/fine_tuning/jobs")["data"][0]["id"]
    checkpoint = service.ok("GET", f"/fine_tuning/jobs/{job}/checkpoints")["data"][-1]
    name = checkpoint["fine_tuned_model_checkpoint"]
    kept = unpack(service.http.get(f"/models/{name}/export").content, tmp_path / "체크포인트")
    assert not [path for path in kept.iterdir() if path.suffix in (".pt", ".pth", ".bin")]
    assert f"{checkpoint['step_number']}단계" in (kept / "README.md").read_text()
    assert str(root) not in (kept / "README.md").read_text() + (kept / "adapter_config.json").read_text()
    assert opened(root, kept)
    for missing, code, status in (("없음", "model_not_found", 404), ("tiny", "model_is_base", 400)):
        refused = service.http.get(f"/models/{missing}/export")
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    off = service.http.post(f"/models/{model}/upload", json={"repo_id": "team/model"})
    assert (off.status_code, off.json()["error"]["code"]) == (400, "hub_upload_disabled")
    assert "MALMOI_HUB_UPLOAD" in off.json()["error"]["message"]


def unpack(data: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        archive.extractall(folder)
    return folder


def wait(service: Any, job: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 200
    while job["status"] in ("queued", "running"):
        assert time.monotonic() < deadline, job
        time.sleep(0.2)
        job = service.ok("GET", f"/model_jobs/{job['id']}")
    return job


@pytest.mark.long
def test_a_merged_model_is_a_base_of_its_own(service: Any, root: Path) -> None:
    from pydantic import TypeAdapter

    from app.api.schemas.adapters import ModelJob
    from app.api.schemas.common import Event, ListOf

    model = tuned(service)
    made = service.ok("POST", f"/models/{model}/merge", json={"name": "합친-모델"})
    twice = service.http.post(f"/models/{model}/merge", json={"name": "합친-모델"})
    assert twice.json()["error"]["code"] == "model_exists"
    missing = service.http.get(f"/fine_tuning/jobs/{made['id']}")
    assert (missing.status_code, made["path"] in missing.json()["error"]["message"]) == (404, True)
    job = wait(service, made)
    assert job["status"] == "succeeded", job
    for kind, body in ((ModelJob, made), (ModelJob, job), (ListOf[ModelJob], service.ok("GET", "/model_jobs"))):
        TypeAdapter(kind).validate_json(json.dumps(body), strict=True)
    events = service.ok("GET", f"/model_jobs/{job['id']}/events")
    TypeAdapter(ListOf[Event]).validate_json(json.dumps(events), strict=True)
    assert job["parity"]["max_logit_difference"] < 0.15
    assert job["parity"]["top1_share"] == 1.0
    listed = next(entry for entry in service.ok("GET", "/models")["data"] if entry["id"] == "합친-모델")
    assert (listed["ready"], listed["recipe"], listed["base_model"]) == (True, "demo", "tiny")
    chat = {
        "messages": [{"role": "user", "content": "3번 로케이션은 어디에 있나요?"}],
        "max_tokens": 8,
        "temperature": 0,
    }
    said = [service.ok("POST", "/chat/completions", json=chat | {"model": name}) for name in ("합친-모델", model)]
    assert said[0]["usage"]["prompt_tokens"] == said[1]["usage"]["prompt_tokens"]
    assert service.http.get("/models/합친-모델/export").json()["error"]["code"] == "model_is_base"
    # Without a name, of the model's own parts; a checkpoint too.
    job_id = service.ok("GET", "/fine_tuning/jobs")["data"][0]["id"]
    checkpoint = service.ok("GET", f"/fine_tuning/jobs/{job_id}/checkpoints")["data"][0]["fine_tuned_model_checkpoint"]
    second = wait(service, service.ok("POST", f"/models/{checkpoint}/merge"))
    assert second["status"] == "succeeded", second
    assert second["merged_model"].startswith("tiny-상담-")
    assert ":" not in second["merged_model"]
    for name in ("합친-모델", second["merged_model"]):
        assert service.ok("DELETE", f"/models/{name}")["deleted"] is True
    assert list((root / "data" / "merged").iterdir()) == []


@pytest.mark.long
def test_an_upload_sends_what_an_export_holds(root: Path, start_service: Any, tmp_path: Path) -> None:
    with running_hub() as hub:
        environ = {
            "MALMOI_HUB_UPLOAD": "true",
            "HF_ENDPOINT": hub.address,
            "HF_TOKEN": "hf_test",
            "HF_HOME": str(tmp_path),
        }
        service = start_service(data=str(root / "data"), MALMOI_MODELS_DIR=str(root / "models"), **environ)
        model = tuned(service)
        job = wait(
            service,
            service.ok("POST", f"/models/{model}/upload", json={"repo_id": "team/model"}),
        )
        assert job["status"] == "succeeded", job
        assert job["url"] == f"{hub.address}/team/model/commit/abc"
        assert hub.checked == [hub.files["README.md"].decode()]
        assert hub.repositories == {"team/model": True}
        assert hub.keys == {"Bearer hf_test"}
        sent = unpack(service.http.get(f"/models/{model}/export").content, tmp_path / "zip")
        assert hub.files == {path.name: path.read_bytes() for path in sent.iterdir()}
        nobody = {"repo_id": "no slash"}
        assert service.http.post(f"/models/{model}/upload", json=nobody).json()["error"]["param"] == "repo_id"
    gone = wait(service, service.ok("POST", f"/models/{model}/upload", json={"repo_id": "team/model"}))
    assert (gone["status"], gone["error"]["code"]) == ("failed", "hub_upload_failed")


@pytest.mark.long
def test_the_smoke_test_model_outlives_a_training_without_a_store(root: Path, tmp_path: Path) -> None:
    """Train, chat and evaluate, none with a store; a base that was built before is taken as it is."""
    cache = tmp_path / "캐시"
    demo = cache / "malmoi" / "models" / "malmoi-demo"
    shutil.copytree(root / "models" / "tiny", demo)
    before = {path.name: path.read_bytes() for path in demo.iterdir()}
    for name in ("학습.jsonl", "검증.jsonl"):
        shutil.copy(root / name, tmp_path)
    here: Any = {"cwd": tmp_path, "XDG_CACHE_HOME": str(cache), "HF_HUB_OFFLINE": "1"}
    arguments = ["--model", "malmoi-demo", "--max-steps", "3", "--lora-r", "4", "-o", "어댑터"]
    trained = malmoi("train", "학습.jsonl", *arguments, **here)
    assert trained.returncode == 0, trained.stderr
    # A name that no store keeps is of no use to anybody.
    assert "ft:" not in trained.stderr + trained.stdout
    assert trained.stdout.splitlines()[-1] == "어댑터: 어댑터"
    assert "검증 데이터가 없어 마지막 3단계의 가중치를" in trained.stderr
    config = json.loads((tmp_path / "어댑터" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["base_model_name_or_path"], config["r"]) == (str(demo), 4)
    assert {path.name: path.read_bytes() for path in demo.iterdir()} == before
    evaluated = malmoi(
        *("evaluate", "--base", "malmoi-demo", "--model", "어댑터", "--data", "검증.jsonl", "-o", "보고서"),
        *("--max-rows", "2", "--max-tokens", "4", "--metrics", "rouge"),
        **here,
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert "%p" in evaluated.stdout
    for model in ("어댑터", "malmoi-demo"):
        arguments = ["chat", model, "--max-tokens", "4", "--lines"]
        said = malmoi(*arguments, **here, question="도크는 어디인가요?\n\n입고란?\n")
        assert said.returncode == 0, said.stderr
        assert said.stdout.count("\n\n") >= 2


@pytest.mark.long
def test_an_interrupted_training_goes_on_where_it_was(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "models", tmp_path / "models")
    shutil.copy(root / "학습.jsonl", tmp_path)
    # A folder instead of a name, and another working directory.
    arguments = ["train", "학습.jsonl", "--model", "models/tiny", "--recipe", "demo", "--max-steps", "400"]
    arguments += ["--data-dir", "data", "-o", "어댑터"]
    child = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stderr is not None
    for line in child.stderr:
        if "단계" in line and "/400" in line:
            break
    # As a terminal does it: to every process of the group.
    os.killpg(child.pid, signal.SIGINT)
    rest = child.stderr.read()
    assert child.wait(120) == 1, rest
    assert "Run the same command again" in rest
    assert "Traceback" not in rest
    assert not (tmp_path / "어댑터").exists()
    again = malmoi(*arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "이어서 학습합니다" in again.stderr
    assert "400단계" in again.stdout
    assert (tmp_path / "어댑터" / "adapter_model.safetensors").is_file()
    replaced = malmoi(*arguments[:-1], "어댑터", "--force", "--max-steps", "2", cwd=tmp_path)
    assert replaced.returncode == 0, replaced.stderr
