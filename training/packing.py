"""Rows to the trainer's data: encoded already, packed where asked, not one token lost; and a split by the seed.

TRL packs (best fit, decreasing), and says nothing about what it cuts; here rows are cut and counted before, and what
comes out is counted against what went in. Knows nothing of models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from datasets import Dataset
from trl import pack_dataset

from training.encoding import IGNORED, EncodedRows
from training.errors import EncodingError

__all__ = ["as_dataset", "held_out", "packed_dataset", "subset"]


def as_dataset(rows: EncodedRows) -> Dataset:
    """One row a sequence, in the given order; the trainer's sampler shuffles by the seed."""
    return rows.to_dataset()


def packed_dataset(rows: EncodedRows, length: int, seed: int) -> Dataset:
    """Rows packed into sequences of at most ``length`` tokens, each row whole.

    Rows of one length are alike to the packer, which takes them as they come: so they come in an order of the seed.

    Raises:
        EncodingError: the packer lost tokens; a fault of the library, which must not pass in silence.
    """
    whole = rows.to_dataset()
    packed = pack_dataset(whole.shuffle(seed=seed), length, strategy="bfd")
    # The packer's map leaves no order over its table, so the columns are what they seem.
    lengths = packed.data.column("seq_lengths").combine_chunks().flatten()
    before, after = (len(rows), *_counts(whole)), (len(lengths), *_counts(packed))
    if before != after:
        raise EncodingError(f"Packing turned rows, tokens and trained tokens {before} into {after}.")
    return packed


def _counts(data: Dataset) -> tuple[int, int]:
    """Tokens, and trained ones among them."""
    labels = np.concatenate([chunk.flatten().to_numpy() for chunk in data.data.column("labels").chunks])
    return len(labels), int(np.count_nonzero(labels != IGNORED))


def subset(rows: EncodedRows, places: Sequence[int]) -> EncodedRows:
    """Some of the rows, in the given order."""
    return rows.part(places)


def held_out(rows: EncodedRows, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Places of the rows that are held out, and of those that are not: split after shuffling by the seed.

    Equal rows fall on the same side. At least one row stays on each side where there are two different ones. The order
    of the file is kept.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(tuple(row.input_ids), []).append(place)
    shuffled = list(groups.values())
    random.Random(seed).shuffle(shuffled)  # noqa: S311 -- an order, no secret
    wanted, taken = max(1, round(len(rows) * fraction)), set[int]()
    # The last group stays: nobody trains on nothing.
    for group in shuffled[:-1]:
        if taken and len(taken) + len(group) > wanted:
            continue
        taken |= set(group)
        if len(taken) >= wanted:
            break
    return sorted(taken), [place for place in range(len(rows)) if place not in taken]
