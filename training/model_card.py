"""The model card of an adapter (README.md in PEFT's layout), of what it was merged into, and of its evaluation.

Every number of the run stands in it, with its source. No torch: a service writes evaluations into cards too.
``write_card(folder, facts)``; ``with_evaluation(card, …)``; ``merged_card(card, …)``.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from training.config import TrainConfig
from training.plan import Plan
from training.recipe_fields import NUMBERS, Recipe
from training.recipe_values import RECIPES
from training.refusals import ADAPTER_CONFIG

__all__ = ["CARD", "CURVES", "CardFacts", "checkpoint_card", "merged_card", "with_evaluation", "write_card"]

CARD, CURVES = "README.md", "curves.png"
#: Rows on which losses before and after are measured, as ``training.run`` has it.
MEASURED = 64
#: Rows of the table of the curve; the picture shows all.
CURVE_ROWS = 20
LIBRARIES = ("malmoi", "torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "tokenizers")
_TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")
#: As the hub spells licences: ``apache-2.0``, ``gemma``.
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]{1,39}")
_EVALUATION = re.compile(r"<!-- evaluation -->.*?<!-- /evaluation -->", re.DOTALL)
_SIDES = (("학습", "train"), ("검증", "valid"))
_LICENCE_WORDS = {"recipe": "레시피에 적힌 내용", "none": "폴더에 적혀 있지 않음"}


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """What a card tells of a run."""

    config: TrainConfig
    recipe: Recipe  #: With the request's own numbers laid over it.
    plan: Plan
    rows: Mapping[int, Mapping[str, Any]]  #: The result file's rows, by step.
    result: Mapping[str, Any]  #: As the event ``result`` tells it: losses, steps, plot, preflight.


def write_card(folder: Path, facts: CardFacts) -> Path:
    """Write the card, and the picture of the curves beside it, into an adapter's folder.

    Args:
        folder: Of the adapter; its ``adapter_config.json`` says the sizes that were trained.
        facts: Of the run.
    """
    result = facts.result
    picture = result.get("plot")
    if picture is not None:
        shutil.copyfile(picture, folder / CURVES)
    card = folder / CARD
    card.write_text(_rendered(folder, facts, CURVES if picture is not None else None), encoding="utf-8")
    return card


def _rendered(folder: Path, facts: CardFacts, picture: str | None) -> str:
    config, result, preflight = facts.config, facts.result, facts.result["preflight"]
    licence, said_by = preflight["licence"], preflight["licence_source"]
    known = bool(_LICENCE_ID.fullmatch(licence))
    label = config.base_label
    text = _template().render(
        base=label,
        title=f"{label} · {config.suffix}" if config.suffix else f"{label} · {facts.recipe.name}",
        recipe=facts.recipe,
        method=config.method,
        seed=config.seed,
        dataset_sha256=config.dataset_sha256,
        dataset_licence=config.dataset_licence,
        licence=licence,
        licence_id=licence if known else "other",
        licence_name=None if known else licence,
        licence_source=said_by,
        licence_words=_LICENCE_WORDS.get(said_by, f"기반 모델의 {said_by}"),
        measured=MEASURED,
        losses=[(name, result.get(f"{side}_loss_before"), result.get(f"{side}_loss_after")) for name, side in _SIDES],
        steps=f"{result['steps']:,}",
        best_step=result.get("best_step"),
        stopped_early=result.get("stopped_early"),
        trained_tokens=f"{result['trained_tokens']:,}",
        plot=picture,
        curve=_curve(facts.rows),
        numbers=_numbers(folder, facts),
        sides=[(name, preflight[side]) for name, side in _SIDES if preflight[side] is not None],
        share_seen=facts.plan.share_seen,
        fallback_template=preflight.get("fallback_template"),
        versions=_versions(),
    )
    return text.rstrip() + "\n"


def _curve(rows: Mapping[int, Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any]]]:
    """Every step of a short run; of a long one those with an evaluation, spread evenly, the last among them."""
    steps = list(rows)
    if len(steps) > CURVE_ROWS:
        steps = [step for step in steps if rows[step].get("valid_loss") is not None] or steps
    if len(steps) > CURVE_ROWS:
        steps = [steps[round(place * (len(steps) - 1) / (CURVE_ROWS - 1))] for place in range(CURVE_ROWS)]
    return [(step, rows[step]) for step in steps]


def _numbers(folder: Path, facts: CardFacts) -> list[tuple[str, str, str]]:
    """Each hyperparameter as it was used, and where it comes from: the recipe's source, or the request."""
    recipe, plan, config = facts.recipe, facts.plan, facts.config
    asked = RECIPES[config.recipe]
    lora = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    used: dict[str, Any] = {name: getattr(recipe, name) for name in NUMBERS}
    used |= {
        "lora_r": lora["r"],
        "lora_alpha": lora["lora_alpha"],
        "lora_dropout": lora["lora_dropout"],
        "learning_rate": plan.learning_rate,
        "epochs": plan.epochs,
        "micro_batch": plan.micro_batch,
        "accumulation": plan.accumulation,
        "eval_steps": plan.eval_steps,
    }
    found = []
    for name, value in used.items():
        source = recipe.sources.get(name, "")
        if value != getattr(asked, name):
            source = f"이 학습의 요청·데이터·장치에 맞춤(레시피: {_shown(getattr(asked, name))})"
        if name == "epochs" and config.max_steps is not None:
            source = f"max_steps가 에포크 대신 정함(레시피: {asked.epochs})"
        found.append((name, _shown(value), source))
    more = {"max_steps": config.max_steps, "total_steps": plan.total_steps, "batch_rows": plan.batch_rows}
    if config.method == "dpo":
        more["beta"] = facts.result["hyperparameters"].get("beta")
    return found + [(name, _shown(value), "이 학습의 요청·데이터·장치") for name, value in more.items()]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue  # a library that is not there did nothing
    return found


