"""``malmoi generate``: documents in, samples out, by the services and jobs that the HTTP API uses, without a server.

The store is the caller's, or a private one that is gone afterwards. A document that can't be read is told and the
others are processed; a job that stops short of its end still gives everything that it accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.jobs.inline import run_inline
from app.services.context import Services, worker_config
from app.services.corpora import create_corpus
from app.services.dry_run import dry_run
from app.services.events import list_events
from app.services.export_rows import export_rows, rejected_line
from app.services.generation import BudgetRequest, GenerationRequest, create_job, get_job, resume_job
from app.services.kinds import KINDS
from app.services.outputs import WholeFiles, check_outputs
from app.services.parsing import parse_document
from app.services.uploads import upload_documents
from app.store.queries import listed
from app.store.samples import row_to_sample
from app.store.tables import DocumentRow, JobRow, SampleRow
from corpora.errors import InvalidInputError, MalmoiError, UnreadableDocumentError
from corpora.exporters import export_line
from corpora.importers import printable
from corpora.readers import READERS

__all__ = ["Generated", "GenerationFiles", "generate_files", "plan_files"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationFiles:
    """What is read and what is written."""

    documents: tuple[Path, ...]  #: Files, and folders whose files of known formats are taken.
    output: Path  #: Accepted training samples, JSONL in the messages schema.
    test: Path | None = None  #: Samples of held-out documents; None puts them into ``output``.
    rejected: Path | None = None  #: What was left out, with the verdict of each.
    resume: str | None = None  #: Go on with this job of the store instead of making one.
    metadata: bool = False  #: Whether id, split, group and provenance stand beside the messages.


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What came of it."""

    job: dict[str, Any]  #: The job as the API shows it.
    train: int  #: Lines of ``output``.
    test: int  #: Lines of ``test``.
    written: bool  #: False where the job ended badly with nothing accepted: no output was touched.
    unread: dict[str, str] = field(default_factory=dict)  #: Documents that could not be read: name -> why.
    warnings: tuple[str, ...] = ()  #: What the job's log warns of, and what its figures would leave unsaid.


def plan_files(services: Services, files: GenerationFiles, request: GenerationRequest) -> dict[str, Any]:
    """What ``generate_files`` would do; the documents are read and indexed for it, nothing is sent to a model."""
    corpus_id, _ = _corpus(services, files)
    return dry_run(services, request.model_copy(update={"corpus_id": corpus_id, "dry_run": True}))


def generate_files(
    services: Services,
    files: GenerationFiles,
    request: GenerationRequest,
    on_job: Callable[[str], None] = lambda _job_id: None,
) -> Generated:
    """Run the whole of it.

    Args:
        services: The opened store.
        files: What is read and written.
        request: The job; its corpus is made here.
        on_job: Told the job's id before it runs.

    Raises:
        InvalidInputError: no document can be read, the request does not fit, or an output would replace an input.
        ConflictError: the job to go on with cannot be resumed.
        OutputError: an output cannot be written; earlier outputs are untouched.
    """
    check_outputs((files.output, files.test, files.rejected), (path for _, path in _named(files.documents)))
    unread: dict[str, str] = {}
    if files.resume is not None:
        limits = request.budget if request.budget != BudgetRequest() else None
        job = resume_job(services, files.resume, request.target, limits)
    else:
        corpus_id, unread = _corpus(services, files)
        job = create_job(services, request.model_copy(update={"corpus_id": corpus_id}))
    on_job(job["id"])
    run_inline(services.store, KINDS, job["id"], worker_config(services.settings)["settings"])
    job = get_job(services, job["id"])
    if job["status"] not in _GAVE and not job["progress"]["accepted"]:
        return Generated(job=job, train=0, test=0, written=False, unread=unread, warnings=_warnings(services, job))
    train, test = _write(services, files, job)
    warnings = _warnings(services, job)
    if files.test is not None and not test and files.resume is None:
        warnings += (f"따로 남겨 둔 문서가 없습니다: {_held(request)}",)
    return Generated(job=job, train=train, test=test, written=True, unread=unread, warnings=warnings)


def _held(request: GenerationRequest) -> str:
    share = request.heldout_fraction
    needed = math.ceil(1 / share) if share else 0
    return f"문서의 {share:g}를 남기려면 {needed}개 이상이 필요합니다. --heldout-fraction을 높여 보십시오."


