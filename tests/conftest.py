"""What every test starts from: settings come from the test alone, never from the machine's environment."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MALMOI_") and not name.startswith("MALMOI_TEST_")]:
        monkeypatch.delenv(name)
