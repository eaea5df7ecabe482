"""Embedders behind an endpoint: a real socket that fails in every way, vectors kept on SQL, a job that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from app.store.database import Store, open_store
from app.store.vectors import SqlVectorCache
from retrieval.embedders.base import MemoryVectors, VectorCache, text_key
from retrieval.embedders.endpoint import EndpointEmbedder, EndpointModel
from retrieval.embedders.endpoint_wire import Patience
from retrieval.embedders.errors import (
    EmbeddingDownError,
    EmbeddingNonsenseError,
    EmbeddingRefusedError,
)
from tests.embedding_server import EmbeddingServer, embedding_server, vector_of

TEXTS = [f"{place} 구역의 재고를 {day}일에 실사합니다." for place in "가나다라" for day in range(1, 6)]


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


class Waits:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def patience(self, seconds: float = 120.0) -> Patience:
        return Patience(seconds=seconds, clock=lambda: sum(self.waited), sleep=self.waited.append, uniform=lambda: 1.0)


def _embedder(
    server: EmbeddingServer, cache: VectorCache | None = None, waits: Waits | None = None, **given: Any
) -> EndpointEmbedder:
    model = EndpointModel(**({"model": "tiny", "base_url": server.base_url, "api_key": "sk-geheim"} | given))
    return EndpointEmbedder(model, cache or MemoryVectors(), patience=(waits or Waits()).patience())


def _is_unit(vectors: Any) -> bool:
    return vectors.dtype == np.float32 and bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6))


def test_an_endpoint_gives_unit_vectors_in_order(server: EmbeddingServer) -> None:
    embedder = _embedder(server)
    vectors = embedder.embed([*TEXTS, " ", TEXTS[0]])
    assert vectors.shape == (len(TEXTS) + 2, 16)
    assert _is_unit(vectors[: len(TEXTS)])
    assert not vectors[-2].any()
    assert (vectors[-1] == vectors[0]).all()
    expected = np.array(vector_of(TEXTS[3], 16))
    assert np.allclose(vectors[3], expected / np.linalg.norm(expected), atol=1e-6)
    assert set(server.embedded.values()) == {1}
    assert " " not in server.embedded
    assert server.requests[0][1] == "Bearer sk-geheim"
    assert embedder.embed([]).shape == (0, 16)
    assert embedder.fingerprint.startswith("openai-")
    assert embedder.fingerprint.endswith("-16")


@pytest.mark.parametrize("fault", ["shuffled", "no floats"])
def test_answers_in_other_shapes_are_read(server: EmbeddingServer, fault: str) -> None:
    plain = _embedder(server).embed(TEXTS)
    server.script = [fault]
    assert np.allclose(_embedder(server).embed(TEXTS), plain, atol=1e-6)


def test_a_server_without_base64_is_asked_for_numbers(server: EmbeddingServer) -> None:
    plain = _embedder(server).embed(TEXTS)
    server.knows_base64 = False
    embedder = _embedder(server)
    assert np.allclose(embedder.embed(TEXTS), plain, atol=1e-6)
    embedder.embed(["새 문장입니다."])
    assert [status for *_, status in server.requests] == [200, 400, 200, 200]


def test_batches_are_bounded_and_shrink_where_the_server_takes_fewer(server: EmbeddingServer) -> None:
    many = [f"{number}번 선반을 점검합니다." for number in range(300)]
    _embedder(server).embed(many)
    assert [len(body["input"]) for body, *_ in server.requests] == [128, 128, 44]
    server.requests.clear()
    _embedder(server).embed(["가" * 40_000, "나" * 40_000, "다" * 40_000, "라" * 200_000])
    assert [len(body["input"]) for body, *_ in server.requests] == [2, 1, 1]
    server.requests.clear()
    server.most_texts = 32
    embedder = _embedder(server)
    embedder.embed([f"{number}번 통로" for number in range(100)])
    embedder.embed([f"{number}번 문" for number in range(33)])
    assert [status for *_, status in server.requests] == [422, 422, 200, 200, 200, 200, 200, 200]


def test_failures_are_waited_for_and_no_text_is_embedded_twice(server: EmbeddingServer) -> None:
    server.script = [429, 500, "hang up", 503, 408]
    waits = Waits()
    assert _is_unit(_embedder(server, waits=waits).embed(TEXTS))
    assert waits.waited == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert set(server.embedded.values()) == {1}
    server.script, server.retry_after = [429, 429], "7"
    waits = Waits()
    _embedder(server, waits=waits).embed(["다른 문장입니다."])
    assert waits.waited == [7.0, 7.0]


def test_patience_ends(server: EmbeddingServer) -> None:
    server.script = [503] * 50
    waits = Waits()
    with pytest.raises(EmbeddingDownError, match="told to answer 503") as caught:
        _embedder(server, waits=waits).embed(TEXTS)
    assert caught.value.retryable
    assert 90 < sum(waits.waited) <= 120
    # A person waits for a search; and who is told to come back in an hour does not wait at all.
    waits = Waits()
    with pytest.raises(EmbeddingDownError):
        _embedder(server, waits=waits).embed_queries(TEXTS[:1])
    assert sum(waits.waited) <= 15
    server.retry_after = "3600"
    waits = Waits()
    with pytest.raises(EmbeddingDownError):
        _embedder(server, waits=waits).embed(TEXTS)
    assert waits.waited == []


def test_nobody_listens() -> None:
    with embedding_server() as gone:
        base_url = gone.base_url
    with pytest.raises(EmbeddingDownError, match="can't be reached"):
        _embedder(cast(EmbeddingServer, SimpleNamespace(base_url=base_url))).embed(TEXTS)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "API key"), (403, "API key"), (404, "the path"), (400, "refused"), (402, "quota")],
)
def test_a_refusal_is_final_and_says_what_to_do(server: EmbeddingServer, status: int, words: str) -> None:
    server.script = [status]
    waits = Waits()
    with pytest.raises(EmbeddingRefusedError, match=words) as caught:
        _embedder(server, waits=waits).embed(TEXTS)
    assert "geheim" not in caught.value.message
    assert "MALMOI_EMBEDDER" in caught.value.hint
    assert (len(server.requests), waits.waited) == (1, [])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("short", "19 vectors for 20"),
        ("nan", "no direction"),
        ("zeros", "no direction"),
        ("strings", "no list"),
        ("page", "no list"),
        ("indices", "no list"),
    ],
)
def test_nonsense_is_an_error_and_nothing_of_it_is_kept(server: EmbeddingServer, fault: str, words: str) -> None:
    server.script = [fault]
    cache = MemoryVectors()
    embedder = _embedder(server, cache, api_key=None)
    with pytest.raises(EmbeddingNonsenseError, match=words):
        embedder.embed(TEXTS)
    assert len(server.requests) == 1
    assert _is_unit(embedder.embed(TEXTS))
    assert len(server.requests) == 2


def test_vectors_of_another_length_are_an_error(server: EmbeddingServer) -> None:
    cache = MemoryVectors()
    embedder = _embedder(server, cache)
    embedder.embed(TEXTS[:10])
    server.script = ["longer vectors"]
    with pytest.raises(EmbeddingNonsenseError, match="17 dimensions, earlier ones had 16"):
        embedder.embed(TEXTS)
    # Whoever begins anew after another model took the name gets that one's vectors for all texts.
    server.dimension = 24
    assert _embedder(server, cache).embed(TEXTS).shape == (20, 24)
    assert _embedder(server, cache).embed(TEXTS).shape == (20, 24)


def test_questions_have_their_prefix_and_are_not_stored(server: EmbeddingServer) -> None:
    cache = MemoryVectors()
    embedder = _embedder(server, cache, query_prefix="질문: ", passage_prefix="문서: ")
    for _ in range(3):
        embedder.embed_queries(["재고는 어디에 있나요?"])
        embedder.embed(["재고는 창고에 있습니다."])
        embedder.embed_pairs([("재고는?", "창고에 있습니다."), ("입고는?", None)])
    passages = ["재고는 창고에 있습니다.", "재고는?\n창고에 있습니다.", "입고는?"]
    sent = ["질문: 재고는 어디에 있나요?", *(f"문서: {passage}" for passage in passages)]
    assert server.embedded == dict.fromkeys(sent, 1)
    assert embedder.fingerprint != _embedder(server, cache, query_prefix="질문: ").fingerprint
    _embedder(server, cache, query_prefix="질문: ").embed_queries(["재고는 어디에 있나요?"])
    assert server.embedded["질문: 재고는 어디에 있나요?"] == 2


def test_hangul_in_single_letters_is_sent_as_syllables(server: EmbeddingServer) -> None:
    embedder = _embedder(server)
    apart = unicodedata.normalize("NFD", TEXTS[0])
    assert (embedder.embed([apart]) == embedder.embed(TEXTS[:1])).all()
    assert server.embedded == {TEXTS[0]: 1}


def test_the_length_of_a_vector_is_asked_for_once(server: EmbeddingServer) -> None:
    cache = MemoryVectors()
    assert _embedder(server, cache).dimension == 16
    assert _embedder(server, cache).dimension == 16
    assert len(server.requests) == 1


def test_the_cache_on_sql(store: Store) -> None:
    cache = SqlVectorCache(store)
    rows = np.random.default_rng(1).normal(size=(1203, 8)).astype(np.float32)
    vectors = {text_key(f"{number}번"): row for number, row in enumerate(rows)}
    cache.put_many("하나", vectors)
    cache.put_many("둘", {text_key("0번"): rows[1]})
    cache.put_many("하나", {text_key("1번"): rows[0]})
    found = SqlVectorCache(store).get_many("하나", [*vectors, text_key("없음")])
    assert found.keys() == vectors.keys()
    assert (found[text_key("1202번")] == rows[1202]).all()
    assert (found[text_key("1번")] == rows[0]).all()
    assert cache.get_many("셋", list(vectors)) == {}
    assert cache.get_many("하나", []) == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from app.store.database import open_store
from app.store.vectors import SqlVectorCache
from retrieval.embedders.endpoint import EndpointEmbedder, EndpointModel

class Dying(SqlVectorCache):
    puts = 0
    def put_many(self, fingerprint, vectors):
        super().put_many(fingerprint, vectors)
        Dying.puts += 1
        if Dying.puts == 2:
            os.kill(os.getpid(), signal.SIGKILL)

cache = Dying(open_store(None, Path(sys.argv[1])))
embedder = EndpointEmbedder(EndpointModel(model="tiny", base_url=sys.argv[2]), cache)
embedder.embed([f"{number}번 작업자가 검수합니다." for number in range(500)])
"""


def test_a_killed_job_sends_no_text_twice(server: EmbeddingServer, tmp_path: Path) -> None:
    texts = [f"{number}번 작업자가 검수합니다." for number in range(500)]
    open_store(None, tmp_path).dispose()
    command = [sys.executable, "-c", KILLED, str(tmp_path), server.base_url]
    assert subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode == -signal.SIGKILL
    assert sum(server.embedded.values()) == 256
    store = open_store(None, tmp_path)
    vectors = _embedder(server, SqlVectorCache(store)).embed(texts)
    store.dispose()
    assert (server.embedded.total(), set(server.embedded.values())) == (500, {1})
    assert np.allclose(vectors, _embedder(server).embed(texts), atol=1e-6)
