"""Parameters of ``self_instruct``, with the published constants of each mode. Knows no prompt and no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from generators.self_instruct.filters import BLOCKED_STEMS, MAX_INSTANCES

__all__ = ["Constants", "SelfInstructParams", "requests_per_slot"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Constants:
    """How one mode asks for new tasks, unless a request says otherwise."""

    human: int  #: Seed tasks in a prompt.
    machine: int  #: Tasks of the pool in a prompt.
    temperature: float  #: Sampling temperature.
    top_p: float  #: Nucleus of the sampling.
    max_tokens: int  #: Upper limit of the reply.


#: stanford_alpaca generate_instruction.py and self-instruct bootstrap_instructions.py; the Korean profile takes
#: Alpaca's sampling and Self-Instruct's mix of examples.
_CONSTANTS = {
    "korean": Constants(human=6, machine=2, temperature=1.0, top_p=1.0, max_tokens=3072),
    "alpaca": Constants(human=3, machine=0, temperature=1.0, top_p=1.0, max_tokens=3072),
    "bootstrap": Constants(human=6, machine=2, temperature=0.7, top_p=0.5, max_tokens=1024),
}
_KOREAN_ONLY = frozenset(
    {"variant", "tasks_per_request", "min_instruction_chars", "max_instruction_chars", "blocked_stems"}
)
_BOOTSTRAP_ONLY = frozenset({"classification_seeds_only", "instances_per_task"})
#: New instructions that a prompt of the reference can give: it shows 8 and stops at "16".
_BOOTSTRAP_TASKS = 7


class SelfInstructParams(BaseModel):
    """Parameters of ``self_instruct``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["korean", "alpaca", "bootstrap"] = Field(
        default="korean",
        description="korean, or the English reference of Alpaca or Self-Instruct with its published filters.",
    )
    variant: Literal["batch", "bootstrap"] = Field(
        default="batch",
        description="korean only: whole tasks in one request, or instructions, their kind, then their instances.",
    )
    seed_tasks: str = Field(
        default="builtin:all",
        description="Seed tasks: builtin:wms, builtin:general, builtin:all or the id of an uploaded file.",
    )
    tasks_per_request: int = Field(default=5, ge=1, le=16, description="korean only: tasks asked for in one request.")
    human_examples: int | None = Field(
        default=None, ge=1, le=16, description="Seed tasks in a prompt; by default 6, in the mode alpaca 3."
    )
    machine_examples: int | None = Field(
        default=None,
        ge=0,
        le=16,
        description="Tasks made by this job in a prompt, seeds until there are any; by default 2, in alpaca 0.",
    )
    classification_seeds_only: bool = Field(
        default=False, description="bootstrap only: show seed tasks of classification and ask for more of them."
    )
    instances_per_task: int = Field(
        default=MAX_INSTANCES, ge=1, le=MAX_INSTANCES, description="bootstrap only: instances kept of an instruction."
    )
    rounds: int = Field(
        default=200, ge=1, le=100_000, description="Upper limit of slots: this generator never ends by itself."
    )
    min_instruction_chars: int = Field(default=8, ge=1, description="korean only: shortest instruction in characters.")
    max_instruction_chars: int = Field(default=300, ge=1, description="korean only: longest instruction in characters.")
    blocked_stems: tuple[str, ...] = Field(
        default=BLOCKED_STEMS,
        description="korean only: an instruction that contains one of these (blanks removed) is refused.",
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature for new tasks; by default 1.0, in bootstrap 0.7."
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="Nucleus of the sampling for new tasks; by default 1.0, in bootstrap 0.5."
    )
    max_tokens: int | None = Field(
        default=None,
        ge=64,
        le=32768,
        description="Upper limit of a reply with new tasks in tokens; by default 3072, in bootstrap 1024.",
    )

    @property
    def bootstraps(self) -> bool:
        """Whether instructions come first and instances later."""
        return self.mode == "bootstrap" or self.variant == "bootstrap"

    @property
    def constants(self) -> Constants:
        """The mode's constants, with what the request says instead."""
        own = _CONSTANTS[self.mode]
        return Constants(
            human=own.human if self.human_examples is None else self.human_examples,
            machine=own.machine if self.machine_examples is None else self.machine_examples,
            temperature=own.temperature if self.temperature is None else self.temperature,
            top_p=own.top_p if self.top_p is None else self.top_p,
            max_tokens=own.max_tokens if self.max_tokens is None else self.max_tokens,
        )

    @model_validator(mode="after")
    def _nothing_ignored(self) -> SelfInstructParams:
        """Refuse what the mode would not look at."""
        ignored = (_KOREAN_ONLY if self.mode != "korean" else frozenset()) & self.model_fields_set
        if not self.bootstraps:
            ignored |= _BOOTSTRAP_ONLY & self.model_fields_set
        if ignored:
            way = f"mode '{self.mode}'" + (f", variant '{self.variant}'" if self.mode == "korean" else "")
            raise ValueError(f"{way} has no {', '.join(sorted(ignored))}")
        return self


def requests_per_slot(params: SelfInstructParams) -> int:
    """Requests of an ordinary slot: of a bootstrap one for instructions, then those for kinds and instances."""
    if params.mode == "bootstrap":
        return 1 + 2 * _BOOTSTRAP_TASKS
    return 2 + params.tasks_per_request if params.bootstraps else 1
