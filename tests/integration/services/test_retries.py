"""The official client repeats requests without a key: a retry creates nothing twice, a second request does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.services import corpora, idempotency
from app.services.context import IdempotencyClaim, Services
from app.services.idempotency import claim_retried, forget_claim
from corpora.errors import UnavailableError

CLAIM = IdempotencyClaim(key="hash-of-key-and-body", scope="retry POST /v1/fine_tuning/jobs")


def create(services: Services) -> str:
    return str(corpora.create_corpus(replace(services, claim=CLAIM), "냉장")["id"])


def test_a_retry_is_given_the_first_answer(services: Services) -> None:
    assert claim_retried(services, CLAIM, 0) is None
    first = create(services)
    assert first in str(claim_retried(services, CLAIM, 1))
    assert first in str(claim_retried(services, CLAIM, 2))
    # Who asks anew wants a second one; a retry is then of that one.
    assert claim_retried(services, CLAIM, 0) is None
    second = create(services)
    assert second in str(claim_retried(services, CLAIM, 1))


def test_a_retry_of_a_request_that_never_arrived_creates(services: Services) -> None:
    assert claim_retried(services, CLAIM, 1) is None
    made = create(services)
    assert made in str(claim_retried(services, CLAIM, 2))


def test_a_retry_of_a_request_that_failed_creates(services: Services) -> None:
    assert claim_retried(services, CLAIM, 0) is None
    forget_claim(services, CLAIM)
    assert claim_retried(services, CLAIM, 1) is None


def test_a_retry_does_not_overtake_its_request(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "_IN_FLIGHT_S", 0.3)
    assert claim_retried(services, CLAIM, 0) is None
    with pytest.raises(UnavailableError):
        claim_retried(services, CLAIM, 1)


def test_a_retry_much_later_is_a_new_request(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    assert claim_retried(services, CLAIM, 0) is None
    create(services)
    now = services.now()
    monkeypatch.setattr(Services, "now", staticmethod(lambda: now + idempotency.RETRIED_S + 1))
    assert claim_retried(services, CLAIM, 1) is None
