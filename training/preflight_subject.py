"""What ``training.preflight`` looks at: base, recipe and encoded rows, and what the run has. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from corpora.overlap import Overlap
from training.duration import Speed
from training.encoding import EncodedRows, EncodingReport
from training.recipes import Recipe

__all__ = ["Budget", "Side", "Subject"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Training or validation rows as they were encoded."""

    rows: EncodedRows
    report: EncodingReport


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What will be trained on what."""

    base: str  #: Folder of the base.
    recipe: Recipe  #: With the request's own numbers laid over it.
    tokenizer: PreTrainedTokenizerBase
    template: str  #: Jinja source, by ``chat_template``.
    train: Side
    valid: Side | None = None
    whole: EncodingReport | None = None  #: Of the training file, where a share of it was held out.
    overlap: Overlap | None = None  #: By ``corpora.overlap.overlap``; None where nothing was held out by file.


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What the run may use, and what it has."""

    total_steps: int  #: Updates.
    share_seen: float  #: Of the training rows, by all updates; 1 where each is seen.
    tokens_per_step: int  #: Tokens of one update, padding left out.
    micro_batch: int  #: Sequences at once.
    sequence_tokens: int  #: Of the longest sequence.
    lora_r: int
    attention: str | None = None  #: Implementation of attention.
    quantised: bool = True  #: Base in NF4.
    free_bytes: int | None = None  #: Memory of the device; None where not known.
    flops: float | None = None  #: Peak of the device in operations a second, by ``estimate.peak_flops``.
    speed: Speed | None = None  #: Of a device whose peak is not known, measured.
    micro_batches: int = 0  #: Of the run, on one process.
    evaluated_tokens: int = 0  #: Read by the evaluations in mid-run, all of them together.
    checkpointing: bool = True  #: Whether activations are computed again.
    processes: int = 1  #: That share the work.
    max_steps_epochs: int | None = None  #: Passes over the data that max_steps makes; None where epochs decide.
