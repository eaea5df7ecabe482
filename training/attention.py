"""Which implementation of attention a base is trained with on a GPU: flash attention where one is present and fits.

``preferred_attention`` is the order of preference and nothing else: what is present, the card, the class. What is
present ``present_attention`` finds out; it fetches nothing. PyTorch's flex attention is not in the order: it compiles a
kernel anew for every length of a sequence, and packed sequences have many. Knows nothing of weights.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from huggingface_hub import is_offline_mode
from transformers import AutoModelForCausalLM
from transformers.integrations.hub_kernels import load_and_register_attn_kernel
from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available
from transformers.utils.import_utils import is_kernels_available

__all__ = ["AttentionClass", "attention_class", "preferred_attention", "present_attention"]

_FLASH_2, _FLASH_3 = "flash_attention_2", "flash_attention_3"
#: The same from the hub. Of the third version's two builds there the other one has no backward pass.
_HUB_2, _HUB_3 = "kernels-community/flash-attn2", "kernels-community/flash-attn3"
#: Best first, with the generations of cards that it runs on: the third version is for Hopper, the second for Ampere
#: and what came after it.
_ORDER: tuple[tuple[str, range], ...] = (
    (_FLASH_3, range(9, 10)),
    (_HUB_3, range(9, 10)),
    (_FLASH_2, range(8, 100)),
    (_HUB_2, range(8, 100)),
)
#: These know no dropout.
_WITHOUT_DROPOUT = frozenset({_FLASH_3, _HUB_3})


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionClass:
    """What an architecture says of its attention."""

    flash: bool = True  #: Whether flash attention can be put in.
    only: tuple[str, ...] | None = None  #: Implementations that it names, where it takes no other.
    dropout: float = 0.0  #: Of attention, in training.


def attention_class(config: Any) -> AttentionClass:
    """What the class of a configuration says of its attention; a class that says nothing has no flash attention."""
    made = AutoModelForCausalLM._model_mapping[type(config)]
    named = getattr(made, "_compatible_flash_implementations", None)
    return AttentionClass(
        flash=bool(getattr(made, "_supports_flash_attn", False)),
        only=tuple(named) if named else None,
        dropout=float(getattr(config.get_text_config(), "attention_dropout", 0.0) or 0.0),
    )


def preferred_attention(present: Collection[str], generation: int | None, made: AttentionClass) -> str | None:
    """The best implementation that is present and fits; None is the library's default.

    Packed rows stay apart with every one, where the class keeps them apart at all (``training.packing_check``); the
    default makes a dense mask of the position ids, flash attention does not.

    Args:
        present: By ``present_attention``.
        generation: First number of the card's compute capability; None without a card.
        made: What the class says.
    """
    if generation is None or not made.flash:
        return None
    for name, cards in _ORDER:
        if name not in present or generation not in cards:
            continue
        if made.only is not None and name not in made.only:
            continue
        if made.dropout and name in _WITHOUT_DROPOUT:
            continue
        return name
    return None


def present_attention() -> frozenset[str]:
    """Implementations that are on this machine. A kernel of the hub counts where it is loaded without a network."""
    found = {
        name
        for name, here in ((_FLASH_2, is_flash_attn_2_available()), (_FLASH_3, is_flash_attn_3_available()))
        if here
    }
    # With a network the library would fetch what is not here, or what is newer.
    if is_kernels_available() and is_offline_mode():
        found |= {name for name in (_HUB_3, _HUB_2) if _loads(name)}
    return frozenset(found)


def _loads(name: str) -> bool:
    """Whether a kernel of the hub lies in the cache and is one for this card and PyTorch."""
    try:
        load_and_register_attn_kernel(name)
    except (ImportError, OSError, ValueError, RuntimeError, AttributeError):
        return False
    return True
