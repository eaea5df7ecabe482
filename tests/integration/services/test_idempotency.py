"""A key creates once: whatever dies in between, the object and its answer are stored together or not at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.services import corpora, idempotency
from app.services.context import IdempotencyClaim, Services
from app.services.idempotency import IdempotencyMismatchError, claim_key, forget_claim
from app.store.queries import count
from app.store.tables import CorpusRow
from corpora.errors import UnavailableError

CLAIM = IdempotencyClaim(key="k", scope="POST /v1/corpora")


def test_the_answer_is_stored_with_what_it_tells_of(services: Services) -> None:
    assert claim_key(services, CLAIM, "body") is None
    body = corpora.create_corpus(replace(services, claim=CLAIM), "냉장")
    # The process may die here: the answer is there already.
    stored = claim_key(services, CLAIM, "body")
    assert stored is not None
    assert json.loads(stored) == body
    with pytest.raises(IdempotencyMismatchError):
        claim_key(services, CLAIM, "other body")
    assert claim_key(services, IdempotencyClaim(key="k", scope="POST /v1/files"), "other body") is None


def test_a_claim_whose_process_died_is_free_after_a_minute(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    assert claim_key(services, CLAIM, "body") is None
    with pytest.raises(UnavailableError) as caught:
        claim_key(services, CLAIM, "body")
    assert caught.value.code == "idempotency_in_flight"
    now = services.now()
    monkeypatch.setattr(Services, "now", staticmethod(lambda: now + idempotency.UNANSWERED_S + 1))
    assert claim_key(services, CLAIM, "body") is None


def test_an_answer_is_kept_for_a_day(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    claim_key(services, CLAIM, "body")
    corpora.create_corpus(replace(services, claim=CLAIM), "냉장")
    now = services.now()
    monkeypatch.setattr(Services, "now", staticmethod(lambda: now + 23 * 3600))
    assert claim_key(services, CLAIM, "body") is not None
    monkeypatch.setattr(Services, "now", staticmethod(lambda: now + 25 * 3600))
    assert claim_key(services, CLAIM, "body") is None


def test_a_failed_request_gives_its_key_back(services: Services) -> None:
    claim_key(services, CLAIM, "body")
    forget_claim(services, CLAIM)
    assert claim_key(services, CLAIM, "body") is None
    corpora.create_corpus(replace(services, claim=CLAIM), "냉장")
    forget_claim(services, CLAIM)  # too late: it has created
    assert claim_key(services, CLAIM, "body") is not None
    with services.store.read() as session:
        assert count(session, CorpusRow) == 1
