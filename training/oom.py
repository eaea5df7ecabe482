"""Memory that runs out: told from every other fault, and answered by cutting a micro-batch into pieces.

``ran_out(error)`` knows a GPU's word for it and the CPU's, which torch gives no type. ``pieces_of(inputs, n)`` keeps
rows and gradient and takes less at once; the shares sum to one. It works on the tensors that TRL's collators make:
padded rows, packed sequences, pairs of a chosen and a rejected answer. Knows nothing of the trainer.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

__all__ = ["give_back", "pieces_of", "ran_out", "units_of"]

Batch = dict[str, Any]

#: What libraries say in a plain RuntimeError: torch's allocator on the CPU (Linux, then Windows and macOS), the driver
#: and libraries of a GPU past torch's own allocator, C++ itself, and oneDNN where its working memory is refused.
_WORDS = (
    "defaultcpuallocator",
    "cannot allocate memory",
    "not enough memory",
    "cuda out of memory",
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "std::bad_alloc",
    "could not create a primitive",
)


def ran_out(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, means that memory ran out, on a GPU or on the CPU."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS):
            return True
        error = error.__cause__
    return False


def give_back() -> None:
    """Let go of memory that allocators keep for later: what is asked for next may be of another kind."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        return
    # glibc keeps what was freed below its last block; other C libraries have no such call.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _packed(inputs: Batch) -> bool:
    return "cu_seq_lens_q" in inputs


def units_of(inputs: Batch) -> int:
    """Into how many pieces the batch can be cut at most: rows, pairs, or documents of packed sequences."""
    if _packed(inputs):
        return int(inputs["cu_seq_lens_q"].numel()) - 1
    rows = int(inputs["input_ids"].shape[0])
    return rows // 2 if "completion_mask" in inputs else rows


def _cuts(weights: Sequence[int], count: int) -> list[tuple[int, int]]:
    """``count`` contiguous, non-empty ranges over ``weights`` of about equal weight."""
    ranges: list[tuple[int, int]] = []
    total, start, passed = sum(weights), 0, 0
    for place, weight in enumerate(weights):
        passed += weight
        left = count - len(ranges)
        enough = passed * count >= total * (len(ranges) + 1)
        must = len(weights) - place - 1 == left - 1
        if left > 1 and (enough or must):
            ranges.append((start, place + 1))
            start = place + 1
    return [*ranges, (start, len(weights))]


def pieces_of(inputs: Batch, count: int) -> list[tuple[Batch, float]]:
    """The batch in at most ``count`` pieces, each with its share of the rows."""
    units = units_of(inputs)
    count = min(count, units)
    if count <= 1:
        return [(inputs, 1.0)]
    if _packed(inputs):
        ends = [int(end) for end in inputs["cu_seq_lens_q"]]
        lengths = [high - low for low, high in pairwise(ends)]
        return [(_documents(inputs, ends, low, high), (high - low) / units) for low, high in _cuts(lengths, count)]
    return [(_rows(inputs, low, high), (high - low) / units) for low, high in _cuts([1] * units, count)]


def _rows(inputs: Batch, low: int, high: int) -> Batch:
    pairs = units_of(inputs) if "completion_mask" in inputs else 0
    mask = inputs["attention_mask"]

    def take(tensor: torch.Tensor) -> torch.Tensor:
        if pairs:
            return torch.cat([tensor[low:high], tensor[pairs + low : pairs + high]])
        return tensor[low:high]

    kept = take(mask)
    # Padding that only a row of another piece needed goes.
    width = int(kept.sum(dim=1).max())
    cut = {name: take(value) for name, value in inputs.items() if torch.is_tensor(value)}
    rest = {name: value for name, value in inputs.items() if not torch.is_tensor(value)}
    return rest | {name: value[:, :width] if value.shape == kept.shape else value for name, value in cut.items()}


def _documents(inputs: Batch, ends: Sequence[int], low: int, high: int) -> Batch:
    first, last = ends[low], ends[high]
    flat = {name: inputs[name][:, first:last] for name in ("input_ids", "labels", "position_ids")}
    borders = torch.tensor([end - first for end in ends[low : high + 1]], dtype=torch.int32)
    borders = borders.to(inputs["cu_seq_lens_q"].device)
    longest = int(borders.diff().max())
    return flat | {
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": longest,
        "max_length_k": longest,
        "seq_idx": inputs["seq_idx"][:, first:last] - inputs["seq_idx"][:, first : first + 1],
    }
