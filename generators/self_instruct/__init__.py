r"""New instructions from seed tasks and the growing pool, after Self-Instruct (Wang et al., 2022) and Alpaca (2023).

``korean`` is the default: six human tasks and two that the job itself has made stand in the prompt (all human until
there are any), in shuffled order, and what comes is held to Korean rules. ``alpaca`` and ``bootstrap`` are the English
references with their published constants, parsers and filters; ``reference_curation`` gives the settings of curation
that go with them. Novelty against seeds and pool is the curator's. Every choice is a function of the slot's seed.

What breaks in Korean and is mended: the ASCII rule drops everything, three words are a whole question, particles hide
the blacklist's words, ``capitalize`` writes "WMS" small, and rouge-score's tokenizer sees no Hangul at all.

Example of a slot in the mode ``korean``::

    <예시>
    {"instruction": "다음 공지를 한 문장으로 요약해 주세요.", "input": "구립 도서관은 …", "output": "…"}
    …
    </예시>
    예시와 겹치지 않는 새 과제를 5개 만드십시오.

Answered by ``{"tasks": [{"instruction": "문의를 배송과 결제 가운데 하나로 분류하세요.", "input": "택배가 아직 안
왔어요.", "output": "배송"}, …]}``, the slot gives a candidate with the user turn "문의를 …\n\n택배가 아직 …" and the
answer "배송"; a task "설명해." becomes a candidate refused as ``instruction_too_short``. With ``variant: bootstrap``
the same slot asks for instructions (step ``instructions``), for their kinds (``classify``), and for up to five
instances of each (``instances.0`` …), label first where the task is classification.

This room must not know documents, the endpoint or the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from generators.base import PoolView, SlotPlan, SlotResult, Workspace
from generators.curation.settings import CurationSettings, Limits
from generators.self_instruct import alpaca, bootstrap, korean
from generators.self_instruct.examples import join_task, split_task
from generators.self_instruct.params import SelfInstructParams, requests_per_slot
from generators.self_instruct.slot import NAME, Slot

__all__ = [
    "SelfInstruct",
    "SelfInstructParams",
    "join_task",
    "reference_curation",
    "requests_per_slot",
    "split_task",
]

_RUNS = {
    ("korean", "batch"): korean.run_batch,
    ("korean", "bootstrap"): korean.run_bootstrap,
    ("alpaca", "batch"): alpaca.run,
    ("bootstrap", "batch"): bootstrap.run,
}


def reference_curation() -> CurationSettings:
    """Curation as both references do it: ROUGE-L of instructions over rouge-score's own tokens, above 0.7 refused.

    English is no fault, and no guard or speech level interferes; the semantic search is the caller's to leave out.
    """
    return CurationSettings(
        near_duplicate_threshold="0.7",
        tokenizer="english",
        guards=(),
        speech_level={"user": "any", "assistant": "any"},
        limits=Limits(min_hangul_share=0.0),
    )


class SelfInstruct:
    """The generator ``self_instruct``."""

    name = NAME
    needs_model = True
    both_sides = False

    def __init__(self, params: SelfInstructParams | None = None) -> None:
        self.params = params or SelfInstructParams()

    def sources(self, workspace: Workspace) -> Sequence[str | None]:  # noqa: ARG002 - part of the protocol
        """As many slots as the cap allows, about no document: there is no natural end."""
        return [None] * self.params.rounds

    async def run(self, plan: SlotPlan, workspace: Workspace, pool: PoolView) -> SlotResult:
        """Ask for new tasks beside examples drawn by the slot's seed, and check their form."""
        if workspace.model is None or not workspace.seed_tasks:
            raise ValueError("self_instruct needs a workspace with seed tasks and a model")
        slot = Slot(params=self.params, plan=plan, model=workspace.model, seeds=workspace.seed_tasks, pool=pool)
        return await _RUNS[self.params.mode, self.params.variant](slot)
