"""The service without a single extra: no torch, no Hugging Face library, no tracker in any of its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Service, start

ABSENT = (
    *("accelerate", "bitsandbytes", "datasets", "huggingface_hub", "peft", "safetensors", "tokenizers", "torch"),
    *("transformers", "trl", "sentence_transformers", "tensorboard", "wandb", "langchain", "langchain_core"),
    *("openpyxl", "pypdfium2", "docx", "trafilatura", "unhwp", "koreanize_matplotlib", "matplotlib"),
)
#: As if they had never been installed: an import fails and ``find_spec`` finds nothing, in child processes too.
HIDING = f"""
import sys
from importlib.machinery import PathFinder

class Core(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {ABSENT!r} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Core
"""
TURNS = [{"role": "user", "content": "재고는?"}, {"role": "assistant", "content": "조회 화면에서 봅니다."}]
LINE = json.dumps({"messages": TURNS}, ensure_ascii=False) + "\n"


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("core")
    (folder / "sitecustomize.py").write_text(HIDING, encoding="utf-8")
    base = folder / "models" / "base"
    base.mkdir(parents=True)
    (base / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    (base / "model.safetensors").write_bytes(b"")
    return {"PYTHONPATH": str(folder), "MALMOI_MODELS_DIR": str(folder / "models")}


@pytest.fixture(scope="module")
def core(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = start(tmp_path_factory.mktemp("service") / "data", environ)
    yield running
    running.close()


def test_nothing_of_an_extra_can_be_imported(environ: dict[str, str], tmp_path: Path) -> None:
    tried = (
        "import importlib.util, app.main, app.cli\n"
        f"found = [name for name in {ABSENT!r} if importlib.util.find_spec(name)]\n"
        "assert not found, found\n"
        "import torch"
    )
    ended = subprocess.run(
        [sys.executable, "-c", tried],
        check=False,
        env=os.environ | environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'torch'"


def test_documents_become_a_dataset(core: Service) -> None:
    assert core.http.get(f"{core.address}/livez").status_code == 200
    assert core.http.get(f"{core.address}/readyz").status_code == 200
    assert core.client.models.list().data
    job = core.generate(corpus_id=core.corpus(), generators=[{"type": "extractive_qa"}])
    assert job["status"] == "succeeded", job
    assert job["progress"]["accepted"] > 0
    lines = core.http.get(f"/datasets/{job['dataset_id']}/export").text.splitlines()
    assert lines
    assert all('"messages"' in line for line in lines)


def test_what_needs_an_extra_names_it(core: Service) -> None:
    file = core.client.files.create(file=("학습.jsonl", LINE.encode() * 12), purpose="fine-tune")
    assert file.status == "processed"
    asked = {"model": "base", "messages": TURNS[:1]}
    for path, body in (
        ("/fine_tuning/jobs", {"model": "malmoi-demo", "training_file": file.id}),
        ("/evaluations", {"base_model": "malmoi-demo", "model": "malmoi-demo", "file_id": file.id}),
        ("/chat/completions", asked),
        ("/chat/completions", asked | {"stream": True}),
    ):
        said = core.http.post(path, json=body)
        assert said.status_code == 501, path
        assert said.json()["error"]["code"] == "missing_extra"
        assert "pip install 'malmoi[train]'" in said.json()["error"]["message"]
