"""Idempotency keys in the store: claimed before the work, answered in the transaction that creates, kept for 24 hours.

A claim without an answer is a request that still runs, or one whose process died before it created anything: after
``UNANSWERED_S`` it may be claimed again.

The official client sends no key and yet repeats a request whose answer it has not seen, counting its retries in a
header. Its requests are claimed under a name made of what they ask: a first one always anew (who asks twice wants two),
a retry finds the claim of the request that it repeats, for ``RETRIED_S``.
"""

from __future__ import annotations

import time

from app.services.context import IdempotencyClaim, Services
from app.store.queries import IntegrityError, find, remove
from app.store.tables import IdempotencyRow
from corpora.errors import InvalidInputError, UnavailableError

__all__ = [
    "KEPT_S",
    "RETRIED_S",
    "UNANSWERED_S",
    "IdempotencyMismatchError",
    "claim_key",
    "claim_retried",
    "forget_claim",
]

#: Seconds that an answer is kept.
KEPT_S = 24 * 3600.0
#: Seconds after which a claim without an answer is given up; creating takes less by far.
UNANSWERED_S = 60.0
#: Seconds in which a retry may follow its request: the client waits ten minutes for an answer, twice.
RETRIED_S = 1800.0
#: Seconds that a retry waits for the answer to the request that it repeats, and between two looks.
_IN_FLIGHT_S, _LOOK_S = 20.0, 0.1


class IdempotencyMismatchError(InvalidInputError):
    """This Idempotency-Key was used with another body; use a new key for a new request."""

    code = "idempotency_key_reused"
    status = 422


def claim_key(services: Services, claim: IdempotencyClaim, body_sha256: str, *, anew: bool = False) -> str | None:
    """The earlier answer for the key, or None when it is now this request's.

    Args:
        services: The opened services.
        claim: The key and where it was used.
        body_sha256: Hash of the request's body.
        anew: Whether an earlier claim of the key counts for nothing.

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
            if anew:
                remove(session, IdempotencyRow, IdempotencyRow.key == claim.key, IdempotencyRow.scope == claim.scope)
            row = IdempotencyRow(key=claim.key, scope=claim.scope, body_sha256=body_sha256, created_at=now)
            row.status, row.response = None, None
            session.add(row)
            session.flush()
            return None
    except IntegrityError:
        if anew:
            return claim_key(services, claim, body_sha256, anew=True)
        # Somebody was first: what they stored decides.
        return _earlier_answer(services, claim, body_sha256)


def claim_retried(services: Services, claim: IdempotencyClaim, retries: int) -> str | None:
    """The answer to the request that a client repeats without a key, or None when the request is now this one's.

    Args:
        services: The opened services.
        claim: A name made of everything that the request says.
        retries: How often the client has sent it before.

    Raises:
        UnavailableError: the request that is repeated is still running.
    """
    # The name holds the body, so that no two bodies share one.
    if retries == 0:
        return claim_key(services, claim, claim.key, anew=True)
    with services.store.write() as session:
        expired = IdempotencyRow.created_at < services.now() - RETRIED_S
        remove(session, IdempotencyRow, IdempotencyRow.key == claim.key, IdempotencyRow.scope == claim.scope, expired)
    give_up = time.monotonic() + _IN_FLIGHT_S
    while True:
        try:
            return claim_key(services, claim, claim.key)
        except UnavailableError:
            if time.monotonic() > give_up:
                raise
            time.sleep(_LOOK_S)


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
