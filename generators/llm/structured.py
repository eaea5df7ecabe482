"""What an endpoint makes of a JSON Schema: found out once, from the job's own requests, and remembered.

``json_schema`` (strict) is tried first, then ``json_object``, then nothing. A refusal that names the parameter goes one
step down at once. An endpoint that takes the parameter and ignores it shows only in its replies: eight finished replies
in a row that do not have the schema's shape, with none before that had it, go one step down too. ``verdict`` is kept
with the job and given back by ``recall``: an attempt that found out anew could ask otherwise than the one that was
killed. Must not send anything itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Literal

from generators.llm.settings import Structured

__all__ = ["Mode", "StructuredSupport", "names_response_format", "response_format", "strict_schema"]

Mode = Literal["json_schema", "json_object", "none"]

_STEPS: tuple[Mode, ...] = ("json_schema", "json_object", "none")
#: With one bad reply in four, three in a row stood at the beginning of 1.6 % of all attempts, and decided for the whole
#: job; eight do of 0.002 %.
_STRIKES = 8
#: Seconds that others wait for the first structured request to come back before they go on the same assumption.
_PATIENCE_S = 10.0
_PHRASES = (
    "response_format",
    "response format",
    "json_schema",
    "json_object",
    "schema",
    "grammar",
    "structured output",
)
#: What OpenAI's strict mode takes (guide "Structured outputs", supported schemas); other keywords are refused by some
#: endpoints, and what a reply breaks of them is found when it is read.
_KEYWORDS = frozenset({"$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "items"}) | {
    "properties",
    "required",
    "type",
}


class StructuredSupport:
    """What one endpoint and model can do, as far as is known."""

    def __init__(self, wanted: Structured) -> None:
        self._auto = wanted == "auto"
        self.mode: Mode = "json_schema" if wanted == "auto" else wanted
        self._settled = not self._auto
        self._strikes = 0
        self._probing: asyncio.Event | None = None
        self._accepted = False

    @property
    def verdict(self) -> Mode | None:
        """What was found out, or None while nothing is known for good."""
        return self.mode if self._settled else None

    def recall(self, verdict: Mode) -> None:
        """Go on with what an earlier attempt found out."""
        if self._auto:
            self.mode = verdict
            self._settled = True

    async def begin(self, schema: Mapping[str, Any] | None) -> Mode:
        """How to send a request now. While nothing is known yet, one request goes ahead and the others wait for it."""
        if schema is None:
            return "none"
        if self._settled or self._accepted or self.mode == "none":
            return self.mode
        if self._probing is None:
            self._probing = asyncio.Event()
            return self.mode
        try:
            await asyncio.wait_for(self._probing.wait(), _PATIENCE_S)
        except TimeoutError:
            # The first one hangs; a refusal will be noticed by whoever comes back first.
            self._accepted = True
        return await self.begin(schema)

    def refused(self, mode: Mode) -> None:
        """The endpoint refused this mode by name."""
        if mode == self.mode:
            self._down()
        self._end_probe()

    def answered(self, mode: Mode, schema: Mapping[str, Any], text: str, finish_reason: str) -> None:
        """A reply came to a request sent in this mode."""
        if self._settled or mode != self.mode or mode == "none":
            return
        self._accepted = True
        self._end_probe()
        # A reply that was cut off or filtered says nothing of the endpoint.
        if finish_reason != "stop":
            return
        if _has_shape(text, schema, mode):
            self._settled = True
            return
        self._strikes += 1
        if self._strikes >= _STRIKES:
            self._down()

    def failed(self) -> None:
        """A send ended without telling anything: the next one finds out."""
        self._end_probe()

    def _down(self) -> None:
        if not self._auto:
            return
        self.mode = _STEPS[_STEPS.index(self.mode) + 1]
        self._strikes = 0
        self._accepted = False
        self._settled = self.mode == "none"

    def _end_probe(self) -> None:
        if self._probing is not None:
            self._probing.set()
            self._probing = None


def response_format(schema: Mapping[str, Any], mode: Mode) -> dict[str, Any] | None:
    """The request's ``response_format`` in this mode; None where nothing is sent."""
    if mode == "none":
        return None
    if mode == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": strict_schema(schema)}}


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema in the form that strict mode wants: every property required, no others, known keywords only."""
    strict = {name: _strict_value(name, value) for name, value in schema.items() if name in _KEYWORDS}
    if "properties" in strict:
        strict["required"] = list(strict["properties"])
        strict["additionalProperties"] = False
    return strict


def names_response_format(message: str) -> bool:
    """Whether a refusal is about ``response_format``."""
    lowered = message.lower()
    return any(phrase in lowered for phrase in _PHRASES)


def _strict_value(name: str, value: Any) -> Any:
    if name in ("properties", "$defs") and isinstance(value, Mapping):
        return {key: strict_schema(member) if isinstance(member, Mapping) else member for key, member in value.items()}
    if name in ("items", "additionalProperties") and isinstance(value, Mapping):
        return strict_schema(value)
    if name == "anyOf" and isinstance(value, list):
        return [strict_schema(member) if isinstance(member, Mapping) else member for member in value]
    return value


def _has_shape(text: str, schema: Mapping[str, Any], mode: Mode) -> bool:
    """Whether a reply is what the mode promises, as far as its top level shows."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if mode == "json_object" or schema.get("type", "object") == "object":
        wanted = schema.get("required", ()) if mode == "json_schema" else ()
        return isinstance(value, dict) and all(name in value for name in wanted)
    return True
