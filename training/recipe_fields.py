"""``Recipe``: the form of a fine-tune's numbers. No torch here; the values stand in ``training.recipe_values``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["NUMBERS", "STOP_PHRASE", "Recipe"]

#: What a job that asks for a stop phrase without saying which one gets.
STOP_PHRASE = "(답변 종료)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How one family of bases is trained."""

    name: str  #: As requests name it.
    template: str | None  #: File in ``templates/``; None is the tokenizer's own chat template.
    lora_r: int  #: Rank.
    lora_alpha: int  #: Scale.
    lora_dropout: float  #: Dropout of the LoRA path.
    target_modules: tuple[str, ...] | str  #: Linear layers that get an adapter, or ``all-linear``.
    learning_rate: float  #: Peak rate.
    epochs: int  #: Passes over the data.
    published_rows: int = 0  #: Rows that the epochs were published with; 0 where none were told.
    min_steps: int = 1  #: At least this many updates, by more epochs.
    micro_batch: int  #: Rows at once; ``auto`` takes as many of them as fit into memory.
    accumulation: int  #: Micro-batches an update.
    warmup_ratio: float  #: Share of the updates that the rate rises.
    weight_decay: float  #: AdamW.
    max_length: int  #: Tokens of a row; longer ones are cut at the end and counted.
    eval_steps: int  #: Updates between evaluations and checkpoints.
    early_stopping_patience: int  #: Evaluations without a better loss before the run ends.
    licence: str  #: What is known of the base's licence, where its folder says nothing.
    packing: bool  #: Several rows in one, with attention kept apart.
    sources: Mapping[str, str]  #: Where each number comes from, by field.
    attention: str | None = None  #: Implementation that must be used; None is the fastest that is present.
    optimizer: str = "adamw_torch_fused"  #: Name that transformers gives it.
    scheduler: str = "cosine"  #: Name that transformers gives it.
    dtype: str = "bfloat16"  #: Of computation and of the adapter.
    stop_phrase: str | None = None  #: Written after every answer, before the stop token; chat cuts it off.
    system_prompt: str | None = None  #: Instead of the template's opening words, where a conversation has none.
    architectures: tuple[str, ...] = ()  #: Names in config.json that it fits; none named, any.


#: Fields that must have a source.
NUMBERS = (
    "lora_r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "learning_rate",
    "epochs",
    "published_rows",
    "min_steps",
    "micro_batch",
    "accumulation",
    "warmup_ratio",
    "weight_decay",
    "max_length",
    "eval_steps",
    "early_stopping_patience",
    "packing",
    "optimizer",
    "scheduler",
    "dtype",
)
