"""Idempotency keys in the store: claimed before the work, answered in the transaction that creates, kept for 24 hours.

A claim without an answer is a request that still runs, or one whose process died before it created anything: after
``UNANSWERED_S`` it may be claimed again.
"""

from __future__ import annotations

from app.services.context import IdempotencyClaim, Services
from app.store.queries import IntegrityError, find, remove
from app.store.tables import IdempotencyRow
from corpora.errors import InvalidInputError, UnavailableError

__all__ = ["KEPT_S", "UNANSWERED_S", "IdempotencyMismatchError", "claim_key", "forget_claim"]

#: Seconds that an answer is kept.
KEPT_S = 24 * 3600.0
#: Seconds after which a claim without an answer is given up; creating takes less by far.
UNANSWERED_S = 60.0


class IdempotencyMismatchError(InvalidInputError):
    """This Idempotency-Key was used with another body; use a new key for a new request."""

    code = "idempotency_key_reused"
    status = 422


def claim_key(services: Services, claim: IdempotencyClaim, body_sha256: str) -> str | None:
    """The earlier answer for the key, or None when it is now this request's.

    Raises:
        IdempotencyMismatchError: the key was used with another body.
        UnavailableError: the first request with this key is still running.
    """
    now = services.now()
    try:
        with services.store.write(durable=True) as session:
            remove(session, IdempotencyRow, IdempotencyRow.created_at < now - KEPT_S)
            stale = (IdempotencyRow.response.is_(None), IdempotencyRow.created_at < now - UNANSWERED_S)
            remove(session, IdempotencyRow, *stale)
            row = IdempotencyRow(key=claim.key, scope=claim.scope, body_sha256=body_sha256, created_at=now)
            row.status, row.response = None, None
            session.add(row)
            session.flush()
            return None
    except IntegrityError:
        # Somebody was first: what they stored decides.
        return _earlier_answer(services, claim, body_sha256)


def _earlier_answer(services: Services, claim: IdempotencyClaim, body_sha256: str) -> str:
    """What the first request with this key was answered."""
    with services.store.read() as session:
        known = find(session, IdempotencyRow, IdempotencyRow.key == claim.key, IdempotencyRow.scope == claim.scope)
    if known is not None and known.body_sha256 != body_sha256:
        raise IdempotencyMismatchError(param="Idempotency-Key")
    if known is None or known.response is None:
        raise UnavailableError(
            "The first request with this Idempotency-Key is still running; try again.", code="idempotency_in_flight"
        )
    return known.response


def forget_claim(services: Services, claim: IdempotencyClaim) -> None:
    """Give up a claim whose request failed before it created anything, so that it may be tried again."""
    with services.store.write() as session:
        remove(
            session,
            IdempotencyRow,
            IdempotencyRow.key == claim.key,
            IdempotencyRow.scope == claim.scope,
            IdempotencyRow.response.is_(None),
        )
