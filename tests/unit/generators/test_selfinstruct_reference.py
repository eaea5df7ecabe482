"""The English references: parsers and filters agree with the published ones on recorded replies, constants included.

The files' ``kept`` was written by the published functions run on the same replies.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rouge_score import rouge_scorer

from corpora.bundled.loader import SeedTask
from corpora.records import Candidate, Message, Provenance, Sample, Verdict
from generators.base import SlotPlan, SlotResult, Workspace
from generators.curation.curator import Curator
from generators.llm.errors import RequestFailedError
from generators.ports import ModelRequest, Reply, Usage
from generators.self_instruct import SelfInstruct, SelfInstructParams, reference_curation, requests_per_slot
from generators.self_instruct.alpaca import parse
from generators.self_instruct.bootstrap import is_classification, parse_instances, parse_instructions
from generators.self_instruct.filters import english_pair_fault
from generators.self_instruct.slot import weed

RECORDED = Path(__file__).parents[2] / "data" / "replies"
SEEDS = tuple(
    SeedTask(
        id=f"seed_{number:02}",
        name="",
        instruction=f"Explain  to a new clerk:\nwhat does shelf number {number} hold:",
        instances=(("", f"Shelf {number} holds jam.") if number % 2 else ("shelf list", f"Row {number}: jam."),),
        is_classification=number % 5 == 0,
    )
    for number in range(20)
)


def recorded(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return rows


Said = str | tuple[str, str] | Exception


class Script:
    """A model that answers by step, or always the same; an error in place of an answer is raised."""

    def __init__(self, say: Said | Callable[[str], Said]) -> None:
        self.say = say
        self.requests: dict[str, ModelRequest] = {}

    async def complete(self, request: ModelRequest) -> tuple[Reply, Usage]:
        self.requests[request.step] = request
        said = self.say(request.step) if callable(self.say) else self.say
        if isinstance(said, Exception):
            raise said
        text, finish = (said, "stop") if isinstance(said, str) else said
        reply = Reply(text=text, finish_reason=finish, model="m", prompt_tokens=2, completion_tokens=1)
        return reply, Usage(requests=1)

    def prompt(self, step: str) -> str:
        return self.requests[step].messages[0].content


class Pool:
    def __init__(self, *samples: Sample) -> None:
        self.samples = samples

    def accepted(self) -> Sequence[Sample]:
        return self.samples


def run(model: Script, params: SelfInstructParams, *, seed: int = 5) -> SlotResult:
    space = Workspace(seed_tasks=SEEDS, model=model)
    plan = SlotPlan(slot=3, generator="self_instruct", heldout=False, seed=seed)
    return asyncio.run(SelfInstruct(params).run(plan, space, Pool()))


@pytest.mark.parametrize("case", recorded("reference_alpaca"))
def test_alpacas_parser_keeps_what_the_published_one_keeps(case: dict[str, Any]) -> None:
    blocks = parse(case["text"], case["finish_reason"], 3)
    kept = [[b.instruction, b.input, b.output] for b in blocks if b.malformed is None and b.fault is None]
    assert kept == case["kept"]
    assert len(blocks) == sum(bool(piece.strip()) for piece in case["text"].split("###"))


def test_alpacas_filters_say_why_in_the_published_order() -> None:
    reasons = [
        block.fault.reason if block.fault else None
        for block in parse(recorded("reference_alpaca")[0]["text"], "stop", 3)
    ]
    assert reasons == [
        None,
        None,
        "not_for_text_model",
        "instruction_too_short",
        "write_a_program",
        "starts_with_punctuation",
        "starts_with_non_ascii",
        None,
    ]


@pytest.mark.parametrize("case", recorded("reference_instructions"))
def test_self_instructs_parser_keeps_what_the_published_one_keeps(case: dict[str, Any]) -> None:
    drafts = parse_instructions(case["text"], case["finish_reason"])
    assert [draft.instruction for draft in drafts or [] if draft.fault is None] == case["kept"]


@pytest.mark.parametrize("case", recorded("reference_instances"))
def test_self_instructs_post_filters_keep_what_the_published_ones_keep(case: dict[str, Any]) -> None:
    found = parse_instances(case["text"], case["finish_reason"], classification=case["classification"])
    whole = [(one.pair, english_pair_fault(one.pair)) for one in found if not one.cut]
    kept = [[pair.input, pair.output] for pair, fault in weed(whole, 100, "all") if fault is None]
    assert sorted(kept) == case["kept"]


@pytest.mark.parametrize(
    ("text", "yes"), [(" Yes", True), ("YES\n", True), ("yes", True), ("Yes.", False), ("", False)]
)
def test_only_a_bare_yes_is_classification(text: str, yes: bool) -> None:
    assert is_classification(text) is yes


def test_at_most_five_instances_stay_and_the_others_say_why() -> None:
    text = "\n".join(f"Example {n}\nNumber: {n}\nOutput: {n * n} is it" for n in range(1, 9))
    pairs = [(one.pair, None) for one in parse_instances(text, "stop", classification=False)]
    judged = weed(pairs, 5, "salt")
    assert [fault.reason for _, fault in judged if fault] == ["too_many_instances"] * 3
    assert judged == weed(pairs, 5, "salt")
    assert judged != weed(pairs, 5, "pepper")


def test_alpacas_request_has_the_published_constants_and_format() -> None:
    case = recorded("reference_alpaca")[0]
    model = Script(case["text"])
    result = run(model, SelfInstructParams(mode="alpaca"))
    request = model.requests["tasks"]
    assert (request.temperature, request.top_p, request.max_tokens, request.stop) == (1.0, 1.0, 3072, ("\n20", "20."))
    assert request.schema is None
    prompt = model.prompt("tasks")
    assert prompt.endswith("###\n4. Instruction:")
    assert prompt.count("###\n") == 4
    assert "1. Instruction: Explain to a new clerk: what does shelf number" in prompt
    assert "hold:\n" not in prompt
    assert ("1. Input:\n<noinput>\n1. Output:\nShelf" in prompt) or ("1. Input:\nshelf list\n1. Output:\nRow" in prompt)
    kept = [c for c in result.candidates if c.malformed is None and c.rejection is None]
    assert [(c.question, c.answer) for c in kept] == [
        (f"{instruction}\n\n{given}" if given else instruction, output) for instruction, given, output in case["kept"]
    ]
    assert len(result.candidates) == 8
    assert all(c.provenance.traits["mode"] == "alpaca" and len(c.provenance.seed_ids) == 3 for c in result.candidates)


def test_a_heading_that_a_chat_model_repeats_is_no_second_one() -> None:
    case = recorded("reference_alpaca")[0]
    for start in ("4. Instruction:", "###\n4. Instruction:", "\n4. Instruction:"):
        model = Script(start + case["text"])
        assert len([c for c in run(model, SelfInstructParams(mode="alpaca")).candidates if not c.rejection]) == 3


def test_a_cut_batch_loses_its_last_block_alone() -> None:
    case = recorded("reference_alpaca")[1]
    model = Script((case["text"], "length"))
    result = run(model, SelfInstructParams(mode="alpaca"))
    assert [c.malformed for c in result.candidates if c.malformed] == [
        "wrong_shape: no item 5 in three parts",
        "truncated_reply",
    ]
    assert len(result.candidates) == 4


def answers(step: str) -> str:
    """Two good instructions, the first classification, and one instruction that is dropped."""
    if step == "instructions":
        return " Sort the email into urgent and ordinary mail.\n10. Explain how a lock lifts a boat.\n11. Why?"
    if step.startswith("classify"):
        return " Yes" if step.endswith(".0") else " No"
    if step.endswith(".0"):
        return "Class label: Urgent\nEmail: The pump is broken.\nClass label: Ordinary\nEmail: See you on Monday."
    return "Output: The gate closes and water lifts the boat."


def test_the_bootstrap_asks_instructions_kinds_and_instances_with_the_published_constants() -> None:
    model = Script(answers)
    result = run(model, SelfInstructParams(mode="bootstrap"))
    assert sorted(model.requests) == ["classify.0", "classify.1", "instances.0", "instances.1", "instructions"]
    asked = {
        step: (r.temperature, r.top_p, r.max_tokens, r.presence_penalty, r.stop) for step, r in model.requests.items()
    }
    assert asked["instructions"] == (0.7, 0.5, 1024, 2.0, ("\n\n", "\n16", "16.", "16 ."))
    assert asked["classify.1"] == (0.0, 1.0, 3, 0.0, ("\n", "Task"))
    assert asked["instances.0"] == (0.0, 1.0, 300, 1.5, ("Example 6", "Task:"))
    assert asked["instances.1"] == (0.0, 1.0, 350, 1.5, ("Example 6", "Task:"))
    assert model.prompt("instructions").endswith("\n9.")
    assert "\n8. Explain to a new clerk: what does shelf number" in model.prompt("instructions")
    assert model.prompt("classify.0").endswith(
        "Task: Sort the email into urgent and ordinary mail.\nIs it classification?"
    )
    assert model.prompt("instances.1").endswith("Task: Explain how a lock lifts a boat.")
    kept = [(c.question, c.answer, c.provenance.traits["task_type"]) for c in result.candidates if not c.rejection]
    assert kept == [
        ("Sort the email into urgent and ordinary mail.\n\nEmail: The pump is broken.", "Urgent", "classification"),
        ("Sort the email into urgent and ordinary mail.\n\nEmail: See you on Monday.", "Ordinary", "classification"),
        ("Explain how a lock lifts a boat.", "The gate closes and water lifts the boat.", "generation"),
    ]
    assert [c.rejection.reason for c in result.candidates if c.rejection] == ["instruction_too_short"]
    assert result.usage == Usage(requests=5)


def test_the_prompts_show_as_many_worked_tasks_as_the_published_ones() -> None:
    model = Script(answers)
    run(model, SelfInstructParams(mode="bootstrap"))
    kinds = model.prompt("classify.0")
    assert (kinds.count("classification? Yes"), kinds.count("classification? No")) == (12, 19)
    assert model.prompt("instances.0").count("Task: ") == 16 + 1
    assert model.prompt("instances.1").count("Task: ") == 11 + 1


def test_a_request_that_fails_costs_one_instruction_and_a_cut_reply_all() -> None:
    model = Script(lambda step: RequestFailedError("no") if step == "instances.0" else answers(step))
    result = run(model, SelfInstructParams(mode="bootstrap"))
    reasons = [c.rejection.reason if c.rejection else None for c in result.candidates]
    assert reasons == ["no_instances", None, "instruction_too_short"]
    cut = run(Script(lambda step: (answers(step), "length")), SelfInstructParams(mode="bootstrap"))
    assert [c.malformed for c in cut.candidates] == ["truncated_reply"]
    failed = run(Script(RequestFailedError("no")), SelfInstructParams(mode="bootstrap"))
    assert (failed.failed, failed.candidates) == ("request_failed", ())


def test_only_classification_seeds_where_that_is_asked() -> None:
    model = Script(answers)
    run(model, SelfInstructParams(mode="bootstrap", classification_seeds_only=True))
    assert "classification tasks" in model.prompt("instructions")
    shown = [seed for seed in SEEDS if f"number {seed.id[-2:].lstrip('0') or 0} hold" in model.prompt("instructions")]
    assert len(shown) == 4
    assert all(seed.is_classification for seed in shown)


@pytest.mark.parametrize(
    "given",
    [
        {"mode": "alpaca", "tasks_per_request": 3},
        {"mode": "bootstrap", "variant": "bootstrap"},
        {"mode": "alpaca", "instances_per_task": 3},
        {"classification_seeds_only": True},
    ],
)
def test_what_a_mode_would_ignore_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="has no"):
        SelfInstructParams.model_validate(given)


def test_requests_of_a_slot() -> None:
    assert requests_per_slot(SelfInstructParams()) == 1
    assert requests_per_slot(SelfInstructParams(variant="bootstrap", tasks_per_request=4)) == 6
    assert requests_per_slot(SelfInstructParams(mode="bootstrap")) == 15


def test_reference_curation_refuses_exactly_what_rouge_score_calls_above_the_threshold() -> None:
    words = (
        "Explain how",
        "List",
        "the tides shape",
        "a rocky coast",
        "the old harbour",
        "in three steps",
        "for a child",
    )
    texts = [" ".join(some) + "." for size in (3, 4) for some in itertools.permutations(words, size)][::37]
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    curator = Curator(reference_curation(), None)
    kept: list[str] = []
    for number, text in enumerate(texts):
        messages = (Message(role="user", content=text), Message(role="assistant", content="The answer is water."))
        candidate = Candidate(messages=messages, provenance=Provenance(generator="self_instruct", slot=number))
        verdict = curator.judge(candidate)
        above = any(scorer.score(text, other)["rougeL"].fmeasure > 0.7 for other in kept)
        assert verdict.stage == ("near_duplicate" if above else "accepted"), text
        if not above:
            kept.append(text)
            accepted = Verdict(stage="accepted", reason="ok")
            curator.remember(Sample(id=f"s{number}", candidate=candidate, accepted=True, verdict=accepted))
    assert 3 < len(kept) < len(texts)
