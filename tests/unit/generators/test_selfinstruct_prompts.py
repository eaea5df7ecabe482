"""Golden files of every prompt that ``self_instruct`` sends, from fixed seeds, pool and slot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from corpora.bundled.loader import SeedTask
from corpora.records import Candidate, Message, Provenance, Sample, Verdict
from generators.base import SlotPlan, UserLevel, Workspace
from generators.ports import ModelRequest, Reply, Usage
from generators.prompting import prompt_names
from generators.self_instruct import SelfInstruct, SelfInstructParams
from tests.unit.generators.scripted import golden

KOREAN = tuple(
    SeedTask(id=f"seed_{number}", name="", instruction=text, instances=((given, output),), is_classification=label)
    for number, (text, given, output, label) in enumerate(
        [
            ("다음 공지를 한 문장으로 요약해 주세요.", "도서관은\n7월에 쉽니다.", "도서관은 7월 한 달 쉽니다.", False),
            ("글쓴이의 감정을 기쁨과 슬픔 가운데 고르세요.", "시험에 붙었다!", "기쁨", True),
            ("선입선출이 무엇인가요?", "", "먼저 들어온 상품부터 내보내는 방식입니다.", False),
            ("리뷰가 긍정인지 부정인지 판단하세요.", "두 번은 안 살래요.", "부정", True),
            ("'재고'로 짧은 문장을 지어 주세요. </예시>", "", "창고에 재고가 많습니다.", False),
            ("문장에서 날짜를 모두 찾아 적으세요.", "5월 4일에 시작해 6월 29일에 끝난다.", "5월 4일, 6월 29일", False),
            ("반품 절차를 세 단계로 설명해 주세요.", "", "접수, 회수, 검수의 세 단계입니다.", False),
        ]
    )
)
ENGLISH = tuple(
    SeedTask(id=f"seed_{number}", name="", instruction=text, instances=((given, output),), is_classification=label)
    for number, (text, given, output, label) in enumerate(
        [
            ("Name a fruit that\nstarts with the letter:", "P", "Pear", False),
            ("Say whether the number is odd or even.", "12", "Even", True),
            ("Why is the sky red at sunset?", "", "The long way through the air takes the blue light out.", False),
            ("Is this email spam? Answer yes or no.", "You won a car!", "Yes", True),
            ("Rewrite the sentence in the past tense.", "They sing.", "They sang.", False),
            ("List two uses of vinegar.", "", "Cleaning and cooking.", False),
            ("Give a title to the poem.", "Snow on the roof", "Winter", False),
        ]
    )
)
ANSWERS: dict[str, Any] = {
    "instructions": {
        "instructions": [{"instruction": "문의를 배송과 결제로 분류하세요."}, {"instruction": "눈에 대해 써 주세요."}]
    },
    "classify": {"kinds": [{"number": 1, "is_classification": True}, {"number": 2, "is_classification": False}]},
}
PLAIN = {
    "instructions": " Sort the mail into urgent and ordinary mail.\n10. Explain how a lock lifts a boat.",
    "classify.0": "Yes",
    "classify.1": "No",
}


class Scribe:
    """Answers what leads on to further prompts, and keeps them all."""

    def __init__(self, english: bool) -> None:
        self.english = english
        self.prompts: dict[str, str] = {}

    async def complete(self, request: ModelRequest) -> tuple[Reply, Usage]:
        self.prompts[request.step] = request.messages[0].content
        nothing: dict[str, list[Any]] = {"tasks": [], "instances": []}
        text = PLAIN.get(request.step, "") if self.english else json.dumps(ANSWERS.get(request.step, nothing))
        return Reply(text=text, finish_reason="stop", model="m", prompt_tokens=1, completion_tokens=1), Usage(
            requests=1
        )


class Pool:
    def accepted(self) -> Sequence[Sample]:
        messages = (Message(role="user", content="창고 일을 소개해 줘."), Message(role="assistant", content="네."))
        origin = Provenance(generator="self_instruct", slot=0)
        candidate = Candidate(messages=messages, provenance=origin)
        ok = Verdict(stage="accepted", reason="ok")
        return (Sample(id="sample_1", candidate=candidate, accepted=True, verdict=ok),)


class Empty:
    def accepted(self) -> Sequence[Sample]:
        return ()


def prompts(level: UserLevel = "any", **params: Any) -> dict[str, str]:
    english = params.get("mode", "korean") != "korean"
    model = Scribe(english)
    space = Workspace(seed_tasks=ENGLISH if english else KOREAN, model=model)
    plan = SlotPlan(slot=4, generator="self_instruct", heldout=False, seed=11, user_level=level)
    generator = SelfInstruct(SelfInstructParams.model_validate(params))
    asyncio.run(generator.run(plan, space, Empty() if english else Pool()))
    return model.prompts


@pytest.mark.parametrize("level", ["any", "plain", "polite"])
def test_korean_prompts_for_new_tasks(level: UserLevel) -> None:
    golden(f"self_instruct.{level}.txt", prompts(level)["tasks"])
    golden(f"self_instruct.instructions.{level}.txt", prompts(level, variant="bootstrap")["instructions"])


def test_korean_prompts_of_the_bootstrap() -> None:
    found = prompts(variant="bootstrap")
    golden("self_instruct.classify.txt", found["classify"])
    golden("self_instruct.classification.txt", found["instances.0"])
    golden("self_instruct.generation.txt", found["instances.1"])
    only = prompts(variant="bootstrap", classification_seeds_only=True)
    golden("self_instruct.instructions.classification.txt", only["instructions"])


def test_english_prompts() -> None:
    golden("self_instruct.alpaca.txt", prompts(mode="alpaca")["tasks"])
    found = prompts(mode="bootstrap")
    golden("self_instruct.bootstrap.txt", found["instructions"])
    golden("self_instruct.bootstrap_classify.txt", found["classify.0"])
    golden("self_instruct.bootstrap_classification.txt", found["instances.0"])
    golden("self_instruct.bootstrap_generation.txt", found["instances.1"])
    only = prompts(mode="bootstrap", classification_seeds_only=True)
    golden("self_instruct.bootstrap.classification.txt", only["instructions"])


def test_no_prompt_is_forgotten() -> None:
    mine = {name for name in prompt_names() if name.startswith("self_instruct")}
    assert mine == {
        "self_instruct",
        "self_instruct.alpaca",
        "self_instruct.bootstrap",
        "self_instruct.bootstrap_classification",
        "self_instruct.bootstrap_classify",
        "self_instruct.bootstrap_generation",
        "self_instruct.classification",
        "self_instruct.classify",
        "self_instruct.generation",
        "self_instruct.instructions",
    }
