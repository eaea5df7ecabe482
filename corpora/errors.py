"""The error tree of the whole house; every room's own errors descend from ``MalmoiError``.

::

    MalmoiError
    ├── InvalidInputError        what the caller sent is wrong (HTTP 400)
    │   ├── UnreadableDocumentError   bytes that are no text: empty, undecodable
    │   └── InvalidTrainingFileError  a training file's line is wrong; says which
    ├── NotFoundError            no such thing (HTTP 404)
    ├── ConflictError            the thing is in the wrong state (HTTP 400: the openai client retries 409)
    ├── TooLargeError            over a limit (HTTP 413)
    ├── UnavailableError         not now; try again (HTTP 503)
    └── MissingExtraError        an optional dependency is not installed; names the pip line

A message says what happened and what to do. ``code`` is for programs, ``retryable`` says whether the same call may
work later, ``hint`` is the next step for a person, ``status`` the HTTP status that carries it, ``param`` the field.
"""

from __future__ import annotations

__all__ = [
    "ConflictError",
    "InvalidInputError",
    "InvalidTrainingFileError",
    "MalmoiError",
    "MissingExtraError",
    "NotFoundError",
    "TooLargeError",
    "UnavailableError",
    "UnreadableDocumentError",
]


class MalmoiError(Exception):
    """Something went wrong inside Malmoi that a caller can be told about."""

    code: str = "internal_error"
    retryable: bool = False
    hint: str = ""
    status: int = 500
    type: str = "server_error"

    def __init__(
        self, message: str | None = None, *, param: str | None = None, hint: str | None = None, code: str | None = None
    ) -> None:
        self.message = message or (self.__doc__ or "").strip()
        self.param = param
        if hint is not None:
            self.hint = hint
        if code is not None:
            self.code = code
        super().__init__(self.message)


class InvalidInputError(MalmoiError):
    """What the caller sent is not valid."""

    code = "invalid_value"
    status = 400
    type = "invalid_request_error"


class UnreadableDocumentError(InvalidInputError):
    """The bytes are not a document that can be read."""

    code = "unreadable_document"


class InvalidTrainingFileError(InvalidInputError):
    """The training file breaks the format; the message names the line."""

    code = "invalid_training_file"


class NotFoundError(MalmoiError):
    """There is no such object."""

    code = "not_found"
    status = 404
    type = "invalid_request_error"


class ConflictError(MalmoiError):
    """The object is in a state that does not allow this."""

    code = "invalid_state"
    # 400, not 409: the official openai client retries every 409 twice.
    status = 400
    type = "invalid_request_error"


class TooLargeError(MalmoiError):
    """The request is over a limit."""

    code = "too_large"
    status = 413
    type = "invalid_request_error"


class UnavailableError(MalmoiError):
    """The service cannot do this right now."""

    code = "unavailable"
    retryable = True
    status = 503


class MissingExtraError(MalmoiError):
    """An optional dependency is not installed."""

    code = "missing_extra"
    status = 501

    def __init__(self, extra: str, what: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}'; run: pip install 'malmoi[{extra}]'")
