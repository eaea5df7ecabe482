"""OpenAI's chat completion as it is asked for; ``corpus_id`` and ``retrieval`` are ours.

A field of OpenAI's that changes nothing here (``user``, ``store``, ``metadata`` …) is taken and ignored. One that would
change the answer and cannot be honoured (``tools``, ``audio`` …) is refused by name, as is a name that nobody knows.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.chat_answers import ChatCompletion
from app.services.chat import ChatRequest
from app.services.labels import Identifier
from corpora.errors import InvalidInputError

__all__ = ["ChatBody", "ChatCompletion"]

DEFAULT_MAX_TOKENS = 512
MAX_TOKENS = 131_072
#: Tokens that one request may ask for, all its answers together.
MAX_WORK = 16 * MAX_TOKENS
#: How answers are drawn; the names are those of the chat process.
_SAMPLING = (
    "temperature", "top_p", "top_k", "repetition_penalty",
    "presence_penalty", "frequency_penalty", "logit_bias", "seed",
)  # fmt: skip
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


class ContentPart(BaseModel):
    """A part of a message; only text is understood."""

    model_config = ConfigDict(extra="ignore")
    type: str
    text: str | None = None


class ChatMessage(BaseModel):
    """One turn."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[Any] | None = None
    function_call: Any = None

    def plain(self, where: str) -> dict[str, str]:
        """The turn as role and text in NFC; ``developer`` is OpenAI's newer word for ``system``."""
        if self.role not in _ROLES:
            raise _unsupported(f"{where}.role", f"'{self.role}' turns are not understood: models here call no tools.")
        if self.tool_calls or self.function_call:
            raise _unsupported(f"{where}.tool_calls", "Calls of tools are not understood; send what was said as text.")
        if self.content is None:
            raise InvalidInputError(f"'{where}.content': Give the turn's text.", param=f"{where}.content")
        if isinstance(self.content, str):
            text = self.content
        else:
            text = "".join(_text(part, f"{where}.content.{number}") for number, part in enumerate(self.content))
        return {"role": _ROLES[self.role], "content": unicodedata.normalize("NFC", text)}


def _text(part: ContentPart, where: str) -> str:
    if part.type != "text":
        raise _unsupported(f"{where}.type", f"Parts of type '{part.type}' are not understood; only 'text' is.")
    if part.text is None:
        raise InvalidInputError(f"'{where}.text': Field required", param=f"{where}.text")
    return part.text


def _unsupported(param: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"'{param}': {message}", param=param, code="unsupported_value")


class StreamOptions(BaseModel):
    """What a stream tells besides."""

    model_config = ConfigDict(extra="forbid")
    include_usage: bool = False
    include_obfuscation: bool | None = None


class ResponseFormat(BaseModel):
    """The form of the answer; only text is."""

    model_config = ConfigDict(extra="ignore")
    type: str


class Retrieval(BaseModel):
    """How passages are looked for."""

    model_config = ConfigDict(extra="forbid")
    k: int = Field(5, ge=1, le=20, description="Passages at most; those that do not fit the model are left out.")


class Ignored(BaseModel):
    """OpenAI's fields that change nothing here."""

    user: str | None = None
    store: bool | None = None
    metadata: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prediction: Any = None
    reasoning_effort: str | None = None
    verbosity: str | None = None


class Refused(BaseModel):
    """OpenAI's fields that would change the answer and cannot be honoured; the forms that ask for nothing are taken."""

    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    response_format: ResponseFormat | None = None
    modalities: list[str] | None = None
    audio: Any = None
    web_search_options: Any = None

    def refuse(self) -> None:
        """Raise for the first that asks for something.

        Raises:
            InvalidInputError: names it.
        """
        asked = {
            "tools": bool(self.tools),
            "tool_choice": self.tool_choice not in (None, "none", "auto"),
            "functions": bool(self.functions),
            "function_call": self.function_call not in (None, "none", "auto"),
            "response_format": self.response_format is not None and self.response_format.type != "text",
            "modalities": self.modalities is not None and self.modalities != ["text"],
            "audio": self.audio is not None,
            "web_search_options": self.web_search_options is not None,
        }
        name = next((name for name, wanted in asked.items() if wanted), None)
        if name is not None:
            raise InvalidInputError(
                f"'{name}' is not supported: models here answer in plain text and call nothing. Leave it out.",
                param=name,
                code="unsupported_parameter",
            )


class ChatBody(Ignored, Refused):
    """The body of a chat completion."""

    model_config = ConfigDict(extra="forbid")
    model: Identifier
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=10)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=-100, le=100)]] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    corpus_id: Identifier | None = Field(None, description="Passages of this corpus are shown to the model.")
    retrieval: Retrieval | None = None

    def asked(self) -> ChatRequest:
        """The request, checked.

        Raises:
            InvalidInputError: two fields do not go together, or one asks for what is not there.
        """
        self.refuse()
        messages = [message.plain(f"messages.{number}") for number, message in enumerate(self.messages)]
        if messages[-1]["role"] != "user":
            raise InvalidInputError("The last message must be the user's.", param="messages")
        needs = (
            ("top_logprobs", self.top_logprobs is not None and not self.logprobs, "logprobs: true"),
            ("stream_options", self.stream_options is not None and not self.stream, "stream: true"),
            ("retrieval", self.retrieval is not None and self.corpus_id is None, "corpus_id"),
        )
        for name, alone, other in needs:
            if alone:
                raise InvalidInputError(f"'{name}' goes with '{other}' only.", param=name)
        max_tokens = self.max_completion_tokens or self.max_tokens or DEFAULT_MAX_TOKENS
        if (self.n or 1) * max_tokens > MAX_WORK:
            raise InvalidInputError(
                f"{self.n} answers of {max_tokens:,} tokens are more than the {MAX_WORK:,} tokens that one request may "
                "ask for; lower 'n' or 'max_completion_tokens'.",
                param="n",
            )
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return ChatRequest(
            model=self.model,
            messages=messages,
            max_tokens=max_tokens,
            n=self.n or 1,
            stop=[unicodedata.normalize("NFC", text) for text in stop],
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            sampling={name: value for name in _SAMPLING if (value := getattr(self, name)) is not None},
            corpus_id=self.corpus_id,
            k=(self.retrieval or Retrieval()).k,
            include_usage=self.stream_options is not None and self.stream_options.include_usage,
        )
