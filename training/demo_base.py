"""``malmoi-demo``: a smoke-test base of two million parameters, built from a folder of Markdown pages.

A Llama-architecture model with its own byte-level BPE, pre-trained for a fixed number of steps (never for seconds: on
a busy machine that was 77 steps and useless). It shows that the road is open, not what a model can do. Built once,
under a lock, whole or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.errors import BaseModelError
from training.templates import load_template

__all__ = ["build_demo_base"]

# Measured on the bundled manual (95 KB), loss at the end: 240 steps at 1.5e-3 3.2 (a fine-tune then halves nothing),
# 320 at 3e-3 1.5, 400 at 3e-3 0.3 (79 s of one core), 480 at 1.5e-3 0.3; 500 of four rows each instead of eight 2.7.
VOCABULARY = 3000
HIDDEN, LAYERS, HEAD = 192, 4, 64
STEPS, BATCH, LENGTH, RATE = 400, 8, 256, 3e-3
WARMUP = 20
CONTEXT = 1024
BOS, EOS, PAD = "<s>", "</s>", "<pad>"

_CARD = """---
license: apache-2.0
language: ko
---
# malmoi-demo

A smoke-test model: {parameters:,} parameters, Llama architecture, its own byte-level BPE of {vocabulary:,} tokens,
pre-trained for {steps} steps on {characters:,} characters of the bundled manual (final loss {loss:.2f}).
It shows that generation, fine-tuning and chat work on any machine. It knows nothing and is good for nothing else.
"""


def build_demo_base(corpus: Path, out: Path, say: Callable[[str], None], seed: int = 7) -> Path:
    """Build the model into ``out`` unless it is there already; returns ``out``.

    Args:
        corpus: Folder of ``*.md`` pages.
        out: Folder of the model.
        say: Takes lines of progress.
        seed: Of initialisation and of the order of the text.

    Raises:
        BaseModelError: the folder holds no pages.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with (out.parent / f".{out.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (out / "config.json").is_file():
            return out
        pages = [path.read_text(encoding="utf-8") for path in sorted(corpus.glob("*.md"))]
        if not pages:
            raise BaseModelError(f"{corpus} holds no Markdown pages to build malmoi-demo from.")
        building = out.parent / f".{out.name}.building"
        shutil.rmtree(building, ignore_errors=True)
        _build(pages, building, say, seed)
        os.replace(building, out)
    return out


def _tokenizer(pages: list[str]) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    # Without the template's own words in its corpus a row was 197 tokens instead of 80.
    template = "[안내]\n[질문]\n[답변]\n" * 50
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True) for token in (PAD, BOS, EOS)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([*pages, template], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BOS, eos_token=EOS, pad_token=PAD)


def _build(pages: list[str], folder: Path, say: Callable[[str], None], seed: int) -> None:
    torch.manual_seed(seed)
    tokenizer = _tokenizer(pages)
    tokenizer.chat_template = load_template("demo.jinja")
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=HIDDEN,
            intermediate_size=HIDDEN * 3,
            num_hidden_layers=LAYERS,
            num_attention_heads=HIDDEN // HEAD,
            num_key_value_heads=HIDDEN // HEAD,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            # 168 ms a step against 201 with the fused kernel, which is made for longer rows and wider heads.
            attn_implementation="eager",
        )
    )
    ids = torch.tensor(
        [i for page in pages for i in tokenizer(f"{BOS}{page}{EOS}", add_special_tokens=False)["input_ids"]]
    )
    with _one_thread():
        loss = _pretrain(model, ids, say)
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    card = _CARD.format(
        parameters=model.num_parameters(),
        vocabulary=len(tokenizer),
        steps=STEPS,
        characters=sum(map(len, pages)),
        loss=loss,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: at this size a second one gives nothing, and waiting for it costs on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pretrain(model: LlamaForCausalLM, ids: torch.Tensor, say: Callable[[str], None]) -> float:
    length = min(LENGTH, len(ids) - 1)
    generator = torch.Generator().manual_seed(torch.initial_seed())
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP, max(0.1, 1 - step / STEPS))
    )
    model.train()
    loss = torch.tensor(0.0)
    for step in range(1, STEPS + 1):
        starts = torch.randint(0, len(ids) - length, (BATCH,), generator=generator).tolist()
        batch = torch.stack([ids[start : start + length] for start in starts])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        # Often enough that nobody takes a busy machine for a broken one.
        if step % 20 == 0:
            say(f"malmoi-demo 사전 학습 {step}/{STEPS}단계: 손실 {loss.item():.3f}")
    return float(loss.item())
