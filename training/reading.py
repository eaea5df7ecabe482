"""Rendered conversations to tokens, cut where answers begin.

A tokenizer reads a text from its start, and many of them set a blank before it. So a piece from the middle of a
conversation is read behind an anchor, something that no token of the piece can reach back to, and the anchor's tokens
are taken off again. Which anchor does that is tried out once for a tokenizer, on letters that it knows.

A row in which a message spells a control token is read by the tokenizer's twin (``training.control_tokens``). That a
row needs it shows in two ways: a message holds the spelling, or the row has more control tokens than the same turns
with next to nothing said. Knows nothing of weights, lengths and labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from typing import Any

from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase

from training.control_tokens import ControlTokens, any_of, control_tokens, plain_twin
from training.errors import EncodingError
from training.rendering import Rendered, Renderer, stub

__all__ = ["Read", "Reader", "reader"]

#: Pieces on which an anchor is tried, and what stands before them. A line break first: with one chat templates end
#: their prompts. Some tokenizers read it as a blank, or not at all, so letters come next.
_TRIALS = ("말", "재고", "A", "the", ".")
_BEFORE = ("\n", "x", "가")
#: Tried in this order; the stop token comes between them.
_NOTHING, _PRIVATE = "", "\ue000"

Turns = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Read:
    """A conversation, or a prompt, in tokens."""

    ids: list[int]
    answers: tuple[tuple[int, int], ...]  #: First token of each answer, and the one after its stop token.
    otherwise: frozenset[int] = frozenset()  #: Answers that chat would give after another prompt.


class _Cutter:
    """Reads pieces of text as a tokenizer reads them in the middle of a text."""

    def __init__(self, core: Tokenizer, stop: str, unknown: int | None) -> None:
        self._core, self._unknown = core, unknown
        for before, anchor in product(_BEFORE, (_NOTHING, stop, _PRIVATE)):
            self._anchor, self._lead = anchor, self._plain(anchor)
            if all(self._holds(before, trial) for trial in _TRIALS):
                return
        raise EncodingError(
            "This tokenizer reads an answer otherwise by itself than after its prompt; it cannot be trained exactly.",
            hint="Use the tokenizer that the base was published with.",
        )

    def _plain(self, text: str) -> list[int]:
        return self._core.encode(text, add_special_tokens=False).ids

    def _holds(self, before: str, trial: str) -> bool:
        """Whether ``trial`` behind the anchor is read as it is behind ``before``."""
        if self._unknown in self._plain(trial):
            return True
        ids = self._plain(self._anchor + trial)
        whole = self._plain(before + trial)
        return ids[: len(self._lead)] == self._lead and whole == self._plain(before) + ids[len(self._lead) :]

    def read(self, texts: Sequence[str], first: Sequence[bool]) -> list[tuple[list[int], Encoding]]:
        """Tokens of each piece without those of the anchor, and the encoding, which has them.

        Args:
            texts: Pieces.
            first: Whether a piece opens its text and needs no anchor.
        """
        core = self._core
        # Anybody who asked this tokenizer to cut or to pad has set it so for good.
        core.no_truncation()
        core.no_padding()
        encodings = core.encode_batch(
            [text if opening else self._anchor + text for text, opening in zip(texts, first, strict=True)],
            add_special_tokens=False,
        )
        width, read = len(self._lead), []
        for encoding, opening in zip(encodings, first, strict=True):
            ids = encoding.ids
            if not opening and width:
                if ids[:width] != self._lead or self._swallows(encoding):
                    raise EncodingError("An answer begins with characters that this tokenizer cannot tell apart.")
                ids = ids[width:]
            read.append((ids, encoding))
        return read

    def _swallows(self, encoding: Encoding) -> bool:
        """Whether the anchor, an unknown letter to this tokenizer, became one token with unknown letters behind it.

        Only then: where unknown letters are spelled in bytes, offsets of neighbours are one, and their tokens are not.
        """
        if self._lead[-1] != self._unknown:
            return False
        place = encoding.char_to_token(len(self._anchor))
        return place is not None and place < len(self._lead)

    def token_at(self, encoding: Encoding, character: int, opening: bool) -> int | None:
        """Number of the token that holds a character of a piece, the anchor's tokens not counted."""
        place = encoding.char_to_token(character if opening else character + len(self._anchor))
        return None if place is None else place - (0 if opening else len(self._lead))