def checkpoint_card(
    base: str, *, recipe: str, seed: int, dataset_sha256: str | None, step: int, metrics: Mapping[str, Any]
) -> str:
    """The card of a checkpoint that was kept in mid-run.

    Args:
        base: As users name it.
        recipe: Its name.
        seed: Of the run.
        dataset_sha256: Of the training data.
        step: Updates that made it.
        metrics: What was measured at that step, by name.
    """
    lines = [f"| {name} | {_number(value)} |" for name, value in metrics.items() if name != "step"]
    data = f"datasets:\n- sha256-{dataset_sha256}\n" if dataset_sha256 else ""
    known = f"학습 데이터의 sha256은 `{dataset_sha256}`입니다." if dataset_sha256 else ""
    return (
        f"---\nbase_model: {_yaml(base)}\nlibrary_name: peft\npipeline_tag: text-generation\nlanguage:\n- ko\n"
        f"tags:\n- malmoi\n- lora\n{data}malmoi:\n  recipe: {recipe}\n  seed: {seed}\n  step: {step}\n---\n\n"
        f"# {_text(base)} · {step}단계\n\n"
        f"말모이(Malmoi)가 레시피 `{recipe}`, 시드 {seed}로 학습하는 도중 {step}단계에서 남긴 LoRA "
        f"체크포인트입니다. {known}\n\n"
        "| 이 단계에서 잰 값 | |\n|---|---:|\n" + "\n".join(lines) + "\n\n"
        f"*English*: a LoRA checkpoint at step {step} of a run with recipe `{recipe}`; the base's and the "
        "data's terms apply.\n"
    )


