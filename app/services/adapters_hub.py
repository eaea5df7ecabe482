"""Uploading a fine-tuned model to the Hugging Face hub, as a job: only where the setting ``hub_upload`` allows it.

What goes up is what an export holds (``app.services.adapters``): an adapter in PEFT's layout with its card. The library
reads HF_TOKEN and HF_ENDPOINT itself; no key is stored here.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.jobs.kinds import JobContext, JobOutcome
from app.services.adapters import adapter_files, find_adapter
from app.services.context import Services
from app.services.model_jobs import submit
from corpora.errors import InvalidInputError, MissingExtraError

__all__ = ["KIND", "UploadParams", "UploadRequest", "create_upload", "run_upload"]

KIND = "upload"
#: ``org/name`` as the hub spells it.
REPO = r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$"


class UploadRequest(BaseModel):
    """The body of ``POST /v1/models/{model}/upload``."""

    model_config = ConfigDict(extra="forbid")
    repo_id: Annotated[str, StringConstraints(pattern=REPO)] = Field(description="`org/name` on the hub.")
    private: bool = Field(True, description="Whether a repository that is made now is private.")


class UploadParams(BaseModel):
    """What an upload is asked."""

    model: str
    repo_id: str
    private: bool


def create_upload(services: Services, model: str, request: UploadRequest) -> dict[str, Any]:
    """Check that it is allowed and submit the job.

    Raises:
        InvalidInputError: uploads are off (``hub_upload_disabled``), or there is no HF_TOKEN (``hub_token_missing``).
        MissingExtraError: huggingface_hub is not installed.
        MalmoiError: as ``find_adapter`` does.
    """
    if not services.settings.hub_upload:
        raise InvalidInputError(
            "Uploads to the hub are off; whoever runs the service can allow them with MALMOI_HUB_UPLOAD=true and "
            "HF_TOKEN. GET /v1/models/{model}/export gives the same files as a zip.",
            code="hub_upload_disabled",
        )
    if find_spec("huggingface_hub") is None:
        raise MissingExtraError("train", "An upload to the hub")
    from huggingface_hub import get_token

    if get_token() is None:
        raise InvalidInputError(
            "There is no HF_TOKEN in the service's environment; set one that may write.", code="hub_token_missing"
        )
    find_adapter(services, model)
    params = UploadParams(model=model, repo_id=request.repo_id, private=request.private)
    with services.store.write(durable=True) as session:
        body = submit(services, session, KIND, params, [])
    services.wake()
    return body


def run_upload(services: Services, context: JobContext, params: UploadParams) -> JobOutcome:
    """One commit with all files; a repeated attempt commits nothing new."""
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of whichever client it uses

    files = adapter_files(services, find_adapter(services, params.model))
    operations = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(source) if isinstance(source, Path) else source)
        for name, source in files.items()
    ]
    context.event("info", f"파일 {len(operations)}개를 {params.repo_id}에 올립니다.")
    api = HfApi(library_name="malmoi")
    try:
        api.create_repo(params.repo_id, private=params.private, exist_ok=True)
        commit = api.create_commit(
            params.repo_id, operations, commit_message=f"Upload {params.model} with Malmoi", revision="main"
        )
    except (HTTPError, OSError, ValueError) as exc:
        first = next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
        error = {
            "code": "hub_upload_failed",
            "message": f"The hub did not take '{params.repo_id}': {first}",
            "hint": "Check the name, that HF_TOKEN may write there, and that the hub can be reached; then ask again.",
            "retryable": not isinstance(exc, ValueError),
            "param": "repo_id",
        }
        return JobOutcome(status="failed", error=error)
    context.event("info", "업로드를 마쳤습니다.", data={"url": commit.commit_url})
    return JobOutcome(status="succeeded", result={"url": str(commit.commit_url)})
