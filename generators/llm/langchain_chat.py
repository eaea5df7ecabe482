"""Asks models of other providers through LangChain's ``init_chat_model``, as ``langchain:<provider>:<model>``.

Only a transport: limiter, retries, cache and budget are the same as for every model. A provider's own retries are
switched off where it lets us, or they would bypass the budget. Each provider is a package of its own
(``langchain-anthropic`` …), installed by whoever wants it. Schemas are not sent: how providers take them differs too
much, and replies are read tolerantly anyway.

Use::

    settings = EndpointSettings(model="langchain:anthropic:claude-sonnet-4-5")    # the key from the provider's variable
    client = make_client(settings, cache=cache, ledger=ledger)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from corpora.errors import InvalidInputError, MissingExtraError
from generators.llm.errors import EndpointDownError, NonsenseReplyError
from generators.llm.settings import LANGCHAIN_PREFIX, EndpointSettings
from generators.llm.structured import Mode
from generators.llm.timing import Timing
from generators.llm.translate import Failure, detail_of, status_failure, time_out
from generators.llm.transport import Sent
from generators.ports import Claim, ModelRequest, Reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

__all__ = ["LangChainTransport", "MakeModel"]

#: Makes a chat model: (model, provider, arguments).
MakeModel = Callable[[str, str, Mapping[str, Any]], "BaseChatModel"]

#: Models kept by their sampling arguments; a job uses a handful.
_KEPT = 32
#: What providers call the ends of a reply, in OpenAI's words. Sources: the providers' API references.
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "stop": "stop",
    "max_tokens": "length",
    "length": "length",
    "safety": "content_filter",
    "refusal": "content_filter",
    "content_filter": "content_filter",
}


class LangChainTransport:
    """A chat model of LangChain."""

    def __init__(self, settings: EndpointSettings, timing: Timing, make: MakeModel | None = None) -> None:
        """Make the model once, so that what is missing is said before a job starts.

        Args:
            settings: its ``model`` is ``langchain:<provider>:<model>``; base URL and key are handed on where given.
            timing: clock, for dates that an endpoint names.
            make: makes a model; LangChain's ``init_chat_model`` unless given.

        Raises:
            MissingExtraError: LangChain is not installed.
            InvalidInputError: the name has not the form, the provider is unknown or its package or key is missing.
        """
        provider, _, model = settings.model.removeprefix(LANGCHAIN_PREFIX).partition(":")
        if not settings.model.startswith(LANGCHAIN_PREFIX) or not provider or not model:
            message = f"Model '{settings.model}' must have the form langchain:<provider>:<model>."
            raise InvalidInputError(message, param="model")
        self._settings = settings
        self._timing = timing
        self._provider, self._model = provider, model
        self._make = make or _init_chat_model
        self._models: dict[tuple[Any, ...], BaseChatModel] = {}
        self._build({})

    async def send(self, request: ModelRequest, claim: Claim, mode: Mode) -> Sent:  # noqa: ARG002 - no schema is sent
        """Send once."""
        model = self._model_for(request)
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                said = await model.ainvoke(messages, stop=list(request.stop) or None)
        except TimeoutError as error:
            return Sent(failure=time_out(self._settings, sent=True, cause=error))
        except Exception as error:
            return Sent(failure=self._translate(error))
        return Sent(reply=_reply(said, claim))

    async def aclose(self) -> None:
        """Forget the models; LangChain has no way to close their connections."""
        self._models.clear()

    def _model_for(self, request: ModelRequest) -> BaseChatModel:
        key = (request.temperature, request.top_p, request.max_tokens, request.presence_penalty)
        if key not in self._models:
            arguments: dict[str, Any] = {"temperature": request.temperature, "max_tokens": request.max_tokens}
            if request.top_p != 1.0:
                arguments["top_p"] = request.top_p
            if request.presence_penalty:
                arguments["presence_penalty"] = request.presence_penalty
            if len(self._models) >= _KEPT:
                self._models.pop(next(iter(self._models)))
            self._models[key] = self._build(arguments)
        return self._models[key]

    def _build(self, sampling: Mapping[str, Any]) -> BaseChatModel:
        arguments = dict(sampling)
        if self._settings.api_key:
            arguments["api_key"] = self._settings.api_key
        if self._settings.base_url:
            arguments["base_url"] = self._settings.base_url
        quiet = {"max_retries": 0, "timeout": self._settings.timeout_s}
        try:
            try:
                return self._make(self._model, self._provider, {**arguments, **quiet})
            except TypeError:
                # A provider that takes neither; its retries stay its own, our time-out holds anyway.
                return self._make(self._model, self._provider, arguments)
        except MissingExtraError:
            raise
        except ImportError as error:
            # LangChain's own message names the pip line of the provider's package.
            message = f"Model '{self._settings.model}': {error}."
            raise InvalidInputError(message, param="model", code=MissingExtraError.code) from error
        except Exception as error:
            said = detail_of(str(error), self._settings.api_key)
            raise InvalidInputError(f"Model '{self._settings.model}': {said}.", param="model") from error

    def _translate(self, error: Exception) -> Failure:
        """What a provider's exception means, by its status where it has one, else by its kind."""
        settings = self._settings
        chain = [error, *(cause for cause in (error.__cause__, error.__context__) if cause is not None)]
        for one in chain:
            status, headers = _status_of(one)
            if status is not None:
                codes = {str(value) for name in ("code", "type") if (value := getattr(one, name, None)) is not None}
                words, wall = str(one), self._timing.wall()
                return status_failure(
                    status, {*codes}, words, settings=settings, headers=headers, wall=wall, cause=error
                )
        names = [name.lower() for one in chain for name in (base.__name__ for base in type(one).__mro__)]
        said = detail_of(f"{type(error).__name__}: {error}", settings.api_key)
        if any("timeout" in name for name in names):
            return time_out(settings, sent=True, cause=error)
        if any("connect" in name or name == "oserror" for name in names):
            return Failure(
                kind=EndpointDownError,
                message=f"The model endpoint {settings.where} can't be reached: {said}",
                again=True,
                maybe_billed=True,
                cause=error,
                outcome="connection",
            )
        return Failure(
            kind=NonsenseReplyError,
            message=f"The model endpoint {settings.where} gave no reply: {said}",
            again=True,
            maybe_billed=True,
            cause=error,
            outcome="nonsense",
        )


