"""``malmoi generate DOCS… -o data.jsonl``: documents in, a curated dataset out, no server needed.

Runs on a private store that is gone afterwards, or on ``--data-dir``, where the job can be looked at and gone on with
later (``--resume JOB``). Ctrl-C stops the job and writes what was accepted; with ``--data-dir`` it is paused, and
nothing that was paid is paid again. Progress on a terminal, none in a pipe. ``-o -`` writes samples to standard output
and everything else to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from app.cli.inline import services_on, watched
from corpora.errors import InvalidInputError, MalmoiError

if TYPE_CHECKING:
    from app.services.context import Services
    from app.services.file_generation import Generated, GenerationFiles

__all__ = ["add_generate", "run_generate"]

Commands = Any  # argparse's own type is private
#: Ends of a job that give a dataset.
_GAVE = frozenset({"succeeded", "incomplete"})
POLL_S = 1.0
#: Types of generators, as ``generators.registry`` has them; that module takes seconds to import.
GENERATOR_NAMES = (
    "rag_qa",
    "self_instruct",
    "extractive_qa",
    "question_generation",
    "conversation",
    "dialogue_summary",
    "evolve",
    "speech_variants",
)
#: What to run again with, where the store is gone and a job cannot be resumed.
_AGAIN = {"budget_exhausted": "Run it again with a higher limit, and with --data-dir to keep what was paid."}


def add_generate(commands: Commands) -> None:
    """Declare ``malmoi generate``."""
    command = commands.add_parser("generate", help="make a dataset out of documents or seed tasks")
    add = command.add_argument
    add("documents", nargs="*", type=Path, metavar="DOCS", help="documents, or folders of them")
    add("-o", "--output", type=Path, help="JSONL in the messages schema; - is standard output")
    add("--test", type=Path, help="JSONL of samples on held-out documents; without it nothing is held out")
    add("--rejected", type=Path, help="JSONL of what was left out, with the reason of each candidate")
    add("--metadata", action="store_true", help="keep id, group and provenance with each line")
    add(
        "--generator",
        action="append",
        metavar="TYPE[:WEIGHT] or JSON",
        help='such as rag_qa:3, or {"type": "rag_qa", "pairs_per_request": 5}; may be given several times. Types: '
        + ", ".join(GENERATOR_NAMES)
        + ". Default: rag_qa where MALMOI_MODEL_BASE_URL is set, else extractive_qa, which needs no model",
    )
    add("--target", type=int, help="stop at the slot that brings this many samples; default: all that there is to get")
    add("--seed", type=int, default=7, help="seed of every choice (default: 7)")
    add("--model", help="model name at the endpoint (MALMOI_MODEL_BASE_URL)")
    add("--judge-model", help="model that judges every candidate beside its source")
    levels = ("any", "polite", "plain", "mixed")
    add("--user", choices=levels, default="any", help="speech level of questions (default: any)")
    add("--plain-share", type=float, help="share of plain questions under --user mixed (default: 0.5)")
    add("--heldout-fraction", type=float, help="share of documents held out for --test (default: 0.1)")
    add("--max-requests", type=int, help="requests that may be sent")
    add("--max-tokens", type=int, help="tokens that may be spent")
    add("--max-cost-usd", type=Decimal, help="US dollars that may be spent")
    add("--dry-run", action="store_true", help="show plan, first prompts and what it would cost; send nothing")
    add("--data-dir", type=Path, help="keep store and job here instead of forgetting them")
    add("--resume", metavar="JOB", help="go on with a paused or incomplete job of --data-dir; no documents are given")
    add("--config", type=Path, help="settings file instead of ./malmoi.toml")


def run_generate(arguments: argparse.Namespace) -> None:
    """Run ``malmoi generate``."""
    _check(arguments)
    from app.services.file_generation import GenerationFiles, generate_files, plan_files
    from app.services.generation import stop_job
    from app.services.outputs import is_stdout

    request = _request(arguments)
    files = GenerationFiles(
        documents=tuple(arguments.documents),
        output=arguments.output or Path(),
        test=arguments.test,
        rejected=arguments.rejected,
        metadata=arguments.metadata,
        resume=arguments.resume,
    )
    # Samples on standard output leave standard error for everything else.
    said = sys.stderr if arguments.output is not None and is_stdout(arguments.output) else sys.stdout
    with services_on(arguments.data_dir, arguments.config) as services:
        if arguments.dry_run:
            print(json.dumps(plan_files(services, files, request), ensure_ascii=False, indent=2))
            return
        if sys.stderr.isatty():
            print("malmoi: 문서를 색인합니다…", end="", file=sys.stderr, flush=True)
        # What is kept can be gone on with; on a private store a paused job would be lost.
        how: Literal["cancel", "pause"] = "cancel" if arguments.data_dir is None else "pause"
        stop = partial(stop_job, services, what=how)
        with watched(partial(_progress, services), stop, "stopping; what was accepted will be written") as watch:
            made = generate_files(services, files, request, watch)
        if arguments.data_dir is None:
            _tell_trace(services, made.job["id"])
    _say(made, files, said)
    job, kept = made.job, arguments.data_dir is not None
    if job["status"] not in _GAVE or (job["error"] or {}).get("code") == "all_slots_failed":
        error = job["error"] or {"code": job["status"], "message": f"The job was {job['status']}.", "hint": ""}
        where = f"What was accepted is in {files.output}." if made.written else "No output was touched."
        raise MalmoiError(f"{error['message']} {where}", code=error["code"], hint=_next_step(job, error, kept=kept))


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what does not fit together, before anything heavy is imported."""
    if arguments.output is None and not arguments.dry_run:
        raise InvalidInputError("Say where the samples go: -o data.jsonl.", param="output")
    if arguments.resume is not None and (arguments.data_dir is None or arguments.documents or arguments.dry_run):
        raise InvalidInputError(
            "--resume goes on with a job of --data-dir; it takes neither documents nor --dry-run.", param="resume"
        )
    if arguments.heldout_fraction is not None and arguments.test is None:
        raise InvalidInputError("--heldout-fraction needs --test FILE, where held-out samples go.", param="test")
    if arguments.plain_share is not None and arguments.user != "mixed":
        raise InvalidInputError("--plain-share needs --user mixed.", param="plain_share")


