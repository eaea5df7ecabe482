"""Chat templates as files; training and chat render with the same one.

An answer and its stop token stand inside ``{% generation %}``: that range, and nothing else, is trained. What follows
"Assistant:" is a line break here; other copies of the EEVE prompt use a blank, which is another sequence of tokens.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["TEMPLATES", "load_template"]

#: Folder of the template files.
TEMPLATES = Path(__file__).resolve().parent / "templates"


def load_template(name: str) -> str:
    """The Jinja source of the template file ``name``."""
    return (TEMPLATES / name).read_text(encoding="utf-8").rstrip("\n")
