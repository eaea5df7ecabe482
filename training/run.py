"""One training run from configuration to adapter: encode, measure, train, measure again, write everything down.

``trained_tokens`` of the result is what OpenAI bills: the tokens of the examples that went forward in training, prompt,
answer and template alike, after cutting to the recipe's length and without padding, summed over all updates that made
the adapter. Updates that a kill undid and a resumed run repeated count once; evaluation does not count.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from corpora.messages import training_rows
from training.checkpoints import newest_checkpoint, sealed_checkpoints
from training.config import TrainConfig
from training.demo_base import build_demo_base
from training.encoding import EncodedRow, EncodingReport, encode_rows
from training.events import Events
from training.loading import load_base, load_tokenizer
from training.qlora import History, Plan, answer_loss, make_trainer, plan_run
from training.recipes import RECIPES, Recipe
from training.templates import load_template

__all__ = ["run_training"]

#: Rows of each side on which the loss before and after is measured.
MEASURED = 64
#: OpenAI's five columns first, then ours.
COLUMNS = (
    "step",
    "train_loss",
    "train_accuracy",
    "valid_loss",
    "valid_mean_token_accuracy",
    "learning_rate",
    "grad_norm",
)


def _encode(
    path: Path, param: str, tokenizer: PreTrainedTokenizerBase, recipe: Recipe
) -> tuple[list[EncodedRow], EncodingReport]:
    # In bytes, as validation reads it: text mode would end lines at carriage returns too.
    with path.open("rb") as handle:
        rows = training_rows(handle, param=param)
        return encode_rows(rows, tokenizer, load_template(recipe.template), recipe.max_length, param)


def run_training(config: TrainConfig, events: Events) -> None:
    """Run to the end and emit the result.

    Raises:
        MalmoiError: the base or the data cannot be used, or the loss diverged.
    """
    recipe = RECIPES[config.recipe]
    if config.demo_corpus is not None:
        events.say("malmoi-demo(동작 확인용 모델)를 준비합니다.")
        build_demo_base(config.demo_corpus, Path(config.base), events.say)
    tokenizer = load_tokenizer(config.base)
    train, report = _encode(config.training_file, "training_file", tokenizer, recipe)
    _tell(events, "학습", report)
    valid: list[EncodedRow] = []
    if config.validation_file is not None:
        valid, valid_report = _encode(config.validation_file, "validation_file", tokenizer, recipe)
        _tell(events, "검증", valid_report)
    plan = plan_run(config, recipe, len(train))
    seen = min(1.0, plan.total_steps * plan.micro_batch * plan.accumulation / len(train))
    level = "warn" if seen < 1 else "info"
    events.emit(
        "message", f"{plan.total_steps}단계를 학습하며, 데이터의 {seen:.0%}를 봅니다.", {"share_seen": seen}, level
    )
    model = load_base(config.base)
    history = History(events, plan.total_steps)
    trainer = make_trainer(model, tokenizer, config, recipe, plan, (train, valid), history)
    pad = tokenizer.pad_token_id
    # A fresh LoRA adds nothing, so this is the base's own loss.
    losses = _measure("before", trainer.model, train, valid, pad)
    # Measuring ran in evaluation mode only and drew no random number: a resumed run trains on as if undisturbed.
    checkpoint = _checkpoint_to_resume(config, events) if config.resume else None
    trained = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    losses |= _measure("after", trainer.model, train, valid, pad)
    adapter = config.output_dir / "adapter"
    tokenizer.chat_template = load_template(recipe.template)
    trainer.model.save_pretrained(adapter, safe_serialization=True)
    tokenizer.save_pretrained(adapter)
    _write_card(adapter, config, recipe, losses)
    result = {
        "adapter_dir": str(adapter.resolve()),
        "base_path": config.base,
        "steps": int(trained.global_step),
        "trained_tokens": int(trainer.state.num_input_tokens_seen),
        "result_csv": str(_write_csv(config.output_dir, _all_rows(trainer.state.log_history))),
        "checkpoints": _checkpoints(config.output_dir / "checkpoints", _all_rows(trainer.state.log_history)),
        "hyperparameters": _hyperparameters(plan, recipe),
        "encoding": report.as_dict(),
        **losses,
    }
    events.emit("result", "학습을 마쳤습니다.", result)


def _measure(
    when: str, model: Any, train: list[EncodedRow], valid: list[EncodedRow], pad: int
) -> dict[str, float | None]:
    """Answer loss on the first rows of each side; None for a side without rows."""
    sides = (("train", train), ("valid", valid))
    return {f"{side}_loss_{when}": answer_loss(model, rows[:MEASURED], pad) if rows else None for side, rows in sides}


def _tell(events: Events, side: str, report: EncodingReport) -> None:
    lost = report.truncated + report.dropped
    message = (
        f"{side} 데이터: {report.rows}행 가운데 {report.kept}행 사용, {report.dropped}행 제외, "
        f"{report.truncated}행 잘림, 토큰 {report.tokens:,}개 중 {report.trained_tokens:,}개 학습"
    )
    events.emit("message", message, report.as_dict(), "warn" if lost else "info")


def _hyperparameters(plan: Plan, recipe: Recipe) -> dict[str, Any]:
    return {
        "n_epochs": plan.epochs,
        "batch_size": plan.micro_batch * plan.accumulation,
        "learning_rate_multiplier": plan.learning_rate / recipe.learning_rate,
    }


def _checkpoint_to_resume(config: TrainConfig, events: Events) -> Path | None:
    """The newest whole checkpoint, telling which torn ones were left out and where the run begins."""
    checkpoint, torn = newest_checkpoint(config.output_dir / "checkpoints")
    for folder in torn:
        events.emit(
            "message",
            f"체크포인트 {folder.name}: 온전하지 않아 쓰지 않고 지웁니다. {folder.fault}.",
            {"checkpoint": folder.name, "fault": folder.fault},
            "warn",
        )
    if checkpoint is not None:
        events.say(f"{checkpoint.name}에서 이어서 학습합니다.")
    elif torn:
        events.emit("message", "온전한 체크포인트가 없어 처음부터 다시 학습합니다.", None, "warn")
    return checkpoint


def _all_rows(log: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The trainer's log by step, earlier attempts included: the state travels with the checkpoint."""
    rows: dict[int, dict[str, Any]] = {}
    names = {
        "loss": "train_loss",
        "mean_token_accuracy": "train_accuracy",
        "eval_loss": "valid_loss",
        "eval_mean_token_accuracy": "valid_mean_token_accuracy",
        "learning_rate": "learning_rate",
        "grad_norm": "grad_norm",
    }
    for entry in log:
        kept = {target: entry[source] for source, target in names.items() if source in entry}
        if kept:
            rows.setdefault(int(entry["step"]), {}).update(kept)
    return rows


