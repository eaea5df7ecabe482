"""The weightless embedder: unit vectors, frozen statistics, a fingerprint of everything that matters."""

from __future__ import annotations

import json
import unicodedata

import numpy as np

from retrieval.embedders import HashedEmbedder
from retrieval.embedders.base import overlong
from retrieval.embedders.hashed import DIMENSION

TEXTS = ["입고 예정을 등록합니다.", "반품 상품을 검수합니다.", "피킹 지시를 확정합니다."]


def test_unit_vectors() -> None:
    vectors = HashedEmbedder.fit(TEXTS).embed([*TEXTS, "", "?!"])
    assert vectors.shape == (5, DIMENSION)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1)
    assert not vectors[3:].any()


def test_what_is_alike_lies_near() -> None:
    embedder = HashedEmbedder.fit(TEXTS)
    query, *rest = embedder.embed(["입고 예정은 어떻게 등록하나요?", *TEXTS])
    scores = [float(query @ other) for other in rest]
    assert scores.index(max(scores)) == 0


def test_state_goes_through_json_unchanged() -> None:
    embedder = HashedEmbedder.fit(TEXTS)
    again = HashedEmbedder.from_json(json.loads(json.dumps(embedder.to_json())))
    assert again.fingerprint == embedder.fingerprint
    assert (again.embed(TEXTS) == embedder.embed(TEXTS)).all()


def test_the_fingerprint_knows_the_statistics() -> None:
    assert HashedEmbedder.fit(TEXTS).fingerprint != HashedEmbedder.fit(TEXTS[:2]).fingerprint


def test_normalisation_does_not_matter() -> None:
    embedder = HashedEmbedder.fit(TEXTS)
    first, second = embedder.embed([TEXTS[0], unicodedata.normalize("NFD", TEXTS[0])])
    assert (first == second).all()


def test_a_question_is_embedded_as_a_passage_is() -> None:
    embedder = HashedEmbedder.fit(TEXTS)
    assert (embedder.embed_queries(TEXTS) == embedder.embed(TEXTS)).all()
    assert overlong(embedder, ["아주 긴 문서입니다. " * 10_000]) == []
