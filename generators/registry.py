"""``GENERATORS``: every generator by name, with the schema of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from generators.base import Generator
from generators.extractive_qa import ExtractiveQa, ExtractiveQaParams
from generators.rag_qa import RagQa, RagQaParams
from generators.self_instruct import SelfInstruct, SelfInstructParams

__all__ = ["GENERATORS", "GeneratorSpec"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorSpec:
    """A generator as it is offered."""

    name: str  #: As requests name it.
    description: str  #: What it makes, in one sentence.
    params: type[BaseModel]  #: Its parameters, frozen, unknown ones refused.
    build: Callable[[Any], Generator]  #: Makes it from its parameters.
    needs_model: bool  #: Whether it asks a language model.
    needs_corpus: bool  #: Whether it reads documents.


GENERATORS: dict[str, GeneratorSpec] = {
    "extractive_qa": GeneratorSpec(
        name="extractive_qa",
        description="Questions by rule, answers verbatim from the documents; needs no model, no key, no network.",
        params=ExtractiveQaParams,
        build=ExtractiveQa,
        needs_model=False,
        needs_corpus=True,
    ),
    "rag_qa": GeneratorSpec(
        name="rag_qa",
        description="Questions and answers on passages, by a language model, checked against the quotes they cite.",
        params=RagQaParams,
        build=RagQa,
        needs_model=True,
        needs_corpus=True,
    ),
    "self_instruct": GeneratorSpec(
        name="self_instruct",
        description="New instructions from seed tasks and a growing pool, by a language model.",
        params=SelfInstructParams,
        build=SelfInstruct,
        needs_model=True,
        needs_corpus=False,
    ),
}
