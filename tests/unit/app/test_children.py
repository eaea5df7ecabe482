"""Children that compute with torch get threads that sleep while they wait, unless the user has said otherwise."""

from __future__ import annotations

import pytest

from app.services.children import torch_environment


def test_threads_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    monkeypatch.setenv("창고", "서울")
    environment = torch_environment()
    assert (environment["OMP_WAIT_POLICY"], environment["KMP_BLOCKTIME"]) == ("PASSIVE", "0")
    assert environment["창고"] == "서울"


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert torch_environment()["OMP_WAIT_POLICY"] == "ACTIVE"
