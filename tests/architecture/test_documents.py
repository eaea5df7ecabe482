"""The documents keep step with the code: settings, commands, routes."""

from __future__ import annotations

import re
from pathlib import Path

from app.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_in_the_readme() -> None:
    named = {
        name for row in re.findall(r"^\| (`[A-Z_`, ]+) \|", README, re.M) for name in re.findall(r"`([A-Z_]+)`", row)
    }
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_setting_has_its_sentence() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_environment_variables_named_in_the_code_exist() -> None:
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    for folder in ("app", "generators", "corpora", "retrieval", "training"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in re.findall(r"MALMOI_[A-Z]+(?:_[A-Z]+)*", path.read_text(encoding="utf-8")):
                assert name in known or name == "MALMOI_WORKER_CONFIG", f"{path}: {name}"


def test_readme_names_both_commands() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in README
        assert f"\n{target}:" in makefile
