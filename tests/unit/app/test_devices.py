"""Which GPUs there are, told from files and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.services.devices import chat_environment, gpus, training_environment


def machine(folder: Path, count: int) -> Path:
    for number in range(count):
        (folder / f"0000:{number:02d}:00.0").mkdir()
    return folder


@pytest.mark.parametrize(
    ("count", "visible", "expected"),
    [
        (0, None, ()),
        (0, "0", ()),
        (2, None, ("0", "1")),
        (2, "1", ("1",)),
        (2, "", ()),
        (2, "-1", ()),
        (2, "0,-1,1", ("0",)),
        (2, "1,5,0", ("1",)),
        (1, "GPU-8f2c, MIG-1", ("GPU-8f2c", "MIG-1")),
    ],
)
def test_gpus_as_cuda_would_see_them(tmp_path: Path, count: int, visible: str | None, expected: tuple[str]) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert gpus(environ, torch_version="2.13.0", driver=machine(tmp_path, count)) == expected


def test_a_cpu_build_of_torch_sees_none(tmp_path: Path) -> None:
    assert gpus({}, torch_version="2.13.0+cpu", driver=machine(tmp_path, 1)) == ()


def test_device_files_where_the_driver_hides(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert gpus({}, torch_version="2.13.0+cu130", driver=tmp_path / "none", devices=tmp_path) == ("0", "1")


def test_chat_takes_the_last_of_several() -> None:
    assert chat_environment(()) == {}
    assert chat_environment(("0",)) == {}
    assert chat_environment(("2", "3")) == {"CUDA_VISIBLE_DEVICES": "3"}


def test_training_takes_the_first_of_those_that_are_seen() -> None:
    assert training_environment((), 1) == {}
    assert training_environment(("0",), 1) == {}
    assert training_environment(("0", "1"), 2) == {}
    assert training_environment(("2", "GPU-8f2c", "5"), 2) == {"CUDA_VISIBLE_DEVICES": "2,GPU-8f2c"}
