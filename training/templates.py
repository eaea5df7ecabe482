"""Chat templates as files; training, preflight, chat and evaluation render with the same one.

``chat_template`` gives the Jinja source for a recipe and a tokenizer: the recipe's file, else the tokenizer's own, else
``polyglot-ko.jinja``, which needs no control token but the stop token. The source says everything by itself (a stop
phrase or opening words of the recipe are written into it), so that it can be saved with an adapter and rendered by any
other program. Which tokens are trained is ``training.rendering``'s business.

Some tokenizers' own templates write an answer otherwise once another follows (Qwen 3 drops an empty thought), so that
no conversation of several answers could be trained as chat sees it. Where TRL has a variant of such a template that
keeps earlier turns as they were, that variant is taken, in training and in chat.

In our files an answer and its stop token stand inside ``{% generation %}``. What follows "Assistant:" is a line break
here; other copies of the EEVE prompt use a blank, which is another sequence of tokens. Nothing that somebody wrote is
trimmed; where Gemma's own template would trim, the two differ. A system message, which Gemma does not know, opens the
user turn that follows it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from training.errors import EncodingError
from training.reading import reader
from training.recipe_fields import Recipe

__all__ = [
    "FALLBACK",
    "ORIGIN",
    "TEMPLATES",
    "asking_template",
    "chat_template",
    "is_fallback",
    "load_template",
    "own_template",
    "stop_phrase_of",
]

#: Folder of the template files.
TEMPLATES = Path(__file__).resolve().parent / "templates"
#: For a tokenizer that has no template, where the recipe names none.
FALLBACK = "polyglot-ko.jinja"
#: Says what a merged folder was made of; its recipe is the adapter's.
ORIGIN = "malmoi.json"
#: Where transformers keeps a template beside a tokenizer, and where it kept it before.
_SAVED, _SETTINGS = "chat_template.jinja", "tokenizer_config.json"
#: A stop phrase as ``chat_template`` writes it at the head of a template: a JSON string, which Jinja reads alike.
_PHRASE = re.compile(r'\{%- set stop_phrase = ("(?:[^"\\]|\\.)*") -%\}\n')


def load_template(name: str) -> str:
    """The Jinja source of the template file ``name``."""
    return (TEMPLATES / name).read_text(encoding="utf-8").rstrip("\n")


def chat_template(recipe: Recipe, tokenizer: Any) -> str:
    """The Jinja source with which this tokenizer's base is trained and asked by this recipe.

    Args:
        recipe: Whose file, stop phrase and opening words count.
        tokenizer: The base's; asked for its own template where the recipe names no file.

    Raises:
        EncodingError: the recipe has a stop phrase or opening words, and the tokenizer's own template takes none.
    """
    words = {"stop_phrase": recipe.stop_phrase, "system_prompt": recipe.system_prompt}
    given = {name: text for name, text in words.items() if text is not None}
    if recipe.template is not None or tokenizer.chat_template is None:
        source = load_template(recipe.template or FALLBACK)
    else:
        source = _keeping_turns(tokenizer, str(tokenizer.get_chat_template()))
        if given:
            raise EncodingError(
                f"The recipe '{recipe.name}' sets {' and '.join(given)}, which the tokenizer's own template does not "
                "know; name a template file in the recipe.",
                param=next(iter(given)),
                hint="Ask for a recipe that brings a template, such as 'polyglot-ko-1.3b', or leave the phrase out.",
            )
    settings = "".join(
        f"{{%- set {name} = {json.dumps(text, ensure_ascii=False)} -%}}\n" for name, text in given.items()
    )
    return settings + source


def is_fallback(recipe: Recipe, template: str, folder: Path) -> bool:
    """Whether ``template`` is ours only because neither the recipe nor the base in ``folder`` has one."""
    ours = recipe.template is None and template.endswith(load_template(FALLBACK))
    return ours and own_template(folder) is None


def own_template(folder: Path) -> str | None:
    """The template that a folder brings along: of an adapter or a checkpoint, the one that it was trained with.

    Raises:
        EncodingError: it is there and cannot be read.
    """
    try:
        if (folder / _SAVED).is_file():
            return (folder / _SAVED).read_text(encoding="utf-8")
        if not (folder / _SETTINGS).is_file():
            return None
        found = json.loads((folder / _SETTINGS).read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, AttributeError) as exc:
        raise EncodingError(f"The chat template in {folder} cannot be read: {exc}.", param="model") from exc
    return found if isinstance(found, str) else None


def asking_template(recipe: Recipe, tokenizer: Any, folder: Path | None) -> str:
    """The template by which a model is asked: its own where it was trained here or brings one, else the recipe's.

    Args:
        recipe: That it was trained with; counts where the folder has no template.
        tokenizer: The base's.
        folder: Of the adapter, or of a base; a base's own counts only where it was merged from an adapter.

    Raises:
        EncodingError: as ``own_template`` and ``chat_template``.
    """
    trained = folder is not None and ((folder / ORIGIN).is_file() or not (folder / "config.json").is_file())
    own = own_template(folder) if trained and folder is not None else None
    return own if own is not None else chat_template(recipe, tokenizer)


def stop_phrase_of(template: str) -> str | None:
    """The stop phrase that is written at the head of a template, if any."""
    found = _PHRASE.match(template)
    return json.loads(found[1]) if found else None


def _keeping_turns(tokenizer: Any, source: str) -> str:
    """``source``, or TRL's variant of it where it rewrites earlier answers and there is one."""
    try:
        if not reader(tokenizer, source).rewrites_turns():
            return source
    except EncodingError:
        # It cannot be trained with at all, which encoding will say; chat with the bare base can still use it.
        return source
    from trl.chat_template_utils import get_training_chat_template

    try:
        return str(get_training_chat_template(tokenizer) or source)
    except ValueError:
        # TRL knows it as little; conversations of several trained answers are refused, with what to do.
        return source
