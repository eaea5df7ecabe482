"""Which request parameters an endpoint and model take: learned from its refusals, remembered for every later request.

Reasoning models refuse ``max_tokens`` (they want ``max_completion_tokens``) and any temperature but their own; some
servers know no ``seed`` or ``stop``. A refusal that names such a parameter is answered by asking again at once without
it, or by its other name. Knows bodies and messages; must not send.

Use::

    left_out = support.left_out                      # as of this send: others are on their way at the same time
    body = support.adapted(body)
    if support.learn(failure.message, left_out): ...  # ask again
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["ParameterSupport"]

_LIMIT, _NEW_LIMIT = "max_tokens", "max_completion_tokens"
#: Parameters that an answer can do without. The limit is never left out, only renamed: the budget rests on it.
_OPTIONAL = ("temperature", "top_p", "presence_penalty", "seed", "stop")
_REFUSES = re.compile(
    r"unsupported|not (?:be )?supported|(?:does|do)(?: not|n't) support|not (?:permitted|allowed)|unknown"
    r"|unrecogni[sz]ed|unexpected|extra (?:inputs|fields)|deprecated|only the default"
)


class ParameterSupport:
    """What one endpoint and model have refused."""

    def __init__(self) -> None:
        self.left_out: frozenset[str] = frozenset()  #: Parameters that are left out or renamed from now on.

    def adapted(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body as this endpoint takes it."""
        if not self.left_out:
            return dict(body)
        kept = {name: value for name, value in body.items() if name not in self.left_out}
        if _LIMIT in self.left_out:
            kept[_NEW_LIMIT] = body[_LIMIT]
        return kept

    def learn(self, message: str, left_out: frozenset[str]) -> bool:
        """Whether a refusal was about a parameter, so that the same may be asked again without it.

        Args:
            message: the endpoint's words.
            left_out: what had been left out when the refused request was sent.
        """
        words = message.lower()
        if not _REFUSES.search(words):
            return False
        named = {name for name in (_LIMIT, *_OPTIONAL) if _names(words, name)} - left_out
        if _LIMIT in named and _NEW_LIMIT in words:
            # It is told instead of the other: nothing else in the sentence is refused.
            named = {_LIMIT}
        self.left_out |= named
        return bool(named)


def _names(words: str, name: str) -> bool:
    # "stop" and "seed" are words of ordinary sentences too: as parameters they stand in quotation marks.
    quoted = rf"['\"`]{name}['\"`]"
    return re.search(quoted if name in ("stop", "seed") else rf"(?<!\w){name}(?!\w)", words) is not None
