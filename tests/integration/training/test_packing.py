"""Rows that share a sequence never see one another: the loss of each token is that of the row alone, in any family."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import add_fused_lm_head

from tests.integration.training.conftest import TinyBase
from tests.tiny_base import FAMILIES
from training.encoding import EncodedRows
from training.errors import EncodingError
from training.loading import load_base, load_tokenizer
from training.measure import measure
from training.oom import pieces_of, units_of
from training.packing import held_out, packed_dataset, subset
from training.recipes import RECIPES


def rows_of_length(*lengths: int) -> EncodedRows:
    """Rows of made-up tokens, their second half trained."""
    rows = EncodedRows()
    for number, length in enumerate(lengths):
        ids = [10 + (7 * number + 13 * place) % 500 for place in range(length)]
        rows.append(ids, bytes(place >= length // 2 for place in range(length)), truncated=False, line=number + 1)
    return rows


def packed_loss(model: Any, batch: dict[str, Any]) -> tuple[float, int]:
    with torch.no_grad():
        out = model(**batch, fused_lm_head=True)
    return -float(out.log_probs.double().sum()), int(out.label_mask.sum())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_row_is_read_as_if_it_were_alone(family: str, family_base: TinyBase) -> None:
    """Also past the sliding windows of 32 tokens, and in pieces, as where memory runs out."""
    base = family_base(family)
    model = load_base(str(base), attention=RECIPES[FAMILIES[family].recipe].attention).eval()
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    rows = rows_of_length(70, 9, 33, 48, 21, 90, 12, 40)
    packed = packed_dataset(rows, 128, seed=7)
    assert len(packed) < len(rows)
    pad = load_tokenizer(str(base)).pad_token_id
    alone = measure(model, rows, pad, batch=1)
    batch = DataCollatorForLanguageModeling(pad_token_id=pad, padding_free=True)(
        [packed[n] for n in range(len(packed))]
    )
    loss, tokens = packed_loss(model, batch)
    assert tokens == alone.tokens
    # Sums of a few hundred tokens in bfloat16; rows that saw one another would differ by whole nats.
    assert loss / tokens == pytest.approx(alone.mean_loss, abs=2e-3)
    parts = [part for part, _ in pieces_of(batch, 3)]
    assert [units_of(part) > 0 for part in parts] == [True] * 3
    sums = [packed_loss(model, part) for part in parts]
    assert sum(count for _, count in sums) == tokens
    assert sum(part for part, _ in sums) / tokens == pytest.approx(loss / tokens, abs=2e-3)
    padded = measure(model, rows, pad, batch=8)
    assert (padded.tokens, padded.mean_loss) == (tokens, pytest.approx(alone.mean_loss, abs=2e-3))


def test_a_packer_that_loses_tokens_is_found_out() -> None:
    """Rows longer than a sequence would be cut in silence."""
    with pytest.raises(EncodingError, match="Packing turned"):
        packed_dataset(rows_of_length(40, 200), 128, seed=7)


def test_packing_follows_the_seed() -> None:
    rows = rows_of_length(*[30] * 40)
    first, again, other = (packed_dataset(rows, 64, seed)["input_ids"] for seed in (7, 7, 8))
    assert list(first) == list(again) != list(other)


def test_a_split_is_shuffled_and_equal_rows_stay_together() -> None:
    rows = rows_of_length(*range(10, 50))
    twice = subset(rows, [*range(40), *range(40)])
    held, train = held_out(twice, 0.2, seed=7)
    assert sorted([*held, *train]) == list(range(80))
    assert len(held) == 16
    assert {place % 40 for place in held}.isdisjoint(place % 40 for place in train)
    assert held != list(range(16))
    assert held_out(twice, 0.2, seed=7) == (held, train)
    assert held_out(twice, 0.2, seed=8) != (held, train)
    assert held_out(rows_of_length(10, 11), 0.01, seed=1)[0]
    assert held_out(rows_of_length(10), 0.5, seed=1) == ([], [0])


def test_pieces_hold_every_row_once() -> None:
    """Padded rows, and pairs of a chosen and a rejected answer, which stay together."""
    ids = torch.arange(30).reshape(6, 5)
    mask = torch.tensor([[1] * n + [0] * (5 - n) for n in (2, 5, 3, 3, 4, 1)])
    for extra, units in (({"labels": ids}, 6), ({"completion_mask": mask}, 3)):
        batch = {"input_ids": ids, "attention_mask": mask, **extra}
        assert units_of(batch) == units
        for count in (1, 2, 4, 100):
            parts = pieces_of(batch, count)
            assert len(parts) == min(count, units)
            assert sum(share for _, share in parts) == pytest.approx(1)
            firsts = [int(row[0]) // 5 for part, _ in parts for row in part["input_ids"]]
            assert sorted(firsts) == list(range(6))
            for part, _ in parts:
                assert part["attention_mask"].sum(dim=1).max() == part["input_ids"].shape[1]
                if "completion_mask" in part:
                    half = len(part["input_ids"]) // 2
                    assert [int(row[0]) // 5 + 3 for row in part["input_ids"][:half]] == [
                        int(row[0]) // 5 for row in part["input_ids"][half:]
                    ]
