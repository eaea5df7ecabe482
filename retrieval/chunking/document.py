"""Cutting a document into chunks: by section, then by block, step and row, then by sentence; offsets are exact.

``chunk_document`` covers all text that is not blank, in order; a chunk knows its heading path. A heading stays with
the text below it; a step with its paragraphs, a table row and a line of code stay whole where they fit. Chunks overlap
only where sentences of overlap are asked for. Knows no store and no embedder.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from corpora.ids import content_id
from corpora.markdown import Block, Seam, plain, seamed
from corpora.records import Chunk, Document
from retrieval.chunking.atoms import Range, atoms, sentence_starts, trim
from retrieval.chunking.tokens import TokenLimit, excess

__all__ = ["MAX_CHARS", "MIN_CHARS", "chunk_document"]

#: Paragraphs of Korean manuals have a median of 99 characters and a 99th percentile of 717, so a chunk of 900 holds
#: a section's few paragraphs, or one procedure with its introduction.
MAX_CHARS = 900
#: Below this a piece is joined to its neighbour of the same section.
MIN_CHARS = 120
#: A heading in a path is cut here: it is repeated with every chunk, and a heading of 1 MB would be a bomb.
MAX_HEADING = 300
#: Rounds after which a piece that is still above the limit in tokens is halved.
PATIENCE = 3
#: Characters at the end of a line among which 다음 announces a list.
ANNOUNCEMENT = 40
#: Characters before the end of a chunk among which its last sentences are looked for.
TAIL = 600
#: What has no sentences to repeat.
_NO_PROSE = frozenset(("heading", "table", "code", "html", "rule", "front_matter"))


@dataclass(frozen=True, slots=True)
class _Section:
    """A heading with the blocks below it."""

    headings: tuple[str, ...]
    blocks: tuple[tuple[Block, tuple[Seam, ...]], ...]
    starts: tuple[int, ...]  #: Of the blocks.


@dataclass(frozen=True, slots=True)
class _Piece:
    """A range of the text with the section it stands in."""

    start: int
    end: int
    section: _Section


def chunk_document(
    document: Document,
    *,
    max_chars: int = MAX_CHARS,
    min_chars: int = MIN_CHARS,
    overlap_sentences: int = 0,
    limit: TokenLimit | None = None,
) -> list[Chunk]:
    """The chunks of ``document``.

    Args:
        document: Its text is Markdown or plain; both go through the Markdown parser.
        max_chars: No chunk is longer.
        min_chars: Shorter pieces join their neighbour in the same section where the sum fits.
        overlap_sentences: Sentences at the end of a chunk that the next one of its section repeats, as many as fit;
            rows and code are not repeated. Chunks are cut a fifth shorter to make room.
        limit: The embedder's limit in tokens, beside the one in characters. A single character above it stays.

    Returns:
        Chunks in order; ``document.text[c.start:c.end] == c.text`` for each. Ids depend on the document's id, the
        heading path, the text and how often the same stood before: an edit elsewhere leaves them.

    Raises:
        ValueError: ``max_chars`` below 1 or ``overlap_sentences`` below 0.
    """
    if max_chars < 1 or overlap_sentences < 0:
        raise ValueError(f"max_chars {max_chars} is below 1 or overlap_sentences {overlap_sentences} below 0")
    text = document.text
    size, tokens = max_chars, limit
    if overlap_sentences:
        size = max(1, max_chars * 4 // 5)
        tokens = replace(limit, max_tokens=max(1, limit.max_tokens * 4 // 5)) if limit else None
    pieces: list[_Piece] = []
    for section in _sections(text):
        whole = (section.starts[0], section.blocks[-1][0].end)
        pieces.extend(_cut(text, section, whole, (size, min_chars)))
    if tokens is not None:
        pieces = _tightened(text, pieces, min_chars, tokens)
    if overlap_sentences:
        pieces = _overlapping(text, pieces, overlap_sentences, (max_chars, limit))
    return list(_chunks(document, pieces))


def _chunks(document: Document, pieces: Sequence[_Piece]) -> Iterator[Chunk]:
    seen: Counter[tuple[tuple[str, ...], str]] = Counter()
    for index, piece in enumerate(pieces):
        headings, passage = piece.section.headings, document.text[piece.start : piece.end]
        before = seen[headings, passage]
        seen[headings, passage] += 1
        # As JSON, headings cannot be mistaken for other headings and the text.
        path = json.dumps(headings, ensure_ascii=True)
        yield Chunk(
            id=content_id("chunk", document.id, path, before, passage),
            document_id=document.id,
            index=index,
            text=passage,
            start=piece.start,
            end=piece.end,
            headings=headings,
        )


def _sections(text: str) -> Iterator[_Section]:
    path: list[tuple[int, str]] = []
    current: list[tuple[Block, tuple[Seam, ...]]] = []
    bare = True  # headings alone so far

    def section() -> _Section:
        headings = tuple(title for _, title in path)
        return _Section(headings, tuple(current), tuple(block.start for block, _ in current))

    for block, seams in _covering(text):
        if block.kind == "heading":
            # A heading right below another one (title, then first section) takes that one's text along.
            if not bare:
                yield section()
                current, bare = [], True
            while path and path[-1][0] >= block.level:
                path.pop()
            path.append((block.level, plain(block.text[:MAX_HEADING])))
        else:
            bare = False
        current.append((block, seams))
    if current:
        yield section()


def _covering(text: str) -> Iterator[tuple[Block, tuple[Seam, ...]]]:
    """Blocks that cover everything: what the parser does not report (link definitions) becomes a paragraph."""
    position = 0
    for block, seams in seamed(text):
        if text[position : block.start].strip():
            yield _paragraph(text, position, block.start), ()
        yield block, seams
        position = max(position, block.end)
    if text[position:].strip():
        yield _paragraph(text, position, len(text)), ()


def _paragraph(text: str, start: int, end: int) -> Block:
    return Block(kind="paragraph", start=start, end=end, text=text[start:end])


def _cut(text: str, section: _Section, whole: Range, sizes: tuple[int, int]) -> list[_Piece]:
    """Pieces of a range of one section: whole blocks gathered up to the size, longer blocks in their atoms."""
    max_chars, min_chars = sizes
    gathered: list[Range] = []
    target = max_chars * 2 // 3
    first_block = max(0, bisect_right(section.starts, whole[0]) - 1)
    for block, seams in section.blocks[first_block : bisect_left(section.starts, whole[1])]:
        parts = atoms(text, max(block.start, whole[0]), min(block.end, whole[1]), seams, max_chars)
        for number, (start, end) in enumerate(parts):
            if gathered:
                first, last = gathered[-1]
                # The atoms of one block fill a piece; whole blocks leave room, for fewer subjects in one piece.
                full = number > 0 or last - first < min_chars or _introduces(text, first, last)
                full = full or (len(parts) == 1 and end - start < min_chars)
                if end - first <= (max_chars if full else target):
                    gathered[-1] = (first, end)
                    continue
            gathered.append((start, end))
    return [_Piece(start, end, section) for start, end in gathered]


def _introduces(text: str, start: int, end: int) -> bool:
    """Whether a piece ends in the sentence that announces a list, or in a heading."""
    line = max(text.rfind("\n", start, end) + 1, start)
    if text.startswith("#", line) or text.endswith(("진행합니다.", ":"), start, end):
        return True
    # Its last sentence says that something follows: 다음 단계를 수행하십시오.
    return end > start and text[end - 1] == "." and "다음" in text[max(line, end - ANNOUNCEMENT) : end]


def _tightened(text: str, pieces: list[_Piece], min_chars: int, limit: TokenLimit) -> list[_Piece]:
    """Pieces within the limit in tokens: those above it are cut again, smaller, until none is."""
    settled: dict[int, bool] = {}  # by offset: single characters above the limit, which stay
    for attempt in range(len(text) + 1):
        above = excess(limit, ["" if p.start in settled else text[p.start : p.end] for p in pieces])
        if not above:
            break
        found: list[_Piece] = []
        for number, piece in enumerate(pieces):
            length = piece.end - piece.start
            if number not in above:
                found.append(piece)
            elif length == 1:
                settled[piece.start] = True
                found.append(piece)
            else:
                share = 0.95 * limit.max_tokens / above[number] if attempt < PATIENCE else 0.5
                size = max(1, min(length - 1, int(length * share)))
                found.extend(_cut(text, piece.section, (piece.start, piece.end), (size, min_chars)))
        pieces = found
    return pieces


def _overlapping(text: str, pieces: list[_Piece], wanted: int, bounds: tuple[int, TokenLimit | None]) -> list[_Piece]:
    """Pieces that begin with the last sentences of the one before, where it stands in the same section."""
    max_chars, limit = bounds
    found = list(pieces)
    for number in range(1, len(pieces)):
        before, piece = pieces[number - 1], pieces[number]
        if before.section is not piece.section:
            continue
        starts = [at for at in _last_sentences(text, before, wanted) if piece.end - at <= max_chars]
        if starts:
            found[number] = replace(piece, start=starts[0])
    if limit is not None:
        for number in excess(limit, [text[p.start : p.end] for p in found]):
            found[number] = pieces[number]
    return found


def _last_sentences(text: str, piece: _Piece, wanted: int) -> list[int]:
    """Where the last sentences of a piece begin, in order; none where it ends in rows or code."""
    section = piece.section
    block, seams = section.blocks[bisect_left(section.starts, piece.end) - 1]
    if block.kind in _NO_PROSE:
        return []
    low = max(piece.start, block.start)
    last_seam = bisect_left(seams, piece.end, key=lambda seam: seam.start) - 1
    if last_seam >= 0:
        low = max(low, seams[last_seam].start)
    begin = max(low, piece.end - TAIL)
    starts = sentence_starts(text, begin, piece.end)
    if begin == low:
        starts = [trim(text, low, piece.end)[0], *starts]
    # A chunk that stood whole in the next one would be none of its own.
    return [at for at in starts[-wanted:] if at > piece.start]
