"""A torn checkpoint costs steps, never the job: the run goes on from the newest whole one and comes out the same."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trl import SFTTrainer

from tests.integration.training.runs import Heard, InterruptedRunError, config, same_outcome
from training.checkpoints import SEAL, fault_of, newest_checkpoint, seal, sealed_checkpoints
from training.recipes import RECIPES
from training.run import run_training

pytestmark = pytest.mark.usefixtures("small_recipe")


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """One bit in the middle; the length stays."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "state cut in two": (lambda folder: halve(folder / "trainer_state.json"), "trainer_state.json 파일의 길이"),
    "state empty": (lambda folder: (folder / "trainer_state.json").write_bytes(b""), "trainer_state.json 파일의 길이"),
    "no weights": (
        lambda folder: (folder / "adapter_model.safetensors").unlink(),
        "adapter_model.safetensors 파일이 없습니다",
    ),
    "a bit of the optimizer": (lambda folder: flip(folder / "optimizer.pt"), "optimizer.pt 파일의 내용"),
    "killed before the seal": (lambda folder: (folder / SEAL).unlink(), "저장이 끝나기 전에"),
    "seal cut in two": (lambda folder: halve(folder / SEAL), f"{SEAL} 파일을 읽을 수 없습니다"),
}


@pytest.fixture(scope="module")
def runs(tiny_base: Path, training_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The result of an undisturbed run, and the folder of one that was killed with checkpoints at 3, 6 and 9."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        small = dataclasses.replace(
            RECIPES["demo"], lora_r=4, lora_alpha=8, lora_dropout=0.1, micro_batch=4, eval_steps=3
        )
        patch.setitem(RECIPES, "demo", small)
        calm = Heard()
        run_training(config(tiny_base, training_file, folder / "calm"), calm)
        with pytest.raises(InterruptedRunError):
            run_training(config(tiny_base, training_file, folder / "killed"), Heard(die_at=11))
    steps = [step for step, _ in sealed_checkpoints(folder / "killed" / "checkpoints")]
    assert steps == [3, 6, 9]
    return calm.result(), folder / "killed"


def warnings_of(heard: Heard) -> list[str]:
    return [message for (_, message, _), level in zip(heard.lines, heard.levels, strict=True) if level == "warn"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_torn_checkpoint_is_left_for_the_one_before(
    tiny_base: Path, training_file: Path, tmp_path: Path, runs: tuple[dict[str, Any], Path], damage: str
) -> None:
    expected, killed = runs
    out = shutil.copytree(killed, tmp_path / "out")
    apply, said = DAMAGES[damage]
    apply(out / "checkpoints" / "checkpoint-9")
    heard = Heard()
    run_training(config(tiny_base, training_file, out), heard)
    (warning,) = warnings_of(heard)
    assert warning.startswith("체크포인트 checkpoint-9: 온전하지 않아")
    assert said in warning
    assert heard.said("checkpoint-6에서 이어서")
    same_outcome(expected, heard.result())


def test_with_no_whole_checkpoint_the_run_begins_anew(
    tiny_base: Path, training_file: Path, tmp_path: Path, runs: tuple[dict[str, Any], Path]
) -> None:
    expected, killed = runs
    out = shutil.copytree(killed, tmp_path / "out")
    for step in (3, 6, 9):
        halve(out / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json")
    heard = Heard()
    run_training(config(tiny_base, training_file, out), heard)
    warnings = warnings_of(heard)
    assert len(warnings) == 4
    assert warnings[-1] == "온전한 체크포인트가 없어 처음부터 다시 학습합니다."
    same_outcome(expected, heard.result())


def test_a_kill_in_mid_write_leaves_no_seal(
    tiny_base: Path, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Any
) -> None:
    """The library's own writing dies between the weights and the state, over a sealed folder of an earlier run."""
    out = tmp_path / "out"
    old = out / "checkpoints" / "checkpoint-6"
    shutil.copytree(runs[1] / "checkpoints" / "checkpoint-6", old)
    whole = SFTTrainer._save_rng_state

    def dies(trainer: Any, folder: str) -> None:
        if folder.endswith("checkpoint-6"):
            raise InterruptedRunError
        whole(trainer, folder)

    with monkeypatch.context() as patch:
        patch.setattr(SFTTrainer, "_save_rng_state", dies)
        with pytest.raises(InterruptedRunError):
            run_training(config(tiny_base, training_file, out, resume=False), Heard())
    assert (old / "trainer_state.json").is_file()
    assert fault_of(old) is not None
    heard = Heard()
    run_training(config(tiny_base, training_file, out), heard)
    assert heard.said("checkpoint-3에서 이어서")
    same_outcome(runs[0], heard.result())


def checkpoint(parent: Path, step: int) -> Path:
    folder = parent / f"checkpoint-{step}"
    (folder / "안").mkdir(parents=True)
    (folder / "weights").write_bytes(b"abc" * step)
    (folder / "안" / "state.json").write_text("{}", encoding="utf-8")
    return folder


def test_a_seal_holds_every_file(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 3)
    assert fault_of(folder) == "저장이 끝나기 전에 멈추었습니다"
    seal(folder)
    assert fault_of(folder) is None
    noted = json.loads((folder / SEAL).read_text(encoding="utf-8"))["files"]
    assert {name: entry["bytes"] for name, entry in noted.items()} == {"weights": 9, "안/state.json": 2}
    (folder / "안" / "state.json").write_text("[]", encoding="utf-8")
    assert fault_of(folder) == "안/state.json 파일의 내용이 저장할 때와 다릅니다"
    seal(folder)
    assert fault_of(folder) is None
    for broken in ("", "[]", '{"files": 3}', '{"files": {"weights": {}}}', '{"files": {"weights": 1}}', "\udcff"):
        (folder / SEAL).write_bytes(broken.encode("utf-8", "surrogateescape"))
        assert fault_of(folder) == f"{SEAL} 파일을 읽을 수 없습니다", broken


def test_the_newest_whole_one_by_number_and_torn_ones_gone(tmp_path: Path) -> None:
    for step in (2, 10, 9, 100):
        seal(checkpoint(tmp_path, step))
    checkpoint(tmp_path, 20)
    (tmp_path / "checkpoint-final").mkdir()
    (tmp_path / "checkpoint-100" / "weights").unlink()
    newest, torn = newest_checkpoint(tmp_path)
    assert newest == tmp_path / "checkpoint-10"
    assert [entry.name for entry in torn] == ["checkpoint-100", "checkpoint-20"]
    assert [step for step, _ in sealed_checkpoints(tmp_path)] == [2, 9, 10]
    assert newest_checkpoint(tmp_path / "none") == (None, [])
