"""``malmoi chat`` in a pipe: one question, or one a line."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from app.cli import chat
from corpora.errors import InvalidInputError


def asked(monkeypatch: pytest.MonkeyPatch, piped: str, *given: str) -> list[str]:
    """The questions that the model is asked; each is answered by itself."""
    questions: list[str] = []

    @contextlib.contextmanager
    def opened(_arguments: argparse.Namespace) -> Iterator[Any]:
        yield None

    def answer(_arguments: argparse.Namespace, _ask: Any, turns: list[dict[str, str]]) -> str:
        (turn,) = turns
        questions.append(turn["content"])
        print("네.")
        return "네."

    monkeypatch.setattr(chat, "_opened", opened)
    monkeypatch.setattr(chat, "_answer", answer)
    pipe = types.SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(piped.encode()))
    monkeypatch.setattr(sys, "stdin", pipe)
    parser = argparse.ArgumentParser()
    chat.add_chat(parser.add_subparsers())
    chat.run_chat(parser.parse_args(["chat", "모델", *given]))
    return questions


def test_a_pipe_is_one_question(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(monkeypatch, "도크는?\n\n입고는?\n") == ["도크는?\n\n입고는?"]
    assert capsys.readouterr().out == "네.\n"


def test_or_one_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(monkeypatch, "\ufeff도크는?\r\n\n 입고는? \n", "--lines") == ["도크는?", "입고는?"]
    assert capsys.readouterr().out == "네.\n\n네.\n\n"


@pytest.mark.parametrize("given", [(), ("--lines",)])
def test_nothing_is_no_question(monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError, match="no question"):
        asked(monkeypatch, " \n\n", *given)
