"""Clusters of a dataset and the nearest samples of one: dropped repeats with the rows they repeat, in pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.services import similar
from app.services.context import Services
from corpora.errors import InvalidInputError, NotFoundError
from tests.integration.services.conftest import RunNext
from tests.integration.services.test_importing import row, samples, start

ANSWER = "담당자가 정해진 화면에서 처리합니다. 자세한 것은 매뉴얼을 보십시오."
QUESTIONS = (
    "입고 예정을 등록하는 화면은 어디입니까?",
    "출고 지시를 취소하는 사람은 누구입니까?",
    "입고 예정을 등록하는 화면이 어디인가요?",
    "반품 상자에 붙이는 라벨은 무엇입니까?",
    "입고 예정을 등록하는 화면 어디예요?",
    "출고 지시를 취소하는 사람이 누구인가요?",
)
DATA = "\n".join(
    [*(json.dumps(row(question, ANSWER), ensure_ascii=False) for question in QUESTIONS), "{broken"]
).encode()


@pytest.fixture
def dataset_id(services: Services, run_next: RunNext) -> str:
    body = start(services, DATA)
    run_next("import")
    return str(body["id"])


def numbers(found: list[dict[str, Any]], ids: list[str]) -> list[int]:
    return [ids.index(entry["sample_id"]) for entry in found]


def test_clusters_hold_what_was_dropped_and_what_it_repeats(services: Services, dataset_id: str) -> None:
    ids = [s["id"] for s in samples(services, dataset_id)]
    (first, second), more = similar.list_clusters(services, dataset_id, "0.7", None, 20)
    assert not more
    assert (numbers(first["members"], ids), numbers(second["members"], ids)) == ([0, 2, 4], [1, 5])
    assert (first["size"], first["representative"]) == (3, ids[0])
    assert [member["status"] for member in first["members"]] == ["accepted", "rejected", "rejected"]
    assert first["members"][1]["reason"] == "near_duplicate"
    assert first["members"][1]["question"] == QUESTIONS[2]
    for member in first["members"]:
        assert 0.7 < member["score"] <= 1
        assert member["nearest"] in set(ids) - {member["sample_id"]}


def test_clusters_come_in_pages(services: Services, dataset_id: str) -> None:
    whole, _ = similar.list_clusters(services, dataset_id, "0.7", None, 20)
    (first,), more = similar.list_clusters(services, dataset_id, "0.7", None, 1)
    assert (first, more) == (whole[0], True)
    assert similar.list_clusters(services, dataset_id, "0.7", first["id"], 1) == ([whole[1]], False)
    assert similar.list_clusters(services, dataset_id, "0.7", whole[1]["id"], 1) == ([], False)
    with pytest.raises(InvalidInputError, match="no cluster"):
        similar.list_clusters(services, dataset_id, "0.7", "cluster_none", 1)
    assert similar.list_clusters(services, dataset_id, "1", None, 20) == ([], False)


def test_the_nearest_samples_of_one(services: Services, dataset_id: str) -> None:
    found = samples(services, dataset_id)
    ids = [s["id"] for s in found]
    near = similar.nearest_samples(services, ids[2], 2)
    assert numbers(near, ids) == [0, 4]
    assert near[0]["score"] >= near[1]["score"] > 0.7
    # Whether anything is near or not, there is a nearest one.
    assert len(similar.nearest_samples(services, ids[3], 5)) == 5
    with pytest.raises(InvalidInputError, match="nothing to compare"):
        similar.nearest_samples(services, ids[6], 5)
    with pytest.raises(NotFoundError):
        similar.nearest_samples(services, "sample_none", 5)


def test_what_would_take_too_long_is_refused(
    services: Services, dataset_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(similar, "MAX_ROWS", 5)
        for ask in (
            lambda: similar.list_clusters(services, dataset_id, "0.7", None, 20),
            lambda: similar.nearest_samples(services, samples(services, dataset_id)[0]["id"], 5),
        ):
            with pytest.raises(InvalidInputError, match="6 samples") as caught:
                ask()
            assert caught.value.code == "dataset_too_large"
    monkeypatch.setattr(similar, "MAX_PAIRS", 2)
    with pytest.raises(InvalidInputError, match="2 pairs") as caught:
        similar.list_clusters(services, dataset_id, "0.7", None, 20)
    assert caught.value.code == "too_many_pairs"
