"""Recipes: every number has a source, and a base gets the one that was made for it, or none of its own."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.errors import InvalidInputError
from training.recipe_fields import NUMBERS
from training.recipes import RECIPES, auto_epochs, epochs_for, recipe_for

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_has_a_source(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.name == name
    assert [field for field in NUMBERS if not recipe.sources.get(field, "").strip()] == []
    fields = {field.name for field in dataclasses.fields(recipe)}
    assert set(NUMBERS) <= fields
    numeric = {f for f in fields if isinstance(getattr(recipe, f), (int, float))}
    assert numeric - set(NUMBERS) == set()
    assert recipe.template is None or (ROOT / "training" / "templates" / recipe.template).is_file()


def test_the_references_own_numbers() -> None:
    eeve = RECIPES["eeve-10.8b"]
    assert (eeve.lora_r, eeve.lora_alpha, eeve.lora_dropout, eeve.epochs) == (64, 128, 0.05, 2)
    assert (eeve.micro_batch, eeve.accumulation, eeve.learning_rate, eeve.max_length) == (4, 4, 1e-4, 2048)
    assert (eeve.warmup_ratio, eeve.weight_decay, eeve.eval_steps) == (0.05, 0.01, 250)
    diary = RECIPES["eeve-10.8b-dialogue-summary"]
    assert (diary.micro_batch, diary.learning_rate) == (1, 2e-4)
    polyglot = RECIPES["polyglot-ko-1.3b"]
    assert (polyglot.lora_r, polyglot.epochs) == (64, 60)
    gemma = RECIPES["gemma-2b"]
    assert (gemma.lora_r, gemma.lora_alpha, gemma.learning_rate) == (4, 32, 1e-4)
    assert (gemma.micro_batch, gemma.accumulation, gemma.scheduler) == (4, 2, "cosine")
    assert RECIPES["gemma-2-2b"].attention == "eager"
    small = RECIPES["gemma-3-1b"]
    assert (small.lora_r, small.lora_alpha, small.lora_dropout) == (8, 16, 0.05)
    assert small.target_modules == ("q_proj", "k_proj", "v_proj", "o_proj")


@pytest.mark.parametrize(
    ("base", "architecture", "expected"),
    [
        ("malmoi-demo", None, "demo"),
        ("/data/models/malmoi-demo", "LlamaForCausalLM", "demo"),
        ("yanolja/EEVE-Korean-Instruct-10.8B-v1.0", None, "eeve-10.8b"),
        ("/models/EEVE-Korean-10.8B/", "LlamaForCausalLM", "eeve-10.8b"),
        ("EleutherAI/polyglot-ko-1.3b", "GPTNeoXForCausalLM", "polyglot-ko-1.3b"),
        ("google/gemma-2b-it", "GemmaForCausalLM", "gemma-2b"),
        ("google/gemma-1.1-2b-it", None, "gemma-2b"),
        ("google/gemma-2-2b-it", None, "gemma-2-2b"),
        ("google/gemma-3-1b-it", "Gemma3ForCausalLM", "gemma-3-1b"),
        ("google/gemma-7b-it", "GemmaForCausalLM", "auto"),
        ("Qwen/Qwen3-8B", "Qwen3ForCausalLM", "auto"),
        ("우리 모델", None, "auto"),
        # A name promises nothing about what is in the folder.
        ("EEVE-Korean-10.8B", "MistralForCausalLM", "auto"),
    ],
)
def test_the_recipe_of_a_base(base: str, architecture: str | None, expected: str) -> None:
    assert recipe_for(base, None, architecture).name == expected


def test_a_recipe_by_name() -> None:
    assert recipe_for("우리 모델", "eeve-10.8b").name == "eeve-10.8b"
    assert recipe_for("우리 모델", "auto", "MambaForCausalLM").name == "auto"
    with pytest.raises(InvalidInputError, match="no recipe 'llama'") as unknown:
        recipe_for("우리 모델", "llama")
    assert unknown.value.param == "recipe"
    with pytest.raises(InvalidInputError, match="GPTNeoXForCausalLM") as misfit:
        recipe_for("google/gemma-2b", "polyglot-ko-1.3b", "GemmaForCausalLM")
    assert misfit.value.code == "recipe_does_not_fit"


@pytest.mark.parametrize(
    ("rows", "epochs"),
    [
        (1, 25),
        (4, 25),
        (10, 10),
        (33, 3),
        (34, 3),
        (100, 3),
        (8333, 3),
        (8334, 2),
        (12_500, 2),
        (12_501, 1),
        (10**6, 1),
    ],
)
def test_openais_epochs(rows: int, epochs: int) -> None:
    assert auto_epochs(rows) == epochs
    assert epochs_for(RECIPES["auto"], rows) == epochs


@pytest.mark.parametrize(
    ("recipe", "rows", "epochs"),
    [
        ("polyglot-ko-1.3b", 10, 60),
        ("polyglot-ko-1.3b", 360, 60),
        ("polyglot-ko-1.3b", 1250, 60),
        ("polyglot-ko-1.3b", 1251, 3),
        ("polyglot-ko-1.3b", 10_000, 2),
        # Published with 100,000 rows.
        ("eeve-10.8b", 1, 2),
        ("eeve-10.8b", 100_000, 2),
        ("eeve-10.8b", 100_001, 1),
        ("eeve-10.8b-dialogue-summary", 49_797, 1),
        ("gemma-2b", 25_000, 3),
        ("gemma-2b", 25_001, 1),
    ],
)
def test_a_recipes_epochs_hold_for_the_data_they_were_made_for(recipe: str, rows: int, epochs: int) -> None:
    assert epochs_for(RECIPES[recipe], rows) == epochs


def test_no_rows_have_no_epochs() -> None:
    with pytest.raises(ValueError, match="positive"):
        auto_epochs(0)


def test_recipes_and_estimates_need_no_torch() -> None:
    code = "import sys, training.recipes, training.estimate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    for name in ("recipes", "recipe_fields", "recipe_values", "estimate"):
        tree = ast.parse((ROOT / "training" / f"{name}.py").read_text(encoding="utf-8"))
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(str(module).split(".")[0] in ("torch", "transformers", "peft", "trl") for module in modules)
