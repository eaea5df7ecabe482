"""One base in memory, its adapters on it: switched without reloading, the least used ones dropped.

A base of 10.8 billion parameters takes half a minute to load and an adapter of it a second, so the base stays and up
to ``ADAPTERS`` adapters lie on it (PEFT's named adapters). The bare base is the same model with the adapters off.
"""

from __future__ import annotations

import gc
import logging
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from transformers import PreTrainedTokenizerBase

from training.chat.text import TokenBytes
from training.encoding import stop_ids
from training.errors import AdapterError, BaseModelError
from training.loading import check_loaded, load_base, load_tokenizer
from training.positions import positions_of
from training.recipes import RECIPES
from training.refusals import check_adapter
from training.templates import asking_template, stop_phrase_of

__all__ = ["ADAPTERS", "Manner", "Shelf"]

logger = logging.getLogger("malmoi.chat")
#: Adapters kept on the base; one of rank 64 on all layers of EEVE-10.8B is 0.7 GB in float32.
ADAPTERS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How a model trained with a recipe is asked, and how its answers end."""

    template: str  #: Jinja source.
    stop_ids: frozenset[int]  #: Tokens that end an answer.
    stop_phrase: str | None  #: Text that ends it too, where the recipe trained one.


class Shelf:
    """The loaded base and its adapters."""

    def __init__(self, adapters: int = ADAPTERS) -> None:
        self._most = adapters
        self._model: Any = None
        #: (folder, time of its weights) -> PEFT's name, the least used first.
        self._adapters: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._names = 0
        #: What ``use`` set last, as a tuple of one; None where PEFT may have changed it since.
        self._applied: tuple[str | None] | None = None
        #: By template: adapters of one run share theirs.
        self._manners: dict[str, Manner] = {}
        self.base: str | None = None  #: Folder or hub name of what is loaded.
        self.tokenizer: PreTrainedTokenizerBase = None
        self.bytes: TokenBytes = None  # type: ignore[assignment]  # set with the tokenizer

    @property
    def context(self) -> int:
        """Tokens of a conversation and its answer at most.

        Raises:
            BaseModelError: the base's configuration does not say.
        """
        positions = positions_of(self._model.config)
        if positions is None:
            raise BaseModelError(f"The configuration of '{self.base}' does not say how many tokens it reads at once.")
        return positions

    @property
    def device(self) -> Any:
        """Where the model computes."""
        return self._model.device

    def open(self, base: str) -> None:
        """Have ``base`` loaded; another one leaves the memory first.

        Raises:
            BaseModelError: it cannot be loaded.
        """
        if self.base == base:
            return
        self.close()
        tokenizer = load_tokenizer(base)
        model = load_base(base)
        model.eval()
        self._model, self.tokenizer, self.bytes = model, tokenizer, TokenBytes(tokenizer)
        self.base = base

    def close(self) -> None:
        """Give the memory back."""
        self.base, self._model, self.tokenizer, self._applied = None, None, None, None
        self._adapters.clear()
        self._manners.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def manner(self, recipe: str, adapter: str | None = None) -> Manner:
        """How the loaded base, or an adapter on it, is asked.

        Args:
            recipe: That it was trained with.
            adapter: Its folder; the template that lies there is the one it was trained with, and goes before the
                recipe's.
        """
        folder = adapter if adapter is not None else self.base
        template = asking_template(RECIPES[recipe], self.tokenizer, None if folder is None else Path(folder))
        if template not in self._manners:
            self._manners[template] = Manner(
                template=template, stop_ids=self._stop_ids(template), stop_phrase=stop_phrase_of(template)
            )
        return self._manners[template]

    def _stop_ids(self, template: str) -> frozenset[int]:
        """Those that training puts behind answers, and those of the base's generation config."""
        configured = self._model.generation_config.eos_token_id
        several = configured if isinstance(configured, list) else [configured]
        trained = stop_ids(self.tokenizer, template)
        return frozenset(token for token in (*trained, *several) if token is not None)

    def adapter(self, folder: str, in_use: Collection[str] = ()) -> str:
        """Have the adapter in ``folder`` on the base; returns the name to ``use`` it by.

        Args:
            folder: Its folder. One that was written again since is loaded again.
            in_use: Names that must stay.

        Raises:
            AdapterError: it is not there, is refused (``training.refusals``), or does not fit the base.
        """
        weights = Path(folder) / "adapter_model.safetensors"
        try:
            key = (folder, weights.stat().st_mtime_ns)
        except OSError as exc:
            raise AdapterError(
                f"'{folder}' holds no adapter_model.safetensors; pickled weights are refused.", param="model"
            ) from exc
        if key in self._adapters:
            self._adapters.move_to_end(key)
            return self._adapters[key]
        name = self._load(folder)
        self._adapters[key] = name
        spare = [old for old, known in self._adapters.items() if known != name and known not in in_use]
        for old in spare[: max(0, len(self._adapters) - self._most)]:
            self._model.delete_adapter(self._adapters.pop(old))
            self._applied = None
        return name

    def _load(self, folder: str) -> str:
        check_adapter(Path(folder))
        self._names += 1
        name = f"adapter{self._names}"
        try:
            config = PeftConfig.from_pretrained(folder)
            config.inference_mode = True
            if not isinstance(self._model, PeftModel):
                self._model = PeftModel(self._model, config, adapter_name=name)
            self._tell_other_base(folder, config)
            check_loaded(Path(folder), self._model.load_adapter(folder, adapter_name=name), name)
        except AdapterError:
            self._forget(name)
            raise
        except (OSError, ValueError, RuntimeError, TypeError, KeyError) as exc:
            self._forget(name)
            first = next(iter(str(exc).strip().splitlines()), type(exc).__name__)
            raise AdapterError(f"The adapter in '{folder}' does not fit its base: {first}", param="model") from exc
        finally:
            # Layers that PEFT has just wrapped are on, whatever the others are.
            self._applied = None
        self._model.eval()
        return name

    def _forget(self, name: str) -> None:
        """Take off what is left of an adapter that does not fit."""
        if isinstance(self._model, PeftModel) and name in self._model.peft_config:
            self._model.delete_adapter(name)

    def _tell_other_base(self, folder: str, config: PeftConfig) -> None:
        """A word in the log where an adapter names another base than it is put on: shapes alone cannot tell."""
        trained_on = str(config.base_model_name_or_path or "")
        if self.base is not None and trained_on and Path(trained_on).name != Path(self.base).name:
            logger.warning("the adapter in %s was trained on '%s' and is put on '%s'", folder, trained_on, self.base)

    def use(self, name: str | None) -> Any:
        """The model with the adapter ``name`` on, or with none; cheap where it is on already."""
        if self._applied != (name,) and isinstance(self._model, PeftModel):
            if name is None:
                self._model.base_model.disable_adapter_layers()
            else:
                self._model.base_model.enable_adapter_layers()
                self._model.set_adapter(name, inference_mode=True)
        self._applied = (name,)
        return self._model
