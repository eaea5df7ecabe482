"""Control tokens that stand in somebody's text, read as text.

A tokenizer turns "</s>" or "<|im_end|>" into the control token wherever it stands, in a user's sentence too: training
would then teach a stop in mid-answer, and a question in chat could end its turn and open another. Splitting contents
off and tokenising them by themselves is no way out, for it changes the tokens at every seam. So a row that holds such
text goes through a twin of the tokenizer, in which the control tokens alone are spelled otherwise, with a nonce that no
text holds: the template's own become the same ids as ever, the user's are letters like any others. Rows without such
text never meet the twin. Knows nothing of labels; ``training.encoding`` uses it.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

__all__ = ["ControlTokens", "PlainTwin", "any_of", "control_tokens", "plain_twin"]

#: First of the private-use characters that spell the twin's control tokens; no normaliser folds them.
_PRIVATE = 0xF0000


@dataclass(frozen=True, slots=True)
class ControlTokens:
    """What a tokenizer never makes of plain letters on its own."""

    ids: dict[str, int]  #: Id of each, longest spelling first.
    telling: frozenset[int]  #: Ids that show that a control token was read: all but that of unknown characters.
    pattern: re.Pattern[str]  #: Finds the spelling of any of them, the longest at a place.

    def named_in(self, text: str) -> str | None:
        """The first control token that ``text`` spells, if any."""
        found = self.pattern.search(text)
        return found.group() if found else None

    def among(self, ids: Sequence[int]) -> list[int]:
        """Those of ``ids`` that are control tokens, in order."""
        return [token for token in ids if token in self.telling]


@dataclass(frozen=True, slots=True)
class PlainTwin:
    """The tokenizer with its control tokens spelled so that no text holds them."""

    core: Tokenizer  #: Gives the ids of the original.
    spelling: dict[str, str]  #: Twin's spelling of each control token, longest token first.

    def spell(self, text: str) -> str:
        """``text``, a template or one of its variables, with the twin's spelling of every control token."""
        for token, spelled in self.spelling.items():
            text = text.replace(token, spelled)
        return text


@lru_cache(maxsize=4)
def control_tokens(tokenizer: PreTrainedTokenizerBase) -> ControlTokens:
    """The special tokens of a fast tokenizer, the named ones (bos, eos) and the others."""
    added = tokenizer.added_tokens_decoder.items()
    ids = {token.content: number for number, token in added if token.special and token.content}
    ids = dict(sorted(ids.items(), key=lambda entry: -len(entry[0])))
    return ControlTokens(ids, frozenset(ids.values()) - {tokenizer.unk_token_id}, any_of(ids))


def any_of(spellings: Iterable[str]) -> re.Pattern[str]:
    """Matches any of ``spellings``, those that come first before others; nothing where there are none."""
    return re.compile("|".join(map(re.escape, spellings)) or r"(?!)")


@lru_cache(maxsize=4)
def plain_twin(tokenizer: PreTrainedTokenizerBase) -> PlainTwin | None:
    """The twin of a fast tokenizer, or None where its control tokens cannot be renamed.

    Takes about as long as loading the tokenizer; kept, for a file that holds one such row holds many.
    """
    ids = control_tokens(tokenizer).ids
    nonce = "".join(chr(_PRIVATE + secrets.randbelow(0x1000)) for _ in range(12))
    spelling = {token: f"{nonce}{chr(_PRIVATE + 0x1000 + place)}" for place, token in enumerate(ids)}
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in data["added_tokens"]:
        token["content"] = spelling.get(token["content"], token["content"])
    _rename(data["model"], spelling)
    try:
        core = Tokenizer.from_str(json.dumps(data, ensure_ascii=False))
    except Exception:
        # The library raises plain Exception for a vocabulary that it cannot build; the row is refused then.
        return None
    core.no_truncation()
    core.no_padding()
    same = all(core.token_to_id(spelling[token]) == number for token, number in ids.items())
    return PlainTwin(core, spelling) if same else None


def _rename(model: dict[str, Any], spelling: dict[str, str]) -> None:
    """Rename control tokens in a model's vocabulary, and forget merges by which letters would become one."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {spelling.get(piece, piece): number for piece, number in vocabulary.items()}
    else:
        model["vocab"] = [[spelling.get(piece, piece), score] for piece, score in vocabulary]
    if isinstance(model.get("unk_token"), str):
        model["unk_token"] = spelling.get(model["unk_token"], model["unk_token"])
    if model.get("merges"):
        pairs = [merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [[left, right] for left, right in pairs if not {left, right, left + right} & spelling.keys()]
