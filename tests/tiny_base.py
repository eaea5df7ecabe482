"""Base models small enough for any test, made by the real code: ``malmoi-demo`` with other sizes, and random ones.

``build_tiny_base`` trains a little; ``build_tiny_family`` only draws weights, for a family's own class with every part
that makes it different: grouped heads, sliding windows, soft caps, tied or parallel layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

#: ChatML, as Qwen's tokenizers bring it; without marks for answers.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_GEMMA = {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>", "more": ("<start_of_turn>", "<end_of_turn>")}
#: More heads than key heads, and heads whose width is not the hidden size's share.
_GROUPED = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}


@dataclass(frozen=True, kw_only=True)
class Family:
    """One architecture in small."""

    config: str  #: Its configuration class in transformers.
    recipe: str  #: The recipe that it is trained with.
    settings: Mapping[str, Any]  #: What makes it this family, besides the sizes.
    tokens: Mapping[str, Any] = field(default_factory=lambda: {"bos": "<s>", "eos": "</s>", "pad": "<pad>"})
    template: str | None = None  #: The tokenizer's own.


FAMILIES: dict[str, Family] = {
    "llama": Family(config="LlamaConfig", recipe="eeve-10.8b", settings=_GROUPED),
    "gpt_neox": Family(
        config="GPTNeoXConfig",
        recipe="polyglot-ko-1.3b",
        settings={"num_attention_heads": 2, "use_parallel_residual": True, "rotary_pct": 0.5},
        # No token of its own for padding: the stop token pads, and must be trained all the same.
        tokens={"eos": "<|endoftext|>"},
    ),
    "gemma": Family(
        config="GemmaConfig", recipe="gemma-2b", settings=_GROUPED | {"num_key_value_heads": 1}, tokens=_GEMMA
    ),
    "gemma2": Family(
        config="Gemma2Config", recipe="gemma-2-2b", settings=_GROUPED | {"sliding_window": 32}, tokens=_GEMMA
    ),
    "gemma3_text": Family(
        config="Gemma3TextConfig",
        recipe="gemma-3-1b",
        settings=_GROUPED | {"sliding_window": 32, "layer_types": ["sliding_attention", "full_attention"]},
        tokens=_GEMMA,
    ),
    "qwen2": Family(
        config="Qwen2Config",
        recipe="auto",
        settings={"num_attention_heads": 4, "num_key_value_heads": 2},
        tokens={"eos": "<|im_end|>", "pad": "<|endoftext|>", "more": ("<|im_start|>",)},
        template=CHATML,
    ),
}


def build_tiny_base(folder: Path, corpus: Path) -> Path:
    """Build it into ``folder`` from the pages in ``corpus``: seconds, not a minute."""
    from training import demo_base

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"HIDDEN": 64, "LAYERS": 2, "HEAD": 32, "VOCABULARY": 600, "STEPS": 4, "BATCH": 2}.items():
            patch.setattr(demo_base, name, value)
        return demo_base.build_demo_base(corpus, folder, lambda _line: None)


def build_tiny_family(folder: Path, name: str, corpus: Path, *, hidden: int = 64, spread: float | None = None) -> Path:
    """A random model of the family's own class, with a tokenizer of 600 tokens; under a second.

    Args:
        folder: Where it goes.
        name: One of ``FAMILIES``.
        corpus: Pages that the tokenizer is made of.
        hidden: Width of the model.
        spread: Of the weights; the library's own where there is none. With 0.1 answers differ, as trained ones do.
    """
    import torch
    import transformers

    family = FAMILIES[name]
    tokenizer = _tokenizer(family, corpus)
    tokenizer.chat_template = family.template
    sizes = {
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": 2,
        "max_position_embeddings": 1024,
    }
    drawn = {} if spread is None else {"initializer_range": spread}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = getattr(transformers, family.config)(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **sizes, **drawn, **ids, **family.settings
    )
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(family: Family, corpus: Path) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    named = {kind: family.tokens[kind] for kind in ("bos", "eos", "pad") if kind in family.tokens}
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=[AddedToken(token, special=True) for token in (*named.values(), *family.tokens.get("more", ()))],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([path.read_text(encoding="utf-8") for path in sorted(corpus.glob("*.md"))], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, **{f"{kind}_token": token for kind, token in named.items()})
