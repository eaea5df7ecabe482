"""Names, shapes and types of a folder's safetensors, read from their headers alone; no torch, no weights in memory.

A header is a length of eight bytes and as many bytes of JSON (the format's own description).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.errors import BaseModelError

__all__ = ["Tensor", "parameters_of", "tensors_of", "weight_files"]

#: A header longer than this is none: the format's own limit.
_HEADER_MAX = 100_000_000


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a header says of one tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str  #: As the format spells it: ``BF16``, ``F32``.


def weight_files(folder: Path) -> list[Path]:
    """The files that are read: ``model.safetensors``, or the shards that the index names."""
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    named = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    return [folder / name for name in sorted(set(named.values()))]


def tensors_of(folder: Path) -> Iterator[Tensor]:
    """Every tensor of a base that ``training.refusals.check_base`` has let pass.

    Raises:
        BaseModelError: a file is cut off or no safetensors (``weights_broken``).
    """
    for path in weight_files(folder):
        yield from _tensors(path)


def parameters_of(folder: Path) -> int:
    """Numbers in all weights."""
    return sum(math.prod(tensor.shape) for tensor in tensors_of(folder))


def _tensors(path: Path) -> Iterator[Tensor]:
    try:
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if not 0 < length <= _HEADER_MAX:
                raise ValueError(f"a header of {length:,} bytes")
            header = json.loads(handle.read(length))
        end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        size = path.stat().st_size
        if size < 8 + length + end:
            raise ValueError(f"{size:,} of {8 + length + end:,} bytes are there")
        found = [
            Tensor(name, tuple(entry["shape"]), entry["dtype"])
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
        raise BaseModelError(
            f"The weights in {path.name} of '{path.parent.name}' cannot be read: {exc}.",
            param="model",
            code="weights_broken",
        ) from exc
    yield from found
