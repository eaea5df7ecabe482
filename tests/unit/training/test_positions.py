"""How many tokens a base reads: plain, stretched, stretched already, and by layer."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import Gemma3TextConfig, GPT2Config, LlamaConfig, MambaConfig

from training.positions import positions_of


def scaled(positions: int, **rope: Any) -> int | None:
    return positions_of(LlamaConfig(max_position_embeddings=positions, rope_scaling={"rope_theta": 10000.0} | rope))


@pytest.mark.parametrize(
    ("positions", "rope", "expected"),
    [
        (4096, {"type": "linear", "factor": 4.0}, 16384),
        (2048, {"rope_type": "dynamic", "factor": 2.0}, 4096),
        # Qwen 2.5 with YaRN as its card says it; and one that tells the stretched number.
        (32768, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        (131072, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, 131072),
        # Llama 3.2: 32 times 8,192 is more than it reads.
        (
            131072,
            {
                "rope_type": "llama3",
                "factor": 32.0,
                "original_max_position_embeddings": 8192,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
            },
            131072,
        ),
        (4096, {"rope_type": "default"}, 4096),
    ],
)
def test_stretched_positions(positions: int, rope: dict[str, Any], expected: int) -> None:
    assert scaled(positions, **rope) == expected


def test_other_families() -> None:
    assert positions_of(GPT2Config(n_positions=1024)) == 1024
    assert positions_of(MambaConfig()) is None
    layered = Gemma3TextConfig(max_position_embeddings=131072, rope_scaling={"rope_type": "linear", "factor": 8.0})
    assert positions_of(layered) == 131072
