"""A fine-tuned model or checkpoint as a zip that PEFT opens once it is unpacked; streamed, never whole in memory.

Order, times and modes are fixed, so the same files give the same bytes. Weights are stored as they are: they hardly
compress. Files are opened before the first byte goes out; a deletion in between cuts nothing off.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Iterator, Set
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO, cast

from app.services.adapters import StoredAdapter, adapter_files, find_adapter
from app.services.context import Services
from app.services.exporting import Blocks, Export

__all__ = ["export_adapter"]

#: The earliest time that a zip can tell.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX, _MODE = 3, 0o100644 << 16
_BLOCK = 1 << 20
#: File systems take Hangul, and not every one takes a colon.
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z가-힣_.-]+")
Member = tuple[str, BinaryIO]


class _Outbox:
    """A file that cannot seek; what is written into it is taken out again as blocks."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


def export_adapter(services: Services, model: str, held: Set[str] = frozenset()) -> Export:
    """The zip of a model.

    Args:
        services: The opened services.
        model: A fine-tuned model or a checkpoint.
        held: Tags of what the client has already.

    Raises:
        MalmoiError: as ``find_adapter`` does.
    """
    adapter = find_adapter(services, model)
    with ExitStack() as stack:
        members: list[Member] = []
        tag = hashlib.sha256()
        for name, source in adapter_files(services, adapter).items():
            stream: BinaryIO
            if isinstance(source, Path):
                stream = stack.enter_context(source.open("rb"))
                told = os.fstat(stream.fileno())
                # A finished adapter never changes; one that was trained again has another time.
                tag.update(f"{name}\n{told.st_size}\n{told.st_mtime_ns}\n".encode())
            else:
                stream = io.BytesIO(source)
                tag.update(f"{name}\n{len(source)}\n".encode() + source)
            members.append((name, stream))
        etag = tag.hexdigest()[:32]
        known = bool(held & {etag, "*"})
        blocks = None if known else Blocks(_zipped(members), stack.pop_all())
    return Export(etag=etag, filename=_filename(adapter), media_type="application/zip", blocks=blocks)


def _filename(adapter: StoredAdapter) -> str:
    return _NOT_IN_NAMES.sub("-", adapter.name).strip("-") + ".zip"


def _zipped(members: list[Member]) -> Iterator[bytes]:
    outbox = _Outbox()
    with zipfile.ZipFile(cast(IO[bytes], outbox), "w") as archive:
        for name, stream in members:
            info = zipfile.ZipInfo(name, _EPOCH)
            stored = name.endswith((".safetensors", ".png"))
            info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = _UNIX, _MODE
            # How long it will be is not known, and over 2 GiB the header differs.
            with archive.open(info, "w", force_zip64=True) as member:
                while block := stream.read(_BLOCK):
                    member.write(block)
                    yield outbox.taken()
        # The list of members comes last.
    yield outbox.taken()
