"""Asks a model for structured items and reads the answer: one call that every generator shares.

``ask_items`` sends a request, reads ``{key: [item, …]}`` out of the reply and gives back readable and malformed items,
each of which becomes a candidate. A reply in which nothing is readable is given back to the model once, to be put into
form (step ``<step>.repair``). A request that this endpoint can't answer fails the slot, not the job. ``ask_text`` is
for the few who read plain text. Must not know what the items mean.

Use::

    asked = await ask_items(model, request, "pairs", Pair)
    if asked.failed is not None:
        return SlotResult(usage=asked.usage, failed=asked.failed)
    origin = asked.origin(Provenance(generator=..., slot=...))
    for item in asked.items: ...
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel

from corpora.records import Candidate, Message, Provenance
from generators.base import ModelClient, SlotPlan
from generators.llm.errors import SlotRequestError
from generators.llm.parsing import Malformed, ParsedItem, ReadReply, read_reply, reply_schema
from generators.llm.structured import strict_schema
from generators.ports import ModelRequest, Reply, Usage
from generators.prompting import Prompt, render

__all__ = ["REPLY_FORM", "Asked", "AskedForm", "Told", "ask_items", "ask_text", "prompt_request", "unreadable"]

ItemT = TypeVar("ItemT", bound=BaseModel)

#: How a reply became readable: as it stood, out of a code block, by repair, by asking again; or not at all.
AskedForm = Literal["strict", "fenced", "repaired", "asked_again", "unreadable"]
#: Trait of a candidate that holds it.
REPLY_FORM = "reply_form"


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a model said in plain text."""

    reply: Reply | None = None  #: None where the request failed.
    usage: Usage = field(default_factory=Usage)  #: What the request cost.
    failed: str | None = None  #: Why this request can't be answered (``context_too_small`` …).


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked(Generic[ItemT]):
    """What a model was asked for and gave."""

    items: list[ParsedItem[ItemT] | Malformed] = field(default_factory=list)  #: In order.
    model: str | None = None  #: Model name that the endpoint reported.
    usage: Usage = field(default_factory=Usage)  #: What the requests cost.
    failed: str | None = None  #: Why the slot can't run (``context_too_small`` …); None when it was answered.
    form: AskedForm = "unreadable"  #: How the reply became readable.

    def origin(self, provenance: Provenance) -> Provenance:
        """``provenance`` of the items, with the form of the reply among its traits."""
        return replace(provenance, traits={**provenance.traits, REPLY_FORM: self.form})


async def ask_text(model: ModelClient, request: ModelRequest) -> Told:
    """Ask for plain text.

    Raises:
        BudgetExhaustedError: the budget does not cover the request.
        EndpointError: the endpoint gave no reply, and would give none to another request.
    """
    try:
        reply, usage = await model.complete(request)
    except SlotRequestError as error:
        return Told(usage=error.usage, failed=error.code)
    return Told(reply=reply, usage=usage)


class Sampling(Protocol):
    """What a generator's parameters say of a reply."""

    @property
    def max_tokens(self) -> int:
        """Upper limit of one reply in tokens."""
        ...

    @property
    def temperature(self) -> float:
        """Sampling temperature."""
        ...


def prompt_request(plan: SlotPlan, step: str, prompt: Prompt, sampling: Sampling) -> ModelRequest:
    """A rendered prompt as one user turn, sampled by the slot's seed (its 31 lowest bits: endpoints take an int32)."""
    return ModelRequest(
        slot=plan.slot,
        step=step,
        messages=(Message(role="user", content=prompt.text),),
        max_tokens=sampling.max_tokens,
        temperature=sampling.temperature,
        seed=plan.seed % 2**31,
    )


async def ask_items(model: ModelClient, request: ModelRequest, key: str, item: type[ItemT]) -> Asked[ItemT]:
    """Ask for a list of items.

    Args:
        model: whom to ask.
        request: what to ask; its ``schema`` is filled in from ``item`` where it has none.
        key: name of the list in the reply.
        item: model of one item.

    Returns:
        Items in order; an unreadable reply is a single ``Malformed`` with what the model said first.

    Raises:
        BudgetExhaustedError: the budget does not cover the request, or the one to put its reply into form.
        EndpointError: the endpoint gave no reply, and would give none to another request.
    """
    if request.schema is None:
        request = replace(request, schema=reply_schema(key, item))
    told = await ask_text(model, request)
    if told.reply is None:
        return Asked(usage=told.usage, failed=told.failed)
    read = read_reply(told.reply, key, item)
    first = Asked(items=read.items, model=told.reply.model, usage=told.usage, form=read.form or "unreadable")
    return await _ask_again(model, request, told.reply, read, first, key, item) if read.mendable else first


async def _ask_again(
    model: ModelClient,
    request: ModelRequest,
    reply: Reply,
    read: ReadReply[ItemT],
    first: Asked[ItemT],
    key: str,
    item: type[ItemT],
) -> Asked[ItemT]:
    """The same reply in the right form, from the model itself; ``first`` where that gives nothing readable."""
    prompt = render(
        "repair",
        # The fence's own tag keeps its letters and gets full-width brackets, as in corpora.context.
        reply=reply.text.replace("</답변>", "＜/답변＞"),
        schema=json.dumps(strict_schema(request.schema or {}), ensure_ascii=False),
        fault=read.fault,
    )
    again = ModelRequest(
        slot=request.slot,
        step=f"{request.step}.repair",
        messages=(Message(role="user", content=prompt.text),),
        max_tokens=request.max_tokens,
        temperature=0.0,
        seed=request.seed,
        schema=request.schema,
    )
    told = await ask_text(model, again)
    usage = first.usage + told.usage
    second = None if told.reply is None else read_reply(told.reply, key, item)
    if second is None or not any(isinstance(entry, ParsedItem) for entry in second.items):
        return replace(first, usage=usage, form="unreadable")
    return Asked(items=second.items, model=first.model, usage=usage, form="asked_again")


def unreadable(item: Malformed, origin: Provenance, *, grounded: bool = False) -> Candidate:
    """The candidate that a reply or an item becomes which nobody could read."""
    return Candidate(messages=(), provenance=origin, grounded=grounded, malformed=item.reason, raw=item.raw)
