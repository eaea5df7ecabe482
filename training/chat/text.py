r"""From tokens to text that may be shown: whole characters only, and never a part of a stop string.

No torch here. ``TokenBytes`` knows the bytes of each token; ``AnswerText`` takes them one at a time::

    text = AnswerText(stops=["\n질문:"])
    shown, entries = text.add("입고".encode(), None)

A Hangul syllable is three bytes, which byte-level and byte-fallback tokenizers may spread over as many tokens; what is
shown is decoded incrementally, so a half one waits, and is left out where the answer ends in the middle of it. What
looks like the beginning of a stop string waits until the next tokens tell.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

from training.control_tokens import control_tokens

__all__ = ["AnswerText", "TokenBytes", "spelled"]

_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "▁"


class TokenBytes:
    """Bytes of every token of a tokenizer, as its decoder would write them in the middle of a text."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        # Many bases mark tokens as special in tokenizer.json alone; ``all_special_ids`` knows only those with a name.
        self._special = frozenset(control_tokens(tokenizer).ids.values()) | frozenset(tokenizer.all_special_ids)
        decoder = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str())["decoder"], ensure_ascii=False)
        self._byte_level = {char: byte for byte, char in bytes_to_unicode().items()} if "ByteLevel" in decoder else None
        self._fallback = "ByteFallback" in decoder
        self._spaced = _SPACE in decoder

    def of(self, token: int, *, first: bool = False) -> bytes:
        """The bytes of ``token``; none for a control token. ``first`` is the answer's first one that says anything."""
        if token in self._special:
            return b""
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if piece is None:
            return b""
        if self._byte_level is not None:
            known = self._byte_level
            return bytes(known[char] for char in piece) if all(char in known for char in piece) else piece.encode()
        found = _BYTE_TOKEN.fullmatch(piece) if self._fallback else None
        if found is not None:
            return bytes([int(found[1], 16)])
        if not self._spaced:
            return str(self._tokenizer.decode([token])).encode()
        text = piece.replace(_SPACE, " ")
        if first and text.startswith(" ") and not self._tokenizer.decode([token]).startswith(" "):
            # Llama's decoder takes the blank off the text's beginning that its normaliser had put there.
            text = text[1:]
        return text.encode()


def spelled(data: bytes) -> str:
    r"""A token for a reader, as OpenAI writes it: its text, or ``bytes:\xec\x9e`` where that is no whole character."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


class AnswerText:
    """The text of one answer while it grows."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        """``stops`` are strings at which the answer ends; none of them is shown."""
        self._stops = [stop for stop in stops if stop]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._shown = 0
        #: Entries of tokens whose characters are whole, with the length of the text up to them; and of the others.
        self._placed: list[tuple[int, Any]] = []
        self._unplaced: list[Any] = []
        self.stopped = False  #: Whether a stop string ended the answer.

    def add(self, data: bytes, entry: Any = None) -> tuple[str, list[Any]]:
        """Take a token's bytes and what is to be told with it; returns what may be shown now."""
        piece = self._decoder.decode(data)
        if entry is not None:
            self._unplaced.append(entry)
        if not piece:
            return "", []
        self._text += piece
        self._place()
        found = [at for stop in self._stops if (at := self._text.find(stop, self._shown)) >= 0]
        if found:
            self.stopped = True
            self._text = self._text[: min(found)]
            self._placed = [(end, kept) for end, kept in self._placed if end <= len(self._text)]
            return self._show(len(self._text))
        return self._show(len(self._text) - self._held())

    def end(self) -> tuple[str, list[Any]]:
        """The answer is over: what was held back. Half a character is dropped."""
        if not self.stopped:
            self._place()
        return self._show(len(self._text))

    def _place(self) -> None:
        self._placed += [(len(self._text), entry) for entry in self._unplaced]
        self._unplaced.clear()

    def _held(self) -> int:
        """Length of the longest end of the text that begins a stop string."""
        unseen = self._text[self._shown :]
        lengths = (
            length
            for stop in self._stops
            for length in range(min(len(stop) - 1, len(unseen)), 0, -1)
            if unseen.endswith(stop[:length])
        )
        return max(lengths, default=0)

    def _show(self, until: int) -> tuple[str, list[Any]]:
        text = self._text[self._shown : until]
        self._shown = until
        entries = [entry for end, entry in self._placed if end <= until]
        self._placed = [(end, entry) for end, entry in self._placed if end > until]
        return text, entries
