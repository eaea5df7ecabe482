"""EEVE-10.8B's exact shape with random weights, trained by its own recipe on one CUDA card: speed, memory, hours.

    python tests/benchmarks/gpu_training.py [--row-tokens 300] [--steps 20] [--attention flash_attention_2]

Needs no download: 48 layers, hidden 4,096, intermediate 14,336, 32 heads, 8 key heads, vocabulary 40,960, 4,096
positions; layers are drawn and quantised to NF4 one by one. Trained as the service trains: packed, r 64 on all linear
layers, 16 rows an update. Two runs: the recipe's, for tokens a second and the hours of 100,000 rows twice (reference:
6 to 10 hours; goal: at most 3 on an H100-class card), and rows one by one, for the memory at batch 1 (reference and
goal: 11 GB). Rows are random tokens with the lengths of instruction data; --row-tokens is their mean. Without a CUDA
card it says so; --rehearse runs a model of toy size on the CPU instead, to see that the road is open.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.config import TrainConfig
from training.curves import Curves
from training.events import Events
from training.history import History
from training.loading import device, fastest_attention, keep_gradients_on_cpu
from training.machine import this_machine
from training.packing import as_dataset, packed_dataset
from training.pause import Pause
from training.plan import batch_of, effective_recipe, pack_shape, plan_run
from training.qlora import Setting, make_trainer
from training.recipes import Recipe
from training.rows import EncodedRows
from training.steady import Keeper

SHAPE = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 48, "num_attention_heads": 32,
         "num_key_value_heads": 8, "vocab_size": 40960, "max_position_embeddings": 4096}  # fmt: skip
TOY = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
       "num_key_value_heads": 1, "vocab_size": 512, "max_position_embeddings": 4096}  # fmt: skip
ROWS_IN_ALL, PASSES = 100_000, 2
REFERENCE_GB, REFERENCE_HOURS, GOAL_HOURS = 11, "6 to 10", 3


class Quiet(Events):
    """Says nothing but warnings."""

    def __init__(self) -> None:
        pass

    def emit(self, kind: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
        if level != "info":
            print(message)


class Watch(History):
    """Seconds of the updates after the first ones, in which kernels are still chosen."""

    warm_up = 3
    marks: list[tuple[float, int]]

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_step_end(args, state, control, **kwargs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.marks = [*getattr(self, "marks", []), (time.perf_counter(), state.num_input_tokens_seen)]

    def tokens_per_second(self) -> float:
        """Real tokens a second."""
        kept = self.marks[min(self.warm_up, len(self.marks) - 2) :]
        return (kept[-1][1] - kept[0][1]) / (kept[-1][0] - kept[0][0])


def quantised_base(shape: dict[str, int], attention: str | None) -> LlamaForCausalLM:
    """Random weights, never more than one layer of them in bfloat16 at once; the output layer stays unquantised."""
    where = torch.device(device())
    with torch.device("meta"):
        model = LlamaForCausalLM._from_config(LlamaConfig(**shape), attn_implementation=attention, dtype=torch.bfloat16)
    model.to_empty(device="meta")
    generator = torch.Generator(where).manual_seed(7)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator, device=where, dtype=torch.bfloat16) * 0.02

    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            layer = bnb.nn.Linear4bit(
                module.in_features, module.out_features, bias=False, compute_dtype=torch.bfloat16,
                compress_statistics=True, quant_type="nf4", device="meta",
            )  # fmt: skip
            weight = draw(module.out_features, module.in_features)
            layer.weight = bnb.nn.Params4bit(
                weight.cpu(), requires_grad=False, quant_type="nf4", compress_statistics=True, module=layer
            ).to(where)
            model.set_submodule(name, layer)
        elif isinstance(module, torch.nn.Embedding | torch.nn.Linear):
            module.weight = torch.nn.Parameter(draw(*module.weight.shape), requires_grad=False)
        elif name.endswith("norm"):
            module.weight = torch.nn.Parameter(torch.ones_like(module.weight, device=where), requires_grad=False)
        elif name.endswith("rotary_emb"):
            model.set_submodule(name, type(module)(model.config).to(where))
    _call_it_quantised(model)
    keep_gradients_on_cpu(model)
    return model


def _call_it_quantised(model: Any) -> None:
    """What a loaded NF4 model says of itself, and the trainers ask for."""
    from transformers.quantizers import AutoHfQuantizer

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    model.hf_quantizer = AutoHfQuantizer.from_config(settings)
    model.quantization_method = settings.quant_method
    model.config.quantization_config = settings
    model.is_loaded_in_4bit = model.is_quantized = True


def tokenizer_of(vocabulary: int) -> PreTrainedTokenizerFast:
    """As many words as the model has; nothing is tokenised."""
    words = {word: place for place, word in enumerate(["<pad>", "<s>", "</s>", *map(str, range(vocabulary - 3))])}
    core = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def random_rows(count: int, mean: int, longest: int, vocabulary: int) -> EncodedRows:
    """Log-normal lengths, three quarters of each row trained."""
    draw, rows = random.Random(7), EncodedRows()
    scale = mean / 1.46  # the mean of a log-normal of sigma 0.87 is 1.46 times its median
    for _ in range(count):
        length = int(min(longest, max(16, draw.lognormvariate(0, 0.87) * scale)))
        ids = [draw.randrange(3, vocabulary) for _ in range(length)]
        rows.append(ids, bytes(place >= length // 4 for place in range(length)), truncated=False)
    return rows


def run(asked: argparse.Namespace, recipe: Recipe, config: TrainConfig, *, one_by_one: bool) -> tuple[float, int, str]:
    """Tokens a second, bytes at the peak, and what the run was."""
    shape, machine = TOY if asked.rehearse else SHAPE, this_machine()
    attention = asked.attention or fastest_attention()
    model = quantised_base(shape, attention)
    micro, accumulation = batch_of(config, recipe)
    steps = 4 if asked.rehearse else asked.steps
    rows = random_rows(micro * accumulation * (steps + 1), asked.row_tokens, recipe.max_length, shape["vocab_size"])
    packed = None
    if recipe.packing:
        sizes = pack_shape(rows.lengths(), micro * accumulation, recipe, machine)
        data = packed_dataset(rows, sizes.length, seed=7)
        packed = (sizes, len(data))
    else:
        data = as_dataset(rows)
    plan = plan_run(config, recipe, len(rows), machine=machine, packed=packed, at_once=1 if one_by_one else None)
    events = Quiet()
    history = Watch(events=events, total_steps=plan.total_steps, pause=Pause())
    curves = Curves(path=config.output_dir / "curves.png", title="", events=events, wanted=False)
    keeper = Keeper(folder=config.output_dir / "checkpoints", keep=1, events=events, curves=curves)
    setting = Setting(config=config, recipe=recipe, plan=plan, keeper=keeper, history=history)
    trainer = make_trainer(model, tokenizer_of(shape["vocab_size"]), setting, data, [], packed=recipe.packing)
    trainer.args.save_strategy = "no"
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    what = f"micro-batch {plan.micro_batch} x {plan.accumulation}, {'packed' if packed else 'unpacked'}, "
    what += f"attention {model.config._attn_implementation}"
    return history.tokens_per_second(), peak, what


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row-tokens", type=int, default=300)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--attention", default=None)
    parser.add_argument("--rehearse", action="store_true")
    asked = parser.parse_args()
    if not torch.cuda.is_available() and not asked.rehearse:
        print("No CUDA device is present: nothing was measured. Run this on a machine with one.")
        return
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU, toy size: figures mean nothing"
    print(f"{card}; torch {torch.__version__}; rows of {asked.row_tokens} tokens on the average")
    for one_by_one in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            config = TrainConfig(
                base="random", base_label="EEVE-10.8B, random", training_file=Path("none"), output_dir=Path(folder),
                recipe="eeve-10.8b", n_epochs=1, packing=None if not one_by_one else False,
            )  # fmt: skip
            recipe = effective_recipe(config)
            if one_by_one:
                recipe = dataclasses.replace(recipe, micro_batch=1, accumulation=4)
            speed, peak, what = run(asked, recipe, config, one_by_one=one_by_one)
        hours = ROWS_IN_ALL * PASSES * asked.row_tokens / speed / 3600
        print(
            f"{'batch 1' if one_by_one else 'recipe':8s} {speed:8,.0f} tokens/s, peak {peak / 1e9:5.1f} GB, "
            f"{ROWS_IN_ALL:,} rows x {PASSES}: {hours:.1f} h ({what})"
        )
    print(f"Reference: {REFERENCE_HOURS} h, {REFERENCE_GB} GB. Goals: {GOAL_HOURS} h, {REFERENCE_GB} GB at batch 1.")


if __name__ == "__main__":
    main()
