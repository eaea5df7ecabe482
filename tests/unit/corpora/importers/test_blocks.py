"""Where a block of the file ends changes nothing: not the rows of a document, not the lines of a file."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.importers import lines as lines_module
from corpora.importers.cutter import Cutter, Element
from corpora.importers.lines import TextFile

VALUE = st.recursive(
    st.text(st.sampled_from('가"\\[]{},: \n랙'), max_size=8) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def cut(document: bytes, places: list[int]) -> list[Element]:
    cutter = Cutter(1 << 20)
    edges = [0, *sorted(place % (len(document) + 1) for place in places), len(document)]
    found = [e for a, b in itertools.pairwise(edges) for e in cutter.feed(document[a:b])]
    found += cutter.finish()
    assert cutter.ended
    assert cutter.extra_line == 0
    return found


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.dictionaries(st.text(max_size=3), VALUE, max_size=3), max_size=4),
    indent=st.none() | st.just(1),
    key=st.none() | st.just("data"),
    places=st.lists(st.integers(min_value=0, max_value=10_000), max_size=8),
)
def test_rows_of_a_document(rows: list[object], indent: int | None, key: str | None, places: list[int]) -> None:
    whole = rows if key is None else {"version": "[1", "data": rows, "end": {"data": [1]}}
    document = json.dumps(whole, ensure_ascii=False, indent=indent).encode()
    found = cut(document, places)
    assert [json.loads(element.data) for element in found] == rows
    assert [element.where for element in found] == [f"{key or ''}[{n}]" for n in range(len(rows))]
    assert found == cut(document, [])


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("가a\r\n"), min_size=1, max_size=40), block=st.integers(min_value=1, max_value=7))
def test_lines_of_a_file(tmp_path_factory: pytest.TempPathFactory, text: str, block: int) -> None:
    path: Path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK_BYTES", block)
        found = list(TextFile(path).lines(100))
    assert b"".join(line.data + line.end for line in found) == text.encode()
    expected = re.split("\r\n|\n|\r", text)
    assert [line.data.decode() for line in found] == (expected if expected[-1] else expected[:-1])
    assert [line.number for line in found] == list(range(1, len(found) + 1))
