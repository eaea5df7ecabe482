"""SIGKILL in the middle of a training: a new attempt goes on from the checkpoint and finishes; nothing is left over."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from corpora.bundled import MANUAL_DIR
from tests.acceptance.test_kill import wait_until, workers
from tests.tiny_base import build_tiny_base

STEPS = 80


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build_tiny_base(folder / "tiny", MANUAL_DIR)
    return folder


def rows() -> bytes:
    lines = [
        {"messages": [{"role": "user", "content": f"{n}번 도크는?"}, {"role": "assistant", "content": f"{n}층입니다."}]}
        for n in range(32)
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def saved(data_dir: Path) -> list[Path]:
    return list(data_dir.glob("runs/*/out/checkpoints/checkpoint-*/complete.json"))


@pytest.mark.long
@pytest.mark.parametrize("victim", ["worker", "trainer", "service"])
def test_killed_in_mid_training(start_service: Any, models_dir: Path, victim: str) -> None:
    settings = {"MALMOI_MODELS_DIR": str(models_dir)}
    service = start_service(**settings)
    assert "tiny" in [model.id for model in service.client.models.list().data]
    file = service.client.files.create(file=("학습.jsonl", rows()), purpose="fine-tune")
    job = service.client.fine_tuning.jobs.create(
        model="tiny", training_file=file.id, extra_body={"recipe": "demo", "max_steps": STEPS}
    )
    data_dir = service.data_dir
    wait_until(lambda: saved(data_dir), 120)
    if victim == "service":
        service.kill()
        wait_until(lambda: not workers(data_dir), 20)
        service = start_service(**settings)
    else:
        kind = "app.jobs.worker" if victim == "worker" else "\0training\0"
        pids = [pid for pid in workers(data_dir) if kind in Path(f"/proc/{pid}/cmdline").read_text()]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    ended = service.wait(f"/fine_tuning/jobs/{job.id}")
    assert ended["status"] == "succeeded", ended
    events = service.client.fine_tuning.jobs.list_events(job.id, limit=1000).data
    assert any("이어서" in event.message for event in events)
    steps = service.client.files.content(ended["result_files"][0]).text.splitlines()
    assert steps[-1].startswith(f"{STEPS},")
    reply = service.client.chat.completions.create(
        model=ended["fine_tuned_model"], messages=[{"role": "user", "content": "3번 도크는?"}], max_tokens=5
    )
    assert reply.choices[0].finish_reason in ("stop", "length")
    service.close()
    wait_until(lambda: not workers(data_dir), 20)


@pytest.mark.long
def test_cancelled_in_mid_training(start_service: Any, models_dir: Path) -> None:
    service = start_service(MALMOI_MODELS_DIR=str(models_dir))
    file = service.client.files.create(file=("학습.jsonl", rows()), purpose="fine-tune")
    job = service.client.fine_tuning.jobs.create(
        model="tiny", training_file=file.id, extra_body={"recipe": "demo", "max_steps": 5000}
    )
    wait_until(lambda: any(e.type == "metrics" for e in service.client.fine_tuning.jobs.list_events(job.id).data), 120)
    trainers = [p for p in workers(service.data_dir) if "\0training\0" in Path(f"/proc/{p}/cmdline").read_text()]
    environments = [Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in trainers]
    assert len(trainers) == 1
    assert b"OMP_WAIT_POLICY=PASSIVE" in environments[0]
    service.client.fine_tuning.jobs.cancel(job.id)
    ended = service.wait(f"/fine_tuning/jobs/{job.id}", timeout=30)
    assert ended["status"] == "cancelled"
    assert ended["fine_tuned_model"] is None
    wait_until(lambda: not workers(service.data_dir), 20)
