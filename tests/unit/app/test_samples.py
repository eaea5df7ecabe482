"""A sample comes out of the store as it went in."""

from __future__ import annotations

from app.store.samples import row_to_sample, sample_to_row
from corpora.records import Candidate, Message, Provenance, Sample, Verdict


def test_a_turn_keeps_its_weight() -> None:
    messages = (
        Message(role="user", content="피킹은?"),
        Message(role="assistant", content="모릅니다.", weight=0),
        Message(role="user", content="정말요?"),
        Message(role="assistant", content="꺼내는 일입니다."),
    )
    candidate = Candidate(messages=messages, provenance=Provenance(generator="imported", slot=0), group_id="group_1")
    sample = Sample(id="sample_1", candidate=candidate, accepted=True, verdict=Verdict(stage="accepted", reason="ok"))
    row = sample_to_row(sample, dataset_id="dataset_1", job_id="job_1", position=0, now=0.0)
    assert row.messages[1] == {"role": "assistant", "content": "모릅니다.", "weight": 0}
    assert "weight" not in row.messages[3]
    assert row_to_sample(row) == sample
