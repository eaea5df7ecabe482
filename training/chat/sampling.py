"""One token from one row of logits: penalties, temperature, nucleus, a generator of its own for each answer.

Each answer draws from its own generator on the CPU, so that a seed gives the same answer whatever else is being
answered at the same time. Log-probabilities are the model's own, before penalties and temperature.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from training.errors import BrokenModelError

__all__ = ["GREEDY_BELOW", "Sampler", "Sampling", "most_likely"]

#: Temperatures below it take the likeliest token: divided by less, float32 logits overflow (vLLM has the same bound).
GREEDY_BELOW = 1e-5


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 1.0  #: 0, or less than ``GREEDY_BELOW``, takes the likeliest token.
    top_p: float = 1.0  #: Nucleus: the likeliest tokens that together have this probability.
    top_k: int = 0  #: Of the likeliest this many; 0 is all.
    repetition_penalty: float = 1.0  #: Divides the logits of tokens of prompt and answer (CTRL, 2019).
    presence_penalty: float = 0.0  #: Taken off the logits of tokens that the answer holds.
    frequency_penalty: float = 0.0  #: Taken off them as often as the answer holds them.
    logit_bias: Mapping[int, float] = field(default_factory=dict)  #: Added to a token's logit.
    seed: int | None = None  #: Makes the answer repeatable.


class Sampler:
    """Draws the tokens of one answer."""

    def __init__(self, sampling: Sampling, index: int = 0) -> None:
        """The ``index``-th answer to a request; each has its own random numbers."""
        self._sampling = sampling
        self._generator = torch.Generator()
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(_seed_of(sampling.seed, index))

    def pick(self, logits: torch.Tensor, prompt: Sequence[int], answer: Sequence[int]) -> int:
        """The next token.

        Args:
            logits: Float32, one a token of the vocabulary.
            prompt: Tokens of the prompt.
            answer: Tokens of the answer so far.

        Raises:
            BrokenModelError: a logit is no number.
        """
        if torch.isnan(logits).any():
            raise BrokenModelError("The model gives no numbers: its weights or its adapter are broken.")
        s = self._sampling
        scores = self._shifted(logits, answer)[None]
        if s.repetition_penalty != 1.0:
            seen = torch.tensor([[*prompt, *answer]], device=scores.device)
            scores = RepetitionPenaltyLogitsProcessor(s.repetition_penalty)(seen, scores)
        if s.temperature < GREEDY_BELOW:
            return int(scores[0].argmax())
        no_ids = torch.empty((1, 0), dtype=torch.long, device=scores.device)
        scores = TemperatureLogitsWarper(s.temperature)(no_ids, scores)
        if s.top_k:
            scores = TopKLogitsWarper(s.top_k)(no_ids, scores)
        if s.top_p < 1.0:
            scores = TopPLogitsWarper(s.top_p)(no_ids, scores)
        chances = torch.softmax(scores[0], dim=-1).cpu()
        return int(torch.multinomial(chances, 1, generator=self._generator))

    def _shifted(self, logits: torch.Tensor, answer: Sequence[int]) -> torch.Tensor:
        s = self._sampling
        shifts: dict[int, float] = dict(s.logit_bias)
        if s.presence_penalty or s.frequency_penalty:
            for token, count in Counter(answer).items():
                shifts[token] = shifts.get(token, 0.0) - s.presence_penalty - s.frequency_penalty * count
        if not shifts:
            return logits
        shifted = logits.clone()
        where = torch.tensor(list(shifts), device=logits.device)
        shifted[where] += torch.tensor(list(shifts.values()), dtype=logits.dtype, device=logits.device)
        return shifted


def _seed_of(seed: int, index: int) -> int:
    """Seed of the ``index``-th answer: the first has the request's own, the others one that no near seed leads to."""
    if index == 0:
        return seed
    return int.from_bytes(hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest())


def most_likely(logits: torch.Tensor, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
    """Log-probability (nats) of ``token``, and of the ``top`` likeliest tokens, likeliest first."""
    logarithms = torch.log_softmax(logits, dim=-1)
    best = torch.topk(logarithms, top) if top else None
    likeliest = list(zip(best.indices.tolist(), best.values.tolist(), strict=True)) if best is not None else []
    return float(logarithms[token]), likeliest
