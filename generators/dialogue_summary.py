"""A dialogue becomes a task: the user asks for its summary, or for a diary entry of one who took part.

A slot takes one dialogue, of a row (AI Hub or NIKL as imported, a chat) or of a passage that is one, and asks a model
for the text. Length, language, labels, level, copying, names, numbers and person are checked against the dialogue. The
user's turn is an instruction, drawn by the slot's seed, with the dialogue on the lines below (no blank line between:
what is compared with other samples is then both). Must not know the endpoint or the store.

The speech contract: the answer is a text that was ordered, as a letter would be, and no word of the assistant's own.
In 해라체, the default, it carries the trait ``speech_exempt`` and its level is checked here; in 합쇼체 it carries none.
The user's turn quotes people of every level, so the level asked of the user side is that of the instruction, which is
chosen to fit, and the trait ``user_level`` says ``any``.

Worked example: "P01: 내일 저녁에 뭐 해?", "P02: 별일 없어. 왜?", "P01: 영화 보러 갈래?", "P02: 좋아, 7시에 보자."
gives the user turn "다음 대화를 읽고 핵심 내용을 요약해 주세요." above these lines, and the answer "두 사람은 내일 저녁
7시에 만나 영화를 보기로 한다."; "P01은 …" is refused (speaker_label), "8시에" too (number_not_in_context).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from corpora.korean.speech import SpeechLevel
from corpora.records import Candidate, Message, Provenance, Span
from generators.ask_one import ask_one
from generators.asking import REPLY_FORM, prompt_request, unreadable
from generators.base import PoolView, SlotPlan, SlotResult, UserLevel, Workspace
from generators.dialogue_summary_rules import Bounds, summary_fault
from generators.dialogue_summary_text import Dialogue, of_chunk, of_item
from generators.fencing import fenced
from generators.grounding import SUSPECT
from generators.grounding_injection import suspects
from generators.llm.parsing import Malformed
from generators.prompting import Prompt, render
from generators.speech import EXEMPT, LEVEL

__all__ = ["DialogueSummary", "DialogueSummaryParams"]

#: Instructions by kind and the level of the user side; ``{writer}`` is whose diary it is.
_INSTRUCTIONS: dict[tuple[str, str], tuple[str, ...]] = {
    ("summary", "polite"): (
        "다음 대화를 읽고 핵심 내용을 요약해 주세요.",
        "아래 대화에서 오간 이야기를 짧게 정리해 주시겠어요?",
        "이 대화를 요약해 주세요. 결론이 드러나야 합니다.",
        "다음은 대화 기록입니다. 중요한 내용만 간추려 주십시오.",
    ),
    ("summary", "plain"): (
        "다음 대화를 읽고 핵심 내용을 요약해 줘.",
        "아래 대화에서 무슨 얘기가 오갔는지 짧게 정리해 줄래?",
        "이 대화 요약 좀 해 줘. 결론이 드러나야 해.",
        "다음은 대화 기록이야. 중요한 내용만 간추려 줘.",
    ),
    ("diary", "polite"): (
        "다음 대화를 바탕으로 {writer}의 입장에서 그날의 일기를 써 주세요.",
        "아래 대화를 나눈 사람 가운데 {writer}의 마음으로 그날 밤의 일기를 써 주시겠어요?",
        "다음 대화를 {writer}의 일기로 바꿔 써 주십시오.",
    ),
    ("diary", "plain"): (
        "다음 대화를 바탕으로 {writer}의 입장에서 그날의 일기를 써 줘.",
        "아래 대화를 나눈 사람 가운데 {writer}의 마음으로 그날 밤의 일기를 써 줄래?",
        "다음 대화를 {writer}의 일기로 바꿔 써 줘.",
    ),
}


class DialogueSummaryParams(BaseModel):
    """Parameters of ``dialogue_summary``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["summary", "diary"] = Field(default="summary", description="What is made of a dialogue.")
    level: Literal["haera", "hapsyo"] = Field(
        default="haera", description="Speech level of the text: written style (-다) or formal polite (-습니다)."
    )
    min_dialogue_chars: int = Field(default=80, ge=1, description="Shortest dialogue, speakers not counted.")
    max_dialogue_chars: int = Field(
        default=3500, ge=100, le=100_000, description="Longest dialogue: it stands in the user's turn whole."
    )
    min_chars: int = Field(default=20, ge=1, description="Shortest summary or diary entry in characters.")
    max_ratio: float = Field(
        default=0.5, gt=0, le=5, description="Longest one, as a share of what is said; a diary may have twice that."
    )
    max_copied_chars: int = Field(
        default=25, ge=5, description="Longest run taken from the dialogue letter by letter; blanks, marks apart."
    )
    temperature: float = Field(default=0.7, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(default=1024, ge=64, le=32768, description="Upper limit of one reply in tokens.")


class _Text(BaseModel):
    model_config = ConfigDict(strict=True)
    text: str = Field(min_length=1)


class DialogueSummary:
    """The generator ``dialogue_summary``."""

    name = "dialogue_summary"
    needs_model = True
    both_sides = True

    def __init__(self, params: DialogueSummaryParams | None = None) -> None:
        self.params = params or DialogueSummaryParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """Every row once, or every passage that is a dialogue where there are no rows."""
        items = workspace.items.get(self.name)
        if items is not None:
            return [item.id for item in items]
        return [chunk.id for chunk in workspace.chunks if of_chunk(chunk) is not None]

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:  # noqa: ARG002 - protocol
        """Ask for the text of one dialogue and check it."""
        if workspace.model is None:
            raise ValueError("dialogue_summary needs a workspace with a model")
        dialogue, origin = self._source(plan, workspace)
        fault = self._unfit(dialogue)
        if dialogue is None or fault is not None:
            return SlotResult(failed=fault)
        writer = _drawn(f"{plan.seed}:writer", dialogue.speakers) if self.params.kind == "diary" else None
        prompt = self._prompt(dialogue, writer)
        request = prompt_request(plan, "text", prompt, self.params)
        one = await ask_one(workspace.model, request, "texts", _Text)
        if one.failed is not None:
            return SlotResult(usage=one.usage, failed=one.failed)
        traits: dict[str, Any] = {"kind": self.params.kind, "level": self.params.level, "turns": len(dialogue.turns)}
        traits |= {LEVEL: "any", REPLY_FORM: one.form} | ({"writer": writer} if writer else {})
        if suspects(dialogue.text):
            traits[SUSPECT] = [plan.source]
        if self.params.level == "haera":
            traits[EXEMPT] = True
        origin = replace(origin, model=one.model, prompt=prompt.id, traits=traits)
        if isinstance(one.value, Malformed):
            return SlotResult(candidates=(unreadable(one.value, origin),), usage=one.usage)
        return SlotResult(candidates=(self._candidate(one.value.text, dialogue, plan, origin),), usage=one.usage)

    def _source(self, plan: SlotPlan, workspace: Workspace) -> tuple[Dialogue | None, Provenance]:
        """The slot's dialogue and where it stands."""
        item = workspace.item(self.name, plan.source)
        if item is not None:
            return of_item(item), Provenance(generator=self.name, slot=plan.slot, group=item.group or item.id)
        chunk = workspace.chunk(plan.source)
        if chunk is None:
            raise ValueError("dialogue_summary needs a workspace with the slot's row or chunk")
        origin = Provenance(
            generator=self.name,
            slot=plan.slot,
            document_id=chunk.document_id,
            chunk_ids=(chunk.id,),
            spans=(Span(document_id=chunk.document_id, start=chunk.start, end=chunk.end),),
        )
        return of_chunk(chunk), origin

    def _unfit(self, dialogue: Dialogue | None) -> str | None:
        """Why the slot can't run."""
        if dialogue is None:
            return "no_dialogue"
        if len(dialogue.said) < self.params.min_dialogue_chars:
            return "dialogue_too_short"
        return "dialogue_too_long" if len(dialogue.text) > self.params.max_dialogue_chars else None

    def _bounds(self) -> Bounds:
        ratio = self.params.max_ratio * (2 if self.params.kind == "diary" else 1)
        return Bounds(min_chars=self.params.min_chars, max_ratio=ratio, max_copied=self.params.max_copied_chars)

    def _prompt(self, dialogue: Dialogue, writer: str | None) -> Prompt:
        # Asked for less than is allowed: models count characters badly.
        longest = max(self.params.min_chars * 2, int(len(dialogue.said) * self._bounds().max_ratio * 0.8))
        return render(
            "dialogue_summary",
            kind=self.params.kind,
            dialogue=fenced(dialogue.text),
            level=self.params.level,
            writer=writer or "",
            named="" if dialogue.anonymous else "1",
            max_chars=str(longest),
        )

    def _candidate(self, text: str, dialogue: Dialogue, plan: SlotPlan, origin: Provenance) -> Candidate:
        writer = origin.traits.get("writer")
        instruction = _instruction(self.params.kind, plan.user_level, plan.seed).format(writer=writer)
        return Candidate(
            messages=(
                Message(role="user", content=f"{instruction}\n{dialogue.text}"),
                Message(role="assistant", content=text),
            ),
            provenance=origin,
            rejection=summary_fault(
                text, dialogue, self.params.kind, SpeechLevel(self.params.level), self._bounds(), writer
            ),
        )


def _instruction(kind: str, level: UserLevel, seed: int) -> str:
    """One of the instructions of that kind, at the level that the slot asks of its user side."""
    levels = ("polite", "plain") if level == "any" else (level,)
    return _drawn(f"{seed}:instruction", [text for one in levels for text in _INSTRUCTIONS[kind, one]])


def _drawn(salt: str, choices: Sequence[str]) -> str:
    """One of ``choices`` with equal chance, by hash: the same in every Python version."""
    return choices[int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big") % len(choices)]
