"""What a model endpoint can do wrong, one error each, with the next step for a person.

::

    EndpointError
    ├── KeyRefusedError        401, 403: stop the job, a person must act
    ├── QuotaExhaustedError    402, 429 insufficient_quota: stop the job, a person must pay
    ├── EndpointDownError      nothing but failures for ten minutes (no connection, time-outs, 429, 5xx): works later
    ├── RequestRefusedError    other 4xx: unknown model, unsupported parameter
    ├── NonsenseReplyError     a success whose body is no chat completion: wrong base URL, a proxy's page
    └── SlotRequestError       only the slot that asked fails
        ├── ContextTooSmallError   the prompt does not fit the model
        └── RequestFailedError     this one request fails again and again, or is refused, while others are answered

Each carries ``usage``, what the failed call has sent so far. Knows nothing of HTTP libraries; ``client`` translates.
"""

from __future__ import annotations

from corpora.errors import MalmoiError
from generators.ports import Usage

__all__ = [
    "ContextTooSmallError",
    "EndpointDownError",
    "EndpointError",
    "KeyRefusedError",
    "NonsenseReplyError",
    "QuotaExhaustedError",
    "RequestFailedError",
    "RequestRefusedError",
    "SendingHeldError",
    "SlotRequestError",
]


class EndpointError(MalmoiError):
    """The model endpoint did not give a usable reply."""

    code = "endpoint_error"
    status = 502

    def __init__(self, message: str | None = None, *, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage or Usage()


class KeyRefusedError(EndpointError):
    """The model endpoint refused the API key."""

    code = "key_refused"
    hint = "Set a key that is valid for this endpoint and model, then resume the job; nothing accepted is lost."


class QuotaExhaustedError(EndpointError):
    """The account behind the API key has no quota left."""

    code = "quota_exhausted"
    hint = "Add credit or raise the limit of the account, then resume the job; nothing accepted is lost."


class EndpointDownError(EndpointError):
    """The model endpoint could not be reached or kept failing."""

    code = "endpoint_down"
    retryable = True
    status = 503
    hint = "Check that the endpoint runs and that its base URL is right, then resume the job; nothing accepted is lost."


class SendingHeldError(EndpointError):
    """The job is being paused: nothing else is sent."""

    code = "paused"
    retryable = True
    hint = "Resume the job."


class RequestRefusedError(EndpointError):
    """The model endpoint refused the request."""

    code = "request_refused"
    hint = "Check the model name, the base URL (it usually ends in /v1) and the generator's parameters."


class SlotRequestError(EndpointError):
    """The model endpoint gives no reply to this request; it does to others."""


class ContextTooSmallError(SlotRequestError):
    """The prompt and the reply do not fit into the model's context."""

    code = "context_too_small"
    hint = "Choose a model with a longer context, fewer neighbours or a smaller max_tokens."


class RequestFailedError(SlotRequestError):
    """The model endpoint answers other requests, but fails on this one."""

    code = "request_failed"
    hint = "The slot is given up and counted; look at the endpoint's log if it happens to many."


class NonsenseReplyError(EndpointError):
    """The model endpoint answered with something that is no chat completion."""

    code = "nonsense_reply"
    hint = "Check that the base URL is an OpenAI-compatible API (it usually ends in /v1), not a web page or a proxy."
