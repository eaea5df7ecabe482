"""The same question in plain speech, with the same polite answer: people ask curtly and are to be answered politely.

A slot takes one polite question and answer and proposes one candidate a level asked for: 해체 (``hae``), 해라체
(``haera``), noun phrases (``nominal``). Where the converter calls a change safe it is made by rule and costs nothing; a
model does the rest in one request. Every variant is classified again and must name what the original names. Only the
instruction changes: an input below a blank line, the system turn and the answer stay letter by letter. Variants share
``group_id`` with their original and are not compared with one another. Must not know the endpoint or the store.

Worked example: "피킹 리스트는 언제 출력하나요?" / "출고 지시를 확정한 뒤에 출력합니다." becomes by rule "피킹
리스트는 언제 출력해?" (hae); for nominal a model says "피킹 리스트 출력 시점은?". Both carry the answer as it is.
"고객님께서 취소하시면 어떻게 되나요?" is no case for a rule (honorifics): under ``method: rule`` it is refused as
``not_convertible``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpora.records import Candidate, Provenance
from generators.asking import Asked, ask_items, prompt_request, unreadable
from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.fencing import fenced
from generators.llm.parsing import Malformed
from generators.ports import ModelRequest, Usage
from generators.prompting import Prompt, render
from generators.speech import LEVEL
from generators.speech_variants_rules import Obstacles, VariantLevel, by_rule, refused, variant_fault
from generators.speech_variants_sources import PARENT, Original, choose, of_item, unfit

__all__ = ["SpeechVariants", "SpeechVariantsParams"]

#: Name of the rule in provenance, where a prompt's name would stand; bumped when the choice of the rule changes.
_RULE = "speech_variants.rule@v1"


class SpeechVariantsParams(BaseModel):
    """Parameters of ``speech_variants``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    levels: tuple[VariantLevel, ...] = Field(
        default=("hae", "haera"), min_length=1, max_length=3, description="Levels, one variant each."
    )
    method: Literal["rule", "model", "both"] = Field(
        default="both", description="rule: no model is asked; both: by rule where that is safe, else by the model."
    )
    pool_slots: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="Upper limit of slots on the job's own samples, where no source is given; empty ones cost nothing.",
    )
    temperature: float = Field(default=0.3, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(default=512, ge=64, le=32768, description="Upper limit of one reply in tokens.")

    @model_validator(mode="after")
    def _possible(self) -> SpeechVariantsParams:
        if len(set(self.levels)) < len(self.levels):
            raise ValueError("a level is named twice")
        if self.method == "rule" and "nominal" in self.levels:
            raise ValueError("there is no rule for nominal; use method 'both' or 'model'")
        return self


class _Variant(BaseModel):
    model_config = ConfigDict(strict=True)
    level: str
    question: str = Field(min_length=1)


class SpeechVariants:
    """The generator ``speech_variants``."""

    name = "speech_variants"
    both_sides = False

    def __init__(self, params: SpeechVariantsParams | None = None) -> None:
        self.params = params or SpeechVariantsParams()
        # By rule and by model: by rule alone where there is no model.
        self.needs_model = self.params.method == "model"

    def sources(self, workspace: Workspace) -> Sequence[str | None]:
        """Every row once; without rows as many slots as the cap allows, on what the job makes meanwhile."""
        items = workspace.items.get(self.name)
        return [None] * self.params.pool_slots if items is None else [item.id for item in items]

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Say one sample's question at each level."""
        if self.params.method == "model" and workspace.model is None:
            raise ValueError("speech_variants by model needs a workspace with a model")
        item = workspace.item(self.name, plan.source)
        original = choose(plan, pool, self.name) if item is None else of_item(item)
        fault = "nothing_to_vary" if original is None else unfit(original)
        if original is None or fault is not None:
            return SlotResult(failed=fault)
        writer = _Writer(plan.slot, self.name, original)
        made, reasons = self._by_rule(writer)
        missing = [level for level in self.params.levels if level not in made]
        usage, others = Usage(), list[Candidate]()
        if missing and workspace.model is not None and self.params.method != "rule":
            prompt = _prompt(writer.instruction, missing)
            asked = await ask_items(workspace.model, self._request(plan, prompt), "variants", _Variant)
            usage = asked.usage
            if asked.failed is None:
                said, others = _said(writer, asked, prompt, missing)
                made |= said
            elif not made:
                return SlotResult(usage=usage, failed=asked.failed)
            else:
                reasons |= {level: [{"ending": "", "reason": asked.failed}] for level in missing}
        for level in self.params.levels:
            if level not in made:
                verdict = refused("not_convertible", level=level, why=reasons[level])
                made[level] = replace(writer.candidate(level, writer.instruction, _RULE), rejection=verdict)
        return SlotResult(candidates=(*(made[level] for level in self.params.levels), *others), usage=usage)

    def _by_rule(
        self, writer: _Writer
    ) -> tuple[dict[VariantLevel, Candidate], dict[VariantLevel, list[dict[str, str]]]]:
        """Variants that a rule makes safely, and for the other levels what stands in the way."""
        made: dict[VariantLevel, Candidate] = {}
        reasons: dict[VariantLevel, Obstacles] = {}
        for level in self.params.levels if self.params.method != "model" else ():
            text, why = by_rule(writer.instruction, level)
            candidate = writer.candidate(level, text, _RULE) if text is not None else None
            if candidate is not None and candidate.rejection is None:
                made[level] = candidate
            else:
                verdict = candidate.rejection if candidate is not None else None
                reasons[level] = why if verdict is None else [{"ending": "", "reason": verdict.reason}]
        return made, reasons

    def _request(self, plan: SlotPlan, prompt: Prompt) -> ModelRequest:
        return prompt_request(plan, "variants", prompt, self.params)


class _Writer:
    """Makes candidates of one original."""

    def __init__(self, slot: int, generator: str, original: Original) -> None:
        self.original = original
        question = next(message.content for message in original.messages if message.role == "user")
        self.instruction, self._blank, self._input = question.partition("\n\n")
        self._slot, self._generator = slot, generator

    def origin(self, prompt: str, model: str | None = None, level: VariantLevel | None = None) -> Provenance:
        """Where the original came from, with this slot as the maker; the original's traits stand under ``of``."""
        known = self.original.origin
        traits: dict[str, Any] = {PARENT: self.original.id, "method": "rule" if prompt == _RULE else "model"}
        if level is not None:
            # Noun phrases are neither plain nor polite: the job's wish for the user side does not bind them.
            traits |= {"level": level, LEVEL: "any" if level == "nominal" else "plain"}
        if known is None:
            group = self.original.group_id
            return Provenance(
                generator=self._generator, slot=self._slot, model=model, prompt=prompt, group=group, traits=traits
            )
        traits |= {"of": {"generator": known.generator, **known.traits}}
        return replace(
            known,
            generator=self._generator,
            slot=self._slot,
            model=model,
            prompt=prompt,
            group=known.group or self.original.group_id,
            traits=traits,
            versions={},
        )

    def candidate(self, level: VariantLevel, instruction: str, prompt: str, model: str | None = None) -> Candidate:
        """The original with another instruction, judged by the gates."""
        told = instruction + self._blank + self._input
        messages = tuple(replace(m, content=told) if m.role == "user" else m for m in self.original.messages)
        return Candidate(
            messages=messages,
            provenance=self.origin(prompt, model, level),
            grounded=self.original.grounded,
            rejection=variant_fault(instruction, self.instruction, level),
            group_id=self.original.group_id,
        )


def _said(
    writer: _Writer, asked: Asked[_Variant], prompt: Prompt, wanted: Sequence[VariantLevel]
) -> tuple[dict[VariantLevel, Candidate], list[Candidate]]:
    """Of a reply: the variant of each level that was asked for, then everything that answers nothing."""
    made: dict[VariantLevel, Candidate] = {}
    others: list[Candidate] = []
    origin = asked.origin(writer.origin(prompt.id, asked.model))
    for item in asked.items:
        if isinstance(item, Malformed):
            others.append(unreadable(item, origin, grounded=writer.original.grounded))
            continue
        level = next((one for one in wanted if one == item.value.level and one not in made), None)
        if level is None:
            raw = json.dumps(item.value.model_dump(), ensure_ascii=False)
            fault = Malformed(reason=f"unexpected_level: {item.value.level}", raw=raw)
            others.append(unreadable(fault, origin, grounded=writer.original.grounded))
        else:
            candidate = writer.candidate(level, item.value.question, prompt.id, asked.model)
            made[level] = replace(candidate, provenance=asked.origin(candidate.provenance))
    for level in wanted:
        if level not in made:
            fault = Malformed(reason=f"level_missing: {level}", raw="")
            made[level] = unreadable(fault, origin, grounded=writer.original.grounded)
    return made, others


def _prompt(instruction: str, levels: Sequence[VariantLevel]) -> Prompt:
    asked = {level: "1" if level in levels else "" for level in ("hae", "haera", "nominal")}
    return render("speech_variants", question=fenced(instruction), **asked)
