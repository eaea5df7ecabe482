"""Whatever is sent, the service itself stays small: documents are read by others, texts leave in pieces."""

from __future__ import annotations

import io
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

MIB = 1 << 20
#: What the issue allows.
MOST = 100 * MIB


def memory(pid: int, what: str) -> int:
    """Bytes of ``VmRSS`` or of its peak, ``VmHWM``."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.M)
    assert found is not None
    return int(found[1]) * 1024


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return target.getvalue()


def settled(service: Any, document_id: str) -> None:
    deadline = time.monotonic() + 300
    while service.ok("GET", f"/documents/{document_id}")["status"] == "processing":
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_service_does_not_grow_by_what_it_is_sent(service: Any) -> None:
    pid = service.process.pid
    corpus = service.ok("POST", "/corpora", json={"name": "큰 것"})["id"]
    path = f"/corpora/{corpus}/documents"

    def send(name: str, data: bytes) -> None:
        answer = service.http.post(path, files=[("file", (name, data))], timeout=300)
        assert answer.status_code in (200, 413), answer.text
        for document in answer.json().get("data", ()):
            settled(service, document["id"])

    send("작은.md", "# 작은 문서\n\n창고를 확인합니다.".encode())
    service.ok("POST", f"/corpora/{corpus}/search", json={"query": "창고"})
    before = memory(pid, "VmRSS")
    headings = b"# a\n" * (MIB // 8)
    send("제목.md", headings)
    send("제목.md", headings + b"\n# b\n")
    send("쪽.html", b"<p>" + b"<b>" * (4 * MIB))
    send("임의.pdf", b"%PDF-1.7\n" + bytes(range(256)) * (80 * MIB // 256))
    send("묶음.zip", zipped({f"{n}.md": b"0" * MIB for n in range(20)}))
    long = ("물류 창고의 상품을 확인하고 기록합니다. " * 40 + "\n\n") * 1_500
    send("긴.txt", long.encode())
    documents = service.ok("GET", f"{path}?limit=100")["data"]
    whole = next(document for document in documents if document["filename"] == "긴.txt")
    assert whole["status"] == "processed", whole
    assert len(service.http.get(f"/documents/{whole['id']}/text", timeout=300).text) == whole["characters"]
    grown = memory(pid, "VmHWM") - before
    assert grown < MOST, f"{grown / MIB:.0f} MiB"
