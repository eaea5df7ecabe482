"""An adapter merged into the bfloat16 base, and the proof that the merged model says the same.

Merged never into NF4: users of other tools met models that changed, for the rounding of the base had gone into the sum.
The merged folder is written beside its place, read back, compared with the adapter on the base, and only then moved
there; one that differs is removed. ``merge_adapter(config, events)``, or ``python -m training merge CONFIG.json``.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from training.disk import disk_guard
from training.encoding import stop_ids
from training.errors import DiskFullError, MergeError, OutOfMemoryRunError
from training.events import Events
from training.hub import local_folder
from training.loading import load_adapter, load_base, load_tokenizer
from training.model_card import CARD, merged_card
from training.parity import ALLOWED_DIFFERENCE, Logits, Parity, compare, logits_of, parity_prompts
from training.recipes import RECIPES
from training.refusals import check_adapter, read_config
from training.templates import ORIGIN, asking_template
from training.weights import parameters_of

__all__ = ["ORIGIN", "MergeConfig", "merge_adapter"]

GENERATION = "generation_config.json"
BYTES_EACH = 2  #: Of a number in bfloat16.
#: Room beside the weights: tokenizer, card, the file system's own.
SLACK = 256 << 20
#: Weights, activations and a shard that is being written, by times the weights.
MEMORY_SHARE = 1.2
_LEGAL = ("LICENSE*", "LICENCE*", "NOTICE*")


class MergeConfig(BaseModel):
    """One merge, as the JSON file says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str  #: Folder of the base, or a hub name.
    base_label: str  #: Its name as users know it.
    adapter: Path  #: Folder of the adapter.
    adapter_label: str  #: Its name as users know it.
    recipe: str  #: Whose template the adapter was trained with.
    output_dir: Path  #: Folder of the merged model; must not be there yet.
    seed: int = 7  #: Of the prompts that are compared.
    prompts: Annotated[int, Field(ge=1, le=1000)] = 16  #: Conversations that are compared.
    max_shard_size: str = "4GB"  #: Of one file of weights.


