"""Layers that get an adapter, tried on a base's skeleton before anything is loaded.

``all-linear`` is every linear layer, and PEFT refuses some of them: the output projection of Mamba's layers, whose
weights a fused kernel reads past the adapter. The others are trained then. Loads no weights.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from training.errors import BaseModelError
from training.recipes import Recipe

__all__ = ["ALL_LINEAR", "fitted_targets"]

ALL_LINEAR = "all-linear"


def fitted_targets(config: Any, recipe: Recipe) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with layers that can have an adapter, and the names of those that were left out.

    Args:
        config: Of the base, as transformers has it.
        recipe: Only ``all-linear`` is ever changed.

    Raises:
        BaseModelError: the recipe's layers can have none, or no layer can (``adapter_targets_refused``).
    """
    refusal = _refusal(config, recipe.target_modules)
    if refusal is None:
        return recipe, ()
    if recipe.target_modules != ALL_LINEAR:
        raise _refused(recipe, refusal)
    names = _linear_names(config)
    left_out = tuple(name for name in names if _refusal(config, (name,)) is not None)
    kept = tuple(name for name in names if name not in left_out)
    if not kept or not left_out or _refusal(config, kept) is not None:
        raise _refused(recipe, refusal)
    return dataclasses.replace(recipe, target_modules=kept), left_out


def _refused(recipe: Recipe, why: str) -> BaseModelError:
    return BaseModelError(
        f"No adapter can be put on this base with the recipe '{recipe.name}': {why}",
        param="model",
        code="adapter_targets_refused",
        hint="Ask for the recipe 'auto', which takes the linear layers that can have one, or train another base.",
    )


def _skeleton(config: Any) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False)


def _refusal(config: Any, targets: tuple[str, ...] | str) -> str | None:
    """What PEFT says against an adapter on these layers; None where it says nothing."""
    asked = LoraConfig(
        task_type="CAUSAL_LM", r=1, target_modules=targets if isinstance(targets, str) else list(targets)
    )
    try:
        # It warns of things that the real adapter will be warned of again.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            get_peft_model(_skeleton(config), asked, low_cpu_mem_usage=True)
    except ValueError as exc:
        return str(exc).splitlines()[0] if str(exc) else type(exc).__name__
    return None


def _linear_names(config: Any) -> list[str]:
    """Last parts of the names of all linear layers but the one that writes the logits."""
    model = _skeleton(config)
    head = model.get_output_embeddings()
    found = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    }
    return sorted(found)
