"""Search in samples: what messages say is found on both databases, and nothing else is."""

from __future__ import annotations

import unicodedata

import pytest

from app.services import datasets
from app.services.context import Services
from tests.integration.services.exports import COUNT, DOCK, GUIDED, LABEL, TALK, Store, new_dataset, pair


@pytest.fixture
def made(services: Services) -> Store:
    return new_dataset(services)


#: Numbers of the samples that say it: 1 DOCK, 2 COUNT, 3 LABEL, 4 TALK, 5 GUIDED.
SEARCHES = {
    "도크": [1],
    "매주 월요일": [2],
    '"전량"을': [2],
    "셉니다.\n오전": [2],
    "100%": [3],
    "wms 라벨": [3],
    "송장이 없어요": [4],
    "창고 상담원": [5],
    "입니다": [1, 2, 3, 5],
    # Wildcards, JSON and SQL are text.
    "%": [3],
    "_": [],
    "도_": [],
    "role": [],
    "assistant": [],
    "\\n": [],
    "ub3c4": [],
    "'; --": [],
}


def test_search_finds_what_messages_say_and_nothing_else(made: Store) -> None:
    made.add(DOCK, COUNT, LABEL, TALK, GUIDED, ())
    new_dataset(made.services).add(DOCK)
    for text, found in SEARCHES.items():
        wanted = datasets.SampleFilter(status="accepted", text=text)
        rows, more = datasets.list_samples(made.services, made.dataset_id, wanted, None, 20, "asc")
        assert ([row["slot"] for row in rows], more) == (found, False), text


def test_search_takes_decomposed_hangul_and_pages(made: Store) -> None:
    made.add(*(pair(f"{n}번 도크는요?", "비어 있습니다.") for n in range(5)))
    wanted = datasets.SampleFilter(text=unicodedata.normalize("NFD", "도크는"))
    first, more = datasets.list_samples(made.services, made.dataset_id, wanted, None, 3, "asc")
    assert (len(first), more) == (3, True)
    rest, more = datasets.list_samples(made.services, made.dataset_id, wanted, first[-1]["id"], 3, "asc")
    assert (len(rest), more) == (2, False)
    assert {row["id"] for row in first + rest} == {f"sample_{made.dataset_id}_{n}" for n in range(1, 6)}