def _warnings(services: Services, job: dict[str, Any]) -> tuple[str, ...]:
    """Warnings of the log in order, then what a reader of the counts would ask."""
    events, _ = list_events(services, job["id"], "generation.job.event", None, 1000, "asc")
    told = [event["message"] for event in events if event["level"] == "warn"]
    empty, done = job["progress"]["empty"], job["progress"]["done"]
    if empty and any(entry["type"] == "extractive_qa" for entry in job["generators"]):
        told.append(
            f"구절 {done:,}개 가운데 {empty:,}개에서는 규칙으로 만들 수 있는 질문이 없었습니다. "
            "extractive_qa는 뜻풀이, 절차, 목록처럼 분명한 문장만 씁니다. 더 많이 얻으려면 언어 모델을 쓰십시오: "
            "MALMOI_MODEL_BASE_URL, --generator rag_qa."
        )
    return tuple(told)


#: Ends of a job that give a dataset, an empty one too.
_GAVE = frozenset({"succeeded", "incomplete"})


def _corpus(services: Services, files: GenerationFiles) -> tuple[str | None, dict[str, str]]:
    """A new corpus of the documents, indexed; None where none were given."""
    if not files.documents:
        return None, {}
    uploads: list[tuple[str, str | None, bytes]] = []
    unread: dict[str, str] = {}
    for name, path in _named(files.documents):
        try:
            data = path.read_bytes()
            parse_document(data, name)
        except UnreadableDocumentError as exc:
            unread[name] = exc.message
        except OSError as exc:
            unread[name] = f"'{name}' cannot be read: {exc.strerror}."
        else:
            uploads.append((name, None, data))
    if not uploads:
        why = next(iter(unread.values()), f"there is none of {', '.join(READERS)}.")
        raise InvalidInputError(f"No document can be read: {why}", param="documents", code="no_documents")
    corpus = create_corpus(services, "malmoi generate")["id"]
    upload_documents(services, corpus, uploads)
    _index(services)
    with services.store.read() as session:
        failed = listed(session, DocumentRow, DocumentRow.corpus_id == corpus, DocumentRow.status == "failed")
        unread |= {row.filename: str((row.error or {}).get("message", "cannot be indexed")) for row in failed}
    return corpus, unread


def _index(services: Services) -> None:
    with services.store.read() as session:
        queued = [row.id for row in listed(session, JobRow, JobRow.kind == "index", JobRow.status == "queued")]
    for job_id in queued:
        row = run_inline(services.store, KINDS, job_id, worker_config(services.settings)["settings"])
        if row.status != "succeeded":
            said = (row.error or {}).get("message", row.status)
            raise MalmoiError(f"The documents could not be indexed: {said}", code="index_failed")


def _named(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Each document with the name that samples will tell: relative to the folder that was given."""
    for path in paths:
        if not path.exists():
            raise InvalidInputError(
                f"There is no file or folder '{printable(str(path))}' here ({printable(str(Path.cwd()))}).",
                param="documents",
                code="file_not_found",
            )
        if not path.is_dir():
            yield printable(path.name), path
            continue
        for found in sorted(path.rglob("*")):
            if found.is_file() and found.suffix.lower() in READERS:
                yield printable(str(found.relative_to(path))), found


def _write(services: Services, files: GenerationFiles, job: dict[str, Any]) -> tuple[int, int]:
    dataset_id = job["dataset_id"]
    counts = {"train": 0, "test": 0}
    with WholeFiles() as outputs, services.store.snapshot() as session:
        train = outputs.open(files.output)
        test = outputs.open(files.test) if files.test is not None else train
        for split, out in (("train", train), ("test", test)):
            for messages, extra in export_rows(session, dataset_id, split, metadata=files.metadata):
                out.write(export_line(messages, "messages", extra) + "\n")
                counts[split if files.test is not None else "train"] += 1
        if files.rejected is not None:
            dropped = outputs.open(files.rejected)
            wanted = (SampleRow.dataset_id == dataset_id, SampleRow.status == "rejected")
            for row in listed(session, SampleRow, *wanted, order_by=SampleRow.seq):
                dropped.write(rejected_line(row_to_sample(row)))
        outputs.publish()
    return counts["train"], counts["test"]
