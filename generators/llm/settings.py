"""Where a model is asked and how patiently: one frozen value, checked when it is made.

Reads no environment; whoever composes the client hands the values in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from corpora.errors import InvalidInputError
from generators.llm.retry import RetryPolicy

__all__ = ["BATCH_PREFIX", "LANGCHAIN_PREFIX", "EndpointSettings", "Structured"]

#: Model names that begin so are asked through LangChain: ``langchain:<provider>:<model>``.
LANGCHAIN_PREFIX = "langchain:"
#: Model names that begin so are asked through OpenAI's Batch API: ``batch:<model>``.
BATCH_PREFIX = "batch:"

#: How a reply is held to its schema: ``auto`` finds out what the endpoint has, the others are taken at their word.
Structured = Literal["auto", "json_schema", "json_object", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSettings:
    """Where to ask and how patiently.

    Raises:
        InvalidInputError: a value that cannot work, naming the field in ``param``.
    """

    base_url: str = ""  #: Root of the API, ``https://…/v1``; only LangChain's providers know their own.
    model: str  #: Model name as the endpoint knows it.
    api_key: str = field(default="", repr=False)  #: Bearer key; empty for local servers that ask for none.
    timeout_s: float = 120.0  #: Seconds until a send without an answer counts as failed.
    concurrency: int = 8  #: Most requests on the wire at once.
    requests_per_minute: float | None = None  #: Limit on requests; None leaves it to the endpoint's headers.
    tokens_per_minute: float | None = None  #: Limit on prompt and completion tokens together, likewise.
    down_after_s: float = 600.0  #: Seconds of nothing but failures until the endpoint counts as down.
    structured: Structured = "auto"  #: How ``ModelRequest.schema`` is sent.
    send_seed: bool = True  #: Whether the request carries ``seed``; a few endpoints refuse unknown fields.
    retry: RetryPolicy = field(default_factory=RetryPolicy)  #: How often a failed send is repeated.

    def __post_init__(self) -> None:
        """Refuse what would only fail later, with a worse message."""
        checks = {
            "base_url": self.base_url.startswith(("http://", "https://"))
            or (not self.base_url and self.model.startswith(LANGCHAIN_PREFIX)),
            "model": bool(self.model.strip()),
            "api_key": self.api_key.isascii() and (not self.api_key or self.api_key.isprintable()),
            "timeout_s": self.timeout_s > 0,
            "concurrency": self.concurrency >= 1,
            "requests_per_minute": self.requests_per_minute is None or self.requests_per_minute >= 1,
            "tokens_per_minute": self.tokens_per_minute is None or self.tokens_per_minute >= 1,
            "down_after_s": self.down_after_s > 0,
            "structured": self.structured in get_args(Structured),
            "retry": self.retry.attempts >= 1,
        }
        wants = {
            "base_url": "a URL that starts with http:// or https://",
            "model": "a model name",
            "api_key": "printable ASCII without line breaks",
            "timeout_s": "a number of seconds above 0",
            "concurrency": "a whole number of at least 1",
            "requests_per_minute": "a number of at least 1",
            "tokens_per_minute": "a number of at least 1",
            "down_after_s": "a number of seconds above 0",
            "structured": f"one of {', '.join(get_args(Structured))}",
            "retry": "at least one attempt",
        }
        for name, valid in checks.items():
            if not valid:
                raise InvalidInputError(f"The model endpoint's {name} must be {wants[name]}.", param=name)

    @property
    def where(self) -> str:
        """The endpoint in a message: its base URL, or the model's name where a provider knows its own."""
        return self.base_url or self.model
