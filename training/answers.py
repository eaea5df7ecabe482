"""Answers of several models to the same prompts from the same seeds, and what they make of the reference answers.

``run_answers`` loads each base once and answers with its adapters off and on. A line of the output is one answer::

    {"row": 3, "side": "tuned", "sample": 0, "text": "…", "finish_reason": "stop", "prompt_tokens": 41,
     "completion_tokens": 17, "nll": 12.3, "answer_tokens": 19, "failure": null}

``sample`` 0 is the answer that is scored; higher ones repeat the question. ``nll`` is the sum of negative natural
log-likelihoods of the reference answer's tokens, stop token included; ``answer_tokens`` counts them; both come from the
labels of ``training.encoding``, so that they speak of what training trains. ``failure`` says why there is no answer.

Batches are a function of the rows alone, seeds one of the batch's number: a run that was killed goes on and writes what
an undisturbed one would have. Must not know metrics, datasets or jobs.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from corpora.ids import content_id
from training.answer_config import AnswerConfig
from training.errors import EncodingError
from training.events import Events

if TYPE_CHECKING:
    from training.answering import Answerer

__all__ = ["Answer", "run_answers"]

#: Name of one line of the output.
Key = tuple[int, str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One line of the output."""

    row: int  #: Number of the row.
    side: str  #: Which model.
    sample: int  #: 0 is scored, higher ones repeat the question.
    text: str = ""  #: The answer, special tokens and stop phrase left out.
    finish_reason: str | None = None  #: ``stop`` or ``length``; None where there is no answer.
    prompt_tokens: int = 0  #: Tokens of the prompt.
    completion_tokens: int = 0  #: Tokens of the answer, its stop token included.
    nll: float | None = None  #: Sum over the reference answer's tokens, in nats; None where it was not measured.
    answer_tokens: int = 0  #: Tokens of the reference answer that ``nll`` sums up.
    failure: str | None = None  #: Why there is no answer: ``context_length_exceeded``, ``encoding_failed``.


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    number: int
    messages: list[dict[str, Any]]
    prompt: list[int]
    room: int  #: Tokens that the context leaves for an answer.
    failure: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Rows that are answered together."""

    sample: int
    number: int
    rows: tuple[_Row, ...]


def run_answers(config: AnswerConfig, events: Events) -> None:
    """Answer every row with every side; what the output holds already is left as it is.

    Raises:
        BaseModelError: a base cannot be loaded.
        InvalidInputError: there is no such recipe.
    """
    rows = [json.loads(line) for line in config.rows_file.read_text(encoding="utf-8").splitlines()]
    done, failures = _known(config.output)
    total = len(config.sides) * (len(rows) + config.repeats * min(config.repeat_rows, len(rows)))
    answerer: Answerer | None = None
    with config.output.open("a", encoding="utf-8") as out:
        for side in config.sides:
            if len(_wanted(config, side.name, rows) - done) == 0:
                continue
            events.say(f"모델을 불러옵니다: {side.base}" + (f" + {side.adapter}" if side.adapter else ""))
            answerer = answerer or _answerer()
            answerer.choose(side)
            encoded = [_encoded(answerer, row) for row in rows]
            for batch in _batches(config, encoded):
                keys = {(row.number, side.name, batch.sample) for row in batch.rows}
                if keys <= done:
                    continue
                fresh = [a for a in _answers(answerer, config, side.name, batch) if _key(a) not in done]
                _append(out, fresh)
                done |= keys
                failures.update(one.failure for one in fresh if one.failure is not None)
                told = {"side": side.name, "done": len(done), "total": total}
                events.emit("progress", f"{side.name}: 답변 {len(done):,}/{total:,}", told)
    result = {"answers": str(config.output), "rows": len(rows), "done": len(done), "failures": dict(failures)}
    events.emit("result", f"답변 {len(done):,}개를 마쳤습니다.", result)


def _answerer() -> Answerer:
    # Late: a run that finds everything answered needs no torch.
    from training.answering import Answerer

    return Answerer()


def _key(answer: Answer) -> Key:
    return answer.row, answer.side, answer.sample


def _known(output: Path) -> tuple[set[Key], Counter[str]]:
    """What an earlier run has written; half a line at the end is taken away."""
    done: set[Key] = set()
    failures: Counter[str] = Counter()
    if not output.exists():
        return done, failures
    whole = 0
    with output.open("rb") as handle:
        for line in handle:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            kept = json.loads(line)
            done.add((kept["row"], kept["side"], kept["sample"]))
            if kept["failure"] is not None:
                failures[kept["failure"]] += 1
    os.truncate(output, whole)
    return done, failures


def _wanted(config: AnswerConfig, side: str, rows: Sequence[dict[str, Any]]) -> set[Key]:
    repeated = rows[: config.repeat_rows] if config.repeats else []
    first = {(int(row["row"]), side, 0) for row in rows}
    return first | {(int(row["row"]), side, n) for row in repeated for n in range(1, config.repeats + 1)}


def _encoded(answerer: Answerer, row: dict[str, Any]) -> _Row:
    messages = row["messages"]
    try:
        prompt, failure = answerer.prompt(messages[:-1]), None
    except EncodingError as exc:
        prompt, failure = [], exc.code
    room = answerer.context - len(prompt)
    if room < 1:
        failure = "context_length_exceeded"
    return _Row(number=int(row["row"]), messages=messages, prompt=prompt, room=room, failure=failure)


def _batches(config: AnswerConfig, rows: Sequence[_Row]) -> Iterator[_Batch]:
    """Scored answers first, then the repeated questions; prompts of like length stand together.

    A row that has less room than an answer may take stands alone, or it would cut its neighbours' answers.
    """
    for sample in range(config.repeats + 1):
        asked = list(rows if sample == 0 else rows[: config.repeat_rows])
        ordered = sorted(asked, key=lambda row: (len(row.prompt), row.number))
        tight = [row for row in ordered if row.room < config.max_tokens or row.failure is not None]
        roomy = [row for row in ordered if row.room >= config.max_tokens and row.failure is None]
        groups = [roomy[at : at + config.batch_size] for at in range(0, len(roomy), config.batch_size)]
        for number, group in enumerate([*groups, *([row] for row in tight)]):
            yield _Batch(sample=sample, number=number, rows=tuple(group))


def _answers(answerer: Answerer, config: AnswerConfig, side: str, batch: _Batch) -> list[Answer]:
    from training.answering import Decoding

    asked = [row for row in batch.rows if row.failure is None]
    if not asked:
        return [Answer(row=r.number, side=side, sample=batch.sample, failure=r.failure) for r in batch.rows]
    repeated = batch.sample > 0
    how = Decoding(
        max_tokens=min(config.max_tokens, *(row.room for row in asked)),
        temperature=config.repeat_temperature if repeated else config.temperature,
        top_p=config.top_p,
        # The side is no part of it: both models draw from the same numbers.
        seed=int(content_id("seed", config.seed, batch.sample, batch.number)[5:12], 16),
    )
    made = answerer.generate([row.prompt for row in asked], how)
    answers = []
    for row, said in zip(asked, made, strict=True):
        nll, tokens, failure = (None, 0, None)
        if config.likelihood and not repeated:
            try:
                nll, tokens = answerer.likelihood(row.messages)
            except EncodingError as exc:
                failure = exc.code
        answers.append(
            Answer(
                row=row.number,
                side=side,
                sample=batch.sample,
                text=said.text,
                finish_reason=said.finish_reason,
                prompt_tokens=len(row.prompt),
                completion_tokens=said.completion_tokens,
                nll=nll,
                answer_tokens=tokens,
                failure=failure,
            )
        )
    return answers


def _append(out: TextIO, answers: Sequence[Answer]) -> None:
    """A batch at once, on the disk before the next one begins."""
    out.write("".join(json.dumps(asdict(answer), ensure_ascii=False) + "\n" for answer in answers))
    out.flush()
    os.fsync(out.fileno())
