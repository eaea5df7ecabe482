"""Embedders by settings: the default one, an endpoint, a model of sentence-transformers loaded by its library."""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from app.services.context import Services, worker_config
from app.services.embedders import check_embedder, embedder_for, state_of
from app.services.embeddings import CreateEmbeddings, create_embeddings
from app.settings import Settings, load_settings
from app.store.database import open_store
from app.store.tables import CorpusRow
from corpora.errors import InvalidInputError
from retrieval.embedders.base import Embedder, overlong
from retrieval.embedders.errors import UnusableEmbedderError
from retrieval.embedders.sentence import LocalModel, SentenceEmbedder
from tests.embedding_server import EmbeddingServer, embedding_server
from tests.tiny_embedder import build_tiny_embedder

TEXTS = [f"{place} 구역의 재고를 {day}일에 실사합니다." for place in "가나다라" for day in range(1, 6)]


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


def _is_unit(vectors: Any) -> bool:
    return vectors.dtype == np.float32 and bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6))


def _services(tmp_path: Path, **given: Any) -> Services:
    settings = load_settings({"data_dir": tmp_path / "data", **given}, isolated=True)
    return cast(Services, SimpleNamespace(settings=settings, store=open_store(None, tmp_path / "data")))


def test_the_default_embedder_comes_back_from_its_state(tmp_path: Path) -> None:
    services = _services(tmp_path)
    first = embedder_for(services, "hashed", None, TEXTS)
    state = json.loads(json.dumps(state_of(first)))
    again = embedder_for(services, "hashed", state, (), fingerprint=first.fingerprint)
    assert again.fingerprint == first.fingerprint
    assert again is embedder_for(services, "hashed", dict(state), (), fingerprint=first.fingerprint)
    assert (again.embed(TEXTS) == first.embed(TEXTS)).all()
    assert again.semantic_threshold == 0.85


def test_an_endpoint_by_settings(server: EmbeddingServer, tmp_path: Path) -> None:
    services = _services(tmp_path, model_base_url=server.base_url, model_api_key="sk-model")
    first = embedder_for(services, "openai:tiny", None, ())
    vectors = first.embed(TEXTS)
    assert state_of(first) == {"dimension": 16, "query_prefix": "", "passage_prefix": ""}
    again = embedder_for(services, "openai:tiny", state_of(first), ())
    assert again is embedder_for(services, "openai:tiny", state_of(first), ())
    assert (again.embed(TEXTS) == vectors).all()
    assert again.fingerprint == first.fingerprint
    assert again.semantic_threshold == 0.92
    assert server.embedded.total() == len(TEXTS)
    assert {key for _, key, _ in server.requests} == {"Bearer sk-model"}
    other = _services(tmp_path, model_base_url=server.base_url, embedder_semantic_threshold=0.8)
    assert embedder_for(other, "openai:tiny", None, ()).semantic_threshold == 0.8


def test_the_route_serves_the_configured_embedder(server: EmbeddingServer, tmp_path: Path) -> None:
    services = _services(tmp_path, embedder="openai:tiny", embedder_base_url=server.base_url)
    answer = create_embeddings(services, CreateEmbeddings(model="openai:tiny", input=TEXTS))
    vectors = np.array([entry["embedding"] for entry in answer["data"]], dtype=np.float32)
    assert _is_unit(vectors)
    assert answer["model"] == "openai:tiny"
    assert answer["usage"] == {"prompt_tokens": sum(map(len, TEXTS)), "total_tokens": sum(map(len, TEXTS))}
    again = create_embeddings(services, CreateEmbeddings(model="openai:tiny", input=TEXTS[3], encoding_format="base64"))
    assert (np.frombuffer(base64.b64decode(again["data"][0]["embedding"]), dtype="<f4") == vectors[3]).all()
    assert again["usage"]["prompt_tokens"] == 0  # it was there already
    with pytest.raises(InvalidInputError, match="16 dimensions, not 8"):
        create_embeddings(services, CreateEmbeddings(model="openai:tiny", input="가", dimensions=8))
    with pytest.raises(InvalidInputError, match="'openai:tiny'") as caught:
        create_embeddings(services, CreateEmbeddings(model="hashed", input="가"))
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


def test_a_corpus_goes_on_with_the_embedder_of_its_index(server: EmbeddingServer, tmp_path: Path) -> None:
    services = _services(tmp_path, embedder="openai:tiny", embedder_base_url=server.base_url)
    built = embedder_for(services, "hashed", None, TEXTS)
    common = {"name": "창고", "description": "", "language": "ko", "created_at": 0.0}
    with services.store.write() as session:
        index = {"embedder": "hashed", "embedder_fingerprint": built.fingerprint, "embedder_state": state_of(built)}
        session.add(CorpusRow(id="corpus_built", **common, **index))
        session.add(CorpusRow(id="corpus_new", **common))
    asked = CreateEmbeddings(model="hashed", input=TEXTS, corpus_id="corpus_built")
    answer = create_embeddings(services, asked)
    assert np.allclose([entry["embedding"] for entry in answer["data"]], built.embed(TEXTS), atol=1e-6)
    assert answer["usage"]["prompt_tokens"] > len(TEXTS)
    for change, code in (({"model": "openai:tiny"}, "model_not_found"), ({"corpus_id": "corpus_new"}, "index_missing")):
        with pytest.raises(InvalidInputError) as caught:
            create_embeddings(services, asked.model_copy(update=change))
        assert caught.value.code == code
    assert server.requests == []