def _init_chat_model(model: str, provider: str, arguments: Mapping[str, Any]) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtraError("langchain", f"A model named '{LANGCHAIN_PREFIX}…'") from error
    made: BaseChatModel = init_chat_model(model, model_provider=provider, **arguments)
    return made


def _status_of(error: BaseException) -> tuple[int | None, Mapping[str, str]]:
    """HTTP status and headers of an exception, wherever its package keeps them."""
    response = getattr(error, "response", None)
    for holder, name in ((error, "status_code"), (response, "status_code"), (error, "http_status"), (error, "code")):
        value = getattr(holder, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            headers = getattr(response, "headers", None)
            return value, headers if isinstance(headers, Mapping) else {}
    return None, {}


def _reply(said: AIMessage, claim: Claim) -> Reply:
    meta = said.response_metadata or {}
    finish = meta.get("finish_reason") or meta.get("stop_reason") or meta.get("done_reason") or "stop"
    usage: Mapping[str, Any] = said.usage_metadata or {}
    return Reply(
        # PostgreSQL stores no NUL.
        text=str(said.text).replace("\0", "\ufffd"),
        finish_reason=_FINISH.get(str(finish).lower(), str(finish).lower()),
        model=str(meta.get("model_name") or meta.get("model") or claim.model),
        prompt_tokens=_count(usage.get("input_tokens"), claim.prompt_tokens),
        completion_tokens=_count(usage.get("output_tokens"), claim.completion_tokens),
    )


def _count(value: Any, bound: int) -> int:
    """What the provider reported, or the upper bound."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else bound
