"""What licence a base has, as far as its folder or its recipe says; unknown is said, not guessed.

For the trainer and for the service, which lists bases where no library of the trainer is installed: so the three forms
that a card's ``license`` has are read here (a word, a list in brackets, a list of lines), without a reader of YAML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from training.recipe_fields import Recipe

__all__ = ["Licence", "licence_of"]

_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "NOTICE")
#: Bytes of a file that are looked at: front matter and a licence's name stand at its beginning.
_BYTES = 65_536
_FRONT = re.compile(r"\A\s*---[ \t]*\n(.*?)\n---[ \t]*$", re.DOTALL | re.MULTILINE)
_ENTRY = re.compile(r"^(license_name|license):[ \t]*(.*)((?:\n[ \t]*(?:-[ \t].*|#.*))*)", re.MULTILINE)
#: What follows in YAML where the value itself stands elsewhere, or nowhere.
_NO_VALUE = frozenset({"", "~", "null", ">", ">-", "|", "|-"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """A licence and who says so."""

    name: str  #: Its name, or "unknown".
    source: str  #: File of the base's folder, ``recipe``, or ``none``.


def licence_of(base: str, recipe: Recipe) -> Licence:
    """The licence of a base: its model card's, else its licence file's first line, else the recipe's word.

    Args:
        base: Folder of the base; a hub name has no folder and gets the recipe's word.
        recipe: Whose ``licence`` counts where the folder says nothing.
    """
    folder = Path(base)
    card = folder / "README.md"
    if card.is_file():
        named = _of_card(_beginning(card))
        if named:
            return Licence(name=named, source=card.name)
    for name in _FILES:
        if (folder / name).is_file():
            first = next((line.strip() for line in _beginning(folder / name).splitlines() if line.strip()), "")
            if first:
                return Licence(name=first[:200], source=name)
    if recipe.name != "auto":
        return Licence(name=recipe.licence, source="recipe")
    return Licence(name="unknown", source="none")


def _beginning(path: Path) -> str:
    """The first characters of a file, lines ended by newlines, without the mark that some editors set before them."""
    with path.open(encoding="utf-8-sig", errors="replace") as handle:
        return handle.read(_BYTES)


def _of_card(text: str) -> str | None:
    """What the card's front matter says; ``license_name`` tells more than the "other" beside it."""
    front = _FRONT.search(text)
    if front is None:
        return None
    said = {name: _words(value, lines) for name, value, lines in _ENTRY.findall(front[1])}
    return said.get("license_name") or said.get("license")


def _words(value: str, lines: str) -> str | None:
    value = _bare(value)
    if value.startswith("["):
        inside, closed, _ = value[1:].partition("]")
        several = inside.split(",") if closed else []
    elif value in _NO_VALUE:
        several = [line.strip().removeprefix("-") for line in lines.splitlines()]
    else:
        several = [value]
    return ", ".join(filter(None, map(_bare, several))) or None


def _bare(word: str) -> str:
    """Without a comment behind it and quotes round it."""
    return re.sub(r"(^|\s)#.*", "", word).strip().strip("\"'")
