"""What can be said of a base's or an adapter's folder without loading it: is it one, is it safe, does it hold together.

Reads JSON and the list of files; no torch, nothing is executed, so that a service can look before it accepts a job.
``check_base(folder)`` and ``check_adapter(folder)`` raise what is wrong. Loading looks again, at the weights too
(``training.loading``).

Only safetensors are ever read. A pickle beside them is left alone, for nothing opens it; where it would be what is
opened, the folder is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.errors import AdapterError, BaseModelError

__all__ = ["ADAPTER_CONFIG", "ADAPTER_WEIGHTS", "architecture_of", "check_adapter", "check_base", "read_config"]

CONFIG = "config.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_TOKENIZER_SETTINGS = "tokenizer_config.json"
_TEMPLATE = "chat_template.jinja"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
#: Special tokens that training and chat put into a sequence themselves.
_OWN_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")
#: Formats whose readers may run code that the file brings along.
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".msgpack"})
#: How transformers names the classes that write text one token after another.
_CAUSAL = re.compile(r"\w+(ForCausalLM|LMHeadModel|ForConditionalGeneration)")


def check_base(folder: Path, *, vocabulary: bool = True) -> None:
    """Refuse a folder that cannot, or must not, be loaded as a base model.

    Args:
        folder: The base model's.
        vocabulary: Whether to read the tokenizer too: tens of megabytes of JSON, too much for a list.

    Raises:
        BaseModelError: ``config_missing``, ``invalid_config``, ``custom_code_refused``, ``unsafe_weights``,
            ``weights_missing``, ``unknown_architecture`` or ``vocabulary_mismatch``; ``param`` is ``model``.
    """
    config = read_config(folder)
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    _refuse_code(folder, config, files)
    _check_weights(folder, files)
    _check_architecture(folder, config)
    if vocabulary:
        _check_vocabulary(folder, config)


def check_adapter(folder: Path) -> dict[str, Any]:
    """Refuse a folder that cannot, or must not, be loaded as a LoRA adapter; returns its configuration.

    Raises:
        AdapterError: ``adapter_missing``, ``invalid_adapter_config``, ``unsafe_weights``, ``weights_missing`` or
            ``unknown_adapter_type``.
    """
    if not folder.is_dir():
        raise AdapterError(f"There is no adapter in {folder}.", param="adapter", code="adapter_missing")
    path = folder / ADAPTER_CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AdapterError(f"{folder} holds no {ADAPTER_CONFIG}.", param="adapter", code="adapter_missing") from None
    except (OSError, ValueError) as exc:
        raise AdapterError(f"{path} cannot be read: {exc}.", param="adapter", code="invalid_adapter_config") from exc
    if not isinstance(config, dict):
        raise AdapterError(f"{path} is no JSON object.", param="adapter", code="invalid_adapter_config")
    pickles = sorted(path.name for path in folder.glob("adapter_model.*") if path.suffix in _PICKLES)
    if pickles:
        raise AdapterError(
            f"{folder} holds {', '.join(pickles)}: a format that may run code when it is read. Convert it to "
            f"{ADAPTER_WEIGHTS} and remove it.",
            param="adapter",
            code="unsafe_weights",
        )
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise AdapterError(f"{folder} holds no {ADAPTER_WEIGHTS}.", param="adapter", code="weights_missing")
    if config.get("peft_type") != "LORA":
        raise AdapterError(
            f"{path} says peft_type {config.get('peft_type')!r}; only LORA is loaded here.",
            param="adapter",
            code="unknown_adapter_type",
        )
    return config


def architecture_of(folder: Path) -> str | None:
    """The first class that config.json names, where it names one."""
    named = read_config(folder).get("architectures")
    return str(named[0]) if isinstance(named, list) and named else None


def _refuse(folder: Path, what: str, code: str) -> BaseModelError:
    return BaseModelError(f"The base model '{folder.name}' {what}", param="model", code=code)


def read_config(folder: Path) -> dict[str, Any]:
    """The base's config.json.

    Raises:
        BaseModelError: ``config_missing`` or ``invalid_config``.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _refuse(folder, f"has no {CONFIG}; give the folder of a whole model.", "config_missing") from None
    except (OSError, ValueError) as exc:
        raise _refuse(folder, f"has a {CONFIG} that cannot be read: {exc}.", "invalid_config") from exc
    if not isinstance(config, dict):
        raise _refuse(folder, f"has a {CONFIG} that is no JSON object.", "invalid_config")
    return config


