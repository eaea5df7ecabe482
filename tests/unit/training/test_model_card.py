"""Cards of checkpoints and of merged models, and an evaluation in its place."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from training.config import TrainConfig
from training.model_card import CardFacts, checkpoint_card, merged_card, with_evaluation, write_card
from training.plan import plan_run
from training.recipe_values import RECIPES

CARD = (
    '---\nbase_model: "tiny"\nlibrary_name: peft\nlanguage:\n- ko\nmalmoi:\n  recipe: demo\n---\n\n# 상담\n\n'
    "<!-- evaluation -->\n## 평가\n\n아직 평가하지 않았습니다.\n<!-- /evaluation -->\n\n## 뒤\n"
)
PARITY = {
    "prompts": 16,
    "positions": 256,
    "max_logit_difference": 0.0518,
    "allowed_difference": 0.15,
    "top1_share": 1.0,
}


def results(base: float | None, tuned: float) -> dict[str, Any]:
    metric = {"name": "rouge_l", "unit": "share", "base": {"value": base}, "tuned": {"value": tuned}}
    return {"metrics": [metric], "rows": {"scored": 40}}


def front_matter(card: str) -> Any:
    """As the hub's own library reads it."""
    return ModelCard(card).data


def test_an_evaluation_takes_its_place() -> None:
    once = with_evaluation(CARD, results(0.1234, 0.5678), evaluation_id="eval-1", rows=40)
    assert "| rouge\\_l | share | 0.1234 | 0.5678 |" in once
    assert "40행으로" in once
    assert "아직 평가하지" not in once
    assert once.endswith("## 뒤\n")
    twice = with_evaluation(once, results(None, 0.6), evaluation_id="eval-2", rows=41)
    assert "eval-1" not in twice
    assert "| – | 0.6 |" in twice
    assert twice.count("## 평가") == 1
    # A card that keeps no place for it gets it at its end.
    assert with_evaluation("# 카드\n", results(0.1, 0.2), evaluation_id="e", rows=1).startswith("# 카드\n\n<!-- eval")


def test_a_merged_model_has_a_card_of_its_own() -> None:
    card = merged_card(CARD, base="org/기반", adapter="ft:상담", parity=PARITY)
    data = front_matter(card)
    assert (data.library_name, data.base_model, data.malmoi) == ("transformers", "tiny", {"recipe": "demo"})
    assert "0.0518" in card
    assert "# 상담" in card
    # The library's empty form says nothing, and names a folder of this machine.
    form = merged_card(
        "---\nbase_model: /a/b\n---\n\n# Model Card for Model ID\n", base="기반", adapter="ft", parity=PARITY
    )
    assert front_matter(form).base_model == "기반"
    assert "Model ID" not in form
    assert form == merged_card(None, base="기반", adapter="ft", parity=PARITY)


def card_of(folder: Path, *, fallback: bool, **asked: Any) -> str:
    """The card of a run on 24 rows by the recipe ``auto``."""
    config = TrainConfig.model_validate(
        {"base": "b", "base_label": "아기", "training_file": "학습.jsonl", "output_dir": "out", "recipe": "auto"}
        | asked
    )
    recipe = dataclasses.replace(RECIPES["auto"], micro_batch=8, accumulation=1)
    sizes = {"r": 16, "lora_alpha": 16, "lora_dropout": 0.0}
    (folder / "adapter_config.json").write_text(json.dumps(sizes), encoding="utf-8")
    found = {"licence": "apache-2.0", "licence_source": "README.md", "train": {"rows": 24}, "valid": None}
    result = {"steps": 20, "trained_tokens": 100, "preflight": found | {"fallback_template": fallback}}
    facts = CardFacts(config=config, recipe=recipe, plan=plan_run(config, recipe, 24), rows={}, result=result)
    return write_card(folder, facts).read_text(encoding="utf-8")


def test_max_steps_and_our_template_are_told(tmp_path: Path) -> None:
    """A run by max_steps does not claim the recipe's epochs, also where it makes as many."""
    plain = card_of(tmp_path, fallback=False)
    assert "### 질문:" not in plain
    assert "max\\_steps가" not in plain
    card = card_of(tmp_path, fallback=True, max_steps=20)
    assert "| epochs | 7 | max\\_steps가 에포크 대신 정함(레시피: 3) |" in card
    assert "질문과 답변을 `### 질문:`과 `### 답변:`으로 적는 말모이의 기본 템플릿으로 학습했습니다." in card
    assert "| epochs | 3 | max\\_steps가" in card_of(tmp_path, fallback=False, max_steps=9)


def test_a_checkpoint_has_a_card() -> None:
    metrics = {"step": 6, "train_loss": 1.25, "valid_loss": 1.5}
    card = checkpoint_card('기"반', recipe="demo", seed=7, dataset_sha256="ab" * 32, step=6, metrics=metrics)
    data = front_matter(card)
    assert data.base_model == '기"반'
    assert data.datasets == ["sha256-" + "ab" * 32]
    assert data.malmoi == {"recipe": "demo", "seed": 7, "step": 6}
    assert "| valid_loss | 1.5 |" in card
    bare = checkpoint_card("기반", recipe="demo", seed=7, dataset_sha256=None, step=6, metrics={"step": 6})
    assert front_matter(bare).datasets is None
