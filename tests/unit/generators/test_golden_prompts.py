"""Every prompt has its golden files, and every golden file is what its template says now.

To renew after a change of a template: WRITE_GOLDEN=1 pytest tests/unit/generators, then read the difference.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from generators.prompting import prompt_names, prompt_source, render
from tests.unit.generators.scripted import golden

FOLDER = Path(__file__).parents[2] / "data" / "prompts"
FILES = sorted(path.name for path in FOLDER.glob("*.txt"))
_BLOCK = re.compile(r"\{%-?\s*(if|for|set|endif|endfor|endset|else|elif)\b")


def template_of(name: str) -> str | None:
    """The template that a golden file belongs to: the longest name that the file's begins with."""
    fitting = [one for one in prompt_names() if name.startswith(f"{one}.")]
    return max(fitting, key=len, default=None)


def fixed_lines(source: str, *, conditional: bool = False) -> list[str]:
    """The lines without values that every rendering has; with ``conditional`` those of conditions and loops too."""
    body = re.sub(r"\{#.*?#\}", "", source, flags=re.DOTALL)
    body = re.sub(r"\{%-?\s*set\b[^%]*?%\}", "", body, flags=re.DOTALL)
    lines, depth = [], 0
    for line in body.splitlines():
        kinds = _BLOCK.findall(line)
        if (conditional or not depth) and not kinds and "{{" not in line and line.strip():
            lines.append(line.strip())
        depth += sum(kind in ("if", "for") for kind in kinds) - sum(kind in ("endif", "endfor") for kind in kinds)
    return lines


def test_every_template_has_a_golden_file() -> None:
    assert {template_of(name) for name in FILES} == set(prompt_names())


@pytest.mark.parametrize("name", FILES)
def test_no_golden_file_is_stale(name: str) -> None:
    template = template_of(name)
    assert template is not None, f"no template is called like {name}"
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert [line for line in fixed_lines(prompt_source(template)) if line not in text] == []
    assert any(line in text for line in fixed_lines(prompt_source(template), conditional=True))


def written_names() -> list[re.Pattern[str]]:
    """The names of golden files that tests compare with, values of f-strings as anything but a path."""
    found = []
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".txt"):
                found.append(re.compile(re.escape(node.value)))
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"[^/]+" for part in node.values
                ]
                if parts[-1].endswith(r"\.txt"):
                    found.append(re.compile("".join(parts)))
    return found


@pytest.mark.parametrize("name", FILES)
def test_every_golden_file_is_compared_by_a_test(name: str) -> None:
    assert any(pattern.fullmatch(name) for pattern in written_names())


def test_the_judges_prompt_with_and_without_passages() -> None:
    dialogue = "질문: 냉동 상품은 몇 도에 보관하나요?\n\n답: 영하 18도 이하로 보관합니다."
    passages = "[1] 보관 > 냉동\n냉동 상품은 -18℃ 이하로 보관합니다."
    golden("judge.passages.txt", render("judge", dialogue=dialogue, passages=passages).text)
    golden("judge.free.txt", render("judge", dialogue=dialogue, passages="").text)
