"""``GENERATORS``: every generator by name, with the schema of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from generators.base import Generator
from generators.conversation import Conversation, ConversationParams
from generators.dialogue_summary import DialogueSummary, DialogueSummaryParams
from generators.evolve import REQUESTS as EVOLVE_REQUESTS
from generators.evolve import Evolve, EvolveParams
from generators.extractive_qa import ExtractiveQa, ExtractiveQaParams
from generators.question_generation import QuestionGeneration, QuestionGenerationParams
from generators.rag_qa import RagQa
from generators.rag_qa_params import RagQaParams
from generators.self_instruct import SelfInstruct, SelfInstructParams, requests_per_slot
from generators.speech_variants import SpeechVariants, SpeechVariantsParams

__all__ = ["GENERATORS", "GeneratorSpec"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratorSpec:
    """A generator as it is offered."""

    name: str  #: As requests name it.
    description: str  #: What it makes, in one sentence.
    params: type[BaseModel]  #: Its parameters, frozen, unknown ones refused.
    build: Callable[[Any], Generator]  #: Makes it from its parameters.
    needs_model: bool  #: Whether it asks a language model; its parameters may make it do without.
    needs_corpus: bool  #: Whether it reads documents.
    takes_seeds: bool = False  #: Whether it starts from seed tasks.
    takes_source: bool = False  #: Whether it can work on rows of a file or on samples of a dataset instead.
    uses_pool: bool = False  #: Whether it can work on what the job itself has made.
    requests: Callable[[Any], int] = lambda _: 1  #: Requests of an ordinary slot where a model is there.
    with_source: Mapping[str, Any] = field(default_factory=dict)  #: Parameters that a source means, unless given.


GENERATORS: dict[str, GeneratorSpec] = {
    "extractive_qa": GeneratorSpec(
        name="extractive_qa",
        description="Questions by rule, answers verbatim from the documents; needs no model, no key, no network.",
        params=ExtractiveQaParams,
        build=ExtractiveQa,
        needs_model=False,
        needs_corpus=True,
        requests=lambda _: 0,
    ),
    "rag_qa": GeneratorSpec(
        name="rag_qa",
        description="A planned mix of questions and answers on passages, by a language model, held to its quotes.",
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
        takes_seeds=True,
        requests=requests_per_slot,
    ),
    "question_generation": GeneratorSpec(
        name="question_generation",
        description="Rows that teach a model to ask: a passage of the corpus or of a file, and a question it answers.",
        params=QuestionGenerationParams,
        build=QuestionGeneration,
        needs_model=True,
        needs_corpus=False,
        takes_source=True,
        with_source={"passages": "source"},
    ),
    "conversation": GeneratorSpec(
        name="conversation",
        description="Conversations of several turns on passages, by a language model, every answer with its quotes.",
        params=ConversationParams,
        build=Conversation,
        needs_model=True,
        needs_corpus=True,
    ),
    "evolve": GeneratorSpec(
        name="evolve",
        description="Harder and rarer tasks out of given ones, step by step, by a language model that checks each.",
        params=EvolveParams,
        build=Evolve,
        needs_model=True,
        needs_corpus=False,
        takes_seeds=True,
        takes_source=True,
        uses_pool=True,
        requests=lambda _: EVOLVE_REQUESTS,
    ),
    "speech_variants": GeneratorSpec(
        name="speech_variants",
        description="The same question in plain speech with the same polite answer, by rule or by a language model.",
        params=SpeechVariantsParams,
        build=SpeechVariants,
        needs_model=True,
        needs_corpus=False,
        takes_source=True,
        uses_pool=True,
        # The model is asked for what no rule can say: at most this.
        requests=lambda params: int(params.method != "rule"),
    ),
    "dialogue_summary": GeneratorSpec(
        name="dialogue_summary",
        description="Summaries or diary entries of dialogues, by a language model, held to what was said.",
        params=DialogueSummaryParams,
        build=DialogueSummary,
        needs_model=True,
        needs_corpus=False,
        takes_source=True,
    ),
}
