"""Reads the bundled manual and seed tasks, and seed tasks of the same format from elsewhere."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from corpora.errors import InvalidInputError

__all__ = ["MANUAL_DIR", "SEED_SETS", "SeedTask", "manual_pages", "parse_seed_tasks", "seed_tasks"]

_HERE = Path(__file__).resolve().parent
#: Folder of the manual's pages.
MANUAL_DIR = _HERE / "manual"
#: Seed sets by name.
SEED_SETS: dict[str, Path] = {"wms": _HERE / "seeds" / "wms.jsonl", "general": _HERE / "seeds" / "general.jsonl"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedTask:
    """One task in the Self-Instruct seed format."""

    id: str  #: Unique id.
    name: str  #: Short name.
    instruction: str  #: What is asked.
    instances: tuple[tuple[str, str], ...]  #: (input, output) pairs; the input may be empty.
    is_classification: bool  #: Whether the output is a label.


def manual_pages() -> list[Path]:
    """The pages of the bundled manual, in order."""
    return sorted(MANUAL_DIR.glob("*.md"))


def seed_tasks(name: str) -> tuple[SeedTask, ...]:
    """The bundled seed set ``name``: ``wms``, ``general`` or ``all``; a leading ``builtin:`` is ignored.

    Raises:
        InvalidInputError: there is no such set.
    """
    short = name.removeprefix("builtin:")
    if short == "all":
        return tuple(task for known in SEED_SETS for task in seed_tasks(known))
    if short not in SEED_SETS:
        raise InvalidInputError(
            f"There is no seed set '{name}'; there are: all, {', '.join(SEED_SETS)}.", param="seed_tasks"
        )
    return parse_seed_tasks(SEED_SETS[short].read_text(encoding="utf-8").splitlines())


def parse_seed_tasks(lines: Iterable[str]) -> tuple[SeedTask, ...]:
    """Seed tasks from JSONL; blank lines are skipped.

    Raises:
        InvalidInputError: a line is wrong; the message names it.
    """
    tasks = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(unicodedata.normalize("NFC", line))
            instances = tuple((str(entry["input"]), str(entry["output"])) for entry in row["instances"])
            task = SeedTask(
                id=str(row["id"]),
                name=str(row["name"]),
                instruction=str(row["instruction"]).strip(),
                instances=instances,
                is_classification=bool(row["is_classification"]),
            )
        except (json.JSONDecodeError, KeyError, TypeError) as exc:
            raise InvalidInputError(f"line {number}: not a seed task: {exc!r}", param="seed_tasks") from exc
        if not task.instruction or not task.instances:
            raise InvalidInputError(
                f"line {number}: a seed task needs an instruction and an instance.", param="seed_tasks"
            )
        tasks.append(task)
    return tuple(tasks)
