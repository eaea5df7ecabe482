"""The surface forms of questions by rule, and how one is filled: particles by sound, one form drawn by the seed.

A template is one surface form of one rule, named ``rule.number``; its share of a job is capped. ``filled`` puts
phrases in: for ``{x}`` the phrase, for ``{x|을/를}`` the phrase with the particle that fits its sound, for ``{when}``
the topic where the phrase needs one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from generators.particles import with_particle

__all__ = ["FORMS", "filled", "ordered_templates"]

FORMS: dict[str, tuple[str, ...]] = {
    "definition": (
        "{when}{x|이란/란} 무엇인가요?",
        "{when}{x|은/는} 무엇을 말하나요?",
        "{when}{x|이/가} 무엇인지 설명해 주세요.",
        "{when}{x|은/는} 무엇을 뜻하나요?",
    ),
    "use": (
        "{when}{x|은/는} 어디에 사용되나요?",
        "{when}{x|은/는} 무엇을 위해 사용하나요?",
        "{when}{x|을/를} 사용하는 목적은 무엇인가요?",
        "{when}{x|은/는} 어떤 용도로 쓰이나요?",
    ),
    "purpose_of": ("{when}{x}의 목적은 무엇인가요?", "{when}{x}의 목적을 설명해 주세요."),
    "capability": (
        "{when}{x|을/를} 사용하면 무엇을 할 수 있나요?",
        "{when}{x|으로/로} 무엇을 할 수 있나요?",
        "{when}{x|을/를} 사용하여 할 수 있는 일을 알려 주세요.",
    ),
    "purpose": (
        "{when}{x} 어떻게 해야 하나요?",
        "{when}{x} 무엇을 해야 하나요?",
        "{when}{x} 어떻게 하면 되나요?",
        "{when}{x} 어떻게 해야 하는지 알려 주세요.",
    ),
    "procedure": (
        "{when}{x} 어떤 단계를 거쳐야 하나요?",
        "{when}{x} 어떤 순서로 진행하나요?",
        "{when}{x} 어떻게 해야 하는지 단계별로 알려 주세요.",
        "{when}{x} 어떤 절차를 따라야 하나요?",
    ),
    "heading_방법": (
        "{when}{x|을/를} 알려 주세요.",
        "{when}{x|을/를} 단계별로 설명해 주세요.",
        "{when}{x|이/가} 궁금합니다. 순서대로 알려 주시겠어요?",
    ),
    "heading_작업": (
        "{when}{x} 절차를 단계별로 알려 주세요.",
        "{when}{x} 작업은 어떤 순서로 진행하나요?",
        "{when}{x} 방법을 순서대로 설명해 주세요.",
    ),
    "must_if": ("{when}{x} 어떻게 해야 하나요?", "{when}{x} 무엇을 해야 하나요?", "{when}{x} 어떤 조치를 해야 하나요?"),
    "happens_if": ("{when}{x} 어떻게 되나요?", "{when}{x} 어떤 일이 일어나나요?", "{when}{x} 무슨 일이 생기나요?"),
    "handled_if": ("{when}{x} 어떻게 처리하나요?", "{when}{x} 어떻게 하나요?", "{when}{x} 어떻게 대응하나요?"),
    "may_if": ("{when}{x} 무엇을 할 수 있나요?", "{when}{x} 어떤 작업을 할 수 있나요?"),
    "list": ("{when}{x}",),
    "field": (
        "{when}{x} 항목에는 무엇을 {verb}하나요?",
        "{when}{x} 항목에 무엇을 {verb}하는지 알려 주세요.",
        "{when}{x} 항목에 무엇을 {verb}해야 하나요?",
    ),
    "field_when": ("{when}{x} 항목은 언제 {asked}?", "{when}{x} 항목은 어떤 경우에 {asked}?"),
    "option": ("{when}{x} 옵션을 {value} 어떻게 되나요?", "{when}{x} 옵션을 {value} 어떤 점이 달라지나요?"),
    "cell": ("{when}{x}의 {column|을/를} 알려 주세요.", "{when}{x}의 {column|은/는} 무엇인가요?"),
    "section": ("{x}에 대해 설명해 주세요.", "{x}에 대해 알려 주세요.", "{x}에 관해 알고 싶습니다. 설명해 주시겠어요?"),
    "told": ("{when}{x|을/를} 알려 주세요.", "{when}{x|은/는} 어떻게 되나요?", "{when}{x|을/를} 설명해 주세요."),
}
_SLOT = re.compile(r"\{(\w+)(?:\|([^}]*))?\}")


def ordered_templates(rule: str, seed: int, key: str) -> list[str]:
    """Names of the rule's templates, in an order drawn from ``seed`` and ``key``."""

    def place(number: int) -> bytes:
        return hashlib.sha256(f"{seed}:{key}:{number}".encode()).digest()

    return [f"{rule}.{number}" for number in sorted(range(len(FORMS[rule])), key=place)]


def filled(template: str, phrases: Mapping[str, str]) -> str:
    """The question that a template makes of its phrases.

    Raises:
        KeyError: no such template, or a phrase that it needs is missing.
    """
    rule, _, number = template.rpartition(".")

    def fill(match: re.Match[str]) -> str:
        phrase = phrases[match[1]]
        return with_particle(phrase, match[2]) if match[2] else phrase

    return _SLOT.sub(fill, FORMS[rule][int(number)])