def _write_csv(folder: Path, rows: dict[int, dict[str, Any]]) -> Path:
    path = folder / "result.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="")
        writer.writeheader()
        for step in sorted(rows):
            writer.writerow({"step": step, **rows[step]})
    return path


def _checkpoints(folder: Path, rows: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Kept checkpoints in order, with the metrics nearest before them."""
    found = []
    for step, path in sealed_checkpoints(folder):
        merged: dict[str, Any] = {}
        for at in sorted(rows):
            if at <= step:
                merged |= rows[at]
        metrics = {
            "step": step,
            "train_loss": merged.get("train_loss"),
            "train_mean_token_accuracy": merged.get("train_accuracy"),
            "valid_loss": merged.get("valid_loss"),
            "valid_mean_token_accuracy": merged.get("valid_mean_token_accuracy"),
        }
        found.append({"step": step, "path": str(path), "metrics": {k: v for k, v in metrics.items() if v is not None}})
    return found


def _write_card(folder: Path, config: TrainConfig, recipe: Recipe, losses: dict[str, float | None]) -> None:
    """The model card: base, licence, recipe, losses."""
    shown = "\n".join(f"| {name} | {value:.4f} |" for name, value in losses.items() if value is not None)
    card = (
        f"---\nbase_model: {config.base_label}\nlibrary_name: peft\nlanguage: ko\n---\n"
        f"# {config.base_label}, fine-tuned\n\n"
        f"A LoRA adapter made by Malmoi with recipe `{recipe.name}`, seed {config.seed}.\n"
        f"Licence of the base: {recipe.licence}.\n\n| answer loss | nats a token |\n|---|---|\n{shown}\n"
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
