"""Changes between versions: kept and added are the new one, kept and removed the old one."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from corpora.records import Chunk, Document
from retrieval.changes import changed_chunks
from retrieval.chunking import chunk_document

PASSAGES = st.lists(st.tuples(st.sampled_from(["입고", "출고"]), st.sampled_from("가나다라")), max_size=12)


def chunks_of(passages: Sequence[tuple[str, str]]) -> list[Chunk]:
    return [
        Chunk(id=f"chunk_{i}", document_id="doc_a", index=i, text=text, start=2 * i, end=2 * i + 1, headings=(heading,))
        for i, (heading, text) in enumerate(passages)
    ]


@given(PASSAGES, PASSAGES)
def test_both_versions_are_accounted_for(
    old_passages: list[tuple[str, str]], new_passages: list[tuple[str, str]]
) -> None:
    old, new = chunks_of(old_passages), chunks_of(new_passages)
    changes = changed_chunks(old, new)
    assert sorted([*(n for _, n in changes.kept), *changes.added], key=lambda c: c.index) == new
    assert sorted([*(o for o, _ in changes.kept), *changes.removed], key=lambda c: c.index) == old
    assert all((o.text, o.headings) == (n.text, n.headings) for o, n in changes.kept)
    # Nothing that could be kept was not.
    left = {(c.text, c.headings) for c in changes.removed}
    assert not left & {(c.text, c.headings) for c in changes.added}
    for same in {(n.text, n.headings) for _, n in changes.kept}:
        pairs = [(o.index, n.index) for o, n in changes.kept if (n.text, n.headings) == same]
        assert pairs == sorted(pairs)
        assert [a for a, _ in pairs] == sorted(a for a, _ in pairs)


@given(PASSAGES)
def test_the_same_again_changes_nothing(passages: list[tuple[str, str]]) -> None:
    changes = changed_chunks(chunks_of(passages), chunks_of(passages))
    assert changes.unchanged
    assert len(changes.kept) == len(passages)


def test_moved_chunks_are_kept() -> None:
    old, new = chunks_of([("입고", "가"), ("입고", "나")]), chunks_of([("입고", "나"), ("입고", "가")])
    changes = changed_chunks(old, new)
    assert (changes.added, changes.removed) == ((), ())
    assert not changes.unchanged


def manual(edited: int | None = None) -> str:
    sections = []
    for n in range(100):
        word = "새로 고친" if n == edited else "늘 하던"
        sections.append(
            f"## {n}장 작업\n\n{n}번 작업은 {word} 순서로 합니다. {'자세한 설명입니다. ' * 20}\n\n{n}장의 끝입니다.\n\n"
        )
    return "# 창고 안내서\n\n" + "".join(sections)


def test_an_edit_changes_only_its_own_chunk() -> None:
    def cut(text: str) -> list[Chunk]:
        return chunk_document(Document(id="doc_a", title="안내서", text=text, media_type="text/markdown"))

    old, new = cut(manual()), cut(manual(edited=50))
    changes = changed_chunks(old, new)
    assert len(changes.added) == len(changes.removed) == 1
    assert changes.added[0].headings[-1] == "50장 작업"
    assert len(changes.kept) == len(old) - 1
    assert all(o.id == n.id for o, n in changes.kept)
