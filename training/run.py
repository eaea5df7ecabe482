"""One training run from configuration to adapter: encode, measure, train, measure again, write everything down.

``trained_tokens`` of the result is what OpenAI bills: the tokens of the examples that went forward in training, prompt,
answer and template alike, after cutting to the recipe's length and without padding, summed over all updates that made
the adapter. Updates that a kill undid and a resumed run repeated count once; evaluation does not count.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.checkpoints import newest_checkpoint
from training.checks import at_once, check, with_phrase, with_targets, within_context
from training.config import TrainConfig
from training.curves import Curves
from training.data import RunData, Sequences, read_data
from training.demo_base import build_demo_base
from training.disk import disk_guard
from training.dpo import make_preference_trainer
from training.duration import in_words
from training.encoding import EncodedRow
from training.errors import OutOfMemoryRunError
from training.events import Events
from training.history import History
from training.hub import local_folder
from training.loading import fastest_attention, load_base, load_config, load_tokenizer
from training.machine import this_machine
from training.measure import measure
from training.model_card import CardFacts, write_card
from training.oom import ran_out
from training.packing_check import PackingCheck, check_packing
from training.pause import Pause, PausedRun
from training.plan import Plan, base_rate, batch_of, effective_recipe, plan_run
from training.preflight import Preflight
from training.publishing import End, published
from training.qlora import Setting, make_trainer
from training.recipes import Recipe, epochs_for
from training.results import kept_checkpoints, rows_of, write_csv
from training.steady import Keeper
from training.templates import chat_template
from training.tracking import check_tracking, closing_tracking, open_tracking

__all__ = ["run_training"]

#: Rows of each side on which the loss before and after is measured.
MEASURED = 64


def run_training(config: TrainConfig, events: Events, pause: Pause | None = None) -> None:
    """Run to the end and emit the result, or to a pause and say so.

    Raises:
        MalmoiError: the base or the data cannot be used, the loss diverged, memory or the disk ran out.
    """
    check_tracking(config)
    config.output_dir.mkdir(parents=True, exist_ok=True)
    try:
        with closing_tracking(config, events), disk_guard(config.output_dir):
            _Run(config, events, pause or Pause()).go()
    except PausedRun as paused:
        events.emit("paused", f"{paused.step}단계에서 저장하고 멈추었습니다.", {"step": paused.step})
    except Exception as error:
        # Before or after training; in a step it was answered by smaller batches.
        if isinstance(error, OutOfMemoryRunError) or not ran_out(error):
            raise
        raise OutOfMemoryRunError(f"Memory does not suffice for the base and its adapter: {error}") from error


class _Run:
    """One run, stage by stage."""

    def __init__(self, config: TrainConfig, events: Events, pause: Pause) -> None:
        self.config, self.events, self.pause = config, events, pause
        self.machine = this_machine()
        self.recipe = effective_recipe(config)
        self.attention = self.recipe.attention

    def go(self) -> None:
        """All stages."""
        config = self.config
        if config.demo_corpus is not None:
            self.events.say("malmoi-demo(동작 확인용 모델)를 준비합니다.")
            build_demo_base(config.demo_corpus, Path(config.base), self.events.say)
        # What a base says of itself is read in its folder, also where it goes by its name on the hub.
        local = config.model_copy(update={"base": str(local_folder(config.base, weights=False))})
        tokenizer = load_tokenizer(config.base)
        self.recipe = with_phrase(local, within_context(config, self.recipe, self.events), self.events)
        self.recipe = with_targets(config, self.recipe, self.events)
        self.attention = self.attention or fastest_attention(load_config(config.base))
        # Saved with every checkpoint and with the adapter: who chats with one needs the template it was trained with.
        tokenizer.chat_template = chat_template(self.recipe, tokenizer)
        data = read_data(config, self.recipe, tokenizer, tokenizer.chat_template, self.events)
        plan, sequences, found = self._prepared(local, tokenizer, data)
        model = load_base(config.base, attention=self.attention)
        if sequences.shape is not None:
            packing = check_packing(model, tokenizer)
            level = "info" if packing.apart else "warn"
            self.events.emit("message", packing.words(), {"packing": asdict(packing)}, level)
            found = found.with_packing(packing)
            if not packing.apart:
                self.recipe = dataclasses.replace(self.recipe, packing=False)
                plan, sequences, found = self._prepared(local, tokenizer, data, packing)
        trainer, setting = self._trainer(model, tokenizer, data, sequences, plan)
        pad = tokenizer.pad_token_id
        # A fresh LoRA adds nothing, so this is the base's own loss.
        losses = _measured("before", trainer.model, data, pad)
        # Measuring ran in evaluation mode only and drew no random number: a resumed run trains on as if undisturbed.
        checkpoint = self._checkpoint_to_resume(trainer) if config.resume else None
        began = time.monotonic()
        trained = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        took = time.monotonic() - began
        losses |= _measured("after", trainer.model, data, pad)
        if trainer.is_world_process_zero():
            steps = int(trained.global_step)
            timing = self._timed(found, (steps - setting.history.first_step, plan.total_steps), took)
            self._finish(trainer, setting, steps, (data, found), losses | {"timing": timing})
        trainer.accelerator.wait_for_everyone()

    def _prepared(
        self, local: TrainConfig, tokenizer: Any, data: RunData, packing: PackingCheck | None = None
    ) -> tuple[Plan, Sequences, Preflight]:
        """Numbers, sequences and preflight, told; before the base is loaded, and again where it cannot be packed for.

        Args:
            local: The request with the base's folder.
            tokenizer: With the template.
            data: Encoded.
            packing: What the base made of packed rows.
        """
        micro, accumulation = batch_of(local, self.recipe)
        sequences = data.sequences(micro * accumulation, self.recipe, self.machine, local.seed)
        plan = plan_run(
            local,
            self.recipe,
            len(data.train.rows),
            machine=self.machine,
            packed=sequences.shape,
            at_once=at_once(local, self.recipe, sequences, self.machine, self.attention),
        )
        self._tell(plan, sequences, len(data.train.rows))
        run = (plan, sequences, self.machine, self.attention)
        found = check(local, self.recipe, tokenizer, tokenizer.chat_template, data, run)
        if packing is not None:
            found = found.with_packing(packing)
        self.events.emit("preflight", found.summary(), found.as_dict(), "warn" if found.warnings else "info")
        return plan, sequences, found

    def _timed(self, found: Preflight, steps: tuple[int, int], took: float) -> dict[str, Any]:
        """The estimate beside what the steps of this attempt really took, told."""
        done, total = steps
        timing: dict[str, Any] = {"took_seconds": round(took, 1), "steps": done, "estimate": None}
        if found.duration is not None and total:
            expected = found.duration.share(done / total)
            timing["estimate"] = expected.as_dict()
            words = f"예상 {in_words(expected.low)}~{in_words(expected.high)}, 실제 {in_words(took)}"
            self.events.emit("message", f"학습 시간: {words} ({done:,}단계).", {"timing": timing})
        return timing

    def _tell(self, plan: Plan, sequences: Sequences, rows: int) -> None:
        message = f"{plan.total_steps}단계를 학습하며, 데이터의 {plan.share_seen:.0%}를 봅니다."
        if sequences.shape is not None:
            shape, count = sequences.shape
            message += f" 여러 행을 최대 {shape.length:,}토큰짜리 {count:,}개로 묶었습니다."
        recipe, auto = self.recipe, self.config.n_epochs == "auto" and self.config.max_steps is None
        if auto and recipe.name != "auto" and epochs_for(recipe, rows) != recipe.epochs:
            message += (
                f" 레시피 {recipe.name}의 {recipe.epochs}에포크는 {rows:,}행에 너무 많아 OpenAI의 식에 따라 "
                f"{plan.epochs}에포크를 학습합니다."
            )
        data = {"share_seen": plan.share_seen, "plan": asdict(plan)}
        self.events.emit("message", message, data, "warn" if plan.share_seen < 1 else "info")

    def _trainer(
        self, model: Any, tokenizer: Any, data: RunData, sequences: Sequences, plan: Plan
    ) -> tuple[Any, Setting]:
        config, recipe = self.config, self.recipe
        title = f"{config.base_label} · {recipe.name}"
        curves = Curves(path=config.output_dir / "curves.png", title=title, events=self.events)
        keeper = Keeper(
            folder=config.output_dir / "checkpoints", keep=config.keep_checkpoints, events=self.events, curves=curves
        )
        if not config.resume:
            keeper.forget_pieces()
        settings = {"recipe": recipe.name, "base": config.base_label, "seed": config.seed, **asdict(plan)}
        history = History(events=self.events, total_steps=plan.total_steps, pause=self.pause)
        setting = Setting(
            config=config,
            recipe=recipe,
            plan=plan,
            keeper=keeper,
            history=history,
            reports=open_tracking(config, settings, self.events) if self.machine.first else (),
            evaluated=data.valid is not None,
        )
        if config.method == "dpo":
            trainer = make_preference_trainer(model, tokenizer, setting, data)
        else:
            packed = sequences.shape is not None
            valid = data.evaluated(config.seed)
            trainer = make_trainer(model, tokenizer, setting, sequences.dataset, valid, packed=packed)
        history.agree = trainer.agreed
        return trainer, setting

    def _checkpoint_to_resume(self, trainer: Any) -> Path | None:
        """The newest whole checkpoint, telling which torn ones were left out and where the run begins."""
        with trainer.args.main_process_first(desc="checkpoints"):
            checkpoint, torn = newest_checkpoint(self.config.output_dir / "checkpoints")
        for folder in torn:
            self.events.emit(
                "message",
                f"체크포인트 {folder.name}: 온전하지 않아 쓰지 않고 지웁니다. {folder.fault}.",
                {"checkpoint": folder.name, "fault": folder.fault},
                "warn",
            )
        if checkpoint is not None:
            self.events.say(f"{checkpoint.name}에서 이어서 학습합니다.")
        elif torn:
            self.events.emit("message", "온전한 체크포인트가 없어 처음부터 다시 학습합니다.", None, "warn")
        return checkpoint

    def _finish(
        self,
        trainer: Any,
        setting: Setting,
        steps: int,
        known: tuple[RunData, Preflight],
        more: dict[str, Any],
    ) -> None:
        """Adapter, tables, picture, card, and the word of it."""
        config, state = self.config, trainer.state
        adapter = config.output_dir / "adapter"
        trainer.model.save_pretrained(adapter, safe_serialization=True)
        trainer.processing_class.save_pretrained(adapter)
        rows = rows_of(state.log_history)
        plot = setting.keeper.curves.draw(rows)
        plan = setting.plan
        restored = bool(trainer.args.load_best_model_at_end and state.best_model_checkpoint)
        message, told = published(
            End(
                steps=steps,
                planned=plan.total_steps,
                best_step=state.best_global_step,
                restored=restored,
                stopped_early=trainer.stopped_early,
                patience=self.recipe.early_stopping_patience,
                valid_losses={step: row["valid_loss"] for step, row in rows.items() if "valid_loss" in row},
            )
        )
        self.events.emit("message", message, {"published": told})
        result = {
            "adapter_dir": str(adapter.resolve()),
            "base_path": config.base,
            "steps": steps,
            "best_step": state.best_global_step,
            "restored_best": restored,
            "stopped_early": trainer.stopped_early,
            "trained_tokens": int(state.num_input_tokens_seen),
            "result_csv": str(write_csv(config.output_dir / "result.csv", rows)),
            "plot": str(plot) if plot else None,
            "checkpoints": kept_checkpoints(setting.keeper.folder, rows),
            "hyperparameters": _hyperparameters(config, plan, self.recipe, trainer),
            "encoding": known[0].train.report.as_dict(),
            "preflight": known[1].as_dict(),
            **more,
        }
        write_card(adapter, CardFacts(config=config, recipe=self.recipe, plan=plan, rows=rows, result=result))
        self.events.emit("result", "학습을 마쳤습니다.", result)


def _measured(when: str, model: Any, data: RunData, pad: int) -> dict[str, float | None]:
    """Answer loss on the first rows of each side; None for a side without rows."""
    sides: tuple[tuple[str, Sequence[EncodedRow]], ...] = (("train", data.train.rows), ("valid", data.valid_rows))
    return {
        f"{side}_loss_{when}": measure(model, rows[:MEASURED], pad).mean_loss if rows else None for side, rows in sides
    }


def _hyperparameters(config: TrainConfig, plan: Plan, recipe: Recipe, trainer: Any) -> dict[str, Any]:
    found = {
        # Passes begun: steps that were asked for, or patience, may have ended the run before those planned.
        "n_epochs": max(1, math.ceil(round(trainer.state.epoch, 3))),
        "batch_size": plan.batch_rows,
        "learning_rate_multiplier": plan.learning_rate / base_rate(config, recipe),
    }
    return found | {"beta": trainer.beta} if config.method == "dpo" else found
