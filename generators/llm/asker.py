"""Asks until there is an answer or a reason: cache first, then the limiter, then the budget, then the wire.

One ``complete`` is one decided reply. Every reply is cached before it is used, so a resumed job sends nothing twice and
decides the same; failures are never cached. Knows no HTTP (a ``Transport`` sends), no prompts, no generators.

Whose fault a failure is decides what becomes of it (see ``circuit``): a refused key or an exhausted quota stops
everything; an endpoint that fails for ten minutes is down; a request that fails while others are answered fails its
slot. Where nobody else has been answered meanwhile, one harmless question tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from corpora.records import Message
from generators.llm.endpoint import ClientStats, Endpoint
from generators.llm.errors import (
    EndpointDownError,
    KeyRefusedError,
    NonsenseReplyError,
    QuotaExhaustedError,
    RequestFailedError,
    RequestRefusedError,
    SendingHeldError,
)
from generators.llm.limiter import Ending
from generators.llm.patient_ledger import PatientLedger
from generators.llm.settings import EndpointSettings
from generators.llm.structured import Mode, names_response_format
from generators.llm.translate import Failure
from generators.llm.transport import Sent, Transport
from generators.llm.wire import claim_of, request_key
from generators.ports import Claim, Ledger, ModelRequest, Reply, ReplyCache, Settlement, Usage

__all__ = ["Asker"]

_FATAL = (KeyRefusedError, QuotaExhaustedError)
#: Asked to learn whether an endpoint answers at all. 16 is the least that some endpoints accept as ``max_tokens``.
_HARMLESS = (Message(role="user", content="안녕하세요?"),)
_HARMLESS_TOKENS = 16


@dataclass(slots=True)
class _Call:
    """One request on its way, with what has happened to it."""

    request: ModelRequest
    claim: Claim
    usage: Usage = field(default_factory=Usage)
    failures: int = 0
    blamed: int = 0
    first_failure_at: float | None = None
    left_out: frozenset[str] = frozenset()  #: Parameters that the last send left out.
    flying: bool = False  #: Whether a send of it is not at rest yet.
    probe: bool = False  #: A test question of ours, which says nothing about the job's requests.


class Asker:
    """A model behind a transport, with one job's cache and budget; safe for many ``complete`` calls in one loop."""

    def __init__(
        self,
        settings: EndpointSettings,
        transport: Transport,
        *,
        cache: ReplyCache,
        ledger: Ledger,
        endpoint: Endpoint | None = None,
    ) -> None:
        self.settings = settings
        self._transport = transport
        self._cache = cache
        self._ledger = ledger if isinstance(ledger, PatientLedger) else PatientLedger(ledger)
        self.endpoint = endpoint or Endpoint(settings)
        self._timing = self.endpoint.timing
        self._flying = 0

    async def complete(self, request: ModelRequest) -> tuple[Reply, Usage]:
        """One reply, from the cache if this slot and step have asked exactly this before.

        Returns:
            The reply and what it cost: sends of this call (none for a cached reply) and reported tokens. Where an
            endpoint reports no usage, the reserved upper bound is counted, so that the budget stays a limit.

        Raises:
            BudgetExhaustedError: the budget does not cover another send; nothing was sent.
            EndpointError: one of its kinds, after every attempt that made sense.
        """
        key = request_key(self.settings.model, request)
        cached = await self._cache.get(request.slot, request.step, key)
        if cached is not None:
            return cached, Usage(cached_requests=1)
        call = _Call(request=request, claim=claim_of(request, self.settings.model))
        while True:
            try:
                sent, mode = await self._send(call)
                if sent.reply is not None:
                    await self._cache.put(request.slot, request.step, key, sent.reply)
                    return sent.reply, call.usage
            finally:
                self._landed(call)
            assert sent.failure is not None
            if not self._adapted(call, sent.failure, mode):
                await self._endure(call, sent.failure)

    def stats(self) -> ClientStats:
        """How the endpoint is doing."""
        return self.endpoint.stats()

    def hold(self) -> None:
        """Send nothing else; what is on the wire arrives and is cached, every other request raises."""
        self.endpoint.circuit.open(SendingHeldError("The job is being paused."))

    @property
    def flying(self) -> int:
        """Requests on the wire, and those whose reply is not cached yet: abandoned, they would be paid twice."""
        return self._flying

    def _landed(self, call: _Call) -> None:
        self._flying -= call.flying
        call.flying = False

    def trouble(self, after_s: float) -> str | None:
        """The last failure where nothing has worked for ``after_s`` seconds while requests fail, else None."""
        failing = self.endpoint.circuit.failing_s(self._timing.clock())
        return self.endpoint.last_failure if failing >= after_s else None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _send(self, call: _Call) -> tuple[Sent, Mode]:
        """Send once: wait for a turn, reserve, ask, settle. A crash in between leaves the reservation as spent."""
        endpoint, claim, schema = self.endpoint, call.claim, call.request.schema
        self._refuse_if_open(call)
        ending = Ending(unsent=True)
        mode: Mode = "none"
        reservation: int | None = None
        permit = await endpoint.limiter.acquire(claim.prompt_tokens + claim.completion_tokens)
        try:
            self._refuse_if_open(call)
            mode = await endpoint.structured.begin(schema)
            reservation = await self._ledger.reserve_when_free(claim)
            ending = Ending()
            endpoint.sent += 1
            endpoint.retried += call.failures > 0
            call.left_out = endpoint.parameters.left_out
            call.flying = True
            self._flying += 1
            started = self._timing.clock()
            sent = await self._transport.send(call.request, claim, mode)
            latency = self._timing.clock() - started
            ending = _ending(sent)
            self._note(call, sent, mode, latency)
        except BaseException:
            if reservation is not None:
                self._ledger.let_go(reservation)
            raise
        finally:
            # Without this a cancelled request would keep its place, and those waiting for its verdict on schemas.
            endpoint.limiter.release(permit, ending)
            if schema is not None and not ending.ok:
                endpoint.structured.failed()
        settlement = _settlement(sent, claim, latency)
        call.usage += Usage(
            requests=1, prompt_tokens=settlement.prompt_tokens, completion_tokens=settlement.completion_tokens
        )
        await self._ledger.settle(reservation, settlement)
        return sent, mode

    def _note(self, call: _Call, sent: Sent, mode: Mode, latency_s: float) -> None:
        """Tell the endpoint's shared state how a send went."""
        endpoint, schema = self.endpoint, call.request.schema
        if sent.reply is not None:
            endpoint.replied(latency_s)
            endpoint.circuit.succeeded(self._timing.clock(), probe=call.probe)
            endpoint.retries.earn(retried=call.failures > 0)
            if schema is not None:
                endpoint.structured.answered(mode, schema, sent.reply.text, sent.reply.finish_reason)
        elif sent.failure is not None and sent.failure.status == 429:
            endpoint.limited += 1

    def _adapted(self, call: _Call, failure: Failure, mode: Mode) -> bool:
        """Whether only the schema or a parameter was refused: then the same is asked again without it, at once."""
        if failure.kind is not RequestRefusedError or failure.status not in (400, 422):
            return False
        if self.endpoint.parameters.learn(failure.message, call.left_out):
            return True
        if mode == "none" or self.settings.structured != "auto" or not names_response_format(failure.message):
            return False
        self.endpoint.structured.refused(mode)
        return True

    async def _endure(self, call: _Call, failure: Failure) -> None:
        """Wait for the next attempt, or raise what the failure comes to."""
        circuit, policy = self.endpoint.circuit, self.settings.retry
        if issubclass(failure.kind, _FATAL):
            circuit.open(failure.kind(f"{failure.message}."))
        if not failure.again:
            raise self._final(call, failure) from failure.cause
        now = self._timing.clock()
        circuit.failed(now)
        self.endpoint.last_failure = failure.message
        call.failures += 1
        call.blamed += not failure.busy
        if call.first_failure_at is None:
            call.first_failure_at = now
        if (failure.retry_after_s or 0.0) > policy.max_retry_after_s:
            wants = f"{failure.message}; it asks to wait {failure.retry_after_s:g} s."
            raise EndpointDownError(wants, usage=call.usage) from failure.cause
        exhausted = call.blamed >= policy.attempts
        if failure.kind is NonsenseReplyError and exhausted and not circuit.ever_answered:
            raise self._final(call, failure) from failure.cause
        if exhausted or now - call.first_failure_at >= circuit.down_after_s:
            await self._blame(call, failure, exhausted=exhausted)
        self._refuse_if_down(call, failure)
        await self._timing.sleep(policy.wait_s(call.failures, self._timing.uniform()))
        self._refuse_if_open(call)
        await self.endpoint.retries.spend()
        self._refuse_if_down(call, failure)

    async def _blame(self, call: _Call, failure: Failure, *, exhausted: bool) -> None:
        """Raise where the endpoint answers others: then the request itself is at fault."""
        circuit = self.endpoint.circuit
        assert call.first_failure_at is not None
        answers = circuit.answered_since(call.first_failure_at)
        if not answers and exhausted and circuit.may_probe(self._timing.clock()):
            answers = await self._answers_at_all(call)
        if not answers:
            return
        if not circuit.blame_request():
            message = (
                f"{failure.message}; the endpoint answers a short test question, but none of the last "
                f"{circuit.most_blamed} requests of this job."
            )
            raise EndpointDownError(message, usage=call.usage) from failure.cause
        message = f"{failure.message}; it failed {call.failures} times, while other requests are answered."
        raise RequestFailedError(message, usage=call.usage) from failure.cause

    async def _answers_at_all(self, call: _Call) -> bool:
        """Ask something harmless: does the endpoint fail, or this request? Reserved and settled like any other."""
        request = ModelRequest(
            slot=call.request.slot,
            step=f"{call.request.step}:alive",
            messages=_HARMLESS,
            max_tokens=_HARMLESS_TOKENS,
            temperature=0.0,
        )
        probe = _Call(request=request, claim=claim_of(request, self.settings.model), probe=True)
        try:
            sent, _ = await self._send(probe)
        finally:
            self._landed(probe)
        call.usage += probe.usage
        return sent.reply is not None

    def _final(self, call: _Call, failure: Failure) -> Exception:
        """The error of a failure that no further attempt mends."""
        tries = f" after {call.failures} attempts" if call.failures > 1 else ""
        # A refusal that only one request meets is that request's; a model that is gone (404) is everybody's.
        single = failure.kind in (RequestRefusedError, NonsenseReplyError) and failure.status not in (404, 405)
        kind = RequestFailedError if single and self.endpoint.circuit.ever_answered else failure.kind
        return kind(f"{failure.message}{tries}.", usage=call.usage)

    def _refuse_if_open(self, call: _Call) -> None:
        opened = self.endpoint.circuit.opened
        if opened is not None:
            raise type(opened)(opened.message, usage=call.usage)

    def _refuse_if_down(self, call: _Call, failure: Failure) -> None:
        circuit = self.endpoint.circuit
        if circuit.is_down(self._timing.clock()):
            message = f"{failure.message}; nothing else has worked for {circuit.down_after_s:g} s."
            raise EndpointDownError(message, usage=call.usage) from failure.cause


def _ending(sent: Sent) -> Ending:
    if sent.reply is not None:
        used = float(sent.reply.prompt_tokens + sent.reply.completion_tokens)
        return Ending(ok=True, used_tokens=used, hints=sent.hints)
    failure = sent.failure
    assert failure is not None
    return Ending(
        overload=failure.overload,
        retry_after_s=failure.retry_after_s,
        used_tokens=None if failure.maybe_billed else 0.0,
        hints=failure.hints,
    )


def _settlement(sent: Sent, claim: Claim, latency_s: float) -> Settlement:
    """A failed send costs its upper bound where the endpoint may have worked on it, else nothing."""
    if sent.reply is not None:
        prompt, completion, outcome = sent.reply.prompt_tokens, sent.reply.completion_tokens, "ok"
    else:
        assert sent.failure is not None
        billed = sent.failure.maybe_billed
        prompt = claim.prompt_tokens if billed else 0
        completion = claim.completion_tokens if billed else 0
        outcome = sent.failure.outcome
    return Settlement(prompt_tokens=prompt, completion_tokens=completion, outcome=outcome, latency_s=latency_s)
