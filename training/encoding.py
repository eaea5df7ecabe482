"""Conversations to ``input_ids`` and ``labels``: one tokenisation each, labels from its offsets.

Every assistant turn (but those of weight 0) is trained with its stop token; all else is -100. Rows over the length are
cut at the end and counted; nothing is dropped silently. The trainer is handed the numbers and masks nothing itself.

What a person wrote is text: a control token spelled in a message ("</s>") becomes letters, in training as in chat, or
the message is refused where the tokenizer does not allow it (see ``training.control_tokens``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from training.control_tokens import ControlTokens, control_tokens, plain_twin
from training.errors import EncodingError

__all__ = ["IGNORED", "EncodedRow", "EncodingReport", "encode_row", "encode_rows", "prompt_ids"]

#: Label of a token that is not trained.
IGNORED = -100


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One conversation in tokens; both lists have the same length."""

    input_ids: list[int]  #: Tokens.
    labels: list[int]  #: The same where trained, -100 elsewhere.
    truncated: bool = False  #: Whether tokens were cut off at the end.


@dataclass(slots=True)
class EncodingReport:
    """What encoding a file came to: rows = kept + dropped."""

    rows: int = 0  #: Conversations read.
    kept: int = 0  #: Rows with something to train.
    dropped: int = 0  #: Rows without a trained token after cutting.
    truncated: int = 0  #: Rows that lost tokens.
    tokens: int = 0  #: Tokens of the kept rows.
    trained_tokens: int = 0  #: Of these, answers' tokens, those with a label; one pass. No billed figure.
    dropped_lines: list[int] = field(default_factory=list)  #: Line numbers of the dropped rows, the first hundred.

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Tokenised:
    ids: list[int]
    offsets: list[tuple[int, int]]  #: Characters of each token.
    answers: list[tuple[int, int]]  #: Characters of each assistant turn.


def _render(
    contents: Sequence[Mapping[str, Any]], template: str, bos: str, eos: str, *, prompt: bool
) -> tuple[str, list[tuple[int, int]]]:
    """Text and character ranges of the assistant turns."""
    rendered, ranges = render_jinja_template(
        [list(contents)],
        chat_template=template,
        return_assistant_tokens_mask=True,
        add_generation_prompt=prompt,
        bos_token=bos,
        eos_token=eos,
    )
    return rendered[0], [(int(a), int(b)) for a, b in ranges[0]]


def _silent(roles: Sequence[str]) -> list[dict[str, str]]:
    return [{"role": role, "content": "말"} for role in roles]


@lru_cache(maxsize=256)
def _skeleton(
    tokenizer: PreTrainedTokenizerBase, template: str, roles: tuple[str, ...], prompt: bool
) -> tuple[int, ...]:
    """Tokens of the same turns with next to nothing said: shows which control tokens the template itself writes."""
    text, _ = _render(_silent(roles), template, str(tokenizer.bos_token or ""), str(tokenizer.eos_token), prompt=prompt)
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def _tokenise(
    messages: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, template: str, *, prompt: bool
) -> _Tokenised:
    """The rendered conversation in tokens, control tokens of the template only.

    Raises:
        EncodingError: a message spells a control token that this tokenizer cannot read as letters, or is no text.
    """
    plain = [{"role": m["role"], "content": m["content"]} for m in messages]
    for position, message in enumerate(plain):
        try:
            message["content"].encode()
        except UnicodeEncodeError as exc:
            raise EncodingError(f"messages[{position}] holds half of a surrogate pair, which is no character.") from exc
    bos, eos = str(tokenizer.bos_token or ""), str(tokenizer.eos_token)
    text, answers = _render(plain, template, bos, eos, prompt=prompt)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = list(encoded["input_ids"]), list(encoded["offset_mapping"])
    roles = tuple(message["role"] for message in plain)
    skeleton = _skeleton(tokenizer, template, roles, prompt)
    control = control_tokens(tokenizer)
    named = any(control.named_in(message["content"]) for message in plain)
    if not named and control.among(ids) == control.among(skeleton):
        return _Tokenised(ids, offsets, answers)
    twin = plain_twin(tokenizer)
    if twin is not None:
        changed = (twin.spell(template), twin.spell(bos), twin.spell(eos))
        try:
            text, answers = _render(plain, *changed, prompt=prompt)
            check, _ = _render(_silent(roles), *changed, prompt=prompt)
        except TemplateError:
            # A control token spells a word of the template's code.
            raise _refusal(plain, control) from None
        # Differs where the template puts control tokens together from parts.
        if twin.core.encode(check, add_special_tokens=False).ids == list(skeleton):
            read = twin.core.encode(text, add_special_tokens=False)
            return _Tokenised(read.ids, read.offsets, answers)
    raise _refusal(plain, control)


