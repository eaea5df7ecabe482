"""``malmoi generate DOCS… -o data.jsonl``: documents in, a curated dataset out, no server needed.

Runs on a private store that is gone afterwards, or on ``--data-dir``, where the job can be looked at, resumed and
topped up later. Ctrl-C stops the job and writes what was accepted. Progress on a terminal, none in a pipe.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import InvalidInputError, MalmoiError

if TYPE_CHECKING:
    from app.services.context import Services
    from app.services.file_generation import Generated

__all__ = ["add_generate", "run_generate"]

Commands = Any  # argparse's own type is private
#: Ends of a job that give a dataset.
_GAVE = frozenset({"succeeded", "incomplete"})
POLL_S = 1.0


def add_generate(commands: Commands) -> None:
    """Declare ``malmoi generate``."""
    command = commands.add_parser("generate", help="make a dataset out of documents or seed tasks")
    add = command.add_argument
    add("documents", nargs="*", type=Path, metavar="DOCS", help="documents, or folders of them")
    add("-o", "--output", type=Path, help="JSONL in the messages schema")
    add("--test", type=Path, help="JSONL of samples on held-out documents; without it nothing is held out")
    add("--rejected", type=Path, help="JSONL of what was left out, with the reason of each candidate")
    add("--metadata", action="store_true", help="keep id, group and provenance with each line")
    add(
        "--generator",
        action="append",
        metavar="TYPE[:WEIGHT] or JSON",
        help='such as rag_qa:3, or {"type": "rag_qa", "pairs_per_request": 5}; may be given several times',
    )
    add("--target", type=int, help="accepted samples to stop at; all that the documents give when left out")
    add("--seed", type=int, default=7)
    add("--model", help="model name at the endpoint (MALMOI_MODEL_BASE_URL)")
    add("--judge-model", help="model that judges every candidate beside its source")
    add("--user", choices=("any", "polite", "plain", "mixed"), default="any", help="speech level of questions")
    add("--plain-share", type=float, default=0.5, help="share of plain questions under --user mixed")
    add("--heldout-fraction", type=float, default=0.1, help="share of documents held out for --test")
    add("--max-requests", type=int, help="requests that may be sent")
    add("--max-tokens", type=int, help="tokens that may be spent")
    add("--max-cost-usd", type=Decimal, help="US dollars that may be spent")
    add("--dry-run", action="store_true", help="show plan, first prompts and what it would cost; send nothing")
    add("--data-dir", type=Path, help="keep store and job here instead of forgetting them")
    add("--config", type=Path, help="settings file instead of ./malmoi.toml")


def run_generate(arguments: argparse.Namespace) -> None:
    """Run ``malmoi generate``."""
    from app.services.file_generation import GenerationFiles, generate_files, plan_files

    if arguments.output is None and not arguments.dry_run:
        raise InvalidInputError("Say where the samples go: -o data.jsonl.", param="output")
    request = _request(arguments)
    files = GenerationFiles(
        documents=tuple(arguments.documents),
        output=arguments.output or Path(),
        test=arguments.test,
        rejected=arguments.rejected,
        metadata=arguments.metadata,
    )
    with _services(arguments) as services:
        if arguments.dry_run:
            print(json.dumps(plan_files(services, files, request), ensure_ascii=False, indent=2))
            return
        with _watched(services) as watch:
            made = generate_files(services, files, request, watch)
    _say(made, files.output, files.test)
    status = made.job["status"]
    if status not in _GAVE:
        error = made.job["error"] or {"code": status, "message": f"The job was {status}.", "hint": ""}
        raise MalmoiError(f"{error['message']} What was accepted is in {files.output}.", code=error["code"])


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
        "heldout_fraction": arguments.heldout_fraction if arguments.test is not None else 0.0,
        "budget": {
            "max_requests": arguments.max_requests,
            "max_tokens": arguments.max_tokens,
            "max_cost_usd": arguments.max_cost_usd,
        },
        "curation": {"speech_level": {"user": arguments.user, "plain_share": arguments.plain_share}},
    }
    try:
        return GenerationRequest.model_validate(body)
    except ValidationError as exc:
        raise invalid_body(exc, body, []) from exc


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


@contextmanager
def _services(arguments: argparse.Namespace) -> Iterator[Services]:
    """Services on the folder that was named, or on one that is gone afterwards."""
    from app.services.context import open_services
    from app.settings import load_settings

    with tempfile.TemporaryDirectory(prefix="malmoi-") as temporary:
        folder = arguments.data_dir or Path(temporary)
        services = open_services(load_settings({"data_dir": folder}, config=arguments.config))
        try:
            yield services
        finally:
            services.store.dispose()


@contextmanager
def _watched(services: Services) -> Iterator[Callable[[str], None]]:
    """Show progress of the job that the caller names, and cancel it on Ctrl-C or SIGTERM."""
    from app.services.generation import get_job, stop_job

    ended = threading.Event()
    threads: list[threading.Thread] = []

    def show(job_id: str) -> None:
        while not ended.wait(POLL_S):
            if sys.stderr.isatty():
                told = get_job(services, job_id)["progress"]
                decided = told["done"] + told["failed"]
                line = f"\r{decided:,}/{told['planned']:,} 칸   채택 {told['accepted']:,}   거절 {told['rejected']:,} "
                print(line, end="", file=sys.stderr, flush=True)

    def watch(job_id: str) -> None:
        def stop(_signal: int, _frame: object) -> None:
            print("\nmalmoi: stopping; what was accepted will be written", file=sys.stderr)
            # Not in the handler itself: it may interrupt a transaction of this very thread.
            threading.Thread(target=stop_job, args=(services, job_id, "cancel"), daemon=True).start()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        threads.append(threading.Thread(target=show, args=(job_id,), daemon=True, name="progress"))
        threads[0].start()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield watch
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)
        if threads and sys.stderr.isatty():
            print(file=sys.stderr)


def _say(made: Generated, output: Path, test: Path | None) -> None:
    job = made.job
    told, usage = job["progress"], job["usage"]
    candidates = told["accepted"] + told["rejected"]
    print(f"후보 {candidates:,} = 채택 {told['accepted']:,} + 거절 {told['rejected']:,}")
    for reason, count in sorted(job["rejections"].items(), key=lambda entry: -entry[1]):
        print(f"  거절 {count:>8,}  {reason}")
    print(
        f"칸 {told['planned']:,} = 완료 {told['done']:,} + 실패 {told['failed']:,} + 남음 {told['pending']:,}   "
        f"요청 {usage['requests']:,}회, 토큰 {usage['prompt_tokens'] + usage['completion_tokens']:,}개"
    )
    print(f"{made.train:,}행: {output}")
    if test is not None:
        print(f"{made.test:,}행: {test}")
    for why in made.unread.values():
        print(f"malmoi: {why}", file=sys.stderr)
    if job["status"] == "incomplete" and job["error"]:
        print(f"malmoi: {job['error']['message']}", file=sys.stderr)
