"""A small Batch API on a real socket, in a thread: files, batches, results. What a line gets is a function."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]

#: (custom_id, body, how often this line was sent) -> the line of the results, or None for none.
Answer = Callable[[str, Json, int], Json | None]


def answered(name: str, text: str = "네", **usage: int) -> Json:
    body = {
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, **usage},
    }
    return {"custom_id": name, "response": {"status_code": 200, "body": body}, "error": None}


def refused(name: str, status: int, message: str, code: str | None = None) -> Json:
    body = {"error": {"message": message, "type": "x", "code": code}}
    return {"custom_id": name, "response": {"status_code": status, "body": body}, "error": None}


class BatchServer(ThreadingHTTPServer):
    """Batches end after ``polls`` looks at them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Answer = lambda name, _body, _tries: answered(name)
        self.polls = 2
        self.ends: list[str] = []  #: Status of the coming batches; ``completed`` where none is left.
        self.failing: list[tuple[str, int]] = []  #: Path and status of the coming refusals.
        self.lost: list[str] = []  #: Paths whose next answer is lost after the work is done.
        self.most_lines = 50_000
        self.files: dict[str, bytes] = {}
        self.batches: list[Json] = []
        self.looks: dict[str, int] = {}
        self.tries: dict[str, int] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def lines(self, batch: Json) -> list[Json]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    def start(self, wanted: Json) -> Json:
        batch = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "endpoint": wanted["endpoint"],
            "input_file_id": wanted["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "created_at": 1000,
            "metadata": wanted["metadata"],
        }
        self.batches.append(batch)
        self.looks[batch["id"]] = 0
        return batch

    def look(self, batch: Json) -> Json:
        self.looks[batch["id"]] += 1
        if batch["status"] in ("validating", "in_progress"):
            batch["status"] = "in_progress"
            if self.looks[batch["id"]] >= self.polls:
                self.end(batch)
        return batch

    def end(self, batch: Json) -> None:
        lines = self.lines(batch)
        status = self.ends.pop(0) if self.ends else "completed"
        batch[f"{status}_at"] = 1600
        if len(lines) > self.most_lines:
            status, error = "failed", {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
            batch["errors"] = {"object": "list", "data": [error]}
        elif status == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "bad", "message": "Invalid file"}]}
        else:
            # Of an expired batch only the first half has been run.
            run = lines if status == "completed" else lines[: len(lines) // 2]
            results = []
            for line in run:
                name = line["custom_id"]
                self.tries[name] = self.tries.get(name, 0) + 1
                said = self.answer(name, line["body"], self.tries[name])
                if said is not None:
                    results.append(said)
            good = [one for one in results if (one["response"] or {}).get("status_code") == 200]
            bad = [one for one in results if one not in good]
            bad += [
                {"custom_id": line["custom_id"], "response": None, "error": {"code": f"batch_{status}"}}
                for line in lines[len(run) :]
            ]
            for kind, several in (("output", good), ("error", bad)):
                if several:
                    file = f"file_{kind}_{batch['id']}"
                    text = "\n".join(json.dumps(one, ensure_ascii=False) for one in several)
                    self.files[file] = text.encode()
                    batch[f"{kind}_file_id"] = file
        batch["status"] = status


class _Handler(BaseHTTPRequestHandler):
    server: BatchServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self._refused():
            return
        if self.path == "/v1/files":
            boundary = self.headers["Content-Type"].split("boundary=")[1].encode()
            (part,) = [one for one in raw.split(b"--" + boundary) if b"filename=" in one]
            name = f"file_{len(self.server.files)}"
            self.server.files[name] = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            self._send({"id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "f", "purpose": "batch"})
        else:
            batch = self.server.start(json.loads(raw))
            if self.path in self.server.lost:
                self.server.lost.remove(self.path)
                self.close_connection = True
                return
            self._send(batch)

    def do_GET(self) -> None:
        if self._refused():
            return
        path = self.path.split("?")[0]
        found = re.fullmatch(r"/v1/files/(.+)/content", path)
        if found:
            self._send(self.server.files[found.group(1)])
        elif path == "/v1/batches":
            self._send({"object": "list", "data": self.server.batches[::-1], "has_more": False})
        else:
            (batch,) = [one for one in self.server.batches if one["id"] == path.rsplit("/", 1)[1]]
            self._send(self.server.look(batch))

    def _refused(self) -> bool:
        for path, status in self.server.failing:
            if path == self.path.split("?")[0]:
                self.server.failing.remove((path, status))
                self._send({"error": {"message": "no", "code": None, "type": "x"}}, status)
                return True
        return False

    def _send(self, body: Json | bytes, status: int = 200) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Keep quiet."""
