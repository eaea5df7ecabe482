"""A model by its name: fetched from a hub on a local socket, without pickles, and found again when the hub is gone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "malmoi-tests/tiny-ko"
FILES = {
    "config.json": b"{}",
    "modules.json": b"[]",
    "1_Pooling/config.json": b"{}",
    "config_sentence_transformers.json": b'{"prompts": {"query": "query: ", "passage": "passage: "}}',
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"a pickle",
    "onnx/model.onnx": b"another copy",
    "onnx/config.json": b"{}",
    "modeling_tiny.py": b"raise SystemExit(9)",
}
FETCH = """
import json, sys
from retrieval.embedders.errors import UnusableEmbedderError
from retrieval.embedders.model_folder import check_folder, local_folder, read_prefixes
try:
    folder = local_folder(sys.argv[1])
except UnusableEmbedderError as error:
    print(json.dumps({"error": error.message, "hint": error.hint}))
else:
    check_folder(folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    print(json.dumps({"files": files, "query": read_prefixes(folder).query}))
"""


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        resolved = f"/{NAME}/resolve/{COMMIT}/"
        if path.startswith(f"/api/models/{NAME}/tree/"):
            tree = [{"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in FILES.items()]
            self._send(200, json.dumps(tree).encode())
        elif path.startswith(f"/api/models/{NAME}"):
            siblings = [{"rfilename": name} for name in FILES]
            self._send(200, json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode())
        elif path.startswith(resolved) and path.removeprefix(resolved) in FILES:
            self._send(200, FILES[path.removeprefix(resolved)])
        else:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        tag = f'"{hashlib.sha256(data).hexdigest()}"'
        for name, value in {"ETag": tag, "X-Repo-Commit": COMMIT, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Keep quiet."""


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _fetch(name: str, address: str, home: Path) -> dict[str, object]:
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environ = {**kept, "HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", FETCH, name]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, check=True, cwd=root, env=environ, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_a_name_is_fetched_once_and_without_pickles(hub: ThreadingHTTPServer, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{hub.server_address[1]}"
    unknown = _fetch("malmoi-tests/nothing", address, tmp_path)
    assert "cannot be fetched" in str(unknown["error"])
    assert "MALMOI_MODELS_DIR" in str(unknown["hint"])
    fetched = _fetch(NAME, address, tmp_path)
    wanted = {name for name in FILES if name.endswith((".json", ".safetensors")) and not name.startswith("onnx/")}
    assert fetched == {"files": sorted(wanted), "query": "query: "}
    # Nobody listens there: what was fetched is still there, and what was not is said to be missing.
    assert _fetch(NAME, "http://127.0.0.1:9", tmp_path) == fetched
    assert "cannot be fetched" in str(_fetch(NAME, "http://127.0.0.1:9", tmp_path / "empty")["error"])
