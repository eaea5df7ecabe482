"""Files made on demand: a response that gives back what it holds however it ends, and the tags of ``If-None-Match``."""

from __future__ import annotations

import re
from urllib.parse import quote

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.services.exporting import Blocks

__all__ = ["DownloadResponse", "attachment", "entity_tags"]

_TAG = re.compile(r'(?:W/)?"([^"]*)"')


class DownloadResponse(StreamingResponse):
    """Streams ``Blocks`` and closes them at the end, also where the client went away or the server stops."""

    def __init__(self, blocks: Blocks, *, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(blocks, media_type=media_type, headers=headers)
        self._blocks = blocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            # No thread is in them any more: a running one is waited for, cancelled or not.
            await run_in_threadpool(self._blocks.close)


def attachment(filename: str) -> str:
    """The value of ``Content-Disposition``: the name whole (RFC 8187), and in ASCII for clients that know no other."""
    if re.fullmatch(r"[0-9A-Za-z_.-]+", filename):
        return f'attachment; filename="{filename}"'
    plain = re.sub(r"[^0-9A-Za-z_.]+", "-", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def entity_tags(header: str | None) -> frozenset[str]:
    """The tags of an ``If-None-Match`` header without quotes; ``*`` is itself. Weak ones count (RFC 9110, 13.1.2)."""
    if header is None:
        return frozenset()
    # Quoted, the star is a tag like others and none of ours.
    return frozenset({"*"}) if header.strip() == "*" else frozenset(_TAG.findall(header)) - {"*"}
