"""What is said of a sentence-transformers folder without loading it, and what settings name. No torch."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.embedders.choose import parse_spec
from retrieval.embedders.errors import UnusableEmbedderError
from retrieval.embedders.model_folder import check_folder, folder_hash, folder_signature, local_folder, read_prefixes
from retrieval.embedders.sentence import LocalModel, SentenceEmbedder
from tests.tiny_embedder import write_layout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model whose weights nobody reads."""
    made = tmp_path / "model"
    write_layout(made)
    (made / "config.json").write_text("{}", encoding="utf-8")
    (made / "model.safetensors").write_bytes(b"weights")
    return made


def _prompts(folder: Path, prompts: Any, default: str | None = None) -> tuple[str, str]:
    config = {"prompts": prompts, "default_prompt_name": default}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    found = read_prefixes(folder)
    return found.query, found.passage


def test_prefixes_come_from_the_models_configuration(folder: Path) -> None:
    assert _prompts(folder, {"query": "질문: ", "passage": "문서: "}) == ("질문: ", "문서: ")
    # The library itself writes an empty "document" beside what the author calls "passage".
    assert _prompts(folder, {"query": "query: ", "document": "", "passage": "passage: "}) == ("query: ", "passage: ")
    assert _prompts(folder, {"query": "Instruct: 찾으세요\nQuery: ", "document": ""})[1] == ""
    assert _prompts(folder, {"검색": "검색: "}, default="검색") == ("검색: ", "검색: ")
    assert _prompts(folder, {"query": "", "document": "", "검색": "검색: "}, default="검색") == ("", "")
    assert _prompts(folder, {}) == _prompts(folder, None) == _prompts(folder, {"query": None}) == ("", "")
    (folder / "config_sentence_transformers.json").unlink()
    assert read_prefixes(folder).query == ""
    (folder / "config_sentence_transformers.json").write_text("{", encoding="utf-8")
    with pytest.raises(UnusableEmbedderError, match="no JSON"):
        read_prefixes(folder)


def test_a_sound_folder_passes(folder: Path) -> None:
    (folder / "training_args.bin").write_bytes(b"pickle")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights, not read")
    check_folder(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "pytorch_model-00001-of-00002.bin"])
def test_weights_that_only_a_pickle_holds_are_refused(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(UnusableEmbedderError, match=name):
        check_folder(folder)


def test_so_are_those_of_a_later_module(folder: Path) -> None:
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UnusableEmbedderError, match=r"2_Dense/pytorch_model\.bin"):
        check_folder(folder)


def test_code_in_the_folder_is_never_run(folder: Path) -> None:
    own = [{"idx": 0, "name": "0", "path": "", "type": "modeling_own.Own"}]
    (folder / "modules.json").write_text(json.dumps(own), encoding="utf-8")
    (folder / "modeling_own.py").write_text("raise SystemExit(9)", encoding="utf-8")
    with pytest.raises(UnusableEmbedderError, match=r"modeling_own\.Own"):
        check_folder(folder)


def test_folders_that_are_no_models(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableEmbedderError, match="neither"):
        check_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnusableEmbedderError, match="no weights"):
        check_folder(folder)


def test_the_fingerprint_knows_weights_and_prefixes_and_not_the_place(folder: Path, tmp_path: Path) -> None:
    def fingerprint(**given: str) -> str:
        return SentenceEmbedder(LocalModel(folder=folder, **given)).fingerprint  # type: ignore[arg-type]

    first = fingerprint()
    assert fingerprint(query_prefix="질문: ") != first
    assert fingerprint(query_prefix="a", passage_prefix="b") != fingerprint(query_prefix="b", passage_prefix="a")
    (folder / "README.md").write_text("카드", encoding="utf-8")
    assert fingerprint() == first
    moved = folder.rename(tmp_path / "elsewhere")
    assert SentenceEmbedder(LocalModel(folder=moved)).fingerprint == first
    kept = SentenceEmbedder(LocalModel(folder=moved))
    (moved / "model.safetensors").write_bytes(b"others!")
    assert SentenceEmbedder(LocalModel(folder=moved)).fingerprint != kept.fingerprint == first
    # What is loaded late must still be what the fingerprint says.
    with pytest.raises(UnusableEmbedderError, match="replaced"):
        kept.embed(["입고"])
    assert len(folder_hash(moved, folder_signature(moved))) == 64


def test_what_the_setting_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models" / "ko-e5").mkdir(parents=True)
    (tmp_path / "ko-e5").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_spec("hashed", None).kind == "hashed"
    endpoint = parse_spec("openai:text-embedding-3-small", None)
    assert (endpoint.kind, endpoint.name) == ("endpoint", "text-embedding-3-small")
    assert parse_spec("openai:BAAI/bge-m3:latest", None).name == "BAAI/bge-m3:latest"
    assert parse_spec("ko-e5", tmp_path / "models").name == str(tmp_path / "models" / "ko-e5")
    assert parse_spec("ko-e5", None).name == str(tmp_path / "ko-e5")
    assert parse_spec("./ko-e5", None).name == str(tmp_path / "ko-e5")
    assert parse_spec(str(tmp_path / "ko-e5"), tmp_path / "models").name == str(tmp_path / "ko-e5")
    hub = parse_spec("intfloat/multilingual-e5-small", tmp_path / "models")
    assert (hub.kind, hub.name) == ("local", "intfloat/multilingual-e5-small")
    assert local_folder(str(tmp_path / "ko-e5")) == tmp_path / "ko-e5"


@pytest.mark.parametrize(
    "text", ["hashd", "", " ", "openai:", "openai: ", "a/b/c", "없는 폴더", "a\0b", "../없음", "/없음/e5", "가" * 200]
)
def test_what_names_no_embedder_says_so(text: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableEmbedderError, match="no embedder"):
        parse_spec(text, tmp_path)


@given(st.text(max_size=40))
def test_any_text_is_understood_or_refused(text: str) -> None:
    with suppress(UnusableEmbedderError):
        assert parse_spec(text, Path("/no/such/folder")).kind in ("hashed", "local", "endpoint")
