"""QLoRA with TRL: an NF4 base, a LoRA adapter, rows that are encoded already. TRL batches and optimises, nothing more.

``make_trainer`` builds the trainer; ``answer_loss`` measures the loss of trained tokens, before and after.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import SFTConfig, SFTTrainer

from training.checkpoints import SEAL, seal
from training.config import LoraOverrides, TrainConfig
from training.encoding import IGNORED, EncodedRow
from training.errors import TrainingDivergedError
from training.events import Events
from training.loading import device
from training.recipes import Recipe

__all__ = ["History", "Plan", "answer_loss", "make_trainer", "plan_run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The numbers of a run after recipe, request and data have met."""

    micro_batch: int
    accumulation: int
    epochs: int
    learning_rate: float
    max_steps: int  #: -1 where epochs decide.
    total_steps: int
    eval_steps: int


def plan_run(config: TrainConfig, recipe: Recipe, rows: int) -> Plan:
    """Batch, epochs, rate and steps of a run over ``rows`` rows."""
    micro, accumulation = recipe.micro_batch, recipe.accumulation
    if config.batch_size != "auto":
        micro = math.gcd(config.batch_size, recipe.micro_batch)
        accumulation = config.batch_size // micro
    per_epoch = math.ceil(math.ceil(rows / micro) / accumulation)
    epochs = recipe.epochs if config.n_epochs == "auto" else config.n_epochs
    if config.n_epochs == "auto" and config.max_steps is None:
        epochs = max(epochs, math.ceil(recipe.min_steps / per_epoch))
    total = config.max_steps or per_epoch * epochs
    rate = recipe.learning_rate
    if config.learning_rate_multiplier != "auto":
        rate *= config.learning_rate_multiplier
    return Plan(
        micro_batch=micro,
        accumulation=accumulation,
        epochs=epochs,
        learning_rate=rate,
        max_steps=config.max_steps or -1,
        total_steps=total,
        # A short run is evaluated and saved four times, or a kill would cost all of it.
        eval_steps=max(1, min(recipe.eval_steps, math.ceil(total / 4))),
    )


@dataclass
class History(TrainerCallback):
    """Turns the trainer's log into events and keeps it for the result file."""

    events: Events
    total_steps: int
    rows: dict[int, dict[str, float]] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    first_step: int = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note where this attempt begins, for the estimate of the end."""
        self.first_step, self.started = state.global_step, time.time()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep and emit one line of the log."""
        logs = logs or {}
        step = state.global_step
        row = self.rows.setdefault(step, {})
        for source, target in (
            ("loss", "train_loss"),
            ("mean_token_accuracy", "train_mean_token_accuracy"),
            ("eval_loss", "valid_loss"),
            ("eval_mean_token_accuracy", "valid_mean_token_accuracy"),
            ("learning_rate", "learning_rate"),
            ("grad_norm", "grad_norm"),
        ):
            if source in logs:
                row[target] = float(logs[source])
        if "loss" not in logs and "eval_loss" not in logs:
            return
        if not all(math.isfinite(value) for value in row.values()):
            raise TrainingDivergedError(f"The loss is no number at step {step}.")
        left = (time.time() - self.started) / max(1, step - self.first_step) * (self.total_steps - step)
        data = {"step": step, "total_steps": self.total_steps, **row, "estimated_finish": int(time.time() + left)}
        parts = [f"training loss={row['train_loss']:.3f}"] if "train_loss" in row else []
        parts += [f"validation loss={row['valid_loss']:.3f}"] if "valid_loss" in row else []
        self.events.emit("metrics", f"Step {step}/{self.total_steps}: {', '.join(parts)}", data)


class _ResumableTrainer(SFTTrainer):
    """Seals every checkpoint once it is whole, and mends two things about resuming.

    PEFT loads a bfloat16 adapter as float32, and the curves part. The dtype must come back before the optimizer takes
    its state over: mended later, the moments stay float32 and the fused AdamW refuses them.

    A run that was killed after its last step, in mid-epoch, would take one step more: the library looks at the limit
    only after a step.
    """

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        # A run that does not resume writes over what an earlier one left; that one's seal must not vouch for this.
        (folder / SEAL).unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)
        seal(folder)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        trained = {name: p.dtype for name, p in self.model.named_parameters() if p.requires_grad}
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        for name, parameter in self.model.named_parameters():
            if name in trained:
                parameter.data = parameter.data.to(trained[name])


def _dataset(rows: Sequence[EncodedRow]) -> Dataset:
    return Dataset.from_dict({"input_ids": [r.input_ids for r in rows], "labels": [r.labels for r in rows]})


def _adapter(lora: LoraOverrides | None, recipe: Recipe) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=(lora and lora.r) or recipe.lora_r,
        lora_alpha=(lora and lora.alpha) or recipe.lora_alpha,
        lora_dropout=lora.dropout if lora and lora.dropout is not None else recipe.lora_dropout,
        target_modules=list(recipe.target_modules),
    )


def make_trainer(
    model: Any,
    tokenizer: Any,
    config: TrainConfig,
    recipe: Recipe,
    plan: Plan,
    data: tuple[Sequence[EncodedRow], Sequence[EncodedRow]],
    history: History,
) -> SFTTrainer:
    """TRL's trainer over encoded rows; the rows are shuffled by the seed, evaluation rows may be none."""
    train, valid = data
    arguments = SFTConfig(
        output_dir=str(config.output_dir / "checkpoints"),
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=device() == "cpu",
        bf16=True,
        per_device_train_batch_size=plan.micro_batch,
        per_device_eval_batch_size=plan.micro_batch,
        gradient_accumulation_steps=plan.accumulation,
        # Recomputation saves memory that a GPU lacks and a CPU has.
        gradient_checkpointing=device() == "cuda",
        learning_rate=plan.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(recipe.warmup_ratio * plan.total_steps),
        weight_decay=recipe.weight_decay,
        num_train_epochs=plan.epochs,
        max_steps=plan.max_steps,
        max_length=recipe.max_length,
        packing=False,
        logging_steps=max(1, plan.total_steps // 40),
        # On, the library shows the mean of the finite losses instead of a loss that is no number.
        logging_nan_inf_filter=False,
        eval_strategy="steps" if valid else "no",
        eval_steps=plan.eval_steps,
        save_strategy="steps",
        save_steps=plan.eval_steps,
        save_total_limit=3,
        # Counted in the trainer's state, which travels with the checkpoint: a step counts once, however often it ran.
        include_num_input_tokens_seen="non_padding",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    return _ResumableTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(train),
        eval_dataset=_dataset(valid) if valid else None,
        processing_class=tokenizer,
        peft_config=_adapter(config.lora, recipe),
        callbacks=[history],
    )


@torch.no_grad()
def answer_loss(model: Any, rows: Sequence[EncodedRow], pad_id: int, batch: int = 8) -> float:
    """Mean loss in nats of the trained tokens of ``rows``."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    where = next(model.parameters()).device
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        width = max(len(row.input_ids) for row in part)
        ids = torch.tensor([row.input_ids + [pad_id] * (width - len(row.input_ids)) for row in part], device=where)
        labels = torch.tensor([row.labels + [IGNORED] * (width - len(row.labels)) for row in part], device=where)
        mask = torch.tensor([[1] * len(r.input_ids) + [0] * (width - len(r.input_ids)) for r in part], device=where)
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=IGNORED, reduction="sum"
        )
        total += float(losses)
        count += int((labels[:, 1:] != IGNORED).sum())
    model.train(was_training)
    return total / count
