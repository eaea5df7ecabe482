"""QLoRA with TRL: an NF4 base, a LoRA adapter, rows that are encoded already. TRL batches and optimises, nothing more.

``make_trainer`` builds the trainer of a supervised run; ``shared_arguments`` and ``lora_config`` serve preference runs
too (``training.dpo``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import EarlyStoppingCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from training.config import LoraOverrides, TrainConfig
from training.encoding import EncodedRow
from training.loading import device
from training.measure import measure
from training.plan import Plan
from training.recipes import Recipe
from training.steady import Keeper, SteadyMixin

__all__ = ["Setting", "callbacks_of", "lora_config", "make_trainer", "recomputes", "shared_arguments"]

#: Held-out rows that each evaluation reads; where there are more, all of them are read at the end only.
EVALUATED = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What a trainer is built from besides model and data."""

    config: TrainConfig
    recipe: Recipe
    plan: Plan
    keeper: Keeper
    history: TrainerCallback
    reports: Sequence[str] = ()  #: What transformers reports to.
    evaluated: bool = False  #: Whether there are held-out rows.


def recomputes() -> bool:
    """Whether activations are computed again in the backward pass: that saves memory that a GPU lacks and a CPU has."""
    return device() == "cuda"


def shared_arguments(setting: Setting) -> dict[str, Any]:
    """Arguments that TRL's trainers have in common."""
    config, recipe, plan = setting.config, setting.recipe, setting.plan
    patient = setting.evaluated and recipe.early_stopping_patience > 0
    return {
        "output_dir": str(setting.keeper.folder),
        "seed": config.seed,
        "data_seed": config.seed,
        "use_cpu": device() == "cpu",
        "bf16": True,
        "per_device_train_batch_size": plan.micro_batch,
        "per_device_eval_batch_size": plan.micro_batch,
        "gradient_accumulation_steps": plan.accumulation,
        "gradient_checkpointing": recomputes(),
        "learning_rate": plan.learning_rate,
        "optim": recipe.optimizer,
        "lr_scheduler_type": recipe.scheduler,
        "warmup_steps": math.floor(recipe.warmup_ratio * plan.total_steps),
        "weight_decay": recipe.weight_decay,
        "num_train_epochs": plan.epochs,
        "max_steps": plan.max_steps,
        # Every step: the mean over several would fall elsewhere in a run that was resumed between two lines.
        "logging_steps": 1,
        # On, the library shows the mean of the finite losses instead of a loss that is no number.
        "logging_nan_inf_filter": False,
        "eval_strategy": "steps" if setting.evaluated else "no",
        "eval_steps": plan.eval_steps,
        "save_strategy": "steps",
        "save_steps": plan.eval_steps,
        # Checkpoints that are too many are removed after the new one is sealed, not before.
        "save_total_limit": None,
        "metric_for_best_model": "eval_loss" if setting.evaluated else None,
        "greater_is_better": False if setting.evaluated else None,
        "load_best_model_at_end": patient,
        # Or patience begins anew with every resumed attempt.
        "restore_callback_states_from_checkpoint": True,
        "report_to": list(setting.reports),
        "disable_tqdm": True,
        "dataloader_pin_memory": device() == "cuda",
    }


def callbacks_of(setting: Setting) -> list[TrainerCallback]:
    """The history, and patience where the recipe has some and there is something to measure."""
    patience = setting.recipe.early_stopping_patience
    stopping = [EarlyStoppingCallback(patience)] if setting.evaluated and patience > 0 else []
    return [*stopping, setting.history]


def lora_config(lora: LoraOverrides | None, recipe: Recipe) -> LoraConfig:
    """The recipe's adapter with the request's sizes."""
    targets = recipe.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=(lora and lora.r) or recipe.lora_r,
        lora_alpha=(lora and lora.alpha) or recipe.lora_alpha,
        lora_dropout=lora.dropout if lora and lora.dropout is not None else recipe.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
    )


class _Supervised(SteadyMixin, SFTTrainer):
    """TRL's trainer whose evaluations weigh every trained token the same, packed or not, on any number of processes."""

    def __init__(self, *, valid: Sequence[EncodedRow], **arguments: Any) -> None:
        self.valid = valid
        super().__init__(**arguments)

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """Loss and accuracy on the held-out rows: 512 of them each time, all at the last step."""
        rows = self.valid[:EVALUATED]
        metrics = self._measured(rows, metric_key_prefix)
        if len(rows) == len(self.valid):
            full = metrics
        elif self.state.global_step >= self.state.max_steps:
            full = self._measured(self.valid, metric_key_prefix)
        else:
            full = {}
        metrics = metrics | {name.replace("_", "_full_", 1): value for name, value in full.items()}
        # In evaluation mode, or TRL takes them for metrics of training.
        self.model.eval()
        self.log(dict(metrics))
        self.model.train()
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _measured(self, rows: Sequence[EncodedRow], prefix: str) -> dict[str, float]:
        mine = rows[self.args.process_index :: self.args.world_size]
        batch = max(1, self.args.per_device_eval_batch_size)
        found = measure(self.model, mine, self.processing_class.pad_token_id, batch)
        sums = [float(found.loss), float(found.right), float(found.tokens)]
        loss, right, tokens = self.summed(sums)
        return {f"{prefix}_loss": loss / tokens, f"{prefix}_mean_token_accuracy": right / tokens}


def make_trainer(
    model: Any, tokenizer: Any, setting: Setting, train: Dataset, valid: Sequence[EncodedRow], *, packed: bool
) -> SFTTrainer:
    """TRL's trainer over data that is ready: nothing is cut, dropped or packed here.

    Args:
        model: The quantised base; it gets the adapter.
        tokenizer: Saved with every checkpoint.
        setting: Recipe, numbers and who listens.
        train: Sequences of ``training.packing``.
        valid: Held-out rows; may be none.
        packed: Whether ``train`` is packed; position ids then keep rows apart.
    """
    arguments = SFTConfig(
        **shared_arguments(setting),
        max_length=setting.recipe.max_length,
        packing=packed,
        dataset_kwargs={"skip_prepare_dataset": True},
        # Counted in the trainer's state, which travels with the checkpoint: a step counts once, however often it ran.
        # Packed sequences have no padding, and where the stop token is the padding token it must count.
        include_num_input_tokens_seen="all" if packed else "non_padding",
    )
    return _Supervised(
        model=model,
        args=arguments,
        train_dataset=train,
        # The trainer asks that there be one; evaluations read ``valid``.
        eval_dataset=train.select([0]) if setting.evaluated else None,
        processing_class=tokenizer,
        peft_config=lora_config(setting.config.lora, setting.recipe),
        callbacks=callbacks_of(setting),
        keeper=setting.keeper,
        valid=list(valid),
    )
