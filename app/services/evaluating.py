"""The evaluation job itself: draws the rows, lets both models answer, asks the judge, scores, and keeps the report.

Runs in a worker process. Each phase rests on what the one before has stored, so a new attempt repeats none: answers lie
in the run's folder, judgements in the cache of replies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from typing import Any

from app.jobs.kinds import JobContext, JobOutcome
from app.services.context import Services
from app.services.evaluation_answers import EvaluationFolder, run_answering, run_benchmarks, stopped
from app.services.evaluation_harness import BENCHMARKS
from app.services.evaluation_judge import Judged, judge_answers
from app.services.evaluation_page import render_page
from app.services.evaluation_report import Findings, build_report, output_lines, results_of
from app.services.evaluation_request import EvaluateParams
from app.services.evaluation_rows import EvaluationRow, draw_rows, save_rows
from app.services.evaluation_scores import Scored, score_answers
from app.services.evaluation_seen import rows_seen
from app.services.files import add_file
from app.services.generation_prices import prices_of
from app.store.batches import SqlBatchLog
from app.store.group_commit import GroupWriter
from app.store.jobs import hold
from app.store.ledger import SqlLedger
from app.store.replies import SqlReplyCache
from corpora.korean.analyse import forget, prefetch
from generators.curation.answer_judge import AnswerJudge
from generators.llm.errors import EndpointDownError, KeyRefusedError, QuotaExhaustedError
from generators.llm.factory import make_client
from generators.llm.settings import LANGCHAIN_PREFIX, EndpointSettings
from generators.ports import Budget

__all__ = ["run_evaluate"]

#: These end a run for now, not for good: the job pauses and can be resumed.
PAUSING = (KeyRefusedError, QuotaExhaustedError, EndpointDownError)


def run_evaluate(services: Services, context: JobContext, params: EvaluateParams) -> JobOutcome:
    """Run the evaluation from the first phase that is not done."""
    folder = EvaluationFolder(root=services.folder("runs", context.job_id).resolve())
    context.progress({"phase": "reading", "done": 0, "total": None})
    param = "file_id" if params.file_id is not None else "dataset_id"
    rows, in_file = draw_rows(lambda: services.blobs.open(params.rows_sha256), params.max_rows, params.seed, param)
    save_rows(rows, folder.rows)
    context.event("info", f"{in_file:,}행 가운데 {len(rows):,}행으로 비교합니다.")
    end = run_answering(context, params, folder)
    if end is not None:
        return end
    benchmarks = None
    named = [name for name in params.metrics if name in BENCHMARKS]
    if named:
        found = run_benchmarks(context, params, folder, named)
        if isinstance(found, JobOutcome):
            return found
        benchmarks = found
    context.progress({"phase": "scoring", "done": 0, "total": len(rows)})
    answers = [json.loads(line) for line in folder.answers.read_text(encoding="utf-8").splitlines()]
    prefetch([one["text"] for one in answers] + [row.reference for row in rows])
    scored = score_answers(rows, answers, params.metrics, params.speech_level)
    forget()
    context.event("info", f"{scored.total:,}행 = 비교 {len(scored.rows):,} + 실패 {scored.failures.total():,}")
    judged, prompts = None, None
    if params.judge_model is not None:
        try:
            judged, prompts = _judge(services, context, params, rows, scored)
        except PAUSING as exc:
            error = {"code": exc.code, "message": exc.message, "hint": exc.hint, "retryable": True}
            context.event("warn", f"심사를 멈춥니다: {exc.message}", data=error)
            return JobOutcome(status="paused", error=error)
        if judged.cancelled:
            return stopped(context) or JobOutcome(status="cancelled")
    adapter = params.targets["tuned"].adapter
    report = Findings(
        params=params,
        rows=rows,
        in_file=in_file,
        answers=answers,
        scored=scored,
        judged=judged,
        judge_prompts=prompts,
        benchmarks=benchmarks,
        seen=rows_seen(services, adapter, rows),
        validated=rows_seen(services, adapter, rows, "validation_sha256"),
    )
    return _keep(services, context, report)


def _judge(
    services: Services, context: JobContext, params: EvaluateParams, rows: list[EvaluationRow], scored: Scored
) -> tuple[Judged, dict[str, str]]:
    # Closed when the loop has ended: what its last tasks hand in while they are cancelled is written too.
    with contextlib.closing(GroupWriter(services.store, context.job_id, context.attempt)) as writer:
        return asyncio.run(_judged(services, context, params, rows, scored, writer))


async def _judged(
    services: Services,
    context: JobContext,
    params: EvaluateParams,
    rows: list[EvaluationRow],
    scored: Scored,
    writer: GroupWriter,
) -> tuple[Judged, dict[str, str]]:
    assert params.judge_model is not None
    prices = prices_of(services.settings, (params.judge_model,))
    model = make_client(
        _endpoint(services, params.judge_model),
        cache=SqlReplyCache(writer),
        ledger=SqlLedger(writer, Budget(**params.budget.model_dump()), prices),
        batches=SqlBatchLog(writer),
    )

    def told(done: int, total: int) -> bool:
        context.progress({"phase": "judging", "done": done, "total": total})
        return context.should_stop() is None

    judge = AnswerJudge(model)
    try:
        judged = await judge_answers(
            judge, rows, scored, seed=params.seed, check_rows=params.judge_check_rows, told=told
        )
    finally:
        await model.aclose()
    return judged, judge.prompts


def _endpoint(services: Services, model: str) -> EndpointSettings:
    """Where the judge is asked; another provider has its own address and takes its key from its own variable."""
    settings = services.settings
    ours = not model.startswith(LANGCHAIN_PREFIX)
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else ""
    return EndpointSettings(
        base_url=settings.model_base_url or "" if ours else "",
        api_key=key if ours else "",
        model=model,
        timeout_s=settings.model_timeout_s,
        concurrency=settings.model_concurrency,
        requests_per_minute=settings.model_requests_per_minute,
        tokens_per_minute=settings.model_tokens_per_minute,
        down_after_s=settings.model_down_after_s,
    )


def _keep(services: Services, context: JobContext, found: Findings) -> JobOutcome:
    """Store the report, the page and the answers, and end the job."""
    report = build_report(context.job_id, found)
    files: dict[str, tuple[str, Iterable[bytes]]] = {
        "json": ("report.json", [json.dumps(report, ensure_ascii=False, indent=1).encode()]),
        "html": ("report.html", [render_page(report).encode()]),
        "jsonl": ("answers.jsonl", output_lines(found)),
    }
    stored = {kind: (name, services.blobs.put(blocks, None)) for kind, (name, blocks) in files.items()}
    with services.store.write(durable=True) as session:
        hold(session, context.job_id, context.attempt)
        ids = [add_file(session, name, "fine-tune-results", blob, services.now()).id for name, blob in stored.values()]
    result: dict[str, Any] = {
        "results": results_of(found),
        "result_files": ids,
        "blobs": {kind: blob[0] for kind, (_, blob) in stored.items()},
    }
    context.progress({"phase": "done", "done": len(found.rows), "total": len(found.rows)})
    context.event("info", "평가를 마쳤습니다.", data={"result_files": ids})
    cut = found.judged.stopped if found.judged is not None else None
    if cut is not None:
        error = {"code": cut.code, "message": cut.message, "hint": cut.hint, "retryable": False}
        return JobOutcome(status="incomplete", result=result, error=error)
    return JobOutcome(status="succeeded", result=result)
