"""``malmoi generate``: documents in, samples out, by the services and jobs that the HTTP API uses, without a server.

The store is the caller's, or a private one that is gone afterwards. A document that can't be read is told and the
others are processed; a job that stops short of its end still gives everything that it accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.jobs.inline import run_inline
from app.services.context import Services, worker_config
from app.services.corpora import create_corpus, upload_documents
from app.services.dry_run import dry_run
from app.services.export_rows import export_rows, rejected_line
from app.services.generation import GenerationRequest, create_job, get_job
from app.services.kinds import KINDS
from app.services.outputs import WholeFiles
from app.store.queries import listed
from app.store.samples import row_to_sample
from app.store.tables import DocumentRow, JobRow, SampleRow
from corpora.errors import InvalidInputError, MalmoiError, UnreadableDocumentError
from corpora.exporters import export_line
from corpora.importers import printable
from corpora.readers import READERS, read_document

__all__ = ["Generated", "GenerationFiles", "generate_files", "plan_files"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationFiles:
    """What is read and what is written."""

    documents: tuple[Path, ...]  #: Files, and folders whose files of known formats are taken.
    output: Path  #: Accepted training samples, JSONL in the messages schema.
    test: Path | None = None  #: Samples of held-out documents; None puts them into ``output``.
    rejected: Path | None = None  #: What was left out, with the verdict of each.
    metadata: bool = False  #: Whether id, split, group and provenance stand beside the messages.


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What came of it."""

    job: dict[str, Any]  #: The job as the API shows it.
    train: int  #: Lines of ``output``.
    test: int  #: Lines of ``test``.
    unread: dict[str, str] = field(default_factory=dict)  #: Documents that could not be read: name -> why.


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
        InvalidInputError: no document can be read, or the request does not fit.
        OutputError: an output cannot be written; earlier outputs are untouched.
    """
    corpus_id, unread = _corpus(services, files)
    job = create_job(services, request.model_copy(update={"corpus_id": corpus_id}))
    on_job(job["id"])
    run_inline(services.store, KINDS, job["id"], worker_config(services.settings)["settings"])
    job = get_job(services, job["id"])
    train, test = _write(services, files, job)
    return Generated(job=job, train=train, test=test, unread=unread)


def _corpus(services: Services, files: GenerationFiles) -> tuple[str | None, dict[str, str]]:
    """A new corpus of the documents, indexed; None where none were given."""
    if not files.documents:
        return None, {}
    uploads: list[tuple[str, str | None, bytes]] = []
    unread: dict[str, str] = {}
    for name, path in _named(files.documents):
        try:
            data = path.read_bytes()
            read_document(data, name)
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
                f"There is no file {printable(str(path))}.", param="documents", code="file_not_found"
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