class Reader:
    """One tokenizer with one template."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str) -> None:
        self._tokenizer, self._template = tokenizer, template
        self._control: ControlTokens = control_tokens(tokenizer)
        named = tokenizer.special_tokens_map.items()
        self._variables = {name: str(token) for name, token in named if isinstance(token, str)}
        self._renderer = Renderer(template, self._variables, self._control.pattern)
        self._cutter = _Cutter(tokenizer.backend_tokenizer, str(tokenizer.eos_token), tokenizer.unk_token_id)
        self._skeletons: dict[tuple[tuple[str, ...], bool], Read] = {}
        self._own: dict[tuple[tuple[str, ...], bool], list[int]] = {}
        self._twins: tuple[Renderer, _Cutter] | None = None

    def stop_id(self) -> int:
        """The token that the template writes after an answer.

        Raises:
            EncodingError: it writes none.
        """
        read = self._skeleton(("user", "assistant"), False)
        return read.ids[read.answers[0][1] - 1]

    def rewrites_turns(self) -> bool:
        """Whether the template writes an answer otherwise once another follows.

        Raises:
            EncodingError: the template cannot be trained with.
        """
        return bool(self._renderer.otherwise(("user", "assistant", "user", "assistant")))

    def read(self, conversations: Sequence[Turns], *, prompt: bool = False) -> list[Read | EncodingError]:
        """Each conversation in tokens, or why it cannot be had.

        Args:
            conversations: Messages; roles and contents count.
            prompt: Read what stands before the next answer, instead of a whole conversation.
        """
        plain = [[{"role": turn["role"], "content": turn["content"]} for turn in turns] for turns in conversations]
        rendered = [self._try_render(turns, prompt) for turns in plain]
        good = [result for result in rendered if isinstance(result, Rendered)]
        try:
            waiting = iter(_tokens(good, self._cutter, self._control))
        except EncodingError:
            # One row's fault, and which one only reading them by themselves shows.
            if len(conversations) == 1:
                raise
            return [self._alone(turns, prompt) for turns in plain]
        return [
            result if isinstance(result, EncodingError) else self._checked(turns, next(waiting), prompt)
            for turns, result in zip(plain, rendered, strict=True)
        ]

    def _alone(self, turns: Turns, prompt: bool) -> Read | EncodingError:
        try:
            return self.read([turns], prompt=prompt)[0]
        except EncodingError as exc:
            return exc

    def _try_render(self, turns: Turns, prompt: bool) -> Rendered | EncodingError:
        try:
            _check_text(turns)
            return self._renderer.prompt(turns) if prompt else self._renderer.conversation(turns)
        except EncodingError as exc:
            return exc

    def _skeleton(self, roles: tuple[str, ...], prompt: bool) -> Read:
        """The same turns with next to nothing said: shows which control tokens the template itself writes."""
        key = (roles, prompt)
        if key not in self._skeletons:
            turns = stub(roles)
            rendered = self._renderer.prompt(turns) if prompt else self._renderer.conversation(turns)
            self._skeletons[key] = _tokens([rendered], self._cutter, self._control)[0]
            self._own[key] = self._control.among(self._skeletons[key].ids)
        return self._skeletons[key]

    def _checked(self, turns: Turns, read: Read, prompt: bool) -> Read | EncodingError:
        """``read``, or the twin's reading where a message was read as a control token."""
        roles = tuple(str(turn["role"]) for turn in turns)
        try:
            skeleton = self._skeleton(roles, prompt)
            named = any(self._control.named_in(turn["content"]) for turn in turns)
            if named or self._control.among(read.ids) != self._own[roles, prompt]:
                read = self._by_twin(turns, roles, skeleton, prompt)
            otherwise = frozenset() if prompt else self._renderer.otherwise(roles)
        except EncodingError as exc:
            return exc
        return Read(read.ids, read.answers, otherwise)

    def _by_twin(self, turns: Turns, roles: tuple[str, ...], skeleton: Read, prompt: bool) -> Read:
        found = plain_twin(self._tokenizer)
        if found is None:
            raise _refusal(turns, self._control)
        try:
            if self._twins is None:
                spelled = {name: found.spell(text) for name, text in self._variables.items()}
                renderer = Renderer(found.spell(self._template), spelled, any_of(found.spelling.values()))
                self._twins = (
                    renderer,
                    _Cutter(found.core, found.spell(str(self._tokenizer.eos_token)), self._tokenizer.unk_token_id),
                )
            renderer, cutter = self._twins
            both = [renderer.prompt(t) if prompt else renderer.conversation(t) for t in (stub(roles), turns)]
        except EncodingError:
            # A control token spells a word of the template's code, or the template writes the row otherwise.
            raise _refusal(turns, self._control) from None
        check, read = _tokens(both, cutter, self._control)
        # Differs where the template puts control tokens together from parts.
        if check.ids != skeleton.ids:
            raise _refusal(turns, self._control)
        return read


@lru_cache(maxsize=4)
def reader(tokenizer: PreTrainedTokenizerBase, template: str) -> Reader:
    """The reader of a tokenizer with a template, kept: trying out both takes a while."""
    return Reader(tokenizer, template)


def _tokens(rendered: Sequence[Rendered], cutter: _Cutter, control: ControlTokens) -> list[Read]:
    """Tokens of rendered conversations, all read in one go."""
    pieces, first = [], []
    for one in rendered:
        cuts = [0, *(answer.start for answer in one.answers), len(one.text)]
        pieces += [one.text[start:end] for start, end in pairwise(cuts)]
        first += [place == 0 for place in range(len(cuts) - 1)]
    waiting = iter(cutter.read(pieces, first))
    result = []
    for one in rendered:
        ids = list(next(waiting)[0])
        answers = []
        for answer in one.answers:
            tokens, encoding = next(waiting)
            stop = cutter.token_at(encoding, answer.stop - answer.start, False)
            if stop is None or tokens[stop] not in control.telling:
                raise EncodingError(
                    "The last trained token of an answer is not the stop token; the model would never stop."
                )
            answers.append((len(ids), len(ids) + stop + 1))
            ids += tokens
        result.append(Read(ids, tuple(answers)))
    return result


def _check_text(turns: Turns) -> None:
    if not turns:
        raise EncodingError("The conversation has no message.")
    for position, turn in enumerate(turns):
        try:
            turn["content"].encode()
        except UnicodeEncodeError as exc:
            raise EncodingError(f"messages[{position}] holds half of a surrogate pair, which is no character.") from exc


def _refusal(messages: Turns, control: ControlTokens) -> EncodingError:
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
