"""Keeps foreign text inside the fence of a prompt: a closing tag in a task would end it, and the rest read as orders.

Prompts that fence tasks, inputs and dialogues pass each through ``fenced``; passages have ``corpora.context``. It
changes the prompt only, never a sample.
"""

from __future__ import annotations

import re

__all__ = ["fenced"]

_TAG = re.compile(r"<(\s*/?\s*(?:과제|입력|자료|대화|질문|첫째|둘째)\s*)>")


def fenced(text: str) -> str:
    """``text`` with our fences' tags in full-width brackets (``＜/과제＞``)."""
    return _TAG.sub(r"＜\1＞", text)
