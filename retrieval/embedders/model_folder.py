"""What can be said of a sentence-transformers model's folder without loading it: prefixes, safety, identity.

Knows neither torch nor sentence-transformers, so that a wrong folder is refused at once and in every process.

Use::

    folder = local_folder("dragonkue/multilingual-e5-small-ko")   # or a folder; a name is fetched once
    check_folder(folder)
    read_prefixes(folder)                                          # Prefixes(query="query: ", passage="passage: ")
    folder_hash(folder, folder_signature(folder))
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpora.errors import MissingExtraError
from retrieval.embedders.base import Prefixes
from retrieval.embedders.errors import UnusableEmbedderError

__all__ = ["Prefixes", "Signature", "check_folder", "folder_hash", "folder_signature", "local_folder", "read_prefixes"]

#: What a vector depends on; pages, pictures and other frameworks' weights are left out.
_MATTERS = frozenset({".json", ".txt", ".model", ".safetensors"})
#: Weights that only a pickle reader opens.
_PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
#: Fetched of a name on the hub: no pickles, no other framework's copies.
_FETCHED = ["*.json", "*.txt", "*.model", "*.safetensors"]
_NOT_FETCHED = ["onnx/*", "openvino/*", "*.onnx*"]
#: Names of prompts, as model authors use them, the commonest first.
_QUERY_NAMES = ("query", "search_query")
_PASSAGE_NAMES = ("document", "passage", "corpus", "search_document")
#: Relative path, bytes, nanoseconds: changes when a file is replaced.
Signature = tuple[tuple[str, int, int], ...]


def local_folder(name: str) -> Path:
    """The folder of the model: ``name`` itself where it is one, else the hub's files of that name, fetched once.

    Raises:
        MissingExtraError: a name on the hub, without the extra ``local``.
        UnusableEmbedderError: the hub does not have it, or cannot be reached and no earlier copy is there.
    """
    if Path(name).is_dir():
        return Path(name).resolve()
    return _fetched(name)


@functools.lru_cache(maxsize=16)
def _fetched(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as exc:
        raise MissingExtraError("local", f"The embedder '{name}'") from exc
    try:
        return Path(snapshot_download(name, allow_patterns=_FETCHED, ignore_patterns=_NOT_FETCHED)).resolve()
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as exc:
        raise UnusableEmbedderError(
            f"The embedder '{name}' cannot be fetched from the Hugging Face hub: {' '.join(str(exc).split())[:300]}",
            param="embedder",
            hint="Check the name, or put the model's folder into MALMOI_MODELS_DIR and name that folder.",
        ) from exc


def check_folder(folder: Path) -> None:
    """Refuse what is no sentence-transformers model, wants its own code, or keeps its weights in a pickle.

    Raises:
        UnusableEmbedderError: with the file that it is about.
    """
    if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file():
        raise _refused(f"{folder} holds neither modules.json nor config.json: it is no sentence-transformers model.")
    modules = _json(folder / "modules.json", [])
    for module in modules if isinstance(modules, list) else []:
        kind = str(module.get("type", "")) if isinstance(module, dict) else ""
        if not kind.startswith("sentence_transformers."):
            raise _refused(f"{folder} needs code of its own ({kind or 'a module without a type'}), which is never run.")
    weights = [path for path in folder.rglob("*") if path.suffix == ".safetensors"]
    safe = {path.parent for path in weights}
    pickled = sorted(
        path for path in folder.rglob("*") if path.suffix in _PICKLED and path.parent not in safe and _is_weights(path)
    )
    if pickled:
        name = pickled[0].relative_to(folder)
        raise _refused(
            f"{folder} keeps weights only in {name}, a pickle, which is never opened here; safetensors are needed.",
            hint="Load the model in a place that you trust with it and save it again; the library writes safetensors.",
        )
    if not weights:
        raise _refused(f"{folder} holds no weights (*.safetensors).")


def _is_weights(path: Path) -> bool:
    # The trainer's arguments and tokenizers' tables are .bin too, and are not read.
    return not path.name.startswith(("training_args", "optimizer", "scheduler", "tokenizer", "rng_state"))


def _refused(message: str, hint: str | None = None) -> UnusableEmbedderError:
    return UnusableEmbedderError(message, param="embedder", hint=hint or "Name another model with MALMOI_EMBEDDER.")


def _json(path: Path, otherwise: Any) -> Any:
    if not path.is_file():
        return otherwise
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise _refused(f"{path} is no JSON: {exc}.") from exc


def read_prefixes(folder: Path) -> Prefixes:
    """Prefixes out of ``config_sentence_transformers.json``: by their usual names, else the default one, else none."""
    config = _json(folder / "config_sentence_transformers.json", {})
    prompts = config.get("prompts") if isinstance(config, dict) else None
    if not isinstance(prompts, dict):
        return Prefixes(query="", passage="")
    default = prompts.get(config.get("default_prompt_name") or "")
    return Prefixes(
        query=_first(prompts, _QUERY_NAMES, default),
        passage=_first(prompts, _PASSAGE_NAMES, default),
    )


def _first(prompts: Mapping[str, Any], names: tuple[str, ...], default: Any) -> str:
    # An empty prompt under one name may stand beside the right one: the library writes empty ones by itself.
    named: list[str] = [prompts[name] for name in names if isinstance(prompts.get(name), str)]
    filled = next((text for text in named if text), None)
    if filled is not None:
        return filled
    return "" if named or not isinstance(default, str) else default


def folder_signature(folder: Path) -> Signature:
    """Cheap: sizes and times of the files that matter; differs when one of them was replaced."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in _MATTERS and path.is_file():
            stat = path.stat()
            found.append((path.relative_to(folder).as_posix(), stat.st_size, stat.st_mtime_ns))
    return tuple(found)


@functools.lru_cache(maxsize=16)
def folder_hash(folder: Path, signature: Signature) -> str:
    """SHA-256 over the names and contents of the files of the signature, in hexadecimal; read once a process."""
    whole = hashlib.sha256()
    for name, _, _ in signature:
        with (folder / name).open("rb") as file:
            whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()
