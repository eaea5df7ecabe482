"""The recipes' values, each number with its source. Data only: who looks one up uses ``training.recipes``.

Where a published fine-tune says a number, it is that number ("EEVE-Korean custom fine-tune: …"). Where it says none,
the number is ours and its source says so ("ours: …"). A test refuses a number without a source.
"""

from __future__ import annotations

from training.recipe_fields import Recipe

__all__ = ["RECIPES"]

_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_EEVE = "EEVE-Korean custom fine-tune on 100K rows"
_DIARY = "capstone 2024-13, EEVE dialogue summaries"
_OHLORA = "Oh-LoRA on Polyglot-Ko 1.3B, 360 rows"
_ALPACA = "instruction tuning after Stanford Alpaca, gemma-2b-it"
_KORQUAD = "KorQuAD question generation, gemma-3-1b-it"
_EEVE_LICENCE = "the base's own: EEVE-Korean-Instruct-10.8B's licence follows its model card; check it before use"
_GEMMA_LICENCE = "Gemma Terms of Use: restrict use and pass on to what is trained; read them before use"
#: What no published recipe says; a recipe's own sources come before these.
_OURS = {
    "target_modules": "QLoRA (arXiv 2305.14314), section 4: adapters on all linear layers",
    "min_steps": "ours: no more than the epochs",
    "published_rows": "0: the epochs were published with no size of data",
    "warmup_ratio": f"{_EEVE}: 0.05; ours elsewhere",
    "weight_decay": f"{_EEVE}: 0.01; ours elsewhere",
    "eval_steps": f"{_EEVE}: every 250 steps; ours elsewhere",
    "early_stopping_patience": "ours: three evaluations without a better loss",
    "packing": "ours: TRL's bfd keeps rows apart; measured on 2 cores of a CPU in tokens a second against TRL's "
    "defaults: short rows 0.86 to 1.39 times, heavy-tailed lengths 1.75 to 3.03 times; tried on the loaded base first",
    "optimizer": "transformers' default",
    "scheduler": f"{_ALPACA}: cosine; ours elsewhere",
    "dtype": "QLoRA (arXiv 2305.14314): bfloat16 computation; float16 breaks a fifth of its runs",
    "max_length": f"{_EEVE}: 2048; ours elsewhere",
    "lora_dropout": "QLoRA (arXiv 2305.14314): 0.05 for models of 13B and less",
}