def with_evaluation(card: str, results: Mapping[str, Any], *, evaluation_id: str, rows: int) -> str:
    """The card with an evaluation in the place that is kept for it, or at its end.

    Args:
        card: The whole text.
        results: ``metrics``: a list of name, unit and the values of ``base`` and ``tuned``.
        evaluation_id: Which evaluation it was.
        rows: Held-out rows that were compared.
    """
    lines = [
        "<!-- evaluation -->",
        "## 평가",
        "",
        f"학습에 쓰지 않은 {rows:,}행으로 기반 모델과 비교했습니다(평가 `{evaluation_id}`).",
        "",
        "| 지표 | 단위 | 기반 모델 | 이 모델 |",
        "|---|---|---:|---:|",
    ]
    for metric in results["metrics"]:
        values = [_number(metric[side]["value"]) for side in ("base", "tuned")]
        lines.append(f"| {_text(str(metric['name']))} | {_text(str(metric['unit']))} | {values[0]} | {values[1]} |")
    section = "\n".join([*lines, "<!-- /evaluation -->"])
    if _EVALUATION.search(card) is None:
        return f"{card.rstrip()}\n\n{section}\n"
    return _EVALUATION.sub(lambda _found: section, card, count=1)


def merged_card(card: str | None, *, base: str, adapter: str, parity: Mapping[str, Any]) -> str:
    """The card of a merged model: the adapter's, saying at its top what it is now and how merging was checked.

    Args:
        card: The adapter's card, where it has one.
        base: The base, as users name it.
        adapter: The adapter, as users name it.
        parity: ``max_logit_difference``, ``allowed_difference``, ``top1_share``, ``positions``, ``prompts``.
    """
    head, body = f"---\nbase_model: {_yaml(base)}\nlanguage:\n- ko\n---\n", ""
    # What the library writes where nobody else has is an empty form.
    if card is not None and "\nmalmoi:\n" in card:
        head, body = _split(card)
    head = re.sub(r"^library_name: .*\n", "", head, flags=re.MULTILINE)
    head = head.removesuffix("---\n") + "library_name: transformers\nbase_model_relation: merge\n---\n"
    said = (
        f"# {_text(base)} + {_text(adapter)}\n\n"
        f"기반 모델 {_text(base)}의 bfloat16 가중치에 어댑터 {_text(adapter)}를 합친 모델입니다. PEFT 없이 "
        '`AutoModelForCausalLM.from_pretrained("폴더")`로 불러옵니다.\n\n'
        "합친 모델을 디스크에서 다시 읽어, 어댑터를 얹은 기반 모델(bfloat16)과 비교했습니다. "
        f"질문 {parity['prompts']}개, 위치 {parity['positions']:,}곳에서 로짓 차이는 최대 "
        f"{parity['max_logit_difference']:.4f}(허용 {parity['allowed_difference']:g})이고, 가장 가능성이 높은 토큰은 "
        f"{parity['top1_share']:.1%} 같습니다.\n\n"
        "*English*: the adapter's weights are merged into the bfloat16 base; the figures above compare the merged "
        "model, read back from disk, with the adapter on its base.\n"
    )
    return f"{head}\n{said}" + (f"\n아래는 어댑터의 카드입니다.\n\n{body.lstrip()}" if body.strip() else "")


def _split(card: str) -> tuple[str, str]:
    """Front matter with its fences, and the rest."""
    head, _, body = card.removeprefix("---\n").partition("\n---\n")
    return f"---\n{head}\n---\n", body


@functools.cache
def _template() -> jinja2.Template:
    # The result is Markdown and YAML; what autoescape knows is HTML.
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.ChainableUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"yaml": _yaml, "text": _text, "python": repr, "number": _number}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


def _yaml(value: str) -> str:
    r"""A YAML string in double quotes: JSON's form, with ``\U`` for what YAML does not let stand."""
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\U{ord(character):08x}" for character in quoted)


def _text(value: str) -> str:
    """Text in a Markdown paragraph or cell of a table."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(value).split()))


def _number(value: Any) -> str:
    """Four significant digits; a dash where nothing was measured."""
    return f"{value:.4g}" if isinstance(value, int | float) else "–"
