"""Markdown: the text itself, and the first heading as title."""

from __future__ import annotations

from corpora.markdown import blocks, plain

__all__ = ["markdown_title"]


def markdown_title(text: str) -> str | None:
    """The first heading without its markup, or None."""
    return next((plain(block.text) for block in blocks(text) if block.kind == "heading"), None)
