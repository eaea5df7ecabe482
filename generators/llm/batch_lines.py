"""One line of a batch on its way out and on its way in: pure functions.

A line is named by slot, step and hash of the request, so that its reply finds its place after a restart. Must not send,
wait or count.

Source: OpenAI, Batch API guide: input ``{custom_id, method, url, body}``, output ``{custom_id, response, error}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generators.llm.errors import EndpointDownError, EndpointError, RequestFailedError, RequestRefusedError
from generators.llm.parameters import ParameterSupport
from generators.llm.settings import EndpointSettings
from generators.llm.structured import Mode
from generators.llm.translate import Failure, status_failure
from generators.llm.wire import completion_body, read_completion
from generators.ports import BatchLine, Claim, ModelRequest, Reply, Settlement

__all__ = [
    "TOO_MUCH",
    "Gone",
    "Outcome",
    "final_error",
    "line_id",
    "read_line",
    "settlement_of",
    "unanswered",
    "wire_line",
]

#: Code of a batch that is refused because too many tokens wait already; a smaller one may fit.
TOO_MUCH = "token_limit_exceeded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """A line that was not run, or of which nothing came back."""

    outcome: str  #: How the ledger names it: ``batch_`` and ``expired``, ``cancelled``, ``failed`` or ``no_result``.
    maybe_billed: bool = False  #: Whether it may have been run all the same.


Outcome = Reply | Failure | Gone


def line_id(slot: int, step: str, request_hash: str) -> str:
    """The ``custom_id`` of a request."""
    return f"{slot}/{step}/{request_hash}"


def wire_line(
    name: str, request: ModelRequest, settings: EndpointSettings, mode: Mode, parameters: ParameterSupport
) -> bytes:
    """The line of a request, with its line end."""
    line = {
        "custom_id": name,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": parameters.adapted(completion_body(request, settings, mode)),
    }
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"


def read_line(document: Mapping[str, Any], line: BatchLine, settings: EndpointSettings, wall: float) -> Outcome:
    """What became of a request.

    Args:
        document: a line of the results.
        line: the request, whose upper bounds are counted where no usage is reported.
        settings: whom we asked.
        wall: Unix seconds now.
    """
    response = document.get("response")
    if not isinstance(response, Mapping) or not isinstance(response.get("status_code"), int):
        error = document.get("error")
        code = str(error.get("code") or "") if isinstance(error, Mapping) else ""
        # ``batch_expired`` and ``batch_cancelled`` are the endpoint's own codes of lines that were not run.
        run = code not in ("batch_expired", "batch_cancelled")
        return Gone(outcome="batch_no_result" if run else code, maybe_billed=run)
    status, body = response["status_code"], response.get("body")
    if 200 <= status < 300:
        claim = Claim(
            slot=line.slot,
            step=line.step,
            model=settings.model,
            prompt_tokens=line.prompt_tokens,
            completion_tokens=line.completion_tokens,
        )
        return read_completion(json.dumps(body, ensure_ascii=False).encode("utf-8"), claim, settings)
    error = body.get("error") if isinstance(body, Mapping) else None
    error = error if isinstance(error, Mapping) else {}
    codes = {str(error[name]) if error.get(name) is not None else None for name in ("code", "type")}
    words = str(error.get("message") or body)
    return status_failure(status, codes, words, settings=settings, headers={}, wall=wall)


def unanswered(status: str) -> Gone:
    """What became of a line that is in no file of results of a batch that ended so."""
    if status == "completed":
        return Gone(outcome="batch_no_result", maybe_billed=True)
    return Gone(outcome=f"batch_{status}")


def settlement_of(line: BatchLine, outcome: Outcome, seconds: float) -> Settlement:
    """What a line cost: as reported, or its upper bound where it may have been run, or nothing."""
    if isinstance(outcome, Reply):
        prompt, completion, what = outcome.prompt_tokens, outcome.completion_tokens, "ok"
    else:
        prompt = line.prompt_tokens if outcome.maybe_billed else 0
        completion = line.completion_tokens if outcome.maybe_billed else 0
        what = outcome.outcome
    return Settlement(prompt_tokens=prompt, completion_tokens=completion, outcome=what, latency_s=seconds)


def final_error(outcome: Failure | Gone, words: str, *, too_much: bool, answered: bool) -> EndpointError | None:
    """The error of a line that no other batch would mend; None for one that is worth another.

    Args:
        outcome: what became of the line.
        words: the endpoint's words on a batch that failed as a whole.
        too_much: whether it failed because too many tokens wait already.
        answered: whether the endpoint has answered anything yet: then a refusal is this request's alone.
    """
    if isinstance(outcome, Failure):
        if outcome.again:
            return None
        single = outcome.kind is RequestRefusedError and outcome.status != 404 and answered
        return (RequestFailedError if single else outcome.kind)(f"{outcome.message}.")
    if outcome.outcome == "batch_cancelled":
        return EndpointDownError("The batch was cancelled at the endpoint.")
    if outcome.outcome == "batch_failed" and not too_much:
        return RequestRefusedError(f"The model endpoint refused the batch: {words}.")
    return None
