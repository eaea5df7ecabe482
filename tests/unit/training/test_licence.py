"""What a base's folder says of its licence, in every form that cards have; held to the hub library's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import metadata_load

from training.licence import licence_of
from training.recipes import RECIPES


def by_the_library(card: Path) -> str | None:
    said: Any = metadata_load(card) or {}
    words = said.get("license_name") or said.get("license")
    return ", ".join(map(str, words)) if isinstance(words, list) else words


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ("---\nlanguage: ko\nlicense: apache-2.0\n---\n# 모델\nlicense: mit\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: gemma\nlicense_link: x\n---", "gemma"),
        ('---\r\nlicense: "cc-by-nc-4.0"  # 비상업\r\n---\r\n', "cc-by-nc-4.0"),
        ("\ufeff---\nlicense: 'mit'\n---\n본문", "mit"),
        ("---\nlicense: [apache-2.0, 'mit']\n---\n", "apache-2.0, mit"),
        ("---\nlicense:\n- apache-2.0\n  # 둘째\n- mit\ntags:\n- 한국어\n---\n", "apache-2.0, mit"),
        ("---\nlicense:\n  - llama3\n---\n", "llama3"),
        ("---\ntags:\n- license: mit\nlicense: null\n---\n", None),
        ("---\nlicense:\nlicense_link: https://example.com\n---\n", None),
        ("---\n---\nlicense: mit\n", None),
        ("# license: mit\n본문", None),
        ("license: mit\n", None),
        ("", None),
    ],
)
def test_cards(tmp_path: Path, card: str, name: str | None) -> None:
    (tmp_path / "README.md").write_bytes(card.encode())
    found = licence_of(str(tmp_path), RECIPES["auto"])
    assert (found.name, found.source) == ((name, "README.md") if name else ("unknown", "none"))
    assert by_the_library(tmp_path / "README.md") == name


@pytest.mark.parametrize("card", ["---\nlicense: [\n---\n", "---\nlicense: mit\n", "---", b"---\nlicense: \xff\xfe"])
def test_cards_that_are_torn_say_nothing(tmp_path: Path, card: str | bytes) -> None:
    (tmp_path / "README.md").write_bytes(card if isinstance(card, bytes) else card.encode())
    (tmp_path / "LICENSE").write_text("\n  Gemma Terms of Use \n", encoding="utf-8")
    found = licence_of(str(tmp_path), RECIPES["gemma-2b"])
    assert (found.name, found.source) == ("Gemma Terms of Use", "LICENSE")


def test_without_a_folder_the_recipe_speaks() -> None:
    found = licence_of("google/gemma-2b", RECIPES["gemma-2b"])
    assert (found.name, found.source) == (RECIPES["gemma-2b"].licence, "recipe")
