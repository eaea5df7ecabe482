"""The bundle: opened by the ``datasets`` library, the same file each time, with a card that tells how it was made."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from app.services.context import Services
from app.services.dataset_card import size_category
from app.store.tables import CorpusRow, DocumentRow
from corpora.records import Verdict
from tests.integration.services.exports import COUNT, DOCK, GUIDED, LABEL, TALK, Store, new_dataset, pair


@pytest.fixture
def made(services: Services) -> Store:
    return new_dataset(services)


HOSTILE = 'a: "b" | `c`\\ #1 <img> [x](y) 🚚 * - {{ facts }} \u2028\x7f끝'


def unpacked(data: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def load(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    library = pytest.importorskip("datasets", reason="the extra 'train' is not installed")
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    return library.load_dataset(str(folder), cache_dir=str(cache))


@pytest.mark.parametrize("name", ["냉장 창고", HOSTILE, "yes", "- 목록", "%"])
def test_a_bundle_opens_in_the_datasets_library(
    services: Services, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = new_dataset(services, name)
    made.add(DOCK, TALK)
    made.add(GUIDED, split="test")
    folder = unpacked(made.bytes("bundle"), tmp_path / "bundle")
    loaded = load(folder, tmp_path / "cache", monkeypatch)
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 2, "test": 1}
    assert [m["content"] for m in loaded["train"][1]["messages"]] == [content for _, content in TALK]
    assert [m["role"] for m in loaded["test"][0]["messages"]] == ["system", "user", "assistant"]
    # JSONL has the same rows.
    for split in ("train", "test"):
        lines = (folder / "data" / f"{split}.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
        assert [json.loads(line)["messages"] for line in lines] == [row["messages"] for row in loaded[split]]
    library = pytest.importorskip("huggingface_hub", reason="the extra 'train' is not installed")
    card = library.DatasetCard((folder / "README.md").read_text(encoding="utf-8")).data.to_dict()
    assert card["pretty_name"] == name
    assert card["language"] == ["ko"]
    assert card["size_categories"] == ["n<1K"]
    assert card["malmoi"]["dataset_id"] == made.dataset_id
    assert card["malmoi"]["rows"] == {"train": 2, "test": 1}


def test_a_bundle_of_one_split(made: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.add(DOCK)
    made.add(COUNT, split="test")
    folder = unpacked(made.bytes("bundle", split="test", metadata=True), tmp_path / "bundle")
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["test-00000-of-00001.parquet", "test.jsonl"]
    loaded = load(folder, tmp_path / "cache", monkeypatch)
    assert list(loaded) == ["test"]
    assert json.loads(loaded["test"][0]["metadata"])["id"] == f"sample_{made.dataset_id}_2"


def test_a_bundle_is_the_same_file_each_time(made: Store) -> None:
    made.add(DOCK)
    made.add(COUNT, split="test")
    with zipfile.ZipFile(io.BytesIO(made.bytes("bundle"))) as archive:
        assert archive.namelist() == [
            "data/train.jsonl",
            "data/train-00000-of-00001.parquet",
            "data/test.jsonl",
            "data/test-00000-of-00001.parquet",
            "README.md",
        ]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.read("data/train.jsonl") == made.bytes("messages", split="train")
        assert archive.read("data/test-00000-of-00001.parquet") == made.bytes("parquet", split="test")


def card_of(made: Store, **asked: Any) -> str:
    with zipfile.ZipFile(io.BytesIO(made.bytes("bundle", **asked))) as archive:
        return archive.read("README.md").decode()


def test_the_card_tells_how_it_was_made(services: Services) -> None:
    with services.store.write() as session:
        session.add(CorpusRow(id="corpus_1", name="냉장 매뉴얼", description="", language="ko", created_at=0.0))
        session.flush()
        document: dict[str, Any] = {"filename": "a.md", "media_type": "text/markdown", "bytes": 1, "sha256": "0"}
        document |= {"status": "processed", "text": "", "characters": 0, "chunk_count": 0, "warnings": []}
        session.add(DocumentRow(id="doc_1", corpus_id="corpus_1", title="입고 | 절차", created_at=0.0, **document))
    made = new_dataset(services, "냉장", "corpus_1")
    versions = {"tokenizer": "kiwipiepy 0.24.1"}
    made.add(DOCK, TALK, generator="rag_qa", model="모델-1", prompt="rag_qa@v1#0a1b2c3d", versions=versions)
    made.add(COUNT, document_id="doc_1", versions=versions)
    made.add(LABEL, split="test", document_id="doc_gone", versions=versions | {"filters": "v2"})
    made.add(pair("가", "나"), pair("다", "라"), generator="imported", prompt="alpaca@rows.jsonl:17")
    made.add([("user", "답이 없나요?")])
    for number in range(3):
        made.add(pair("짧은가요?", f"{number}"), verdict=Verdict(stage="filter", reason="answer_too_short"))
    made.add(DOCK, verdict=Verdict(stage="near_duplicate", reason="near_duplicate", score=1.0))
    card = card_of(made)
    for line in (
        "| train | 5 | 6 |",
        "| test | 1 | 1 |",
        "| no\\_answer | 1 |",
        "| rag\\_qa | 모델-1 | rag\\_qa@v1\\#0a1b2c3d | 2 |",
        "| imported |  | alpaca@rows.jsonl | 2 |",
        "| tokenizer | kiwipiepy 0.24.1 | 4 |",
        "| filters | v2 | 1 |",
        "| 입고 \\| 절차 | 1 |",
        "| (삭제된 문서) | 1 |",
        "| filter | answer\\_too\\_short | 3 |",
        "| near\\_duplicate | near\\_duplicate | 1 |",
        "후보 11건 = 채택 7건 + 거절 4건 + 문서와 함께 삭제 0건.",
    ):
        assert line in card.splitlines(), (line, card)
    assert "말뭉치 “냉장 매뉴얼”" in card
    assert "corpus “냉장 매뉴얼”" in card
    # What is left out of the one split is told of the other one alone.
    assert "no\\_answer" not in card_of(made, split="test")


def test_size_categories() -> None:
    named = {1: "n<1K", 999: "n<1K", 1000: "1K<n<10K", 99_999: "10K<n<100K", 100_000: "100K<n<1M", 10**7: "10M<n<100M"}
    assert {rows: size_category(rows) for rows in named} == named
