"""Loading bases, tokenizers and adapters: NF4 or bfloat16, safetensors only, never remote code.

What a folder says of itself is looked at first (``training.refusals``), then what was really loaded: weights that are
missing would be drawn at random, and an adapter that fits half of a base would change half of it, both in silence.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from peft import PeftConfig, PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, PreTrainedTokenizerBase

from training.attention import AttentionClass, attention_class, preferred_attention, present_attention
from training.errors import AdapterError, BaseModelError
from training.hub import local_folder
from training.refusals import check_adapter, check_base
from training.weights import tensors_of

__all__ = [
    "check_loaded",
    "device",
    "fastest_attention",
    "load_adapter",
    "load_base",
    "load_config",
    "load_tokenizer",
    "local_device",
]


def device() -> str:
    """``cuda`` where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def load_tokenizer(base: str) -> PreTrainedTokenizerBase:
    """The base's fast tokenizer.

    Raises:
        BaseModelError: it is not there, or is no fast one with a stop token.
    """
    folder = local_folder(base, weights=False)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except (OSError, ValueError) as exc:
        raise BaseModelError(
            f"The tokenizer of '{base}' cannot be loaded: {_first_line(exc)}", param="model", code="tokenizer_unusable"
        ) from exc
    if not tokenizer.is_fast or tokenizer.eos_token_id is None:
        raise BaseModelError(
            f"The tokenizer of '{base}' must be a fast one and have a stop token.",
            param="model",
            code="tokenizer_unusable",
        )
    if tokenizer.pad_token_id is None:
        # Padding is masked by the collator from lengths, so sharing the stop token does not hide the real one.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_config(base: str) -> Any:
    """The base's configuration.

    Raises:
        BaseModelError: it is not there, or of no causal language model that is known here.
    """
    return _known(base, local_folder(base, weights=False))


def local_device() -> str:
    """This process's own device: its GPU where there are several processes."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device() == "cuda" else "cpu"


def fastest_attention(config: Any | None = None) -> str | None:
    """The fastest that is present and fits, by ``training.attention``; None is the library's default.

    Args:
        config: Of the base, by ``load_config``; without one its class is taken to have flash attention.
    """
    if device() != "cuda":
        return None
    generation = torch.cuda.get_device_capability(local_device())[0]
    made = AttentionClass() if config is None else attention_class(config)
    return preferred_attention(present_attention(), generation, made)


def load_base(
    base: str,
    *,
    quantised: bool = True,
    attention: str | None = None,
    device_map: str | dict[str, Any] | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> Any:
    """The base, in NF4 with double quantisation or as it is.

    Args:
        base: Folder or hub name.
        quantised: NF4; False loads the weights in ``dtype``.
        attention: Implementation in transformers' words; None is the library's default.
        device_map: As accelerate takes it; None is this process's own device.
        dtype: Of computation, and of the weights that are not in NF4.

    Raises:
        BaseModelError: it is not there, is refused (``training.refusals``), is of an architecture that transformers
            does not know, or its weights are not those of its configuration.
    """
    folder = local_folder(base)
    check_base(folder)
    _check_shapes(base, folder, _known(base, folder))
    try:
        model, loaded = AutoModelForCausalLM.from_pretrained(
            str(folder),
            quantization_config=_nf4(dtype) if quantised else None,
            dtype=dtype,
            device_map=device_map or {"": local_device()},
            attn_implementation=attention,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as exc:
        raise BaseModelError(f"The base model '{base}' cannot be loaded: {_first_line(exc)}", param="model") from exc
    missing = sorted(loaded["missing_keys"])
    if missing:
        raise BaseModelError(
            f"The weights of '{base}' lack {len(missing)} tensors that its config.json asks for, such as {missing[0]}.",
            param="model",
            code="weights_missing",
        )
    keep_gradients_on_cpu(model)
    return model


def _nf4(dtype: torch.dtype) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _known(base: str, folder: Path) -> Any:
    """The configuration, of a class that transformers has a causal language model for."""
    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except (OSError, ValueError, KeyError) as exc:
        raise BaseModelError(
            f"The base model '{base}' is of an architecture that is not known here: {_first_line(exc)}",
            param="model",
            code="unknown_architecture",
        ) from exc
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise BaseModelError(
            f"The base model '{base}' is a {config.model_type}, which is no causal language model.",
            param="model",
            code="unknown_architecture",
        )
    return config


def _check_shapes(base: str, folder: Path, config: Any) -> None:
    """Refuse weights of other shapes than the configuration's: of a layer in NF4 nobody would notice."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    asked = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for tensor in tensors_of(folder):
        wanted = asked.get(tensor.name, tensor.shape)
        if wanted != tensor.shape:
            raise BaseModelError(
                f"The weights of '{base}' are not those of its config.json: {tensor.name} has shape "
                f"{list(tensor.shape)}, and {list(wanted)} is asked for.",
                param="model",
                code="weights_mismatch",
            )


def load_adapter(model: Any, folder: Path) -> PeftModel:
    """The base with the adapter in ``folder`` on it, for reading only.

    Args:
        model: The base, in NF4 or not; it is changed.
        folder: In PEFT's layout.

    Raises:
        AdapterError: it is refused (``training.refusals``), or was made for another base (``adapter_does_not_fit``).
    """
    check_adapter(folder)
    name = "default"
    try:
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        tuned = PeftModel(model, config, adapter_name=name)
        loaded = tuned.load_adapter(str(folder), adapter_name=name)
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, RuntimeError, TypeError, KeyError) as exc:
        raise _does_not_fit(folder, _first_line(exc)) from exc
    check_loaded(folder, loaded, name)
    return tuned.eval()


def check_loaded(folder: Path, loaded: Any, name: str) -> None:
    """Refuse an adapter of which PEFT has put only a part on the base.

    Args:
        folder: Of the adapter.
        loaded: What ``PeftModel.load_adapter`` returned.
        name: That the adapter was given.

    Raises:
        AdapterError: it was made for another base (``adapter_does_not_fit``).
    """
    strange = sorted(loaded.unexpected_keys)
    absent = sorted(key for key in loaded.missing_keys if "lora_" in key and name in key.split("."))
    if strange or absent:
        shown = (strange or absent)[0]
        raise _does_not_fit(
            folder, f"{len(strange)} of its tensors have no place there and {len(absent)} are missing, such as {shown}."
        )


def _does_not_fit(folder: Path, why: str) -> AdapterError:
    return AdapterError(
        f"The adapter in {folder} was made for another base: {why}", param="adapter", code="adapter_does_not_fit"
    )


def _first_line(exc: BaseException) -> str:
    """What a library says first, and what follows a colon; the rest is advice for programmers."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()] or [type(exc).__name__]
    return f"{lines[0]} {lines[1]}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]


def keep_gradients_on_cpu(model: Any) -> None:
    """Keep bitsandbytes from repacking weights at the first evaluation.

    On CPUs with AVX512-BF16 an evaluation repacks every NF4 layer in place, and later training passes take a kernel
    without a gradient: LoRA gradients come out wrong, in silence. Measured: 5.51 became 4.38 in the first layer.
    """
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