def merge_adapter(config: MergeConfig, events: Events) -> dict[str, Any]:
    """Merge, check and publish; returns what the event ``result`` tells.

    Raises:
        BaseModelError: the base cannot be loaded.
        AdapterError: the adapter cannot, or is another base's.
        MergeError: the base is quantised itself (``base_quantised``), the folder is there already (``output_exists``),
            the weights are no numbers (``weights_not_finite``), or the merged model says something else
            (``merge_parity_failed``).
        DiskFullError: there is no room for the merged model.
        OutOfMemoryRunError: the base does not fit into the memory.
    """
    place = config.output_dir
    if place.exists():
        raise MergeError(f"{place} is there already.", param="output_dir", code="output_exists")
    check_adapter(config.adapter)
    base = local_folder(config.base)
    if read_config(base).get("quantization_config"):
        raise MergeError(
            f"The base '{config.base_label}' is quantised itself; merging into it would round the sum once more.",
            param="model",
            code="base_quantised",
            hint="Give the base in bfloat16.",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    _check_room(base, place.parent)
    making = place.with_name(f".{place.name}.merging")
    shutil.rmtree(making, ignore_errors=True)
    try:
        with disk_guard(place.parent):
            parity, shards = _merged(config, base, making, events)
        os.replace(making, place)
    except torch.OutOfMemoryError as exc:
        raise OutOfMemoryRunError(f"Memory does not suffice to merge into '{config.base_label}': {exc}") from exc
    finally:
        shutil.rmtree(making, ignore_errors=True)
    size = sum(path.stat().st_size for path in place.iterdir())
    result = {"model_dir": str(place.resolve()), "bytes": size, "shards": shards, "parity": asdict(parity)}
    events.emit("result", "어댑터를 기반 모델에 합쳤습니다.", result)
    return result


def _check_room(base: Path, parent: Path) -> None:
    needed = parameters_of(base) * BYTES_EACH + SLACK
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise DiskFullError(
            f"The merged model needs {needed:,} bytes in {parent}, and {free:,} are free.",
            hint="Free space there, or merge into another data folder.",
        )


def _device_for(base: Path) -> str:
    """The GPU where the whole base in bfloat16 fits into what is free of it, else the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    free, _ = torch.cuda.mem_get_info()
    return "cuda" if free > MEMORY_SHARE * BYTES_EACH * parameters_of(base) else "cpu"


def _merged(config: MergeConfig, base: Path, making: Path, events: Events) -> tuple[Parity, int]:
    """Write the merged model into ``making`` and compare it with the adapter on its base."""
    where = {"": _device_for(base)}
    tokenizer = load_tokenizer(str(config.adapter if (config.adapter / "tokenizer.json").is_file() else base))
    template = asking_template(RECIPES[config.recipe], tokenizer, config.adapter)
    tokenizer.chat_template = template
    prompts = parity_prompts(tokenizer, template, config.prompts, config.seed)
    events.say(f"기반 모델을 bfloat16으로 읽습니다({where['']}).")
    attention = RECIPES[config.recipe].attention
    tuned = load_adapter(load_base(str(base), quantised=False, attention=attention, device_map=where), config.adapter)
    expected = logits_of(tuned, prompts)
    events.say("어댑터를 합칩니다.")
    try:
        model = tuned.merge_and_unload(safe_merge=True)
    except ValueError as exc:
        raise MergeError(
            f"The adapter '{config.adapter_label}' cannot be merged: {exc}", param="model", code="weights_not_finite"
        ) from exc
    model.save_pretrained(making, max_shard_size=config.max_shard_size, safe_serialization=True)
    shards = len(list(making.glob("*.safetensors")))
    tokenizer.save_pretrained(making)
    _copy_words(config, base, making, stop_ids(tokenizer, template))
    del tuned, model
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    events.say("합친 모델을 디스크에서 다시 읽어 어댑터와 비교합니다.")
    parity = _checked(config, making, expected, prompts, where)
    card = config.adapter / CARD
    text = card.read_text(encoding="utf-8") if card.is_file() else None
    shown = {"allowed_difference": ALLOWED_DIFFERENCE} | asdict(parity)
    written = merged_card(text, base=config.base_label, adapter=config.adapter_label, parity=shown)
    (making / CARD).write_text(written, encoding="utf-8")
    origin = {
        "base_model": config.base_label,
        "adapter": config.adapter_label,
        "recipe": config.recipe,
        "parity": shown,
    }
    (making / ORIGIN).write_text(json.dumps(origin, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return parity, shards


def _checked(
    config: MergeConfig, making: Path, expected: Logits, prompts: list[list[int]], where: dict[str, str]
) -> Parity:
    attention = RECIPES[config.recipe].attention
    merged = load_base(str(making), quantised=False, attention=attention, device_map=where).eval()
    parity = compare(expected, logits_of(merged, prompts))
    if not parity.good:
        raise MergeError(
            f"The merged model does not say what the adapter says: logits differ by up to "
            f"{parity.max_logit_difference:.4f} (allowed: {ALLOWED_DIFFERENCE}), and the likeliest token is the same "
            f"at {parity.top1_share:.2%} of {parity.positions} positions. It was removed.",
            param="model",
            code="merge_parity_failed",
            hint="Use the adapter on its base, which is not affected.",
        )
    return parity


def _copy_words(config: MergeConfig, base: Path, making: Path, stops: list[int]) -> None:
    """Generation settings with every stop token, the picture of the curves, and what the base's owner wants kept."""
    known: dict[str, Any] = {}
    if (base / GENERATION).is_file():
        known = json.loads((base / GENERATION).read_text(encoding="utf-8"))
    ends = known.get("eos_token_id")
    listed = ends if isinstance(ends, list) else [] if ends is None else [ends]
    # A runtime that knows nothing of our template stops by this list alone.
    known["eos_token_id"] = sorted({*listed, *stops})
    (making / GENERATION).write_text(json.dumps(known, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    legal = [path for pattern in _LEGAL for path in base.glob(pattern) if path.is_file()]
    for path in (*legal, *config.adapter.glob("*.png")):
        shutil.copyfile(path, making / path.name)
