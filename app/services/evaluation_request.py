"""What an evaluation is asked: the request, what is wrong with it, and its inputs fixed as the job keeps them.

Rows become an immutable file, models folders, the judge a name or the reason why there is none. Writes no job row.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.services.context import Services
from app.services.datasets import require_dataset
from app.services.evaluation_harness import BENCHMARKS, require_harness
from app.services.evaluation_scores import GROUPS
from app.services.exporting import export_file
from app.services.files import require_file
from app.services.generation import BudgetRequest
from app.services.generation_prices import check_money_limit
from app.services.labels import Identifier
from app.services.merged import origin_of
from app.services.models import ChatTarget, chat_target
from app.store.queries import count
from app.store.tables import SampleRow
from corpora.errors import InvalidInputError, NotFoundError
from generators.llm.settings import LANGCHAIN_PREFIX

__all__ = [
    "METRICS",
    "EvaluateParams",
    "EvaluationOptions",
    "EvaluationRequest",
    "ModelTarget",
    "judge_of",
    "metrics_of",
    "model_target",
    "resolve_evaluation",
    "same_template",
]

#: What a request may name; benchmarks only when named.
METRICS: tuple[str, ...] = (*GROUPS, *BENCHMARKS)
#: File of the template that a model was trained with, in its folder.
TEMPLATE = "chat_template.jinja"


class EvaluationOptions(BaseModel):
    """How an evaluation is made; what its job keeps as it was given."""

    model_config = ConfigDict(extra="forbid")
    base_model: Identifier
    model: Identifier
    metrics: Annotated[list[Literal[METRICS]], Field(min_length=1)] | None = Field(  # type: ignore[valid-type]
        None, description="Groups of figures; everything but the benchmarks `kobest` and `klue` when null."
    )
    max_rows: int | None = Field(200, ge=1, le=100_000, description="Rows to ask, drawn by the seed; null for all.")
    seed: int = Field(7, ge=0, le=2**31 - 1)
    max_tokens: int = Field(512, ge=1, le=32_768, description="Most tokens of an answer.")
    temperature: float = Field(0.0, ge=0, le=2, description="Of the answers that are scored; 0 is greedy.")
    batch_size: int = Field(8, ge=1, le=256, description="Prompts that are answered together.")
    speech_level: Literal["reference", "polite", "plain"] = Field(
        "reference", description="What answers must keep to; `reference` is the level of each reference answer."
    )
    repeats: int = Field(4, ge=0, le=20, description="Sampled answers to each repeated question.")
    repeat_rows: int = Field(20, ge=0, le=10_000, description="Questions that are repeated.")
    judge_check_rows: int = Field(
        10, ge=0, le=1000, description="Rows of which wrong answers are made, to measure the judge itself."
    )
    harness_limit: int | None = Field(None, ge=1, description="Most questions of each task of a benchmark.")
    budget: BudgetRequest = BudgetRequest()


class EvaluationRequest(EvaluationOptions):
    """The body of ``POST /v1/evaluations``."""

    dataset_id: Identifier | None = None
    file_id: Identifier | None = None
    split: Literal["test", "train", "all"] = Field("test", description="Side of the dataset; not for a file.")
    judge_model: Identifier | None = Field(None, description="The setting JUDGE_MODEL when null.")


class ModelTarget(BaseModel):
    """What is loaded for one side."""

    base: str
    adapter: str | None
    recipe: str
    template_of: str | None = None  # Folder of the adapter in whose template it is asked; None is its own.
    template: str | None = None  # Hash of the template that its folder brings; None where the recipe's is used.


class EvaluateParams(EvaluationOptions):
    """What the job row keeps: the request, resolved."""

    metrics: list[str]
    targets: dict[str, ModelTarget]  # By side.
    dataset_id: str | None
    file_id: str | None
    split: str | None  # None for a file.
    rows_sha256: str
    judge_model: str | None
    judge_absent: str | None  # Why there is no judge, where one was wanted.


def model_target(found: ChatTarget) -> ModelTarget:
    """One side, with the template that its adapter, or a merged folder, was trained with."""
    trained = found.adapter_path is not None or origin_of(Path(found.base_path))
    template = Path(found.adapter_path or found.base_path) / TEMPLATE
    return ModelTarget(
        base=found.base_path,
        adapter=found.adapter_path,
        recipe=found.recipe,
        template=sha256(template.read_bytes()).hexdigest() if trained and template.is_file() else None,
    )


def resolve_targets(services: Services, base_model: str, model: str) -> dict[str, ModelTarget]:
    """Both models; on one base they are asked in one template, the tuned model's.

    Raises:
        NotFoundError: there is no such model; ``param`` names the field.
    """
    found = {}
    for side, name, param in (("base", base_model, "base_model"), ("tuned", model, "model")):
        try:
            found[side] = model_target(chat_target(services, name))
        except NotFoundError as exc:
            exc.param = param
            raise
    return same_template(found["base"], found["tuned"])


def same_template(base: ModelTarget, tuned: ModelTarget) -> dict[str, ModelTarget]:
    """Both sides; a bare base is asked in the template of the model that was made of it: the prompts are the same.

    Raises:
        InvalidInputError: it is one model twice.
    """
    if (base.base, base.adapter) == (tuned.base, tuned.adapter):
        raise InvalidInputError("base_model and model are the same model.", param="model", code="same_model")
    if base.base == tuned.base and base.adapter is None:
        theirs = {"recipe": tuned.recipe, "template_of": tuned.adapter, "template": tuned.template}
        base = base.model_copy(update=theirs)
    return {"base": base, "tuned": tuned}


def _rows(services: Services, request: EvaluationRequest) -> tuple[str, str | None]:
    """The rows as an immutable file, and their split."""
    if (request.dataset_id is None) == (request.file_id is None):
        raise InvalidInputError(
            "Say what to evaluate on: either dataset_id or file_id.", param="dataset_id", code="rows_not_named"
        )
    if request.file_id is not None:
        with services.store.read() as session:
            return require_file(session, request.file_id).sha256, None
    assert request.dataset_id is not None
    with services.store.read() as session:
        require_dataset(session, request.dataset_id)
        own = (SampleRow.dataset_id == request.dataset_id, SampleRow.status == "accepted")
        sides = own if request.split == "all" else (*own, SampleRow.split == request.split)
        held, accepted = count(session, SampleRow, *sides), count(session, SampleRow, *own)
    if not held:
        raise InvalidInputError(
            f"Dataset '{request.dataset_id}' has no accepted sample in split '{request.split}' ({accepted} in all). "
            "Generate with heldout_fraction above 0, or give a file that training has not seen; split 'train' asks "
            "what the model has learnt by heart.",
            param="split",
            code="no_held_out_rows",
        )
    return export_file(services, request.dataset_id, request.split).sha256, request.split


def judge_of(services: Services, named: str | None, metrics: list[str]) -> tuple[str | None, str | None]:
    """The judge, or why there is none.

    Raises:
        InvalidInputError: a judge was named and there is no endpoint to ask it at.
    """
    settings = services.settings
    if "judge" not in metrics:
        return None, None
    judge = named or settings.judge_model
    if judge is None:
        return None, "심사 모델이 정해지지 않았습니다(judge_model 또는 MALMOI_JUDGE_MODEL)."
    if settings.model_base_url is None and not judge.startswith(LANGCHAIN_PREFIX):
        if named is not None:
            raise InvalidInputError(
                f"'{judge}' is to judge, and no endpoint is configured; set MALMOI_MODEL_BASE_URL, or leave out the "
                "metric 'judge'.",
                param="judge_model",
                code="no_model_endpoint",
            )
        return None, "심사 모델을 물어볼 주소가 없습니다(MALMOI_MODEL_BASE_URL)."
    return judge, None


def metrics_of(named: list[str] | None) -> list[str]:
    """The groups to measure, in their own order.

    Raises:
        MissingExtraError: a benchmark was named and the harness is not installed.
    """
    metrics = [name for name in METRICS if (name in named if named is not None else name in GROUPS)]
    if any(name in BENCHMARKS for name in metrics):
        require_harness()
    return metrics


def resolve_evaluation(services: Services, request: EvaluationRequest) -> EvaluateParams:
    """Check the request and fix its inputs.

    Raises:
        InvalidInputError: a field is wrong; ``param`` names it.
        NotFoundError: a model, the dataset or the file is not there.
        MissingExtraError: a benchmark was named and the harness is not installed.
    """
    targets = resolve_targets(services, request.base_model, request.model)
    metrics = metrics_of(request.metrics)
    judge, absent = judge_of(services, request.judge_model, metrics)
    check_money_limit(services.settings, request.budget.max_cost_usd, (judge,))
    rows, split = _rows(services, request)
    fixed: dict[str, Any] = {
        "metrics": metrics,
        "targets": {side: target.model_dump() for side, target in targets.items()},
        "split": split,
        "rows_sha256": rows,
        "judge_model": judge,
        "judge_absent": absent,
    }
    return EvaluateParams.model_validate(request.model_dump() | fixed)
