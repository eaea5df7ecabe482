"""Renders the prompts that lie as Jinja files in ``generators/prompts``, and names exactly which text was used.

A template's first line is a comment with its version, ``{# v1 … #}``. Values are data, never code out of
a document, and a missing value is an error. Must not know what a prompt is for.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from corpora.errors import NotFoundError

__all__ = ["Prompt", "prompt_id", "prompt_names", "prompt_source", "render"]

_VERSION = re.compile(r"\A\{#\s*(v\d+)\b")
_SUFFIX = ".jinja"
_FOLDER = Path(__file__).parent / "prompts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A rendered prompt."""

    text: str  #: What the model is told, NFC.
    id: str  #: ``name@version#hash``: the first 8 hex digits of the template's SHA-256.


@dataclass(frozen=True, kw_only=True, slots=True)
class _Template:
    source: str
    id: str
    compiled: jinja2.Template


def prompt_names() -> list[str]:
    """The names of all prompts, sorted."""
    return sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}"))


def prompt_source(name: str) -> str:
    """The template itself, as it lies in the file.

    Raises:
        NotFoundError: there is no such prompt.
    """
    return _load(name).source


def prompt_id(name: str) -> str:
    """``name@version#hash`` of a template, as every prompt rendered from it carries it.

    Raises:
        NotFoundError: there is no such prompt.
    """
    return _load(name).id


def render(name: str, **values: str) -> Prompt:
    """Fill a template.

    Args:
        name: file name in ``generators/prompts`` without its suffix.
        values: the texts to put in; one that the template names and that is missing is an error.

    Raises:
        NotFoundError: there is no such prompt.
        jinja2.UndefinedError: a value is missing: a mistake in our own code.
    """
    template = _load(name)
    return Prompt(text=unicodedata.normalize("NFC", template.compiled.render(values)).strip(), id=template.id)


@functools.cache
def _load(name: str) -> _Template:
    if name not in prompt_names():
        raise NotFoundError(f"There is no prompt '{name}'. Known: {', '.join(prompt_names())}.")
    source = (_FOLDER / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    version = _VERSION.match(source)
    if version is None:
        raise ValueError(f"The first line of the prompt '{name}' must be a comment with its version: {{# v1 … #}}.")
    digest = hashlib.sha256(source.encode("utf-8")).hexdigest()[:8]
    # Autoescape is off because the result is plain text for a model, never HTML.
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    return _Template(source=source, id=f"{name}@{version.group(1)}#{digest}", compiled=environment.from_string(source))
