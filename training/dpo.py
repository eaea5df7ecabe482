"""Preference runs: the better answer of a pair made likelier than the worse one, against the base as reference.

TRL's trainer on pairs that are encoded already: its own preparation would tokenise anew, so it is left out and its
collator given our ids. The reference is the model with its adapter switched off; no second copy is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from training.data import RunData
from training.preferences import PreferenceRow
from training.qlora import Setting, callbacks_of, lora_config, shared_arguments
from training.steady import SteadyMixin

__all__ = ["AUTO_BETA", "make_preference_trainer", "pair_dataset"]

#: The DPO paper's (arXiv 2305.18290) and TRL's default.
AUTO_BETA = 0.1


def pair_dataset(pairs: Sequence[PreferenceRow]) -> Dataset:
    """Pairs in the names of TRL's collator."""
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    return Dataset.from_dict({name: [list(getattr(pair, name)) for pair in pairs] for name in names})


class _Preferences(SteadyMixin, DPOTrainer):
    """TRL's trainer without its own tokenisation."""

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset


def make_preference_trainer(model: Any, tokenizer: Any, setting: Setting, data: RunData) -> DPOTrainer:
    """TRL's DPO trainer over encoded pairs.

    Args:
        model: The quantised base; it gets the adapter.
        tokenizer: Saved with every checkpoint.
        setting: Recipe, numbers and who listens.
        data: With encoded pairs.
    """
    beta = setting.config.beta
    arguments = DPOConfig(
        **shared_arguments(setting),
        beta=AUTO_BETA if beta == "auto" else beta,
        # Pairs are cut and counted before.
        max_length=None,
        include_num_input_tokens_seen="non_padding",
    )
    return _Preferences(
        model=model,
        args=arguments,
        train_dataset=pair_dataset(data.train.pairs),
        eval_dataset=pair_dataset(data.valid.pairs) if data.valid else None,
        processing_class=tokenizer,
        peft_config=lora_config(setting.config.lora, setting.recipe),
        callbacks=callbacks_of(setting),
        keeper=setting.keeper,
    )
