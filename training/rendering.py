"""A conversation as text, and where in it the answers stand, by any chat template.

Two ways lead there. Where a template marks answers with ``{% generation %}`` and each mark holds the answer and its
stop token, the marks are taken. Else the conversation is rendered a second time with characters that nobody writes
round every answer; taken out again they must leave the first text, or the template changed an answer (strips thinking,
writes it twice) and the row is refused. Blanks at an answer's ends may go, for many templates trim. No text is ever
searched for an answer.

The prompt of a chat is the same rendering with one more answer, cut where that answer begins. So training and chat
agree on every character, also where a template writes more before an answer than its own ``add_generation_prompt``.
Knows nothing of tokens beyond the spelling of control tokens; ``training.encoding`` uses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from training.errors import EncodingError

__all__ = ["Answer", "Rendered", "Renderer", "stub"]

_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
#: What stands for a message where only the form counts.
_STUB = "말"
#: Private-use characters, from which those round an answer are taken.
_PRIVATE = range(0x10F000, 0x10FFFE)
#: Some templates write the day. Training, chat and a run next week must read the same; this is Llama 3.1's default.
_DATE = "26 Jul 2024"

Turns = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """Where an answer stands, in characters: ``start`` to ``end``, the stop token from ``stop`` on."""

    start: int
    stop: int
    end: int


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation, or the prompt of one, as the template writes it."""

    text: str
    answers: tuple[Answer, ...]  #: One for each assistant turn, in order.


def stub(roles: Sequence[str]) -> list[dict[str, str]]:
    """A conversation of these roles in which next to nothing is said."""
    return [{"role": role, "content": _STUB} for role in roles]


