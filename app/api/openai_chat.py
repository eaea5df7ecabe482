"""OpenAI's ``/v1/models`` and ``/v1/chat/completions`` (plain: one choice, no stream)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.api.deps import ChatDep, ServicesDep
from app.api.schemas.common import gives
from app.api.schemas.openai import ChatCompletion, Model, ModelDeleted, ModelList
from app.services import models
from app.services.chat import ChatRequest, complete
from app.services.labels import Identifier
from corpora.errors import InvalidInputError

router = APIRouter(prefix="/v1", tags=["models and chat"])

DEFAULT_MAX_TOKENS = 512


class TextPart(BaseModel):
    """A text part of a message."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def plain(self) -> dict[str, str]:
        """The turn as role and text; ``developer`` is OpenAI's newer word for ``system``."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatBody(BaseModel):
    """The body of a chat completion; what is not served yet is refused, never ignored."""

    model_config = ConfigDict(extra="forbid")
    model: Identifier
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=32_768)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    n: Literal[1] | None = None
    stream: Literal[False] | None = None
    user: str | None = None


@router.get("/models", response_model=None, responses=gives(ModelList))
def list_models(services: ServicesDep) -> dict[str, Any]:
    """Every model that is ready, with each base's recipe."""
    return {"object": "list", "data": models.list_models(services)}


@router.get("/models/{model:path}", response_model=None, responses=gives(Model))
def get_model(model: str, services: ServicesDep) -> dict[str, Any]:
    """One model."""
    return models.get_model(services, model)


@router.delete("/models/{model:path}", response_model=None, responses=gives(ModelDeleted))
def delete_model(model: str, services: ServicesDep) -> dict[str, Any]:
    """Forget a fine-tuned model."""
    return models.delete_model(services, model)


@router.post("/chat/completions", response_model=None, responses=gives(ChatCompletion))
def chat(body: ChatBody, services: ServicesDep, process: ChatDep) -> dict[str, Any]:
    """Answer a conversation with a base or a fine-tuned model."""
    messages = [message.plain() for message in body.messages]
    if messages[-1]["role"] != "user":
        raise InvalidInputError("The last message must be the user's.", param="messages")
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    request = ChatRequest(
        model=body.model,
        messages=messages,
        max_tokens=body.max_completion_tokens or body.max_tokens or DEFAULT_MAX_TOKENS,
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=stop,
    )
    return complete(services, process, request)
