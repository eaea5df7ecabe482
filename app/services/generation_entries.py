"""The entries of ``generators`` in a generation request: checked, filled up, described for ``GET /v1/generators``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.services.faults import invalid_body
from app.settings import Settings
from corpora.bundled import SEED_SETS
from corpora.errors import InvalidInputError
from generators.base import Generator
from generators.llm.settings import LANGCHAIN_PREFIX
from generators.prompting import prompt_id, prompt_names, prompt_source
from generators.registry import GENERATORS, GeneratorSpec

__all__ = ["build_generator", "is_reference", "list_generators", "resolve_entries"]

#: Names of seed tasks that an entry may give.
_SEEDS = sorted({"builtin:all", *(f"builtin:{name}" for name in SEED_SETS)})


class EntryRequest(BaseModel):
    """What every entry may hold beside its generator's own parameters."""

    model_config = ConfigDict(strict=True)
    weight: int = Field(1, ge=1, le=1000, description="Share of the slots among the job's generators.")
    seed_tasks: str = Field(
        "builtin:all",
        json_schema_extra={"examples": [*_SEEDS]},
        description=f"Seed tasks: {', '.join(_SEEDS)}, or the id of an uploaded file of them.",
    )
    source: str | None = Field(
        None,
        pattern=r"^(file-|dataset_)[A-Za-z0-9]+$",
        description="Id of an uploaded file or of a dataset to work on, for a generator that takes one.",
    )


def resolve_entries(
    settings: Settings, given: list[dict[str, Any]] | None, *, corpus_id: str | None, model: str | None
) -> list[dict[str, Any]]:
    """Entries with type, weight, seed_tasks and the generator's own parameters, checked.

    Args:
        settings: Whether there is a model endpoint; it also decides the default generator.
        given: The request's entries, or None for the default.
        corpus_id: The request's corpus, where there is one.
        model: The request's model, where it names one.

    Raises:
        InvalidInputError: an entry is wrong; ``param`` names its field.
    """
    default = "rag_qa" if settings.model_base_url else "extractive_qa"
    resolved: list[dict[str, Any]] = []
    for position, entry in enumerate(given or [{"type": default}]):
        where = f"generators.{position}"
        name = entry.get("type")
        spec = GENERATORS.get(str(name))
        if spec is None:
            known = ", ".join(GENERATORS)
            raise InvalidInputError(
                f"There is no generator '{name}'; there are: {known}.", param=f"{where}.type", code="unknown_generator"
            )
        if any(spec.name == other["type"] for other in resolved):
            raise InvalidInputError(
                f"Generator '{spec.name}' is named twice; give it once, with the weight of both.", param=f"{where}.type"
            )
        if spec.needs_corpus and corpus_id is None:
            raise InvalidInputError(f"Generator '{spec.name}' needs a corpus; give corpus_id.", param="corpus_id")
        checked = _check_entry(entry, spec, where)
        if spec.takes_source and not (spec.takes_seeds or spec.uses_pool or corpus_id or checked.get("source")):
            raise InvalidInputError(
                f"Generator '{spec.name}' needs something to work on; give corpus_id, or the entry's source.",
                param=f"{where}.source",
            )
        if build_generator(checked).needs_model:
            _check_model(settings, model, spec, where)
        resolved.append(checked)
    if is_reference(resolved) and len(resolved) > 1:
        raise InvalidInputError(
            "The English reference modes of 'self_instruct' are curated as they were published, in English; give them "
            "a job of their own.",
            param="generators",
        )
    return resolved


def is_reference(entries: Iterable[dict[str, Any]]) -> bool:
    """Whether one of the checked entries reproduces a published method in English."""
    return any(entry["type"] == "self_instruct" and entry.get("mode", "korean") != "korean" for entry in entries)


def build_generator(entry: dict[str, Any]) -> Generator:
    """The generator of a checked entry."""
    spec = GENERATORS[entry["type"]]
    own = {key: value for key, value in entry.items() if key != "type" and key not in EntryRequest.model_fields}
    return spec.build(spec.params.model_validate(own))


def _check_model(settings: Settings, model: str | None, spec: GeneratorSpec, where: str) -> None:
    named = model or settings.model
    if settings.model_base_url is None and not (named or "").startswith(LANGCHAIN_PREFIX):
        raise InvalidInputError(
            f"Generator '{spec.name}' asks a language model, and no endpoint is configured; set MALMOI_MODEL_BASE_URL, "
            "or use 'extractive_qa', which needs none.",
            param=f"{where}.type",
            code="no_model_endpoint",
        )
    if named is None:
        raise InvalidInputError("No model is named; give 'model' or set MALMOI_MODEL.", param="model")


def _check_entry(given: dict[str, Any], spec: GeneratorSpec, where: str) -> dict[str, Any]:
    shared = {key: value for key, value in given.items() if key in EntryRequest.model_fields and value is not None}
    own = {key: value for key, value in given.items() if key != "type" and key not in EntryRequest.model_fields}
    try:
        checked = EntryRequest.model_validate(shared)
        spec.params.model_validate(own)
    except ValidationError as exc:
        raise invalid_body(exc, given, where.split("."), EntryRequest | spec.params) from exc
    if checked.seed_tasks not in _SEEDS and not checked.seed_tasks.startswith("file-"):
        param = f"{where}.seed_tasks"
        raise InvalidInputError(f"'{param}': seed tasks are one of {', '.join(_SEEDS)}, or a file id.", param=param)
    entry = {"type": spec.name, "weight": checked.weight, "seed_tasks": checked.seed_tasks, **own}
    return entry if checked.source is None else {**spec.with_source, **entry, "source": checked.source}


def list_generators() -> list[dict[str, Any]]:
    """Each generator with what it makes, the schema of its entry and its prompts."""
    return [
        {
            "id": spec.name,
            "object": "generator",
            "created_at": 0,
            "name": spec.name,
            "description": spec.description,
            "needs_model": spec.needs_model,
            "needs_corpus": spec.needs_corpus,
            "parameters": _schema(spec),
            "prompts": [
                {"id": prompt_id(name), "name": name, "template": prompt_source(name)}
                for name in prompt_names()
                # A prompt is named after its generator; one with several adds a word to each.
                if name == spec.name or name.startswith(f"{spec.name}.")
            ],
        }
        for spec in GENERATORS.values()
    ]


def _schema(spec: GeneratorSpec) -> dict[str, Any]:
    """JSON Schema of an entry: its type, what all entries share, and the generator's own parameters."""
    own = spec.params.model_json_schema()
    shared = EntryRequest.model_json_schema()["properties"]
    properties = {"type": {"const": spec.name, "type": "string"}, **own.get("properties", {}), **shared}
    return own | {"properties": properties, "required": ["type", *own.get("required", [])]}