def test_the_models_key_goes_to_no_other_host(server: EmbeddingServer, tmp_path: Path) -> None:
    elsewhere = {"embedder_base_url": server.base_url, "model_base_url": "https://models.example/v1"}
    services = _services(tmp_path, model_api_key="sk-model", **elsewhere)
    embedder_for(services, "openai:tiny", None, ()).embed(TEXTS)
    services = _services(tmp_path, model_api_key="sk-model", embedder_api_key="sk-own", **elsewhere)
    embedder_for(services, "openai:other", None, ()).embed(TEXTS)
    assert [key for _, key, _ in server.requests] == ["Bearer none", "Bearer sk-own"]


def test_a_setting_that_names_no_embedder_is_refused_at_the_start(tmp_path: Path) -> None:
    def check(**given: Any) -> None:
        check_embedder(load_settings(given, isolated=True))

    check(embedder="hashed")
    check(embedder="openai:tiny", model_base_url="http://127.0.0.1:9/v1")
    check(embedder="intfloat/multilingual-e5-small")
    with pytest.raises(UnusableEmbedderError, match="hashd"):
        check(embedder="hashd", models_dir=tmp_path)
    with pytest.raises(InvalidInputError, match="MALMOI_EMBEDDER_BASE_URL"):
        check(embedder="openai:tiny")
    wrong = [("embedder", " "), ("embedder", "openai:"), ("embedder", "a\nb")]
    for name, value in [*wrong, ("embedder_base_url", "localhost:1"), ("embedder_base_url", "file:///etc")]:
        with pytest.raises(InvalidInputError, match="setting EMBEDDER"):
            load_settings({name: value}, isolated=True)


def test_a_worker_is_handed_the_key(tmp_path: Path) -> None:
    handed = worker_config(load_settings({"data_dir": tmp_path, "embedder_api_key": "sk-own"}, isolated=True))
    secret = Settings.model_validate(handed["settings"]).embedder_api_key
    assert secret is not None
    assert secret.get_secret_value() == "sk-own"


# -- a model of sentence-transformers, loaded by the library -----------------------------------------------------------


@pytest.mark.long
def test_a_model_of_sentence_transformers(tmp_path: Path) -> None:
    prompts = {"query": "query: ", "document": "passage: "}
    folder = build_tiny_embedder(tmp_path / "models" / "tiny-ko", prompts=prompts)
    services = _services(tmp_path, models_dir=tmp_path / "models")
    embedder = embedder_for(services, "tiny-ko", None, ())
    assert isinstance(embedder, SentenceEmbedder)
    assert embedder is embedder_for(services, "tiny-ko", state_of(embedder), ())
    _gives_unit_vectors(embedder)
    # Prefixes matter, and are the ones that stand in the model's folder.
    bare = SentenceEmbedder(LocalModel(folder=folder, query_prefix="", passage_prefix=""))
    assert np.allclose(bare.embed([f"query: {TEXTS[0]}"]), embedder.embed_queries(TEXTS[:1]), atol=1e-6)
    assert np.allclose(bare.embed([f"passage: {TEXTS[0]}"]), embedder.embed(TEXTS[:1]), atol=1e-6)
    assert not np.allclose(embedder.embed(TEXTS[:1]), embedder.embed_queries(TEXTS[:1]), atol=1e-3)
    assert (embedder.embed_pairs([("재고는?", None)]) == embedder.embed(["재고는?"])).all()
    assert (embedder.embed([unicodedata.normalize("NFD", TEXTS[0])]) == embedder.embed(TEXTS[:1])).all()
    _counts_what_it_cuts(embedder)
    # Other weights under the same name are another embedder.
    build_tiny_embedder(folder, prompts=prompts, seed=8)
    other = embedder_for(services, "tiny-ko", None, ())
    assert other.fingerprint != embedder.fingerprint
    assert not np.allclose(other.embed(TEXTS), embedder.embed(TEXTS), atol=1e-3)
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UnusableEmbedderError, match="cannot be loaded"):
        embedder_for(services, "tiny-ko", None, ()).embed(TEXTS)


def _gives_unit_vectors(embedder: Embedder) -> None:
    vectors = embedder.embed([*TEXTS, "", " \n"])
    assert vectors.shape == (len(TEXTS) + 2, embedder.dimension)
    assert embedder.dimension == 32
    assert _is_unit(vectors[: len(TEXTS)])
    assert not vectors[len(TEXTS) :].any()
    assert embedder.embed([]).shape == (0, 32)
    # A text has the same vector whatever stands beside it.
    assert np.allclose(embedder.embed(TEXTS[7:8])[0], vectors[7], atol=1e-5)


def _counts_what_it_cuts(embedder: SentenceEmbedder) -> None:
    texts = ["재고", "재고 " * 200, "실사"]
    assert embedder.max_tokens == 32
    counts = embedder.count_tokens(texts)
    assert counts[0] < 32 < counts[1]
    assert overlong(embedder, texts) == [1]
    before = embedder.truncated
    embedder.embed(texts)
    assert embedder.truncated == before + 1
