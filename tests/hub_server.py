"""A hub of one repository on a local socket: it takes commits as the real one does and keeps their files."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

__all__ = ["Hub", "running_hub"]


class Hub:
    """What was sent."""

    def __init__(self) -> None:
        self.address = ""
        self.repositories: dict[str, bool] = {}  #: Name -> private.
        self.files: dict[str, bytes] = {}
        self.checked: list[str] = []  #: Cards whose front matter it was asked to look at.
        self.keys: set[str] = set()


class _Handler(BaseHTTPRequestHandler):
    """Answers on behalf of the server's ``hub``."""

    @property
    def hub(self) -> Hub:
        return cast(Hub, self.server.hub)  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.hub.keys.add(self.headers.get("authorization") or "")
        if self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self.hub.checked.append(json.loads(body)["content"])
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(body)["files"]]
            told = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
            self._answer({"files": told})
        elif "/commit/" in self.path:
            self._commit(body)
        else:
            self.send_error(404)

    def do_GET(self) -> None:
        self.send_error(404)

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        self.hub.repositories[name] = bool(asked.get("private") or asked.get("visibility") == "private")
        self._answer({"url": f"{self.hub.address}/{name}", "name": name, "id": "1"})

    def _commit(self, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.hub.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        name = self.path.split("/commit/")[0].removeprefix("/api/models/")
        url = f"{self.hub.address}/{name}/commit/abc"
        self._answer({"success": True, "commitUrl": url, "commitOid": "abc"})

    def _answer(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        return


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve until the end of the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub()
    server.hub = hub  # type: ignore[attr-defined]
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
