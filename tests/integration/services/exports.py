"""A dataset to export: samples put into a real store without a job, and conversations to put there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from app.services import datasets
from app.services.context import Services
from app.services.exporting import Export, ExportFormat, ExportRequest, open_export
from app.store.queries import change
from app.store.samples import sample_to_row
from app.store.tables import DatasetRow
from corpora.records import Candidate, Message, Provenance, Role, Sample, Verdict

FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
LINES = ("messages", "alpaca", "sharegpt", "prompt_completion")
Turns = Sequence[tuple[str, str]]
OK = Verdict(stage="accepted", reason="ok")


def pair(question: str, answer: str) -> Turns:
    return (("user", question), ("assistant", answer))


DOCK = pair("도크가 뭔가요?", "차량이 짐을 내리는 자리입니다.")
COUNT = pair("실사는 언제 하나요?", '매주 월요일에 "전량"을 셉니다.\n오전 9시부터입니다.')
LABEL = pair("WMS 라벨은 누가 붙이나요?", "입고 담당자가 100% 붙입니다.")
TALK = (*pair("반품이 왔어요.", "송장을 확인해 주십시오."), *pair("송장이 없어요.", "품질 담당자에게 알리십시오."))
GUIDED = (("system", "당신은 창고 상담원입니다."), *pair("피킹 순서는요?", "로케이션 순서입니다."))


@dataclass
class Store:
    """A dataset to put samples into."""

    services: Services
    dataset_id: str
    slot: int = field(default=0)

    def add(self, *conversations: Turns, split: Any = "train", verdict: Verdict = OK, **origin: Any) -> None:
        """Samples and one version, as a job's commit would."""
        with self.services.store.write() as session:
            for turns in conversations:
                self.slot += 1
                provenance = Provenance(**{"generator": "extractive_qa", "slot": self.slot, **origin})
                messages = tuple(Message(role=cast(Role, role), content=content) for role, content in turns)
                sample = Sample(
                    id=f"sample_{self.dataset_id}_{self.slot}",
                    candidate=Candidate(messages=messages, provenance=provenance),
                    accepted=verdict is OK,
                    verdict=verdict,
                    split=split,
                )
                session.add(
                    sample_to_row(
                        sample, dataset_id=self.dataset_id, job_id=self.dataset_id, position=0, now=1_700_000_000
                    )
                )
            if verdict is OK:
                change(session, DatasetRow, DatasetRow.id == self.dataset_id, version=DatasetRow.version + 1)

    def export(self, name: ExportFormat = "messages", **asked: Any) -> Export:
        held = asked.pop("held", frozenset())
        return open_export(self.services, self.dataset_id, ExportRequest(format=name, **asked), held)

    def bytes(self, name: ExportFormat = "messages", **asked: Any) -> bytes:
        export = self.export(name, **asked)
        assert export.blocks is not None
        data = b"".join(export.blocks)
        assert export.length in (None, len(data))
        return data

    def rows(self, name: ExportFormat = "messages", **asked: Any) -> list[Any]:
        return [json.loads(line) for line in self.bytes(name, **asked).decode().split("\n")[:-1]]


def new_dataset(services: Services, name: str = "냉장 창고", corpus_id: str | None = None) -> Store:
    with services.store.write() as session:
        return Store(services, datasets.add_dataset(session, name, corpus_id, 1_700_000_000.0).id)
