"""An OpenAI-compatible embedding server for tests, on a real socket: it keeps what it was sent and fails as told.

``script`` is what the next answers are: an HTTP status, or a word of ``FAULTS``; when it is empty, all is well. The
vector of a text follows from the text alone, so that two runs can be compared.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

FAULTS = ("short", "longer vectors", "nan", "zeros", "strings", "page", "shuffled", "indices", "hang up", "no floats")


def vector_of(text: str, dimension: int) -> list[float]:
    """The vector of a text, not of length 1."""
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")
    numbers: list[float] = np.random.default_rng(seed).normal(size=dimension).astype(np.float32).tolist()
    return numbers


class EmbeddingServer(ThreadingHTTPServer):
    """The server and its record."""

    daemon_threads = True

    def __init__(self, dimension: int = 16) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dimension = dimension
        self.script: list[int | str] = []
        self.retry_after: str | None = None
        self.most_texts = 2048
        self.knows_base64 = True
        #: Texts that were answered with vectors, and how often.
        self.embedded: Counter[str] = Counter()
        #: What every request said: its body, its Authorization header and the status of the answer.
        self.requests: list[tuple[dict[str, Any], str, int]] = []

    @property
    def base_url(self) -> str:
        """What a client is given."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def embedding_server(dimension: int = 16) -> Iterator[EmbeddingServer]:
    """Serves until the block ends."""
    server = EmbeddingServer(dimension)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


class _Handler(BaseHTTPRequestHandler):
    server: EmbeddingServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        told = server.script.pop(0) if server.script else 200
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if told == "hang up":
            server.requests.append((body, self.headers.get("Authorization", ""), 0))
            self.close_connection = True
            return
        if isinstance(told, int) and told != 200:
            code = "insufficient_quota" if told == 402 else None
            self._answer(body, told, _error(f"told to answer {told}", code))
        elif len(texts) > server.most_texts:
            self._answer(body, 422, _error(f"batch size {len(texts)} > maximum allowed batch size {server.most_texts}"))
        elif not server.knows_base64 and body.get("encoding_format") == "base64":
            self._answer(body, 400, _error("encoding_format base64 is not supported"))
        else:
            self._answer(body, 200, self._vectors(body, texts, str(told)))

    def _vectors(self, body: dict[str, Any], texts: list[str], told: str) -> Any:
        if told == "page":
            return "<html>Welcome to the gateway</html>"
        dimension = self.server.dimension + (1 if told == "longer vectors" else 0)
        rows: list[Any] = [vector_of(text, dimension) for text in texts]
        if told in ("nan", "zeros", "strings"):
            rows[0] = {"nan": [float("nan")] * dimension, "zeros": [0.0] * dimension, "strings": ["많음"]}[told]
        elif body.get("encoding_format") == "base64" and told != "no floats":
            rows = [base64.b64encode(np.asarray(row, dtype="<f4").tobytes()).decode() for row in rows]
        items = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
        if told == "short":
            items.pop()
        elif told == "shuffled":
            items.reverse()
        elif told == "indices":
            items[0]["index"] = 7
        else:
            self.server.embedded.update(texts)
        tokens = sum(len(text) for text in texts)
        return {"object": "list", "data": items, "model": body["model"], "usage": {"prompt_tokens": tokens}}

    def _answer(self, body: dict[str, Any], status: int, answer: Any) -> None:
        self.server.requests.append((body, self.headers.get("Authorization", ""), status))
        data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.server.retry_after is not None and status != 200:
            self.send_header("Retry-After", self.server.retry_after)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Keep quiet."""
