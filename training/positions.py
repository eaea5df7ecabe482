"""How many tokens a base reads at once, with what its rotary positions were stretched by. No torch.

``positions_of(model.config)``. Takes a configuration as transformers loads it; older files' ``rope_scaling`` is
``rope_parameters`` there, and what they leave out is filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["positions_of"]

#: Kinds whose ``max_position_embeddings`` is what they were stretched from. As vLLM reads it; the others (``llama3``,
#: ``longrope``) tell the stretched number.
_STRETCHED = ("linear", "dynamic", "yarn")


def positions_of(config: Any) -> int | None:
    """Tokens of a sequence at most; None where the configuration does not say.

    Args:
        config: As ``AutoConfig`` gives it; of a model of several parts the text part is read.
    """
    text = config.get_text_config()
    # Families of learned positions name it otherwise, and transformers maps the name.
    plain = getattr(text, "max_position_embeddings", None)
    if not isinstance(plain, int) or plain < 1:
        return None
    rope = getattr(text, "rope_parameters", None)
    # Rotary positions that differ by layer (Gemma 3) stretch some layers only, to the number that stands there.
    if not isinstance(rope, Mapping) or rope.get("rope_type") not in _STRETCHED:
        return plain
    factor, original = rope.get("factor"), rope.get("original_max_position_embeddings")
    if not isinstance(factor, (int, float)) or factor <= 1:
        return plain
    if isinstance(original, int) and 0 < original < plain:
        # The number that stands there is stretched already.
        return max(plain, int(original * factor))
    return int(plain * factor)
