"""``run_demo``: starts the service and drives it with httpx and the official ``openai`` client, from outside.

Uses nothing of the service but its HTTP interface and the ``malmoi serve`` command, so what it shows is what a user
gets. Needs no key and no network, reads no settings of this machine. Everything it makes lies in one folder.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
from openai import DefaultHttpxClient, OpenAI, OpenAIError
from openai.types.fine_tuning import FineTuningJob

from app.demo.patience import DemoError, Patience
from app.demo.process import service
from corpora.bundled import manual_pages
from corpora.errors import InvalidInputError

__all__ = ["DemoError", "run_demo"]

#: Two of the twelve pages are held out: floor(0.17 x 12).
HELDOUT_FRACTION = 0.17
#: Enough rows for a visible effect, few enough for two cores and five minutes.
TARGET = 110
#: Seconds for one answer of the service; a busy machine takes long over a small thing.
TIMEOUT_S = 300.0


def _say(text: str) -> None:
    print(text, flush=True)


def run_demo(output: Path) -> None:
    """Walk the road: upload, generate, curate, export, fine-tune, ask.

    Raises:
        InvalidInputError: nothing can be written to ``output``.
        DemoError: a step did not end as it should; the hint names the log, the folder of what there is and what to do.
    """
    started = time.monotonic()
    run = (output / time.strftime("%Y%m%d-%H%M%S")).resolve()
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise InvalidInputError(f"The folder {run} cannot be made: {exc.strerror}.", param="output") from exc
    log = run / "service.log"
    try:
        job, files = _walk(run, log)
    except (DemoError, httpx.HTTPError, OpenAIError) as exc:
        what = exc.message if isinstance(exc, DemoError) else f"The service could not be asked: {exc!r}."
        hint = (
            f"The service's log is {log}, what was made so far lies in {run} (the trainer's log in data/runs there). "
            "Run the demonstration again, if the machine was busy when it is not; if it stops once more, report it "
            "with the log."
        )
        raise DemoError(what, hint=hint) from exc
    _say(f"\n모두 여기에 있습니다: {run}")
    _say(f"  학습 데이터 {files['train'].name}, 검증 데이터 {files['test'].name}, 어댑터 data/runs/{job.id}/out")
    _say(f"걸린 시간: {time.monotonic() - started:.0f}초")


def _walk(run: Path, log: Path) -> tuple[FineTuningJob, dict[str, Path]]:
    with service(run / "data", log) as address:
        _say(f"[1/6] 서비스를 시작했습니다: {address}  (문서: {address}/docs)")
        # trust_env: a proxy named in the environment is no way to this machine itself.
        with (
            httpx.Client(base_url=f"{address}/v1", timeout=TIMEOUT_S, trust_env=False) as http,
            DefaultHttpxClient(trust_env=False) as behind,
        ):
            client = OpenAI(base_url=f"{address}/v1", api_key="unused", http_client=behind)
            corpus_id = _upload(http)
            dataset_id = _generate(http, corpus_id)
            _funnel(http, dataset_id)
            files = _export(http, dataset_id, run)
            job = _fine_tune(client, files)
            _ask(client, http, dataset_id, job)
    return job, files


def _upload(http: httpx.Client) -> str:
    corpus = _ok(http.post("/corpora", json={"name": "말모이 WMS 매뉴얼"}))
    pages = manual_pages()
    parts = [("file", (page.name, page.read_bytes(), "text/markdown")) for page in pages]
    documents = _ok(http.post(f"/corpora/{corpus['id']}/documents", files=parts))["data"]
    patience = Patience("indexing of the documents")
    while any(entry["status"] == "processing" for entry in documents):
        patience.wait([entry["status"] for entry in documents])
        documents = [_ok(http.get(f"/documents/{entry['id']}")) for entry in documents]
    failed = [entry for entry in documents if entry["status"] == "failed"]
    if failed:
        raise DemoError(f"{failed[0]['filename']}: {failed[0]['error']}")
    characters = sum(entry["characters"] for entry in documents)
    chunks = sum(entry["chunk_count"] for entry in documents)
    _say(f"[2/6] 문서 {len(documents)}개를 올렸습니다: {characters:,}자, 청크 {chunks}개")
    return str(corpus["id"])


def _generate(http: httpx.Client, corpus_id: str) -> str:
    body = {
        "corpus_id": corpus_id,
        "dataset_name": "wms-demo",
        "target": TARGET,
        "seed": 7,
        "generators": [{"type": "extractive_qa"}],
        "heldout_fraction": HELDOUT_FRACTION,
    }
    job = _ok(http.post("/generation/jobs", json=body))
    patience = Patience("generation job")
    while job["status"] in ("queued", "running"):
        patience.wait((job["status"], job["progress"]))
        job = _ok(http.get(f"/generation/jobs/{job['id']}"))
    progress = job["progress"]
    if job["status"] not in ("succeeded", "incomplete"):
        raise DemoError(f"The generation job ended as {job['status']}: {job['error']}")
    _say(
        f"[3/6] 질문과 답을 만들었습니다 ({job['status']}): 슬롯 {progress['done']}개 완료, "
        f"채택 {progress['accepted']}건, 거절 {progress['rejected']}건"
    )
    return str(job["dataset_id"])


def _funnel(http: httpx.Client, dataset_id: str) -> None:
    report = _ok(http.get(f"/datasets/{dataset_id}/report"))
    _say(
        f"      후보 {report['candidates']}건 = 채택 {report['accepted']}건 + 거절 {report['rejected']}건 "
        f"(학습용 {report['splits']['train']}건, 검증용 {report['splits']['test']}건)"
    )
    for entry in report["rejections"]:
        _say(f"        거절 {entry['count']:4d}건  {entry['stage']} / {entry['reason']}")


def _export(http: httpx.Client, dataset_id: str, run: Path) -> dict[str, Path]:
    files = {}
    for split in ("train", "test"):
        path = run / f"{split}.jsonl"
        with http.stream("GET", f"/datasets/{dataset_id}/export", params={"split": split}) as response:
            response.raise_for_status()
            with path.open("wb") as handle:
                for block in response.iter_bytes():
                    handle.write(block)
        files[split] = path
    _say(f"[4/6] JSONL을 내려받았습니다: {files['train'].name}, {files['test'].name}")
    return files


def _fine_tune(client: OpenAI, files: dict[str, Path]) -> FineTuningJob:
    uploaded = {}
    for split, path in files.items():
        with path.open("rb") as handle:
            uploaded[split] = client.files.create(file=handle, purpose="fine-tune").id
    job = client.fine_tuning.jobs.create(
        model="malmoi-demo",
        training_file=uploaded["train"],
        validation_file=uploaded["test"],
        suffix="wms",
        seed=7,
        extra_body={"recipe": "demo"},
    )
    _say(f"[5/6] 미세 조정을 시작했습니다: {job.id} (malmoi-demo는 동작 확인용 작은 모델입니다)")
    patience, shown = Patience("fine-tuning job"), ""
    while job.status in ("validating_files", "queued", "running"):
        latest = client.fine_tuning.jobs.list_events(job.id, limit=1).data
        patience.wait((job.status, latest[0].id if latest else None))
        if latest and latest[0].message != shown:
            shown = latest[0].message
            _say(f"      {shown}")
        job = client.fine_tuning.jobs.retrieve(job.id)
    if job.status != "succeeded":
        raise DemoError(f"The fine-tuning job ended as {job.status}: {job.error}")
    losses = (job.model_extra or {}).get("losses") or {}
    for name, key in (("학습", "train"), ("검증", "valid")):
        before, after = losses.get(f"{key}_loss_before"), losses.get(f"{key}_loss_after")
        if before is not None and after is not None:
            _say(f"      {name} 손실: {before:.3f} -> {after:.3f}")
    return job


def _ask(client: OpenAI, http: httpx.Client, dataset_id: str, job: FineTuningJob) -> None:
    query: dict[str, str | int] = {"status": "accepted", "limit": 50, "order": "asc"}
    samples = _ok(http.get(f"/datasets/{dataset_id}/samples", params=query))["data"]
    training = [sample for sample in samples if sample["split"] == "train"]
    # The shortest answer: a model of two million parameters is asked what it can hold.
    sample = min(training, key=lambda entry: len(entry["messages"][-1]["content"]))
    question, answer = sample["messages"][0]["content"], sample["messages"][-1]["content"]
    _say(f"[6/6] 질문: {question}\n      원문의 답: {answer}")
    assert job.fine_tuned_model is not None
    for label, model in (("학습 전", "malmoi-demo"), ("학습 후", job.fine_tuned_model)):
        reply = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=256
        )
        _say(f"      {label} ({reply.choices[0].finish_reason}): {(reply.choices[0].message.content or '')[:200]}")


def _ok(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise DemoError(
            f"{response.request.method} {response.request.url.path} answered {response.status_code}: {response.text}"
        )
    body: dict[str, Any] = response.json()
    return body
