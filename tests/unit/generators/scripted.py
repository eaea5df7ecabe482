"""What unit tests of generators that ask a model share: a scripted model, a pool, samples, golden prompts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from corpora.records import Candidate, Message, Provenance, Sample, Verdict
from generators.ports import ModelRequest, Reply, Usage

Answer = Mapping[str, Any] | str | Exception


class Scripted:
    """A model that answers by the request's step and remembers what it was asked."""

    def __init__(self, answers: Mapping[str, Answer | Callable[[ModelRequest], Answer]], finish: str = "stop") -> None:
        self.answers = answers
        self.finish = finish
        self.requests: list[ModelRequest] = []

    async def complete(self, request: ModelRequest) -> tuple[Reply, Usage]:
        self.requests.append(request)
        answer = self.answers[request.step]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        reply = Reply(text=text, finish_reason=self.finish, model="m-1", prompt_tokens=10, completion_tokens=5)
        return reply, Usage(requests=1, prompt_tokens=10, completion_tokens=5)

    @property
    def steps(self) -> list[str]:
        return [request.step for request in self.requests]

    def prompt(self, step: str) -> str:
        return next(request.messages[-1].content for request in self.requests if request.step == step)


class Pool:
    def __init__(self, *samples: Sample) -> None:
        self.samples = samples

    def accepted(self) -> Sequence[Sample]:
        return self.samples


def talk(question: str, answer: str, system: str = "") -> tuple[Message, ...]:
    first = (Message(role="system", content=system),) if system else ()
    return (*first, Message(role="user", content=question), Message(role="assistant", content=answer))


def accepted(name: str, candidate: Candidate, split: Any = "train") -> Sample:
    verdict = Verdict(stage="accepted", reason="ok")
    return Sample(id=name, candidate=candidate, accepted=True, verdict=verdict, split=split)


def sample(name: str, question: str, answer: str, *, slot: int = 0, generator: str = "self_instruct") -> Sample:
    origin = Provenance(generator=generator, slot=slot)
    return accepted(name, Candidate(messages=talk(question, answer), provenance=origin))


def golden(name: str, text: str) -> None:
    """Compare a rendered prompt with the one on file.

    To renew after a change of the template: ``WRITE_GOLDEN=1 pytest <the test file>``, then read the difference. A
    changed prompt needs a new version in its first line.
    """
    path = Path(__file__).parents[2] / "data" / "prompts" / name
    if os.environ.get("WRITE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text + "\n"
