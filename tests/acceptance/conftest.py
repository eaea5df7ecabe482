"""A really started service: its own process, its own port, its own data folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

ENDED = {"succeeded", "incomplete", "failed", "cancelled", "paused"}

MANUAL = """# 냉장 창고 운영 매뉴얼

냉장 창고란 상품을 섭씨 0도에서 10도 사이로 보관하는 창고입니다. 이 매뉴얼은 냉장 창고 담당자의 업무를 설명합니다.

## 냉장 입고를 등록하는 방법

냉장 입고를 등록하려면 다음 순서대로 진행합니다.

1. 입고 예정 목록에서 차량 번호를 선택합니다.
2. 적재함 온도를 재고 화면에 입력합니다.
3. 온도가 10도를 넘으면 입고를 보류하고 품질 담당자에게 알립니다.
4. 이상이 없으면 입고 확정 버튼을 누릅니다.

냉장 입고는 도착 후 30분 안에 확정해야 합니다. 시간을 넘기면 지연 사유를 등록합니다.

## 냉장 재고를 실사하는 절차

냉장 재고 실사란 장부의 수량과 실제 수량을 비교하는 업무를 말합니다. 냉장 재고 실사는 매주 월요일에 진행합니다.

냉장 재고를 실사하려면 다음 순서대로 진행합니다.

1. 실사 지시서를 발행합니다.
2. 로케이션 바코드를 스캔합니다.
3. 실제 수량을 입력합니다.
4. 차이가 있으면 다시 셉니다.

## 온도 이탈 경보에 대응하는 방법

온도 이탈 경보란 냉장 창고의 온도가 기준을 벗어났을 때 울리는 알림을 말합니다.
온도 이탈 경보를 해제하려면 관리자 화면에서 원인을 입력하고 해제 버튼을 눌러 주십시오.
"""


@dataclass
class Service:
    """A running service and two clients of it."""

    address: str
    process: subprocess.Popen[str]
    data_dir: Path
    http: httpx.Client = field(init=False)
    client: OpenAI = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=f"{self.address}/v1", timeout=60)
        self.client = OpenAI(base_url=f"{self.address}/v1", api_key="unused", _strict_response_validation=True)

    def ok(self, method: str, path: str, **request: Any) -> Any:
        response = self.http.request(method, path, **request)
        assert response.status_code == 200, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    def corpus(self, *texts: str) -> str:
        """A corpus of processed Markdown documents."""
        corpus_id = self.ok("POST", "/corpora", json={"name": "냉장 창고"})["id"]
        files = [
            ("file", (f"문서-{i}.md", text.encode(), "text/markdown")) for i, text in enumerate(texts or (MANUAL,))
        ]
        documents = self.ok("POST", f"/corpora/{corpus_id}/documents", files=files)["data"]
        deadline = time.monotonic() + 60
        while any(entry["status"] == "processing" for entry in documents):
            assert time.monotonic() < deadline
            time.sleep(0.2)
            documents = [self.ok("GET", f"/documents/{entry['id']}") for entry in documents]
        assert [entry["status"] for entry in documents] == ["processed"] * len(documents), documents
        return str(corpus_id)

    def generate(self, **body: Any) -> Any:
        job = self.ok("POST", "/generation/jobs", json=body)
        return self.wait(f"/generation/jobs/{job['id']}")

    def wait(self, path: str, timeout: float = 200) -> Any:
        """Poll a job until it has ended, and check that its counts add up."""
        deadline = time.monotonic() + timeout
        while True:
            job = self.ok("GET", path)
            if "progress" in job:
                assert_counts(self, job)
            if job["status"] in ENDED:
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.2)

    def kill(self) -> None:
        """SIGKILL the service itself, nobody else."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def close(self) -> None:
        self.http.close()
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def assert_counts(service: Service, job: dict[str, Any]) -> None:
    progress = job["progress"]
    assert progress["planned"] == progress["done"] + progress["failed"] + progress["pending"]
    if job["status"] in ENDED:
        report = service.ok("GET", f"/datasets/{job['dataset_id']}/report")
        # Candidates are counted slot by slot at commit, accepted and rejected are the samples that are there.
        assert report["candidates"] == report["accepted"] + report["rejected"] + report["removed"]
        if job["status"] == "succeeded" and progress["target"] is None:
            assert progress["pending"] == 0
        if progress["target"] is not None and job["status"] == "succeeded":
            assert progress["accepted"] >= progress["target"]
        assert report["rejected"] == sum(entry["count"] for entry in report["rejections"])
        assert progress["rejected"] == sum(job["rejections"].values())


def start(data_dir: Path, environ: dict[str, str]) -> Service:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALMOI_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env=clean | environ,
        cwd=data_dir.parent,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("malmoi: http"), line
    return Service(address=line.removeprefix("malmoi: ").strip(), process=process, data_dir=data_dir)


ServiceFactory = Callable[..., Service]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[ServiceFactory]:
    """Start services that are stopped at the end; ``data`` names the data folder, to start one again on it."""
    with contextlib.ExitStack() as stack:

        def factory(data: str = "data", **environ: str) -> Service:
            service = start(tmp_path / data, environ)
            stack.callback(service.close)
            return service

        yield factory


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for the tests of a module that need no special settings."""
    running = start(tmp_path_factory.mktemp("service") / "data", {})
    yield running
    running.close()