def _json(path: Path) -> dict[str, Any]:
    """A JSON object beside the configuration; empty where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise _refuse(path.parent, f"has a {path.name} that cannot be read: {exc}.", "invalid_config") from exc
    return found if isinstance(found, dict) else {}


def _refuse_code(folder: Path, config: dict[str, Any], files: list[str]) -> None:
    scripts = [name for name in files if name.endswith((".py", ".pyc", ".so"))]
    settings = {CONFIG: config, _TOKENIZER_SETTINGS: _json(folder / _TOKENIZER_SETTINGS)}
    mapped = [name for name, found in settings.items() if found.get("auto_map")]
    if not scripts and not mapped:
        return
    found = ", ".join([*scripts, *(f"auto_map in {name}" for name in mapped)])
    raise _refuse(
        folder,
        f"brings code of its own ({found}), which is never run here. Use a model of an architecture that transformers "
        "has itself.",
        "custom_code_refused",
    )


def _check_weights(folder: Path, files: list[str]) -> None:
    """Whole safetensors, one file or all shards that the index names."""
    if _WEIGHTS in files:
        return
    pickles = [name for name in files if Path(name).suffix.lower() in _PICKLES]
    if _INDEX not in files:
        if pickles:
            raise _refuse(
                folder,
                f"holds {', '.join(pickles[:5])} and no {_WEIGHTS}; formats that may run code when they are read are "
                "refused. Convert the weights to safetensors.",
                "unsafe_weights",
            )
        raise _refuse(folder, f"has no {_WEIGHTS} and no {_INDEX}.", "weights_missing")
    named = _json(folder / _INDEX).get("weight_map")
    shards = sorted({str(name) for name in named.values()}) if isinstance(named, dict) else []
    if not shards:
        raise _refuse(folder, f"has a {_INDEX} that names no files.", "invalid_config")
    unsafe = [name for name in shards if not name.endswith(".safetensors") or Path(name).name != name]
    if unsafe:
        raise _refuse(
            folder,
            f"has a {_INDEX} that names {', '.join(unsafe[:5])}; only *.safetensors beside it are read.",
            "unsafe_weights",
        )
    missing = [name for name in shards if name not in files]
    if missing:
        raise _refuse(
            folder,
            f"lacks {len(missing)} of {len(shards)} files of weights: {', '.join(missing[:5])}.",
            "weights_missing",
        )


def _check_architecture(folder: Path, config: dict[str, Any]) -> None:
    named = config.get("architectures")
    names = named if isinstance(named, list) else []
    if not isinstance(config.get("model_type"), str) or not any(
        isinstance(name, str) and _CAUSAL.fullmatch(name) for name in names
    ):
        shown = ", ".join(map(str, names)) or "none"
        raise _refuse(
            folder,
            f"is of an architecture that cannot be trained here ({CONFIG} names: {shown}); it must be a causal "
            "language model.",
            "unknown_architecture",
        )


def _check_vocabulary(folder: Path, config: dict[str, Any]) -> None:
    """Every id that the tokenizer may give has a row in the embedding."""
    size = config.get("vocab_size", (config.get("text_config") or {}).get("vocab_size"))
    if not isinstance(size, int):
        return
    beyond = max(((index, token) for token, index in _used_ids(folder) if index >= size), default=None)
    if beyond is not None:
        raise _refuse(
            folder,
            f"has a vocabulary of {size:,} by its {CONFIG}, and a tokenizer that knows {beyond[1]!r} as {beyond[0]:,}: "
            "tokenizer and weights are of two models.",
            "vocabulary_mismatch",
        )


def _used_ids(folder: Path) -> Iterator[tuple[str, int]]:
    """Tokens that text or a template may become, with their ids.

    A special token that nothing names is left out: Gemma 3 of 1B has one for images at the very end, which the
    embedding of the text model lacks.
    """
    tokenizer = _json(folder / "tokenizer.json")
    settings = _json(folder / _TOKENIZER_SETTINGS)
    vocabulary = (tokenizer.get("model") or {}).get("vocab") or {}
    if isinstance(vocabulary, dict):
        yield from vocabulary.items()
    else:
        yield from ((entry[0], index) for index, entry in enumerate(vocabulary))
    named = {_content(settings.get(name)) for name in _OWN_TOKENS}
    template = json.dumps(settings.get("chat_template") or "", ensure_ascii=False) + _text(folder / _TEMPLATE)
    for token in tokenizer.get("added_tokens") or []:
        content = str(token["content"])
        if not token.get("special") or content in named or content in template:
            yield content, int(token["id"])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _content(value: object) -> object:
    """A token's text; older settings hold objects."""
    return value.get("content") if isinstance(value, dict) else value