def _refusal(messages: Sequence[Mapping[str, Any]], control: ControlTokens) -> EncodingError:
    for position, message in enumerate(messages):
        token = control.named_in(message["content"])
        if token is not None:
            what = f"messages[{position}]: content contains the control token '{token}'"
            break
    else:
        what = "a content is read as a control token"
    return EncodingError(
        f"{what}, which this tokenizer and template cannot take as text.", hint="Take it out or spell it otherwise."
    )


def prompt_ids(messages: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, template: str) -> list[int]:
    """Tokens after which the model answers; the same tokens precede the answer in training.

    Raises:
        EncodingError: a message cannot be read as text.
    """
    return _tokenise(messages, tokenizer, template, prompt=True).ids


def encode_row(
    messages: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, template: str, max_length: int
) -> EncodedRow:
    """One conversation in tokens.

    Raises:
        EncodingError: a trained turn does not end in the stop token, the template lost a turn, or a message cannot be
            read as text.
    """
    read = _tokenise(messages, tokenizer, template, prompt=False)
    ids, offsets, ranges = read.ids, read.offsets, read.answers
    answers = [m for m in messages if m["role"] == "assistant"]
    if len(ranges) != len(answers):
        raise EncodingError(f"The template marks {len(ranges)} answers of {len(answers)}.")
    labels = [IGNORED] * len(ids)
    for (start, end), message in zip(ranges, answers, strict=True):
        if message.get("weight", 1) == 0:
            continue
        inside = [i for i, (low, high) in enumerate(offsets) if low >= start and high <= end and high > low]
        if not inside or ids[inside[-1]] != tokenizer.eos_token_id:
            raise EncodingError(
                "The last trained token of an answer is not the stop token; the model would never stop."
            )
        for i in inside:
            labels[i] = ids[i]
    return EncodedRow(ids[:max_length], labels[:max_length], truncated=len(ids) > max_length)


def encode_rows(
    rows: Iterable[tuple[int, Sequence[Mapping[str, Any]]]],
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    max_length: int,
    param: str = "training_file",
) -> tuple[list[EncodedRow], EncodingReport]:
    """Every conversation in tokens, with what was cut and dropped.

    Args:
        rows: Line number and messages, as ``corpora.messages.training_rows`` gives them.
        tokenizer: The base's.
        template: Jinja source.
        max_length: Most tokens of a row.
        param: The request's field that named the file, for errors.

    Raises:
        EncodingError: a row cannot be encoded; the message names its line. Or no row is left.
    """
    report, kept = EncodingReport(), []
    for number, messages in rows:
        report.rows += 1
        try:
            row = encode_row(messages, tokenizer, template, max_length)
        except EncodingError as exc:
            raise EncodingError(f"line {number}: {exc.message}", param=param, hint=exc.hint) from exc
        report.truncated += row.truncated
        trained = sum(label != IGNORED for label in row.labels)
        if trained == 0:
            report.dropped += 1
            if len(report.dropped_lines) < 100:
                report.dropped_lines.append(number)
            continue
        report.kept += 1
        report.tokens += len(row.input_ids)
        report.trained_tokens += trained
        kept.append(row)
    if not kept:
        raise EncodingError("No row has a trained token within the length limit.", param=param)
    return kept, report
