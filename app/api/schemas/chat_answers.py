"""OpenAI's chat completion as it is answered; ``citations`` and ``retrieval`` are ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.schemas.common import Answer, Seconds

__all__ = ["ChatCompletion"]


class UrlCitation(Answer):
    """Where a passage stands."""

    start_index: int = Field(description="Of the mark in the answer.")
    end_index: int
    title: str
    url: str = Field(description="Of the document's text; the fragment gives the passage's characters (RFC 5147).")


class Annotation(Answer):
    """A mark such as `[1]` in the answer that names a passage."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class ChatAnswer(Answer):
    """The assistant's turn."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[Annotation]


class TopLogprob(Answer):
    """A likely token."""

    token: str
    bytes: list[int]
    logprob: float


class TokenLogprob(TopLogprob):
    """A token of the answer and what else was likely there."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(Answer):
    """Log-probabilities (nats) of the answer's tokens, before temperature and penalties."""

    content: list[TokenLogprob]
    refusal: None


class Choice(Answer):
    """An answer."""

    index: int
    message: ChatAnswer
    finish_reason: Literal["stop", "length"]
    logprobs: ChoiceLogprobs | None


class ChatUsage(Answer):
    """Tokens of a chat completion; an answer's stop token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Citation(Answer):
    """A passage that the model was shown."""

    index: int = Field(description="Its number in the prompt, from 1.")
    document_id: str
    chunk_id: str
    chunk_index: int
    title: str
    headings: list[str]
    score: float
    start: int
    end: int
    text: str
    cited: bool = Field(description="Whether an answer names it as `[1]`.")


class Retrieved(Answer):
    """How many passages there were."""

    found: int = Field(description="Passages that the search gave.")
    shown: int = Field(description="Those of them that the model was shown: as many as fit beside the conversation.")


class ChatCompletion(Answer):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: Seconds
    model: str
    choices: list[Choice]
    usage: ChatUsage
    citations: list[Citation] | None = Field(None, description="Where `corpus_id` was given.")
    retrieval: Retrieved | None = Field(None, description="Where `corpus_id` was given.")
