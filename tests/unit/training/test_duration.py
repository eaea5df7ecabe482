"""How long a run takes, as a range: arithmetic over a speed, and the speed as it is measured."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from training.duration import Speed, Work, by_card, by_speed, in_words
from training.estimate import ModelShape, estimate
from training.speed import measured_speed

DEMO = ModelShape.of(
    {
        "hidden_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 3,
        "intermediate_size": 576,
        "vocab_size": 3000,
        "tie_word_embeddings": True,
        "model_type": "llama",
    }
)
NEEDED = estimate(DEMO, lora_r=32, micro_batch=8, tokens=80, packing=False)
SPEED = Speed(flops=62e9, unpacked_per_second=2.5e9, operation_seconds=5e-6)
WORK = Work(tokens=382, micro_batches=1)


def test_the_range_holds_what_was_measured() -> None:
    """A step of malmoi-demo, 382 tokens, took 0.32 s of computing and 1.12 s on a machine that was 3.5 times busy."""
    found = by_speed(NEEDED, DEMO, WORK, SPEED, checkpointing=False)
    assert found.low < 0.32 < found.high
    assert found.low < found.middle < found.high
    assert found.high / found.low < 4
    busy = by_speed(NEEDED, DEMO, WORK, dataclasses.replace(SPEED, busy=3.5), checkpointing=False)
    assert busy.low == found.low
    assert busy.low < 1.12 < busy.high
    assert json.loads(json.dumps(found.as_dict())) == {"low": found.low, "high": found.high, "how": "measured"}


def test_more_work_takes_longer() -> None:
    found = by_speed(NEEDED, DEMO, WORK, SPEED, checkpointing=False)
    twice = by_speed(NEEDED, DEMO, Work(tokens=764, micro_batches=2), SPEED, checkpointing=False)
    assert (twice.low, twice.high) == pytest.approx((2 * found.low, 2 * found.high))
    assert by_speed(NEEDED, DEMO, WORK, SPEED, checkpointing=True).low > found.low
    evaluated = dataclasses.replace(WORK, evaluated=382)
    assert found.low < by_speed(NEEDED, DEMO, evaluated, SPEED, checkpointing=False).low < 2 * found.low
    assert found.share(0.5).high == found.high / 2


def test_a_known_card_goes_by_its_peak() -> None:
    found = by_card(NEEDED, Work(tokens=1000, micro_batches=1), 1e12)
    assert found.how == "card"
    assert found.middle == pytest.approx(1000 * NEEDED.flops_per_token / 0.3e12)
    assert found.high / found.low == pytest.approx(0.45 / 0.2)


def test_a_time_in_words() -> None:
    assert [in_words(each) for each in (0.31, 42, 90, 5400)] == ["0.3초", "42초", "1.5분", "1.5시간"]


def test_a_speed_is_measured_and_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    found = measured_speed(64)
    assert torch.equal(torch.get_rng_state(), before)
    # On a machine that others keep busy two threads wait for one another longer than they compute.
    assert found.flops > 1e6
    assert found.unpacked_per_second > 1e5
    assert 1e-8 < found.operation_seconds < 1e-2
    assert found.busy >= 1
