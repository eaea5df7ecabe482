"""lm-evaluation-harness: its command line, KLUE's task files, its results; and the pip line where it is missing."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.services.evaluation_harness import (
    BENCHMARKS,
    HarnessError,
    harness_command,
    read_results,
    require_harness,
    write_tasks,
)
from app.services.evaluation_request import METRICS, metrics_of
from corpora.errors import MissingExtraError

needs_absence = pytest.mark.skipif(find_spec("lm_eval") is not None, reason="lm_eval is installed here")


def test_the_command_names_base_adapter_and_tasks(tmp_path: Path) -> None:
    command = harness_command(
        "/모델/기반", "/모델/어댑터", ["kobest", "klue"], tasks=tmp_path, output=tmp_path / "결과", seed=7, limit=20
    )
    assert command[:6] == [sys.executable, "-m", "lm_eval", "run", "--model", "hf"]
    flags = dict(zip(command[4::2], command[5::2], strict=True))
    assert flags["--model_args"] == "pretrained=/모델/기반,dtype=bfloat16,trust_remote_code=False,peft=/모델/어댑터"
    assert flags["--tasks"].split(",") == [*BENCHMARKS["kobest"], *BENCHMARKS["klue"]]
    assert (flags["--limit"], flags["--seed"], flags["--include_path"]) == ("20", "7", str(tmp_path))
    bare = harness_command("eeve", None, ["kobest"], tasks=tmp_path, output=tmp_path, seed=7)
    assert "peft" not in " ".join(bare)
    assert "--limit" not in bare


@pytest.mark.parametrize("path", ["/모델/가,나", "/모델/r=8"])
def test_a_path_that_its_arguments_cannot_carry_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(HarnessError):
        harness_command(path, None, ["kobest"], tasks=tmp_path, output=tmp_path, seed=7)


def test_klue_is_written_as_task_files(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path / "과제")
    tasks = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.yaml")}
    assert set(tasks) == set(BENCHMARKS["klue"])
    for name, task in tasks.items():
        assert task["task"] == name
        assert task["output_type"] == "multiple_choice"
        assert task["validation_split"] == "validation"
    assert len(tasks["malmoi_klue_ynat"]["doc_to_choice"]) == 7
    assert tasks["malmoi_klue_nli"]["doc_to_choice"] == ["참이다", "알 수 없다", "거짓이다"]


def test_the_newest_results_are_read(tmp_path: Path) -> None:
    def results(when: str, accuracy: float) -> None:
        folder = tmp_path / "모델"
        folder.mkdir(exist_ok=True)
        found = {"kobest_copa": {"alias": "kobest_copa", "acc,none": accuracy, "acc_stderr,none": 0.01, "f1,none": 0.5}}
        (folder / f"results_{when}.json").write_text(json.dumps({"results": found}), encoding="utf-8")

    results("2026-01-01T00-00-00.000000", 0.4)
    results("2026-01-02T00-00-00.000000", 0.6)
    assert read_results(tmp_path) == {"kobest_copa": {"acc": 0.6, "acc_stderr": 0.01, "f1": 0.5}}
    with pytest.raises(HarnessError):
        read_results(tmp_path / "없음")


@needs_absence
def test_without_the_harness_the_pip_line_is_named() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'malmoi\[harness\]'"):
        require_harness()
    with pytest.raises(MissingExtraError):
        metrics_of(["rouge", "kobest"])


def test_benchmarks_are_measured_only_when_named() -> None:
    assert metrics_of(None) == [name for name in METRICS if name not in BENCHMARKS]
    assert metrics_of(["numbers", "rouge"]) == ["rouge", "numbers"]
