"""Weights & Biases offline and TensorBoard, with the real libraries: a trainer's run read back from what they wrote."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.training.runs import Heard, config
from training.errors import TrackingError
from training.tracking import closing_tracking, open_tracking

PROJECT = {"project": "말모이", "name": "물류 상담", "tags": ["창고", "시험"]}
STEPS = 6


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server that knows nobody's key, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def do_CONNECT(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


pytestmark = pytest.mark.long


def environment(folder: Path, server: str, mode: str) -> dict[str, str]:
    """Where W&B keeps its own files, its service and every proxy the listening server, nobody's key."""
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), server)
    folders = {f"WANDB_{kind}_DIR": str(folder / kind) for kind in ("CACHE", "CONFIG", "DATA")}
    ours = {"WANDB_MODE": mode, "WANDB_BASE_URL": server, "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return clean | proxies | {"NO_PROXY": "", "no_proxy": ""} | folders | ours


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """A run that a real trainer made."""

    out: Path
    events: list[dict[str, Any]]
    asked: list[str]

    def rows(self) -> list[dict[str, str]]:
        with Path(self.event("result")["result_csv"]).open(encoding="utf-8") as handle:
            return list(csv.DictReader(handle))

    def event(self, kind: str) -> dict[str, Any]:
        return dict(next(event["data"] for event in self.events if event["type"] == kind))


@pytest.fixture(scope="module")
def tracked(tiny_base: Path, training_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    folder = tmp_path_factory.mktemp("tracked")
    asked = config(tiny_base, training_file, folder / "out", max_steps=STEPS, wandb=PROJECT)
    (folder / "config.json").write_text(asked.model_dump_json(exclude_unset=True), encoding="utf-8")
    with listening() as (server, requests):
        ended = subprocess.run(
            [sys.executable, "-m", "training", "train", str(folder / "config.json")],
            check=False,
            env=environment(folder, server, "offline"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # Every line of standard output is an event; the library says nothing there.
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    return Tracked(out=folder / "out", events=events, asked=requests)


def wandb_records(folder: Path) -> list[Any]:
    """What the run's file holds, by the library's own reader."""
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    [path] = (folder / "wandb").glob("offline-run-*/run-*.wandb")
    store = DataStore()
    store.open_for_scan(str(path))
    records = []
    while (data := store.scan_data()) is not None:
        record = Record()
        record.ParseFromString(bytes(data))
        records.append(record)
    return records


def items(record: Any) -> Mapping[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}


def test_an_offline_run_of_wandb_holds_the_curves(tracked: Tracked) -> None:
    records = wandb_records(tracked.out)
    run = next(record.run for record in records if record.WhichOneof("record_type") == "run")
    assert (run.project, run.display_name, sorted(run.tags)) == ("말모이", "물류 상담", ["시험", "창고"])
    assert run.run_id == (tracked.out / "wandb-run-id").read_text(encoding="ascii")
    settings = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (settings["recipe"], settings["base"], settings["total_steps"]) == ("demo", "tiny", STEPS)
    history = [items(record) for record in records if record.WhichOneof("record_type") == "history"]
    got = {row["train/global_step"]: row["train/loss"] for row in history if "train/loss" in row}
    assert got == {int(row["step"]): pytest.approx(float(row["train_loss"])) for row in tracked.rows()}
    assert len(got) == STEPS
    ended = [record.exit.exit_code for record in records if record.WhichOneof("record_type") == "exit"]
    assert ended == [0]
    told = next(event["data"]["wandb"] for event in tracked.events if "wandb" in (event["data"] or {}))
    assert Path(told).is_relative_to(tracked.out)


def test_offline_nobody_is_asked_and_no_row_is_kept(tracked: Tracked) -> None:
    assert tracked.asked == []
    # The preflight's event shows rows of the data; what is printed must not travel with the metrics.
    shown = tracked.event("preflight")["samples"]
    assert "로케이션" in json.dumps(shown, ensure_ascii=False)
    written = [path for path in (tracked.out / "wandb").rglob("*") if path.is_file()]
    assert not any("로케이션".encode() in path.read_bytes() for path in written)
    assert not any(path.name == "output.log" for path in written)


def test_tensorboard_reads_the_same_losses(tracked: Tracked) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(tracked.out / "tensorboard"))
    read.Reload()
    rows = tracked.rows()
    for tag, column in (("train/loss", "train_loss"), ("eval/loss", "valid_loss"), ("train/grad_norm", "grad_norm")):
        expected = {int(row["step"]): pytest.approx(float(row[column]), rel=1e-5) for row in rows if row[column]}
        assert expected
        assert {event.step: event.value for event in read.Scalars(tag)} == expected


@pytest.mark.parametrize(("key", "words"), [(None, "key"), ("0" * 40, "401")])
def test_a_key_that_is_missing_or_refused(
    tiny_base: Path,
    training_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    key: str | None,
    words: str,
) -> None:
    import wandb

    with listening() as (server, requests):
        for name, value in environment(tmp_path, server, "online").items():
            monkeypatch.setenv(name, value)
        if key is not None:
            monkeypatch.setenv("WANDB_API_KEY", key)
        asked = config(tiny_base, training_file, tmp_path, wandb=PROJECT)
        heard = Heard()
        with pytest.raises(TrackingError, match=words) as caught, closing_tracking(asked, heard):
            open_tracking(asked, {}, heard)
        # The library keeps what it read of the environment.
        wandb.teardown()
    assert (caught.value.code, caught.value.param) == ("tracking_failed", "integrations")
    assert "WANDB_MODE=offline" in caught.value.hint
    assert heard.lines == []
    # The server that nobody asked in offline mode is the one that would have been asked.
    assert bool(requests) == (key is not None)
