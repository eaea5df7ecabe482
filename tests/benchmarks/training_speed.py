"""Our run against plain TRL as its documentation shows it: same tiny base, rows, batch and epochs, on one CPU thread.

    python tests/benchmarks/training_speed.py [--rows 400] [--hidden 256] [--layers 4] [--sets short heavy]

TRL gets the conversations, a template that marks answers, ``assistant_only_loss`` and batches of 8; it tokenises, masks
and pads. Ours gets the same file and a batch of 8 rows an update, packed and not. Counted are real tokens (no padding)
a CPU second of the updates alone; encoding, loading and saving are shown apart. The loss is that of the answers of the
same 64 rows after equally many trained tokens. Goals: unpacked at least TRL's speed; packed at least 0.9 of it on short
even rows and twice it on heavy-tailed ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

import training.run
from corpora.bundled import MANUAL_DIR
from training import demo_base
from training.config import TrainConfig
from training.encoding import encode_rows
from training.events import Events
from training.history import History
from training.loading import load_base, load_tokenizer
from training.measure import measure
from training.qlora import lora_config
from training.recipes import RECIPES
from training.templates import load_template

BATCH, LENGTH, EPOCHS, SEED = 8, 1024, 1, 7
#: Tokens of a row, by set: short and even; mixed; the heavy tail of instruction data (median 64, p95 about 400).
SETS: dict[str, Callable[[random.Random], float]] = {
    "short": lambda draw: draw.uniform(48, 80),
    "mixed": lambda draw: draw.uniform(40, 320),
    "heavy": lambda draw: draw.lognormvariate(4.16, 1.1),
}


class Clock(TrainerCallback):
    """CPU seconds of updates alone."""

    def __init__(self) -> None:
        self.began, self.seconds, self.tokens = 0.0, 0.0, 0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.began = time.process_time()

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        self.seconds += time.process_time() - self.began
        self.tokens = state.num_input_tokens_seen


class Quiet(Events):
    """Keeps the result."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}

    def emit(self, kind: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
        if kind == "result":
            self.result = data or {}


def conversations(name: str, count: int, tokenizer: Any) -> list[list[dict[str, str]]]:
    """Rows of the manual's own sentences, as long as the set says."""
    draw = random.Random(SEED)
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MANUAL_DIR.glob("*.md")))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    rows = []
    for _ in range(count):
        tokens = int(min(LENGTH - 24, max(16, SETS[name](draw))))
        start = draw.randrange(len(ids) - tokens)
        cut = start + max(4, tokens // 4)
        question, answer = (tokenizer.decode(part) for part in (ids[start:cut], ids[cut : start + tokens]))
        rows.append([{"role": "user", "content": question}, {"role": "assistant", "content": answer}])
    return rows


def report(name: str, clock: Clock, wall: float, loss: float) -> float:
    speed = clock.tokens / clock.seconds
    print(f"{name:14s} {clock.tokens:9,d} {speed:10,.0f} {clock.seconds:8.1f} {wall - clock.seconds:8.1f} {loss:8.3f}")
    return speed


def plain_trl(base: Path, rows: list[Any], encoded: Any, folder: Path) -> float:
    began = time.perf_counter()
    tokenizer, model, recipe, clock = load_tokenizer(str(base)), load_base(str(base)), RECIPES["demo"], Clock()
    tokenizer.chat_template = load_template("demo.jinja")
    settings = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=BATCH,
        num_train_epochs=EPOCHS,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        max_length=LENGTH,
        assistant_only_loss=True,
        # As ours on a CPU; on, TRL's default, it computes each forward pass twice.
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=True,
        seed=SEED,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        include_num_input_tokens_seen="non_padding",
    )
    trainer = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list([{"messages": row} for row in rows]),
        processing_class=tokenizer,
        peft_config=lora_config(None, recipe),
        callbacks=[clock],
    )
    trainer.train()
    wall = time.perf_counter() - began
    loss = measure(trainer.model, encoded[:64], tokenizer.pad_token_id).mean_loss
    return report("TRL, batch 8", clock, wall, loss)


def ours(base: Path, file: Path, folder: Path, *, packing: bool) -> float:
    began, clock, events = time.perf_counter(), Clock(), Quiet()

    class Timed(History):
        """Ours with the same clock."""

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            super().on_step_begin(*args, **kwargs)
            clock.on_step_begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            super().on_step_end(args, state, control, **kwargs)
            clock.on_step_end(args, state)

    training.run.History = Timed  # type: ignore[attr-defined]
    asked = {"packing": packing, "batch_size": BATCH, "n_epochs": EPOCHS, "max_length": LENGTH, "seed": SEED}
    run = {"base": base, "base_label": "bench", "training_file": file, "output_dir": folder, "recipe": "demo"}
    run = {name: str(value) for name, value in run.items()}
    training.run.run_training(TrainConfig.model_validate(run | asked), events)
    wall = time.perf_counter() - began
    return report("ours, packed" if packing else "ours, unpacked", clock, wall, events.result["train_loss_after"])


def build_base(folder: Path, hidden: int, layers: int) -> Path:
    """Random weights and a real tokenizer; nothing is learnt before."""
    sizes = {
        "HIDDEN": hidden,
        "LAYERS": layers,
        "HEAD": 64,
        "VOCABULARY": 2000,
        "STEPS": 1,
        "BATCH": 1,
        "CONTEXT": 1024,
    }
    for name, value in sizes.items():
        setattr(demo_base, name, value)
    return demo_base.build_demo_base(MANUAL_DIR, folder, lambda _: None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    # The demo's recipe without its least number of updates: one pass over the rows on either side.
    RECIPES["demo"] = dataclasses.replace(RECIPES["demo"], min_steps=1, warmup_ratio=0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = build_base(folder / "base", asked.hidden, asked.layers)
        tokenizer = load_tokenizer(str(base))
        for kind in asked.sets:
            rows = conversations(kind, asked.rows, tokenizer)
            file = folder / f"{kind}.jsonl"
            lines = [json.dumps({"messages": row}, ensure_ascii=False) + "\n" for row in rows]
            file.write_text("".join(lines), encoding="utf-8")
            began = time.process_time()
            encoded, _ = encode_rows(enumerate(rows, 1), tokenizer, load_template("demo.jinja"), LENGTH)
            seconds = time.process_time() - began
            lengths = encoded.lengths()
            batches = [lengths[start : start + BATCH] for start in range(0, len(lengths), BATCH)]
            padding = 1 - sum(lengths) / sum(max(batch) * len(batch) for batch in batches)
            ranked = sorted(lengths)
            print(
                f"\n{kind}: {len(rows)} rows, p50 {ranked[len(rows) // 2]}, p95 {ranked[len(rows) * 95 // 100]}, "
                f"longest {ranked[-1]}, {padding:.0%} padding in batches of {BATCH}; "
                f"encoded in {seconds:.1f} s ({len(rows) / seconds:,.0f} rows/s)"
            )
            print(f"{'':14s} {'tokens':>9s} {'tokens/s':>10s} {'updates s':>8s} {'rest s':>8s} {'loss':>8s}")
            trl = plain_trl(base, rows, encoded, folder / f"{kind}-trl")
            unpacked = ours(base, file, folder / f"{kind}-unpacked", packing=False)
            packed = ours(base, file, folder / f"{kind}-packed", packing=True)
            print(f"unpacked {unpacked / trl:.2f}x, packed {packed / trl:.2f}x of TRL")


if __name__ == "__main__":
    main()
