"""What a run looks at before the base is loaded: ``training.preflight`` given this run's plan and machine.

``at_once`` says how many sequences fit into memory, for recipes that leave it open. Loads nothing.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from training.config import TrainConfig
from training.data import RunData, Sequences
from training.errors import BaseModelError, PreflightError
from training.estimate import ModelShape, fitting_micro_batch
from training.events import Events
from training.loading import load_config, local_device
from training.plan import Machine, Plan
from training.positions import positions_of
from training.preflight import Budget, Preflight, Side, Subject, preflight
from training.qlora import EVALUATED
from training.recipes import Recipe
from training.speed import measured_speed
from training.targets import fitted_targets
from training.templates import ORIGIN, own_template, stop_phrase_of

__all__ = ["at_once", "check", "with_phrase", "with_targets", "within_context"]


def _rank(config: TrainConfig, recipe: Recipe) -> int:
    return (config.lora and config.lora.r) or recipe.lora_r


def at_once(
    config: TrainConfig, recipe: Recipe, sequences: Sequences, machine: Machine, attention: str | None
) -> int | None:
    """Sequences that fit into memory together, where the recipe is ``auto`` and can tell; None otherwise.

    Of preference runs each answer is a sequence; ``plan_run`` makes pairs of them.
    """
    path = Path(config.base) / "config.json"
    if recipe.name != "auto" or machine.free_bytes is None or not path.is_file():
        return None
    try:
        shape = ModelShape.of(json.loads(path.read_text(encoding="utf-8")))
    except BaseModelError:
        # Memory that runs out is answered by smaller batches anyway; preflight warns of the unknown size.
        return None
    return fitting_micro_batch(
        shape,
        machine.free_bytes,
        lora_r=_rank(config, recipe),
        tokens=sequences.longest,
        packing=recipe.packing,
        most=recipe.micro_batch,
        attention=attention,
        checkpointing=machine.device == "cuda",
    )


def _width(config: TrainConfig) -> int:
    text = load_config(config.base).get_text_config()
    return int(getattr(text, "hidden_size", 0) or 1)


def within_context(config: TrainConfig, recipe: Recipe, events: Events) -> Recipe:
    """The recipe with rows no longer than the base has positions; said where that is less than its own length.

    Raises:
        BaseModelError: the base's configuration cannot be read.
        PreflightError: the request asks for longer rows by itself (``max_length_too_long``).
    """
    positions = positions_of(load_config(config.base))
    if positions is None or recipe.max_length <= positions:
        return recipe
    if config.max_length is not None:
        raise PreflightError(
            f"max_length is {config.max_length}, but '{config.base_label}' has {positions} positions.",
            param="max_length",
            code="max_length_too_long",
            hint=f"Ask for at most {positions}, or leave max_length out.",
        )
    events.say(
        f"기반 모델의 문맥이 {positions:,}토큰이라 행의 최대 길이를 {recipe.max_length:,}에서 그만큼으로 줄입니다."
    )
    return dataclasses.replace(recipe, max_length=positions)


def with_phrase(config: TrainConfig, recipe: Recipe, events: Events) -> Recipe:
    """The recipe with the stop phrase that a merged base was trained with, where the request says nothing of one."""
    folder = Path(config.base)
    if config.stop_phrase is not None or not (folder / ORIGIN).is_file():
        return recipe
    phrase = stop_phrase_of(own_template(folder) or "")
    if phrase is None:
        return recipe
    events.say(f"기반 모델이 답변을 '{phrase}'(으)로 끝내도록 학습되어 있어 그대로 이어 씁니다.")
    return dataclasses.replace(recipe, stop_phrase=phrase)


def with_targets(config: TrainConfig, recipe: Recipe, events: Events) -> Recipe:
    """The recipe with layers that can have an adapter in this base; said where some of them cannot.

    Raises:
        BaseModelError: none of the recipe's can (``adapter_targets_refused``).
    """
    fitted, left_out = fitted_targets(load_config(config.base), recipe)
    if left_out:
        words = f"이 기반 모델에서는 {', '.join(left_out)} 층에 어댑터를 붙일 수 없어 나머지 선형 층만 학습합니다."
        events.emit("message", words, {"targets": list(fitted.target_modules), "left_out": list(left_out)}, "warn")
    return fitted


def _read_only(data: RunData, plan: Plan) -> int:
    """Tokens that evaluations send forward, all of them together."""
    if data.valid is None:
        return 0
    evaluations = plan.total_steps // plan.eval_steps
    if data.valid.pairs:
        # All pairs each time, through the model and through the reference.
        return 2 * evaluations * sum(data.valid.fed)
    lengths = data.valid.rows.lengths()
    # The one at the last step reads all rows, those before it the first ones.
    return sum(lengths[:EVALUATED]) * max(0, evaluations - 1) + sum(lengths)


def check(
    config: TrainConfig,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    data: RunData,
    run: tuple[Plan, Sequences, Machine, str | None],
) -> Preflight:
    """Look at everything; the last argument is the plan, what is fed, the machine, and the attention.

    Raises:
        PreflightError: hours would be wasted for certain.
    """
    plan, sequences, machine, attention = run
    subject = Subject(
        base=config.base,
        recipe=recipe,
        tokenizer=tokenizer,
        template=template,
        train=Side(rows=data.train.rows, report=data.train.report),
        valid=Side(rows=data.valid.rows, report=data.valid.report) if data.valid else None,
        whole=data.whole,
        overlap=data.overlap,
    )
    pairs = config.method == "dpo"
    fed, on_gpu = data.train.fed, machine.device == "cuda"
    # A pair's two answers go through the model together.
    tokens_per_step = round(plan.batch_rows * sum(fed) / len(data.train.rows))
    budget = Budget(
        total_steps=plan.total_steps,
        share_seen=plan.share_seen,
        tokens_per_step=tokens_per_step,
        micro_batch=plan.micro_batch * (2 if pairs else 1),
        sequence_tokens=sequences.longest,
        lora_r=_rank(config, recipe),
        attention=attention,
        free_bytes=machine.free_bytes,
        flops=machine.flops,
        speed=measured_speed(_width(config), local_device()) if machine.flops is None else None,
        micro_batches=plan.total_steps * plan.accumulation,
        evaluated_tokens=_read_only(data, plan) + (plan.total_steps * tokens_per_step if pairs else 0),
        checkpointing=on_gpu,
        processes=machine.processes,
        max_steps_epochs=plan.epochs if config.max_steps is not None else None,
    )
    return preflight(subject, budget, allow_truncated=config.allow_truncated)
