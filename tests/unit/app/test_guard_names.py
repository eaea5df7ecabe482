"""The names of guards that requests and the command line take are those that there are."""

from __future__ import annotations

from typing import get_args

from app.cli.curation import GUARD_NAMES
from app.services.curation_request import CurationRequest, Guard
from retrieval.guards import GUARDS
from retrieval.near_duplicates import DEFAULT_GUARDS


def test_names_of_guards_are_in_step() -> None:
    assert set(GUARD_NAMES) == set(get_args(Guard)) == set(GUARDS)
    assert tuple(CurationRequest().guards) == DEFAULT_GUARDS
