"""Recipes: the numbers of a fine-tune as values, each with its source. No torch here.

``recipe_for`` finds the recipe of a base: one that was asked for by name, else the one whose base it is, else ``auto``,
which fits any causal language model. ``epochs_for`` says how often the data is seen where a request says "auto". The
values themselves stand in ``training.recipe_values``.
"""

from __future__ import annotations

import re

from corpora.errors import InvalidInputError
from training.recipe_fields import Recipe
from training.recipe_values import RECIPES

__all__ = ["DEMO_BASE", "RECIPES", "Recipe", "auto_epochs", "epochs_for", "recipe_for"]

DEMO_BASE = "malmoi-demo"
#: Examples, all passes counted, up to which a recipe's epochs hold on data larger than it was published with. Ours:
#: OpenAI's 25,000 times its three passes.
MOST_SEEN = 25_000 * 3
#: What a base's name says, last part of a path or hub name, against the recipe that was made for it. First hit counts.
_NAMES = (
    (re.compile(r"eeve.*10\.8b"), "eeve-10.8b"),
    (re.compile(r"polyglot-ko-1\.3b"), "polyglot-ko-1.3b"),
    (re.compile(r"gemma-2-2b"), "gemma-2-2b"),
    (re.compile(r"gemma-3-1b"), "gemma-3-1b"),
    (re.compile(r"gemma-(1\.1-)?2b"), "gemma-2b"),
)


def recipe_for(base: str, name: str | None, architecture: str | None = None) -> Recipe:
    """The recipe called ``name``, else the one that was made for ``base``, else ``auto``.

    Args:
        base: Name of the base, or its folder.
        name: What the request asks for, if anything.
        architecture: The first of ``architectures`` in the base's config.json, where known. A recipe that does not fit
            it is never chosen by name of the base alone.

    Raises:
        InvalidInputError: there is no recipe of that name, or it does not fit the architecture
            (``recipe_does_not_fit``).
    """
    if name is not None:
        if name not in RECIPES:
            raise InvalidInputError(f"There is no recipe '{name}'; there are: {', '.join(RECIPES)}.", param="recipe")
        _check_fit(RECIPES[name], architecture)
        return RECIPES[name]
    last = base.rstrip("/").rsplit("/", 1)[-1].lower()
    if last == DEMO_BASE:
        return RECIPES["demo"]
    for pattern, made_for in _NAMES:
        if pattern.search(last) and _fits(RECIPES[made_for], architecture):
            return RECIPES[made_for]
    return RECIPES["auto"]


def _fits(recipe: Recipe, architecture: str | None) -> bool:
    return architecture is None or not recipe.architectures or architecture in recipe.architectures


def _check_fit(recipe: Recipe, architecture: str | None) -> None:
    if not _fits(recipe, architecture):
        raise InvalidInputError(
            f"The recipe '{recipe.name}' is for {', '.join(recipe.architectures)}; this base is a {architecture}.",
            param="recipe",
            code="recipe_does_not_fit",
            hint="Leave the recipe out, or ask for 'auto', which fits any causal language model.",
        )


def auto_epochs(rows: int) -> int:
    """OpenAI's default number of epochs for ``rows`` examples: 3, more for few rows (at most 25), fewer for many.

    Source: OpenAI cookbook, data preparation for chat fine-tuning (TARGET_EPOCHS 3, 100 to 25,000 examples seen).
    """
    if rows < 1:
        raise ValueError("rows must be positive")
    if rows * 3 < 100:
        return min(25, 100 // rows)
    if rows * 3 > 25_000:
        return max(1, 25_000 // rows)
    return 3


def epochs_for(recipe: Recipe, rows: int) -> int:
    """Epochs where the request says "auto": a tested recipe's own number, OpenAI's formula for ``auto`` and for more.

    A recipe that was made for a base was made with its epochs, but for data of a size: 60 passes over 360 rows say
    nothing of 10,000. They hold up to the rows that they were published with, and beyond as long as no more examples
    are seen than the formula's own bound times its three passes; larger data follows the formula.
    """
    within = rows <= recipe.published_rows or rows * recipe.epochs <= MOST_SEEN
    return recipe.epochs if recipe.name != "auto" and within else auto_epochs(rows)
