"""A download gives back what it holds however it ends; the tags of a header are read as RFC 9110 has them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack
from itertools import repeat
from typing import Any

import pytest

from app.api.downloads import DownloadResponse, attachment, entity_tags
from app.services.exporting import Blocks

Message = MutableMapping[str, Any]


class Held:
    """Counts how often something was given back."""

    def __init__(self) -> None:
        self.closed = 0

    def blocks(self, source: Iterator[bytes]) -> Blocks:
        stack = ExitStack()
        stack.callback(self._close)
        return Blocks(source, stack)

    def _close(self) -> None:
        self.closed += 1


def send_through(blocks: Blocks, *, gone_after: float | None = None) -> list[Message]:
    """Runs the response as a server does; the client goes away after so many seconds, or stays."""
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(3600 if gone_after is None else gone_after)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        response = DownloadResponse(blocks, media_type="application/jsonl", headers={})
        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)

    asyncio.run(run())
    return sent


def test_sent_to_the_end() -> None:
    held = Held()
    sent = send_through(held.blocks(iter(["입고\n".encode(), "출고\n".encode()])))
    assert b"".join(message.get("body", b"") for message in sent) == "입고\n출고\n".encode()
    assert held.closed == 1


def test_the_client_goes_away() -> None:
    held = Held()
    blocks = held.blocks(repeat(b"line\n"))
    sent = send_through(blocks, gone_after=0.1)
    assert len(sent) > 1
    assert held.closed == 1


def test_a_fault_on_the_way() -> None:
    held = Held()

    def broken() -> Iterator[bytes]:
        yield b"line\n"
        raise OSError("disk gone")

    with pytest.raises(BaseException) as caught:
        send_through(held.blocks(broken()))
    assert "disk gone" in repr(caught.value)
    assert held.closed == 1


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        (None, set()),
        ("*", {"*"}),
        ('"a"', {"a"}),
        ('W/"a"', {"a"}),
        ('"a", W/"b" ,"c,d"', {"a", "b", "c,d"}),
        ("a", set()),
        ('"*"', set()),
        ("", set()),
    ],
)
def test_entity_tags(header: str | None, tags: set[str]) -> None:
    assert entity_tags(header) == tags


def test_a_name_in_hangul_is_told_whole() -> None:
    assert attachment("ft-tiny-1a2b.zip") == 'attachment; filename="ft-tiny-1a2b.zip"'
    told = attachment("ft-tiny-상담-1a2b.zip")
    assert told == "attachment; filename=\"ft-tiny-1a2b.zip\"; filename*=UTF-8''ft-tiny-%EC%83%81%EB%8B%B4-1a2b.zip"
    assert told.isascii()
