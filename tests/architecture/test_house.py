"""The house holds: arrows run downward, libraries stay at home, no cycles, small files, packages listed."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("corpora", "retrieval", "generators", "training", "app")
MAX_LINES = 350
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 8

MAY_IMPORT = {
    "corpora": {"corpora"},
    "retrieval": {"retrieval", "corpora"},
    "generators": {"generators", "retrieval", "corpora"},
    "training": {"training", "corpora"},
    "app": set(PACKAGES),
}
#: Inside ``app`` arrows run downward too: a room may import itself and what stands left of it.
APP_ORDER = ("settings", "store", "jobs", "services", "api", "main", "demo", "cli")
#: The only homes of each library.
HOMES = {
    "faiss": ("retrieval/",),
    "kiwipiepy": ("corpora/korean/",),
    "rouge_score": ("corpora/korean/",),
    "openai": ("generators/llm/", "retrieval/embedders", "app/demo/"),
    "langchain_core": ("retrieval/", "generators/llm/"),
    "langchain": ("generators/llm/",),
    "httpx2": ("generators/llm/",),
    "httpcore": ("app/services/fetching",),
    "lxml": ("corpora/readers/",),
    "sqlalchemy": ("app/store/",),
    "alembic": ("app/store/",),
    "torch": ("training/",),
    "transformers": ("training/",),
    "peft": ("training/",),
    "trl": ("training/",),
    "bitsandbytes": ("training/",),
    "datasets": ("training/",),
    "sentence_transformers": ("retrieval/embedders",),
    "fastapi": ("app/api/", "app/main.py"),
    "starlette": ("app/api/", "app/main.py"),
    "uvicorn": ("app/main.py",),
    "matplotlib": ("generators/curation/report/", "training/plots.py"),
    "pyarrow": ("corpora/", "app/services/", "training/rows.py"),
    "pickle": (),
    "joblib": (),
}


@cache
def sources() -> dict[str, ast.Module]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found[path.relative_to(ROOT).as_posix()] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.Module, *, only_module_level: bool = False) -> Iterator[str]:
    """Every imported module, lazy ones too; ``from a import b`` gives ``a.b`` and is cut back by the callers."""
    for node in tree.body if only_module_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_arrows_run_downward() -> None:
    wrong = [
        f"{name} -> {target}"
        for name, tree in sources().items()
        for target in imports(tree)
        if target.split(".")[0] in PACKAGES and target.split(".")[0] not in MAY_IMPORT[name.split("/")[0]]
    ]
    assert wrong == []


def test_arrows_inside_app_run_downward() -> None:
    def room(dotted: str) -> int | None:
        parts = dotted.split(".")
        return APP_ORDER.index(parts[1]) if len(parts) > 1 and parts[1] in APP_ORDER else None

    wrong = []
    for name, tree in sources().items():
        if not name.startswith("app/"):
            continue
        own = room(name.removesuffix(".py").replace("/", "."))
        for target in imports(tree):
            if target.startswith("app."):
                theirs = room(target)
                if own is not None and (theirs is None or theirs > own):
                    wrong.append(f"{name} -> {target}")
    assert wrong == []


def test_libraries_stay_at_home() -> None:
    wrong = [
        f"{name} -> {target}"
        for name, tree in sources().items()
        for target in imports(tree)
        if target.split(".")[0] in HOMES and not name.startswith(HOMES[target.split(".")[0]] or ("-",))
    ]
    assert wrong == []


def module_graph() -> dict[str, set[str]]:
    names = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): tree for name, tree in sources().items()
    }
    graph: dict[str, set[str]] = {}
    for name, tree in names.items():
        graph[name] = set()
        for target in imports(tree):
            parts = target.split(".")
            for length in (len(parts), len(parts) - 1):
                dotted = ".".join(parts[:length])
                if dotted in names and dotted != name:
                    graph[name].add(dotted)
                    break
    return graph


def test_no_import_cycles() -> None:
    graph = module_graph()
    state: dict[str, int] = {}
    cycles = []

    def visit(name: str, trail: tuple[str, ...]) -> None:
        state[name] = 1
        for target in sorted(graph[name]):
            if state.get(target) == 1:
                start = trail.index(target) if target in trail else len(trail)
                cycles.append(" -> ".join((*trail[start:], name, target)))
            elif target not in state:
                visit(target, (*trail, name))
        state[name] = 2

    for name in sorted(graph):
        if name not in state:
            visit(name, ())
    assert cycles == []


def test_files_and_functions_are_small() -> None:
    wrong = []
    for name, tree in sources().items():
        lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            wrong.append(f"{name}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "migrations/versions" not in name:
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                count = len(node.args.args) + len(node.args.kwonlyargs) + len(node.args.posonlyargs)
                if length > MAX_FUNCTION_LINES:
                    wrong.append(f"{name}:{node.lineno} {node.name}: {length} lines")
                if count > MAX_PARAMETERS + 1:  # self does not count
                    wrong.append(f"{name}:{node.lineno} {node.name}: {count} parameters")
    assert wrong == []


def test_every_module_says_what_it_is() -> None:
    assert [name for name, tree in sources().items() if not ast.get_docstring(tree)] == []


def test_packages_are_listed_in_pyproject() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    real = {Path(name).parent.as_posix().replace("/", ".") for name in sources()}
    assert set(listed) == real


@pytest.mark.parametrize("word", ["pickle.load", "torch.load(", "trust_remote_code=True", "allow_pickle=True"])
def test_no_unsafe_loading(word: str) -> None:
    assert [name for name in sources() if word in (ROOT / name).read_text(encoding="utf-8")] == []
