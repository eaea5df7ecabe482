"""Exports out of a real store: what stands in each format, what is refused, what the tag covers, what is held open."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from app.services import datasets
from app.services.context import Services
from app.services.exporting import ExportFormat, ExportRequest, export_file, open_export
from corpora.errors import InvalidInputError, NotFoundError
from corpora.records import Verdict
from tests.integration.services.exports import (
    COUNT,
    DOCK,
    FORMATS,
    GUIDED,
    LABEL,
    LINES,
    TALK,
    Store,
    new_dataset,
    pair,
)


@pytest.fixture
def made(services: Services) -> Store:
    return new_dataset(services)


def checked_out(services: Services) -> int:
    """Connections that someone holds."""
    return cast(Any, services.store.engine.pool).checkedout()


def test_a_row_in_each_format_of_lines(made: Store) -> None:
    made.add(COUNT)
    question, answer = COUNT[0][1], COUNT[1][1]
    expected = {
        "messages": {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]},
        "alpaca": {"instruction": question, "input": "", "output": answer},
        "sharegpt": {"conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]},
        "prompt_completion": {"prompt": question, "completion": answer},
    }
    for name in LINES:
        assert made.rows(cast(ExportFormat, name)) == [expected[name]]
        assert "실사는 언제" in made.bytes(cast(ExportFormat, name)).decode()


def test_tables(made: Store) -> None:
    made.add(COUNT, DOCK)
    read = list(csv.reader(io.StringIO(made.bytes("csv").decode(), newline="")))
    assert read == [["question", "answer"], [COUNT[0][1], COUNT[1][1]], [DOCK[0][1], DOCK[1][1]]]
    table = pq.read_table(io.BytesIO(made.bytes("parquet"))).to_pylist()
    assert [[m["content"] for m in row["messages"]] for row in table] == [[t[1] for t in COUNT], [t[1] for t in DOCK]]


def test_splits_and_order(made: Store) -> None:
    made.add(DOCK)
    made.add(COUNT, split="test")
    made.add(LABEL)

    def questions(split: Any) -> list[str]:
        return [row["instruction"] for row in made.rows("alpaca", split=split)]

    assert questions(None) == questions("train") == [DOCK[0][1], LABEL[0][1]]
    assert questions("test") == [COUNT[0][1]]
    assert questions("all") == [DOCK[0][1], COUNT[0][1], LABEL[0][1]]


def test_many_rows_come_in_several_blocks_each_once(made: Store) -> None:
    made.add(*(pair(f"{n}번 로케이션은 어디인가요?", "냉장 구역입니다.") for n in range(1203)))
    export = made.export("prompt_completion")
    assert export.blocks is not None
    blocks = list(export.blocks)
    assert len(blocks) == 3
    read = [json.loads(line)["prompt"] for line in b"".join(blocks).decode().splitlines()]
    assert read == [f"{n}번 로케이션은 어디인가요?" for n in range(1203)]
    assert pq.read_table(io.BytesIO(made.bytes("parquet"))).num_rows == 1203


@pytest.mark.parametrize("name", ["alpaca", "prompt_completion", "csv"])
def test_what_a_format_cannot_carry_is_counted_and_not_cut(made: Store, name: ExportFormat) -> None:
    made.add(DOCK, TALK, GUIDED, TALK)
    assert made.export(name).refused == {"multi_turn": 2, "system_turn": 1}
    text = made.bytes(name).decode()
    assert "도크" in text
    assert "반품" not in text
    assert "피킹" not in text


@pytest.mark.parametrize("name", ["messages", "sharegpt", "parquet", "bundle"])
def test_formats_that_carry_everything(made: Store, name: ExportFormat) -> None:
    made.add(DOCK, TALK, GUIDED)
    assert made.export(name).refused == {}
    if name == "messages":
        assert [[m["role"] for m in row["messages"]] for row in made.rows()] == [
            ["user", "assistant"],
            ["user", "assistant"] * 2,
            ["system", "user", "assistant"],
        ]


@pytest.mark.parametrize("name", ["alpaca", "prompt_completion", "csv"])
def test_an_export_of_nothing_is_an_error(made: Store, name: ExportFormat) -> None:
    made.add(TALK, GUIDED)
    with pytest.raises(InvalidInputError, match="multi_turn: 1, system_turn: 1") as caught:
        made.export(name)
    assert (caught.value.code, caught.value.param) == ("nothing_exportable", "format")
    assert checked_out(made.services) == 0


def test_an_empty_split_is_an_empty_file_but_no_bundle(made: Store) -> None:
    made.add(DOCK)
    assert made.bytes("messages", split="test") == b""
    assert made.bytes("csv", split="test") == b'"question","answer"\r\n'
    assert pq.read_table(io.BytesIO(made.bytes("parquet", split="test"))).num_rows == 0
    with pytest.raises(InvalidInputError) as caught:
        made.export("bundle", split="test")
    assert caught.value.code == "nothing_exportable"


def test_metadata(made: Store) -> None:
    made.add(DOCK, split="test", document_id="doc_1", versions={"tokenizer": "kiwipiepy 0.24.1"})
    stored = datasets.get_sample(made.services, f"sample_{made.dataset_id}_1")["provenance"]
    key = f"sample_{made.dataset_id}_1"
    expected = {"id": key, "split": "test", "group_id": None, "group": "doc_1", "provenance": stored}
    assert stored["versions"] == {"tokenizer": "kiwipiepy 0.24.1"}
    for name in LINES:
        assert made.rows(cast(ExportFormat, name), split="test", metadata=True)[0]["metadata"] == expected
        assert "metadata" not in made.rows(cast(ExportFormat, name), split="test")[0]
    table = pq.read_table(io.BytesIO(made.bytes("parquet", split="test", metadata=True))).to_pylist()
    assert json.loads(table[0]["metadata"]) == expected
    with zipfile.ZipFile(io.BytesIO(made.bytes("bundle", metadata=True))) as archive:
        assert json.loads(archive.read("data/test.jsonl"))["metadata"] == expected
    with pytest.raises(InvalidInputError) as caught:
        made.export("csv", metadata=True)
    assert (caught.value.code, caught.value.param) == ("metadata_not_supported", "metadata")


def test_same_version_same_bytes_and_one_tag_each(made: Store) -> None:
    made.add(DOCK, COUNT)
    made.add(LABEL, split="test")
    tags: dict[str, tuple[Any, ...]] = {}
    for name in FORMATS:
        for split in ("train", "test", "all"):
            for metadata in (False, True) if name != "csv" else (False,):
                asked: Any = {"split": split, "metadata": metadata}
                first, second = made.export(name, **asked), made.export(name, **asked)
                assert first.blocks is not None
                assert second.blocks is not None
                assert first.etag == second.etag
                assert first.filename == second.filename
                assert b"".join(first.blocks) == b"".join(second.blocks)
                assert first.etag not in tags, (name, asked, tags[first.etag])
                tags[first.etag] = (name, asked)
    assert len(tags) == 6 * 6 + 3
    made.add(pair("출고는요?", "오후 3시에 마감합니다."))
    again = {made.export(name, split=s).etag for name in FORMATS for s in ("train", "test", "all")}
    assert again.isdisjoint(tags)
    assert made.export("alpaca").filename == f"{made.dataset_id}-v3-train-alpaca.jsonl"
    assert made.export("bundle").filename == f"{made.dataset_id}-v3-all.zip"


def test_the_tag_of_a_bundle_covers_what_its_card_tells(made: Store) -> None:
    made.add(DOCK)
    lines, bundle = made.export("messages").etag, made.export("bundle").etag
    made.add(COUNT, verdict=Verdict(stage="filter", reason="answer_too_short"))
    assert made.export("messages").etag == lines
    assert made.export("bundle").etag != bundle


def test_bytes_that_the_client_has_are_not_made_again(made: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made.add(TALK)
    tag = made.export("bundle").etag
    monkeypatch.setattr("app.services.exporting.write_bundle", None)
    for held in ({tag}, {"*"}, {"other", tag}):
        export = made.export("bundle", held=held)
        assert (export.etag, export.blocks) == (tag, None)
    assert made.export("messages", held={tag}).blocks is not None
    with pytest.raises(NotFoundError):
        open_export(made.services, "dataset_none", ExportRequest(), {"*"})


def test_a_stream_sees_one_moment_and_gives_it_back(made: Store) -> None:
    made.add(*(pair(f"{n}번 랙은요?", "통로 끝입니다.") for n in range(700)))
    export = made.export("alpaca")
    assert export.blocks is not None
    first = next(export.blocks)
    made.add(COUNT)
    assert checked_out(made.services) == 1
    read = (first + b"".join(export.blocks)).decode().splitlines()
    assert len(read) == 700
    assert checked_out(made.services) == 0
    assert len(made.rows("alpaca")) == 701
    assert made.export("alpaca").etag != export.etag


@pytest.mark.parametrize("name", ["messages", "parquet", "bundle"])
def test_an_export_that_nobody_reads_to_its_end_is_given_back(made: Store, name: ExportFormat) -> None:
    made.add(DOCK, COUNT)
    folder = made.services.folder("exports")
    export = made.export(name)
    assert export.blocks is not None
    # It has no name: even a killed process leaves nothing behind. And no transaction waits for a slow reader.
    assert list(folder.iterdir()) == []
    assert checked_out(made.services) == (1 if name == "messages" else 0)
    export.blocks.close()
    export.blocks.close()
    assert checked_out(made.services) == 0


def test_a_fault_on_the_way_gives_everything_back(made: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made.add(DOCK)

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.services.exporting.write_export", full)
    with pytest.raises(Exception, match="No space left") as caught:
        made.export("parquet")
    assert getattr(caught.value, "code", "") == "export_failed"
    assert checked_out(made.services) == 0
    monkeypatch.setattr("app.services.exporting.export_line", full)
    export = made.export("messages")
    assert export.blocks is not None
    with pytest.raises(OSError, match="No space"):
        next(export.blocks)
    assert checked_out(made.services) == 0


def test_training_refuses_rows_without_an_answer(made: Store) -> None:
    with pytest.raises(InvalidInputError) as caught:
        export_file(made.services, made.dataset_id, "train")
    assert caught.value.code == "dataset_empty"
    made.add(DOCK, TALK)
    frozen = export_file(made.services, made.dataset_id, "train")
    sha256, size = frozen.sha256, frozen.bytes
    assert made.services.blobs.path(sha256).read_bytes() == made.bytes("messages", split="train")
    assert size == len(made.bytes("messages", split="train"))
    assert frozen.manifest == {
        "dataset_id": made.dataset_id, "split": "train", "rows_sha256": sha256,
        **datasets.get_dataset(made.services, made.dataset_id)["manifest"],
    }  # fmt: skip
    made.add([("user", "답이 없는 질문인가요?")])
    assert made.export("messages").refused == {"no_answer": 1}
    with pytest.raises(InvalidInputError) as caught:
        export_file(made.services, made.dataset_id, "train")
    assert caught.value.code == "not_exportable"
    assert checked_out(made.services) == 0
