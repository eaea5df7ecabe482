"""Files: how long they live, and when their bytes go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.services.context import Services
from app.services.files import create_file, delete_file, get_file, list_files, read_file_bytes
from app.store.queries import count
from app.store.tables import FileRow
from corpora.errors import InvalidInputError, NotFoundError, TooLargeError

LINE = b'{"messages": []}\n'


def upload(services: Services, data: bytes = LINE, name: str = "학습.jsonl", expires_after: int | None = None) -> str:
    return str(create_file(services, name, "fine-tune", iter([data]), expires_after)["id"])


def stored(services: Services) -> int:
    return sum(1 for path in services.blobs.root.rglob("*") if path.is_file())


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = Services.now() + seconds
    monkeypatch.setattr(Services, "now", staticmethod(lambda: now))


def test_a_file_expires_at_its_second(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, leaving = upload(services, LINE * 2), upload(services, expires_after=3600)
    body = get_file(services, leaving)
    assert body["expires_at"] - body["created_at"] in (3600, 3601)
    assert get_file(services, kept)["expires_at"] is None
    later(monkeypatch, 3599)
    assert get_file(services, leaving)["id"] == leaving
    later(monkeypatch, 2)
    for read in (get_file, read_file_bytes, delete_file):
        with pytest.raises(NotFoundError) as caught:
            read(services, leaving)
        assert caught.value.code == "file_not_found"
    assert [entry["id"] for entry in list_files(services, None, 10, "desc", None)[0]] == [kept]
    # Row and bytes are gone, not hidden.
    with services.store.read() as session:
        assert count(session, FileRow) == 1
    assert stored(services) == 1


def test_bytes_stay_while_a_file_or_a_job_needs_them(services: Services) -> None:
    first, second = upload(services), upload(services, name="같은 바이트.jsonl")
    with services.store.read() as session:
        sha256 = session.scalars(FileRow.__table__.select().with_only_columns(FileRow.sha256)).first()
    delete_file(services, first)
    assert b"".join(read_file_bytes(services, second)) == LINE
    job = services.jobs.submit("train", {"training_sha256": sha256})
    delete_file(services, second)
    assert stored(services) == 1
    services.jobs.request_stop(job.id, "cancel")
    delete_file(services, upload(services))
    assert stored(services) == 0


def test_what_is_refused(services: Services) -> None:
    for purpose in ("batch", "assistants", "vision", "evals", "nonsense"):
        with pytest.raises(InvalidInputError) as caught:
            create_file(services, "a.jsonl", purpose, iter([LINE]))
        assert (caught.value.param, caught.value.code) == ("purpose", "invalid_purpose")
        assert "fine-tune" in caught.value.message
    with pytest.raises(InvalidInputError, match="empty"):
        upload(services, b"")
    assert stored(services) == 0


def test_the_limit_is_a_setting_and_nothing_of_what_is_over_it_stays(services: Services) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 2**20

    small = Services(
        settings=services.settings.model_copy(update={"max_upload_mb": 2}),
        store=services.store,
        blobs=services.blobs,
        jobs=services.jobs,
    )
    with pytest.raises(TooLargeError, match="2 MB"):
        create_file(small, "큰 파일.jsonl", "fine-tune", endless())
    assert stored(services) == 0
