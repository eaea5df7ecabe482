"""Where a model is asked and how patiently: one frozen value, checked when it is made.

Reads no environment; whoever composes the client hands the values in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from corpora.errors import InvalidInputError
from generators.llm.retry import RetryPolicy

__all__ = ["EndpointSettings"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSettings:
    """Where to ask and how patiently.

    Raises:
        InvalidInputError: a value that cannot work, naming the field in ``param``.
    """

    base_url: str  #: Root of the API, ``https://…/v1``.
    model: str  #: Model name as the endpoint knows it.
    api_key: str = field(default="", repr=False)  #: Bearer key; empty for local servers that ask for none.
    timeout_s: float = 120.0  #: Seconds until a send without an answer counts as failed.
    concurrency: int = 8  #: Requests on the wire at once.
    send_seed: bool = True  #: Whether the request carries ``seed``; a few endpoints refuse unknown fields.
    retry: RetryPolicy = field(default_factory=RetryPolicy)  #: How often a failed send is repeated.

    def __post_init__(self) -> None:
        """Refuse what would only fail later, with a worse message."""
        checks = {
            "base_url": self.base_url.startswith(("http://", "https://")),
            "model": bool(self.model.strip()),
            "api_key": self.api_key.isascii() and (not self.api_key or self.api_key.isprintable()),
            "timeout_s": self.timeout_s > 0,
            "concurrency": self.concurrency >= 1,
            "retry": self.retry.attempts >= 1,
        }
        wants = {
            "base_url": "a URL that starts with http:// or https://",
            "model": "a model name",
            "api_key": "printable ASCII without line breaks",
            "timeout_s": "a number of seconds above 0",
            "concurrency": "a whole number of at least 1",
            "retry": "at least one attempt",
        }
        for name, valid in checks.items():
            if not valid:
                raise InvalidInputError(f"The model endpoint's {name} must be {wants[name]}.", param=name)