def _next_step(job: dict[str, Any], error: dict[str, Any], *, kept: bool) -> str:
    """What to do about a job that did not end well; one on a private store cannot be resumed."""
    if kept and job["status"] == "paused":
        return (
            f"{error.get('hint') or ''} Go on with: malmoi generate --resume {job['id']} and the same --data-dir, -o."
        )
    return _AGAIN.get(error["code"], (error.get("hint") or "").replace("resume the job", "run it again"))


def _tell_trace(services: Services, job_id: str) -> None:
    """Print the traceback of an unexpected error: the store that holds it is about to go."""
    from app.services.events import list_events

    for event in list_events(services, job_id, "generation.job.event", None, 100, "asc")[0]:
        trace = (event.get("data") or {}).get("traceback")
        if trace:
            print(trace, file=sys.stderr)


def _request(arguments: argparse.Namespace) -> Any:
    from pydantic import ValidationError

    from app.services.faults import invalid_body
    from app.services.generation import GenerationRequest

    body = {
        "generators": [_entry(text) for text in arguments.generator] if arguments.generator else None,
        "target": arguments.target,
        "seed": arguments.seed,
        "model": arguments.model,
        "judge_model": arguments.judge_model,
        "dataset_name": "malmoi generate",
        "heldout_fraction": 0.0 if arguments.test is None else _or(arguments.heldout_fraction, 0.1),
        "budget": {
            "max_requests": arguments.max_requests,
            "max_tokens": arguments.max_tokens,
            "max_cost_usd": arguments.max_cost_usd,
        },
        "curation": {"speech_level": {"user": arguments.user, "plain_share": _or(arguments.plain_share, 0.5)}},
    }
    try:
        return GenerationRequest.model_validate(body)
    except ValidationError as exc:
        raise invalid_body(exc, body, []) from exc


def _or(given: float | None, default: float) -> float:
    return default if given is None else given


def _entry(text: str) -> dict[str, Any]:
    """A generator of the command line as an entry of the request."""
    if text.lstrip().startswith("{"):
        try:
            entry: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError as exc:
            raise InvalidInputError(f"--generator is no JSON: {exc}.", param="generators") from exc
        return entry
    name, _, weight = text.partition(":")
    if weight and not weight.isdecimal():
        raise InvalidInputError(f"--generator {text}: the weight is a whole number.", param="generators")
    return {"type": name} | ({"weight": int(weight)} if weight else {})


def _progress(services: Services, job_id: str, ended: threading.Event) -> None:
    """The counts of the job on a terminal, until it has ended."""
    from app.services.generation import get_job

    while not ended.wait(POLL_S):
        if sys.stderr.isatty():
            told = get_job(services, job_id)["progress"]
            decided = told["done"] + told["failed"]
            aim = f"/{told['target']:,}" if told["target"] is not None else ""
            counts = f"채택 {told['accepted']:,}{aim}   거절 {told['rejected']:,}   작업 {decided:,}"
            print(f"\r{counts}/{told['planned']:,} ", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _say(made: Generated, files: GenerationFiles, out: TextIO) -> None:
    """Counts that add up, then where the lines are, then what was not read or not reached."""
    job = made.job
    told, usage = job["progress"], job["usage"]
    candidates = told["accepted"] + told["rejected"]
    lines = [f"후보 {candidates:,} = 채택 {told['accepted']:,} + 거절 {told['rejected']:,}"]
    for reason, count in sorted(job["rejections"].items(), key=lambda entry: -entry[1]):
        lines.append(f"  거절 {count:>8,}  {reason}")
    tokens = usage["prompt_tokens"] + usage["completion_tokens"]
    lines.append(
        f"작업 {told['planned']:,} = 완료 {told['done']:,} + 실패 {told['failed']:,} + 남음 {told['pending']:,}   "
        f"요청 {usage['requests']:,}회, 토큰 {tokens:,}개"
    )
    if made.written:
        lines.append(f"{made.train:,}행: {files.output}")
        if files.test is not None:
            lines.append(f"{made.test:,}행: {files.test}")
    print("\n".join(lines), file=out)
    for why in made.unread.values():
        print(f"malmoi: {why}", file=sys.stderr)
    for warning in made.warnings:
        print(f"malmoi: {warning}", file=sys.stderr)
    if job["status"] == "incomplete" and job["error"]:
        print(f"malmoi: {job['error']['message']} {job['error']['hint']}".rstrip(), file=sys.stderr)
