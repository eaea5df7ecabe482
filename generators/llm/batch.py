"""The same client over OpenAI's Batch API: requests gathered, sent together, collected within a day or after a restart.

``complete`` waits like any other; who asks need not know. Requests are gathered until no new one has come for a moment,
reserved in the ledger, and noted in the ``BatchLog`` before they are sent. Whatever happens then, a line is paid once:
a later attempt first collects every batch that the log still holds. Every line ends as a cached reply, as a request of
the next batch, or as a failure with its cause.

Use::

    client = BatchModelClient(settings, cache=cache, ledger=ledger, batches=log)    # settings.model: "batch:gpt-…"
    reply, usage = await client.complete(request)
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from corpora.errors import MalmoiError
from generators.llm.batch_api import BatchApi, BatchState
from generators.llm.batch_gather import Gathering, Waiting
from generators.llm.batch_lines import (
    TOO_MUCH,
    Gone,
    Outcome,
    final_error,
    line_id,
    read_line,
    settlement_of,
    unanswered,
    wire_line,
)
from generators.llm.batch_recovery import Recovery
from generators.llm.endpoint import ClientStats, Endpoint
from generators.llm.errors import EndpointDownError, EndpointError, RequestFailedError, RequestRefusedError
from generators.llm.settings import BATCH_PREFIX, EndpointSettings
from generators.llm.structured import names_response_format
from generators.llm.timing import Timing
from generators.llm.translate import Failure
from generators.llm.wire import claim_of, request_key
from generators.ports import (
    BatchLine,
    BatchLog,
    BatchRecord,
    BudgetExhaustedError,
    Ledger,
    ModelRequest,
    Reply,
    ReplyCache,
    Usage,
)

__all__ = ["BatchModelClient"]

#: Seconds until more is sent after a batch was refused because too many tokens wait already.
_ROOM_S = 60.0


class BatchModelClient:
    """A model behind the Batch API, with one job's cache and budget; for one event loop."""

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        cache: ReplyCache,
        ledger: Ledger,
        batches: BatchLog,
        endpoint: Endpoint | None = None,
        gather_s: float = 3.0,
        timing: Timing | None = None,
    ) -> None:
        """Connect lazily.

        Args:
            settings: where to ask; ``model`` with or without ``batch:`` before it, ``retry.attempts`` tries a line.
            cache: replies of the job.
            ledger: budget of the job; its prices are those of ``settings.model`` as it stands, prefix included, since
                a batch costs less than the same requests one by one.
            batches: batches of the job that are under way.
            endpoint: what is shared with other clients of the same model, so that two of them on one log do not both
                collect the same batch; None for a client on its own.
            gather_s: seconds without a new request after which those gathered are sent.
            timing: clock and sleep, where no endpoint brings them.
        """
        self._priced_as = settings.model
        self.settings = replace(settings, model=settings.model.removeprefix(BATCH_PREFIX))
        self._cache, self._ledger, self._log = cache, ledger, batches
        self.endpoint = endpoint or Endpoint(self.settings, timing)
        self._timing = self.endpoint.timing
        self._api = BatchApi(self.settings, self._timing)
        self._known: dict[str, Waiting] = {}
        self._gathered = Gathering(self._send, self._encode, gather_s=gather_s, timing=self._timing)
        self._out = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovery = Recovery(self.settings.model, batches, self.endpoint, self._recover_one)

    async def complete(self, request: ModelRequest) -> tuple[Reply, Usage]:
        """One reply, from the cache, from a batch that an earlier attempt sent, or from one that is sent now.

        Raises:
            BudgetExhaustedError: the budget does not cover the request; it was not sent.
            EndpointError: one of its kinds. Batches that are under way stay in the log.
        """
        key = request_key(self.settings.model, request)
        cached = await self._cache.get(request.slot, request.step, key)
        if cached is None:
            await self._recovery.done()
            cached = await self._cache.get(request.slot, request.step, key)
        if cached is not None:
            return cached, Usage(cached_requests=1)
        name = line_id(request.slot, request.step, key)
        waiting = self._known.get(name)
        if waiting is not None:
            # Asked twice at once; one of the two pays.
            return await asyncio.shield(waiting.future), Usage(cached_requests=1)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        # Whoever asked may be gone by the time of an error; nobody is to be told that it was not looked at.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        claim = claim_of(request, self._priced_as)
        waiting = Waiting(request=request, claim=claim, name=name, request_hash=key, future=future)
        self._known[name] = waiting
        self._gathered.add(waiting)
        return await asyncio.shield(future), waiting.usage

    def stats(self) -> ClientStats:
        """How the batches are doing; ``in_flight`` and ``waiting`` count requests."""
        return replace(self.endpoint.stats(), in_flight=self._out, waiting=len(self._gathered))

    async def aclose(self) -> None:
        """Stop waiting and close the connections. What was sent stays in the log."""
        await self._gathered.aclose()
        await self._recovery.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._known.values():
            waiting.future.cancel()
        await self._api.aclose()

    async def _recover_one(self, record: BatchRecord) -> None:
        """Collect a batch of an earlier attempt."""
        batch_id = record.batch_id or await self._api.find(record.token)
        if batch_id is not None:
            await self._collect(replace(record, batch_id=batch_id), {})
            return
        # The attempt died before the endpoint had it: nothing was run.
        for line in record.lines:
            await self._settle(line, Gone(outcome="not_sent"), 0.0, again=True)
        await self._log.remove(record.token)

    def _encode(self, waiting: Waiting) -> bytes:
        waiting.mode = "none" if waiting.request.schema is None else self.endpoint.structured.mode
        waiting.left_out = self.endpoint.parameters.left_out
        return wire_line(waiting.name, waiting.request, self.settings, waiting.mode, self.endpoint.parameters)

    async def _send(self, chunk: list[Waiting], content: dict[str, bytes]) -> None:
        await self._guard(self._submit(chunk, content), chunk)

    async def _submit(self, chunk: Sequence[Waiting], content: Mapping[str, bytes]) -> None:
        lines: list[BatchLine] = []
        sent: dict[str, Waiting] = {}
        for number, waiting in enumerate(chunk):
            try:
                reservation = await self._ledger.reserve(waiting.claim)
            except BudgetExhaustedError as error:
                self._fail(chunk[number:], error)
                break
            lines.append(
                BatchLine(
                    slot=waiting.request.slot,
                    step=waiting.request.step,
                    request_hash=waiting.request_hash,
                    reservation=reservation,
                    prompt_tokens=waiting.claim.prompt_tokens,
                    completion_tokens=waiting.claim.completion_tokens,
                )
            )
            sent[waiting.name] = waiting
        if not lines:
            return
        token, now = uuid.uuid4().hex, self._timing.wall()
        record = BatchRecord(token=token, batch_id=None, model=self.settings.model, created_at=now, lines=tuple(lines))
        self.endpoint.live_batches.add(token)
        await self._log.put(record)
        try:
            batch_id = await self._api.create(b"".join(content[name] for name in sent), token)
        except EndpointDownError:
            # It may have been started all the same: it is looked for before the money is given back.
            self._recovery.hand_over(token)
            raise
        except EndpointError:
            for line in lines:
                await self._settle(line, Gone(outcome="not_sent"), 0.0)
            await self._log.remove(token)
            raise
        record = replace(record, batch_id=batch_id)
        await self._log.put(record)
        self.endpoint.sent += len(sent)
        self.endpoint.retried += sum(waiting.failures > 0 for waiting in sent.values())
        self._out += len(sent)
        task = asyncio.create_task(self._guard(self._collect(record, sent), list(sent.values())))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _collect(self, record: BatchRecord, sent: Mapping[str, Waiting]) -> None:
        """Wait for a batch and decide every line of it; ``sent`` is empty for one of an earlier attempt."""
        assert record.batch_id is not None
        try:
            state = await self._api.wait(record.batch_id)
            if state.error_code == TOO_MUCH:
                self._gathered.shrink(len(record.lines), _ROOM_S)
            left = {line_id(line.slot, line.step, line.request_hash): line for line in record.lines}
            for file in state.files:
                async for document in self._api.results(file):
                    name = str(document.get("custom_id"))
                    line = left.pop(name, None)
                    if line is not None:
                        outcome = read_line(document, line, self.settings, self._timing.wall())
                        await self._decide(line, outcome, state, sent.get(name), again=not sent)
            for name, line in left.items():
                await self._decide(line, unanswered(state.status), state, sent.get(name), again=not sent)
            await self._log.remove(record.token)
            self.endpoint.live_batches.discard(record.token)
        except BaseException:
            self._recovery.hand_over(record.token)
            raise
        finally:
            self._out -= len(sent)

    async def _decide(
        self, line: BatchLine, outcome: Outcome, state: BatchState, waiting: Waiting | None, *, again: bool
    ) -> None:
        """Settle a line, store its reply, and tell whoever waits."""
        usage = await self._settle(line, outcome, state.seconds, again=again)
        if isinstance(outcome, Reply):
            await self._cache.put(line.slot, line.step, line.request_hash, outcome)
            self.endpoint.circuit.succeeded(self._timing.clock())
        if waiting is None:
            return
        waiting.usage += usage
        if isinstance(outcome, Reply):
            self._known.pop(waiting.name, None)
            if not waiting.future.done():
                waiting.future.set_result(outcome)
            return
        error = self._verdict(waiting, outcome, state)
        if error is None:
            self._gathered.add(waiting)
        else:
            self._fail([waiting], error)

    def _verdict(self, waiting: Waiting, outcome: Failure | Gone, state: BatchState) -> MalmoiError | None:
        """The error of a line that is not asked again; None for one that is."""
        if isinstance(outcome, Failure) and self._adapted(waiting, outcome):
            return None
        smaller = state.error_code == TOO_MUCH and self._gathered.most_lines > 1
        waiting.failures += not smaller
        answered = self.endpoint.circuit.ever_answered
        error = final_error(outcome, state.error_message, too_much=state.error_code == TOO_MUCH, answered=answered)
        if error is None and waiting.failures >= self.settings.retry.attempts:
            what = outcome.message if isinstance(outcome, Failure) else outcome.outcome
            error = RequestFailedError(f"The request failed in {waiting.failures} batches, last: {what}.")
        if error is not None:
            error.usage = waiting.usage
        return error

    def _adapted(self, waiting: Waiting, failure: Failure) -> bool:
        """Whether only the schema or a parameter was refused: then the next batch goes without it."""
        if failure.kind is not RequestRefusedError:
            return False
        if self.endpoint.parameters.learn(failure.message, waiting.left_out):
            return True
        if waiting.mode == "none" or self.settings.structured != "auto":
            return False
        if not names_response_format(failure.message):
            return False
        self.endpoint.structured.refused(waiting.mode)
        return True

    async def _settle(self, line: BatchLine, outcome: Outcome, seconds: float, *, again: bool = False) -> Usage:
        """Settle a line; ``again`` where an attempt that died may have settled it before it could say so."""
        settlement = settlement_of(line, outcome, seconds)
        try:
            await self._ledger.settle(line.reservation, settlement)
        except ValueError:
            if not again:
                raise
        return Usage(requests=1, prompt_tokens=settlement.prompt_tokens, completion_tokens=settlement.completion_tokens)

    def _fail(self, several: Sequence[Waiting], error: BaseException) -> None:
        for waiting in several:
            self._known.pop(waiting.name, None)
            if not waiting.future.done():
                waiting.future.set_exception(error)

    async def _guard(self, work: Coroutine[Any, Any, None], several: Sequence[Waiting]) -> None:
        """Do the work; whatever stops it reaches those who wait, or they would wait for ever."""
        try:
            await work
        except Exception as error:
            self._fail([one for one in several if one.name in self._known and one not in self._gathered], error)