RECIPES: dict[str, Recipe] = {
    "eeve-10.8b": Recipe(
        name="eeve-10.8b",
        template="eeve.jinja",
        lora_r=64,
        lora_alpha=128,
        lora_dropout=0.05,
        target_modules=_LINEAR,
        learning_rate=1e-4,
        epochs=2,
        published_rows=100_000,
        micro_batch=4,
        accumulation=4,
        warmup_ratio=0.05,
        weight_decay=0.01,
        max_length=2048,
        eval_steps=250,
        early_stopping_patience=3,
        packing=True,
        architectures=("LlamaForCausalLM",),
        licence=_EEVE_LICENCE,
        sources=_OURS
        | {
            "lora_r": f"{_EEVE}: 64",
            "lora_alpha": f"{_EEVE}: 128",
            "lora_dropout": f"{_EEVE}: 0.05",
            "target_modules": f"{_EEVE}: q, k, v, o, gate, up, down",
            "learning_rate": f"{_EEVE}: 1e-4",
            "published_rows": f"{_EEVE}: 100K rows",
            "epochs": f"{_EEVE}: 2",
            "micro_batch": f"{_EEVE}: 4",
            "accumulation": f"{_EEVE}: 4",
        },
    ),
    "eeve-10.8b-dialogue-summary": Recipe(
        name="eeve-10.8b-dialogue-summary",
        template="eeve.jinja",
        lora_r=64,
        lora_alpha=128,
        lora_dropout=0.05,
        target_modules=_LINEAR,
        learning_rate=2e-4,
        epochs=1,
        published_rows=49_797,
        micro_batch=1,
        accumulation=16,
        warmup_ratio=0.05,
        weight_decay=0.01,
        max_length=2048,
        eval_steps=250,
        early_stopping_patience=3,
        packing=True,
        architectures=("LlamaForCausalLM",),
        licence=_EEVE_LICENCE,
        sources=_OURS
        | {
            "lora_r": f"{_EEVE}: 64; {_DIARY} says none",
            "lora_alpha": f"{_EEVE}: 128; {_DIARY} says none",
            "learning_rate": f"{_DIARY}: 2e-4",
            "published_rows": f"{_DIARY}: 49,797 rows",
            "epochs": f"ours: {_DIARY} ended at 1,000 steps of one row, 2 % of 49,797; one pass sees them all",
            "micro_batch": f"{_DIARY}: 1",
            "accumulation": f"{_EEVE}: updates of 16 rows; {_DIARY} took single rows",
        },
    ),
    "polyglot-ko-1.3b": Recipe(
        name="polyglot-ko-1.3b",
        template="polyglot-ko.jinja",
        lora_r=64,
        lora_alpha=128,
        lora_dropout=0.05,
        target_modules="all-linear",
        learning_rate=1e-4,
        epochs=60,
        published_rows=360,
        micro_batch=4,
        accumulation=1,
        warmup_ratio=0.05,
        weight_decay=0.01,
        max_length=1024,
        eval_steps=250,
        early_stopping_patience=5,
        # Measured on a CPU: packing gains nothing on rows as short and even as this recipe's.
        packing=False,
        architectures=("GPTNeoXForCausalLM",),
        licence="Apache-2.0 by the base's model card",
        sources=_OURS
        | {
            "lora_r": f"{_OHLORA}: 64",
            "lora_alpha": "ours: twice the rank, as eeve-10.8b",
            "learning_rate": f"{_EEVE}: 1e-4; Oh-LoRA says none",
            "published_rows": f"{_OHLORA}: 360 rows",
            "epochs": f"{_OHLORA}: 60",
            "micro_batch": f"{_EEVE}: 4; Oh-LoRA says none",
            "accumulation": "ours: 360 rows are too few for updates of 16",
            "max_length": "ours: half of the base's context of 2048",
            "early_stopping_patience": "ours: 60 epochs over 360 rows need a brake, and a long one",
            "packing": "ours: short even rows gain nothing (measured)",
        },
    ),
    "gemma-2b": Recipe(
        name="gemma-2b",
        template="gemma.jinja",
        lora_r=4,
        lora_alpha=32,
        lora_dropout=0.05,
        target_modules="all-linear",
        learning_rate=1e-4,
        epochs=3,
        micro_batch=4,
        accumulation=2,
        warmup_ratio=0.05,
        weight_decay=0.01,
        max_length=2048,
        eval_steps=250,
        early_stopping_patience=3,
        packing=True,
        architectures=("GemmaForCausalLM",),
        licence=_GEMMA_LICENCE,
        sources=_OURS
        | {
            "lora_r": f"{_ALPACA}: 4",
            "lora_alpha": f"{_ALPACA}: 32",
            "learning_rate": f"{_ALPACA}: 1e-4",
            "epochs": "OpenAI cookbook: TARGET_EPOCHS 3; the reference says none",
            "micro_batch": f"{_ALPACA}: 4",
            "accumulation": f"{_ALPACA}: 2",
            "optimizer": f"{_ALPACA}: adamw_torch_fused",
            "scheduler": f"{_ALPACA}: cosine",
            "dtype": f"{_ALPACA}: bf16",
        },
    ),
    "gemma-2-2b": Recipe(
        name="gemma-2-2b",
        template="gemma.jinja",
        lora_r=64,
        lora_alpha=128,
        lora_dropout=0.05,
        target_modules="all-linear",
        learning_rate=1e-4,
        epochs=3,
        micro_batch=4,
        accumulation=2,
        warmup_ratio=0.05,
        weight_decay=0.01,
        max_length=2048,
        eval_steps=250,
        early_stopping_patience=3,
        packing=True,
        # Soft-capped logits: the fused kernel of PyTorch has none and refuses.
        attention="eager",
        architectures=("Gemma2ForCausalLM",),
        licence=_GEMMA_LICENCE,
        sources=_OURS
        | {
            "lora_r": "Oh-LoRA, which trained gemma-2-2b-it too: 64",
            "lora_alpha": "ours: twice the rank, as eeve-10.8b",
            "learning_rate": f"{_ALPACA}: 1e-4",
            "epochs": "OpenAI cookbook: TARGET_EPOCHS 3",
            "micro_batch": f"{_ALPACA}: 4",
            "accumulation": f"{_ALPACA}: 2",
        },
    ),
    "gemma-3-1b": Recipe(
        name="gemma-3-1b",
        template="gemma.jinja",
        lora_r=8,
        lora_alpha=16,
        lora_dropout=0.05,
        target_modules=_ATTENTION,
        learning_rate=2e-4,
        epochs=3,
        micro_batch=4,
        accumulation=2,
        warmup_ratio=0.05,
        weight_decay=0.01,
        max_length=1024,
        eval_steps=250,
        early_stopping_patience=3,
        packing=True,
        architectures=("Gemma3ForCausalLM",),
        licence=_GEMMA_LICENCE,
        sources=_OURS
        | {
            "lora_r": f"{_KORQUAD}: 8",
            "lora_alpha": f"{_KORQUAD}: 16",
            "lora_dropout": f"{_KORQUAD}: 0.05",
            "target_modules": f"{_KORQUAD}: q, k, v, o",
            "learning_rate": "QLoRA (arXiv 2305.14314): 2e-4; the reference says none",
            "epochs": "OpenAI cookbook: TARGET_EPOCHS 3; the reference says none",
            "micro_batch": f"{_ALPACA}: 4; the reference says none",
            "accumulation": f"{_ALPACA}: 2; the reference says none",
            "max_length": "ours: passages of KorQuAD 1.0 with a question; the reference padded to 512",
            "dtype": f"{_KORQUAD}: fp16 or bf16; bf16 as in QLoRA",
        },
    ),
    "auto": Recipe(
        name="auto",
        template=None,
        lora_r=16,
        lora_alpha=32,
        lora_dropout=0.05,
        target_modules="all-linear",
        learning_rate=2e-4,
        epochs=3,
        micro_batch=8,
        accumulation=2,
        warmup_ratio=0.05,
        weight_decay=0.01,
        max_length=2048,
        eval_steps=250,
        early_stopping_patience=3,
        packing=True,
        licence="unknown: read the base's model card",
        sources=_OURS
        | {
            "lora_r": "ours: QLoRA (arXiv 2305.14314) found no difference between ranks 8 and 256 on all linear layers",
            "lora_alpha": "ours: twice the rank, as eeve-10.8b",
            "learning_rate": "QLoRA (arXiv 2305.14314): 2e-4 for 7B and 13B",
            "epochs": "OpenAI cookbook: TARGET_EPOCHS 3, by auto_epochs",
            "micro_batch": "ours: at most 8, halved until the estimate fits into memory",
            "accumulation": f"{_EEVE}: updates of 16 rows",
        },
    ),
    "demo": Recipe(
        name="demo",
        template="demo.jinja",
        lora_r=32,
        lora_alpha=64,
        lora_dropout=0.0,
        target_modules=_LINEAR,
        learning_rate=3e-3,
        epochs=16,
        min_steps=60,
        micro_batch=8,
        accumulation=1,
        warmup_ratio=0.05,
        weight_decay=0.0,
        max_length=512,
        eval_steps=100,
        # Learnt by heart on purpose: the loss on held-out rows rises, and the last weights are the ones wanted.
        early_stopping_patience=0,
        packing=False,
        architectures=("LlamaForCausalLM",),
        licence="Apache-2.0, built from the bundled manual",
        sources=_OURS
        | dict.fromkeys(
            ("lora_r", "lora_alpha", "lora_dropout", "learning_rate", "epochs", "weight_decay"),
            "measured on malmoi-demo: answer loss from 1.23 to 0.11 in 47 s; the EEVE recipe's rate teaches it nothing",
        )
        | dict.fromkeys(
            ("micro_batch", "accumulation", "max_length", "eval_steps"), "ours: what two cores do in a minute"
        )
        | {
            "min_steps": "ours: a smoke test must show an effect",
            "early_stopping_patience": "ours: learnt by heart on purpose, never stopped",
            "packing": "ours: short even rows gain nothing (measured)",
        },
    ),
}
