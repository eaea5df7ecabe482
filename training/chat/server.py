"""Chat over JSON lines: requests and cancellations in, events out, until the input ends."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterable
from typing import Any, TextIO

from training.chat.engine import Chat

__all__ = ["serve"]


def serve(lines: Iterable[str], out: TextIO, chat: Chat | None = None) -> None:
    """Answer every request; returns when the input has ended and all of it is answered.

    Args:
        lines: A request each (``training.chat.answering.read_asked``), or ``{"id": …, "cancel": true}``.
        out: Takes the events, a line each.
        chat: What answers, where it is not to be a new one.
    """
    chat = chat or Chat()
    inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_read, args=(lines, inbox), daemon=True, name="requests")
    reader.start()
    ended = False
    while not ended or chat.busy:
        ended = _take_in(inbox, chat, wait=not chat.busy and not ended) or ended
        for event in chat.turn():
            told = {name: value for name, value in event.items() if name != "exception"}
            out.write(json.dumps(told, ensure_ascii=False) + "\n")
        out.flush()


def _read(lines: Iterable[str], inbox: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    for line in lines:
        inbox.put(json.loads(line))
    inbox.put(None)


def _take_in(inbox: queue.SimpleQueue[dict[str, Any] | None], chat: Chat, *, wait: bool) -> bool:
    """Take what has come in, waiting for the first where there is nothing else to do; True once the input has ended."""
    while True:
        try:
            request = inbox.get(block=wait)
        except queue.Empty:
            return False
        if request is None:
            return True
        if request.get("cancel"):
            chat.cancel(request["id"])
        else:
            chat.submit(request)
        wait = False
