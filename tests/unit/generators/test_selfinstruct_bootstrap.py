"""The Korean bootstrap: instructions, kinds in one request, instances label first or material first."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from corpora.bundled.loader import SeedTask, seed_tasks
from corpora.records import Candidate, Sample
from generators.base import SlotPlan, SlotResult, UserLevel, Workspace
from generators.curation.curator import Curator
from generators.curation.settings import CurationSettings
from generators.llm.errors import ContextTooSmallError, EndpointDownError, RequestFailedError
from generators.ports import ModelRequest, Reply, Usage
from generators.self_instruct import SelfInstruct, SelfInstructParams

SEEDS = tuple(seed_tasks("all"))
PARAMS = SelfInstructParams(variant="bootstrap", tasks_per_request=3)
SORT, EXPLAIN = "문의를 배송, 결제 가운데 하나로 분류하세요.", "창고 온도를 기록하는 까닭을 설명해 주세요."
ANSWERS: dict[str, Any] = {
    "instructions": {"instructions": [{"instruction": text} for text in (SORT, "설명해.", EXPLAIN)]},
    "classify": {"kinds": [{"number": 1, "is_classification": True}, {"number": 2, "is_classification": False}]},
    "instances.0": {
        "instances": [
            {"label": "배송", "input": "택배가 아직 안 왔어요."},
            {"label": "결제", "input": "카드가 두 번 긁혔어요."},
        ]
    },
    "instances.1": {"instances": [{"input": "", "output": "온도가 벗어난 시각을 알아야 상품을 가려낼 수 있습니다."}]},
}


class Script:
    """A model that answers by step from ``ANSWERS``, changed by ``changes``; an error is raised."""

    def __init__(self, **changes: Any) -> None:
        self.answers = {**ANSWERS, **{name.replace("__", "."): value for name, value in changes.items()}}
        self.requests: dict[str, ModelRequest] = {}
        self.ended: list[str] = []

    async def complete(self, request: ModelRequest) -> tuple[Reply, Usage]:
        self.requests[request.step] = request
        await asyncio.sleep(0)
        said = self.answers[request.step]
        if isinstance(said, Exception):
            raise said
        await asyncio.sleep(0)
        self.ended.append(request.step)
        text = json.dumps(said, ensure_ascii=False)
        return Reply(text=text, finish_reason="stop", model="m", prompt_tokens=2, completion_tokens=1), Usage(
            requests=1
        )

    def prompt(self, step: str) -> str:
        return self.requests[step].messages[0].content


class Pool:
    def accepted(self) -> Sequence[Sample]:
        return ()


def run(model: Script, *, level: UserLevel = "any", slot: int = 3, seeds: tuple[SeedTask, ...] = SEEDS) -> SlotResult:
    space = Workspace(seed_tasks=seeds, model=model)
    plan = SlotPlan(slot=slot, generator="self_instruct", heldout=False, seed=5, user_level=level)
    return asyncio.run(SelfInstruct(PARAMS).run(plan, space, Pool()))


def reasons(candidates: Sequence[Candidate]) -> Counter[str]:
    return Counter(c.rejection.reason if c.rejection else c.malformed or "kept" for c in candidates)


def test_each_instruction_gets_the_instances_of_its_kind() -> None:
    model = Script()
    result = run(model)
    kept = [(c.question, c.answer, c.provenance.traits["task_type"]) for c in result.candidates if not c.rejection]
    assert kept == [
        (f"{SORT}\n\n택배가 아직 안 왔어요.", "배송", "classification"),
        (f"{SORT}\n\n카드가 두 번 긁혔어요.", "결제", "classification"),
        (EXPLAIN, "온도가 벗어난 시각을 알아야 상품을 가려낼 수 있습니다.", "generation"),
    ]
    assert reasons(result.candidates) == {"kept": 3, "instruction_too_short": 1}
    assert result.usage == Usage(requests=4)
    assert set(model.requests) == set(ANSWERS)
    schema = model.requests["instances.0"].schema
    assert schema is not None
    assert list(schema["properties"]["instances"]["items"]["properties"]) == ["label", "input"]
    assert "설명해." not in model.prompt("classify").split("<질문>")[1]


def test_a_candidate_tells_how_it_was_made() -> None:
    last = run(Script()).candidates[-1].provenance
    assert last.prompt is not None
    assert last.prompt.startswith("self_instruct.generation@v1#")
    assert last.traits["asked_by"].startswith("self_instruct.instructions@v1#")
    assert (last.traits["mode"], last.traits["reply_form"]) == ("korean_bootstrap", "strict")
    assert len(last.seed_ids) == 8


def test_seeds_of_the_same_kind_stand_beside_an_instruction() -> None:
    model = Script()
    run(model)
    labels = {seed.instruction for seed in SEEDS if seed.is_classification}
    for step, kind in (("instances.0", True), ("instances.1", False)):
        block = model.prompt(step).split("<예시>\n")[1].split("\n</예시>")[0]
        shown = [json.loads(line) for line in block.splitlines()]
        assert len(shown) == 4
        assert all((example["instruction"] in labels) is kind for example in shown)


def test_without_seeds_of_both_kinds_no_examples_of_kinds_are_shown() -> None:
    model = Script()
    run(model, seeds=tuple(seed for seed in SEEDS if not seed.is_classification))
    assert "<예시>" not in model.prompt("classify")
    assert "<예시>" not in model.prompt("instances.0")
    assert "<예시>" in model.prompt("instances.1")


@pytest.mark.parametrize(
    "kinds",
    [
        [{"number": 2, "is_classification": False}],
        [{"number": 1, "is_classification": True}, {"number": 1, "is_classification": False}],
        [{"number": 9, "is_classification": True}],
        [],
    ],
)
def test_an_instruction_of_unknown_kind_is_no_classification(kinds: list[dict[str, Any]]) -> None:
    model = Script(classify={"kinds": kinds}, instances__0=ANSWERS["instances.1"])
    result = run(model)
    first = next(c for c in result.candidates if c.question == SORT)
    assert (first.provenance.traits["task_type"], first.provenance.traits["kind_known"]) == ("generation", False)


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        ([("배송", "같은 자료"), ("결제", "같은 자료")], {"contradicting_outputs": 2}),
        ([("배송", "자료"), ("배송", "자료")], {"kept": 1, "repeated_instance": 1}),
        ([("배송", "없음"), ("", "자료"), ("배송:", "자료"), ("자료", "자료")],
         {"placeholder_input": 1, "empty_output": 1, "output_unfinished": 1, "output_repeats_task": 1}),
        ([("배송", f"자료 {n}") for n in range(7)], {"kept": 5, "too_many_instances": 2}),
        ([], {"no_instances": 1}),
    ],
)  # fmt: skip
def test_instances_are_held_to_the_published_post_filters(
    instances: list[tuple[str, str]], expected: dict[str, int]
) -> None:
    said = {"instances": [{"label": label, "input": text} for label, text in instances]}
    found = run(Script(instances__0=said)).candidates
    assert reasons([c for c in found if c.question.startswith(SORT)]) == expected


@pytest.mark.parametrize("error", [RequestFailedError("no"), ContextTooSmallError("no")])
def test_what_fails_for_one_instruction_leaves_the_others(error: Exception) -> None:
    result = run(Script(instances__0=error))
    assert result.failed is None
    assert reasons(result.candidates) == {"kept": 1, "instruction_too_short": 1, "no_instances": 1}
    assert run(Script(instructions=error)).failed is not None
    # Without kinds every instruction is asked for as no classification.
    result = run(Script(classify=error, instances__0=ANSWERS["instances.1"]))
    assert reasons(result.candidates) == {"kept": 2, "instruction_too_short": 1}


def test_an_endpoint_that_is_down_ends_the_job_after_what_was_sent_has_arrived() -> None:
    model = Script(instances__0=EndpointDownError("down"))
    with pytest.raises(EndpointDownError):
        run(model)
    assert "instances.1" in model.ended


def test_a_shown_task_word_for_word_gets_no_requests() -> None:
    model = Script()
    run(model)
    line = model.prompt("instructions").split("<예시>\n")[1].splitlines()[0]
    said = {"instructions": [json.loads(line), {"instruction": SORT}, {"instruction": SORT}]}
    model = Script(instructions=said, classify={"kinds": [{"number": 1, "is_classification": True}]})
    result = run(model)
    assert reasons(result.candidates) == {"kept": 2, "repeats_shown_task": 2}
    assert "instances.1" not in model.requests


def test_the_level_of_the_slot_is_asked_for() -> None:
    assert "반말로" in _instructions_prompt("plain")
    assert "존댓말로 쓰십시오" in _instructions_prompt("polite")
    assert "반말로" not in _instructions_prompt("any")


def _instructions_prompt(level: UserLevel) -> str:
    model = Script()
    run(model, level=level)
    return model.prompt("instructions")


def test_instances_of_one_instruction_are_no_duplicates_of_one_another_but_of_others() -> None:
    curator = Curator(CurationSettings(), None)
    stages = []
    for number, candidate in enumerate([*run(Script()).candidates, *run(Script(), slot=4).candidates]):
        verdict = curator.judge(candidate)
        stages.append(verdict.stage)
        if verdict.stage == "accepted":
            sample = Sample(id=f"sample_{number}", candidate=candidate, accepted=True, verdict=verdict)
            curator.remember(sample)
    assert Counter(stages[:4]) == {"accepted": 3, "filter": 1}
    assert Counter(stages[4:]) == {"near_duplicate": 3, "filter": 1}


def test_the_curator_can_read_every_candidate() -> None:
    """One without an answer too: an instruction that never got an instance."""
    curator = Curator(CurationSettings(), None)
    for candidate in run(Script(instances__1=RequestFailedError("no"))).candidates:
        verdict = curator.judge(curator.clean(candidate))
        assert (verdict.stage == "accepted") is (candidate.rejection is None), verdict
        assert isinstance(curator.flags(candidate), dict)