class Renderer:
    """One template with one tokenizer's variables.

    Args:
        template: Jinja source.
        variables: Special tokens by the names that templates use (``bos_token``, ``eos_token``).
        control: Finds the spelling of a control token.
    """

    def __init__(self, template: str, variables: Mapping[str, str], control: re.Pattern[str]) -> None:
        self._template = template
        self._variables = {"bos_token": "", "date_string": _DATE} | dict(variables)
        self._closing = re.compile(rf"\s*(?P<stop>{control.pattern})")
        self._stop = re.compile(rf"(?:{control.pattern})\Z")
        self._tail = self._marked_tail()
        self._otherwise: dict[tuple[str, ...], frozenset[int]] = {}

    def _marked_tail(self) -> str | None:
        """What stands after an answer inside its mark, stop token last; None where marks cannot be taken."""
        if not _MARK.search(self._template):
            return None
        text, ranges = self._marks(stub(("user", "assistant")))
        if len(ranges) != 1:
            return None
        inside = text[ranges[0][0] : ranges[0][1]]
        return inside[len(_STUB) :] if inside.startswith(_STUB) and self._stop.search(inside) else None

    def _render(self, conversations: Sequence[Turns], *, marks: bool = False) -> tuple[list[str], list[Any]]:
        try:
            texts, ranges = render_jinja_template(
                [list(turns) for turns in conversations],
                chat_template=self._template,
                return_assistant_tokens_mask=marks,
                **self._variables,
            )
        except TemplateError as exc:
            raise EncodingError(f"The chat template refuses the conversation: {exc}") from exc
        return texts, ranges

    def _marks(self, messages: Turns) -> tuple[str, list[tuple[int, int]]]:
        texts, ranges = self._render([messages], marks=True)
        return texts[0], ranges[0]

    def conversation(self, messages: Turns) -> Rendered:
        """The whole conversation.

        Raises:
            EncodingError: the template refuses it, changes an answer, or writes no stop token after one.
        """
        return self._by_sentinels(messages) if self._tail is None else self._by_marks(messages, self._tail)

    def prompt(self, messages: Turns) -> Rendered:
        """What stands before the next answer.

        Raises:
            EncodingError: as ``conversation``.
        """
        whole = self.conversation([*messages, {"role": "assistant", "content": _STUB}])
        return Rendered(whole.text[: whole.answers[-1].start], whole.answers[:-1])

    def otherwise(self, roles: tuple[str, ...]) -> frozenset[int]:
        """Which answers (by number from 0) the template writes after another prompt than chat has there."""
        if roles not in self._otherwise:
            whole, messages = self.conversation(stub(roles)), stub(roles)
            places = [place for place, role in enumerate(roles) if role == "assistant"]
            self._otherwise[roles] = frozenset(
                number
                for number, (place, answer) in enumerate(zip(places, whole.answers, strict=True))
                if self.prompt(messages[:place]).text != whole.text[: answer.start]
            )
        return self._otherwise[roles]

    def _by_marks(self, messages: Turns, tail: str) -> Rendered:
        text, ranges = self._marks(messages)
        places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        if len(ranges) != len(places):
            raise EncodingError(f"The template marks {len(ranges)} answers of {len(places)}.")
        found = self._stop.search(tail)
        assert found is not None
        answers = []
        for place, (start, end) in zip(places, ranges, strict=True):
            if text[start:end] != messages[place]["content"] + tail:
                raise EncodingError(f"The template changes the answer in messages[{place}].")
            answers.append(Answer(start, end - len(tail) + found.start(), end))
        return Rendered(text, tuple(answers))

    def _by_sentinels(self, messages: Turns) -> Rendered:
        places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
        for trim in (False, True):
            found = self._located(messages, places, trim=trim)
            if found is None:
                continue
            if len({found.text[answer.stop : answer.end] for answer in found.answers}) > 1:
                raise EncodingError("The chat template ends answers in different tokens; which one stops is not clear.")
            return found
        changed = [place for place in places if self._changes(messages, place)]
        named = ", ".join(f"messages[{place}]" for place in changed) or "an answer"
        raise EncodingError(
            f"The chat template changes {named}: it leaves out, repeats or rewrites what the answer says.",
            hint="Take out what the template treats specially (such as <think>), or use another template's recipe.",
        )

    def _changes(self, messages: Turns, place: int) -> bool:
        """Whether the template changes this answer when it is the only message that says something."""
        quiet = stub([message["role"] for message in messages])
        quiet[place]["content"] = messages[place]["content"]
        return self._located(quiet, [place], trim=True) is None

    def _located(self, messages: Turns, places: Sequence[int], *, trim: bool) -> Rendered | None:
        """The answers at ``places``, found by characters set round them; None where the template changes one."""
        opening, closing = _sentinels(messages)
        said = {place: str(messages[place]["content"]) for place in places}
        if trim:
            said = {place: text.strip() for place, text in said.items()}
        wrapped = [
            {
                "role": message["role"],
                "content": f"{opening}{said[place]}{closing}" if place in said else message["content"],
            }
            for place, message in enumerate(messages)
        ]
        (plain, marked), _ = self._render([messages, wrapped])
        if marked.replace(opening, "").replace(closing, "") != plain:
            return None
        pieces = marked.split(opening)
        if [piece.partition(closing)[0] for piece in pieces[1:]] != list(said.values()):
            return None
        spans, start = [], len(pieces[0])
        for piece, text in zip(pieces[1:], said.values(), strict=True):
            spans.append((start, start + len(text)))
            start += len(piece) - len(closing)
        return Rendered(plain, tuple(self._answer(plain, start, end) for start, end in spans))

    def _answer(self, text: str, start: int, end: int) -> Answer:
        found = self._closing.match(text, end)
        if found is None:
            raise EncodingError(
                "The chat template writes no stop token after an answer; the model would never stop.",
                hint="Use a recipe whose template writes one, such as 'polyglot-ko-1.3b'.",
            )
        return Answer(start, found.start("stop"), found.end())


def _sentinels(messages: Turns) -> tuple[str, str]:
    """Two characters that no message holds."""
    said = set().union(*(message["content"] for message in messages))
    free = (chr(code) for code in _PRIVATE if chr(code) not in said)
    return next(free), next(free)
