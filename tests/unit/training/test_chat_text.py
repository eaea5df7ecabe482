"""What may be shown of an answer: whole characters, no part of a stop string, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from training.chat.text import AnswerText, TokenBytes, spelled


def played(data: bytes, sizes: list[int], stops: list[str]) -> tuple[list[str], bool]:
    """Feed ``data`` in pieces of these sizes, over and over; the pieces of text that were shown."""
    text, shown, at, turn = AnswerText(stops), [], 0, 0
    while at < len(data) and not text.stopped:
        size = sizes[turn % len(sizes)]
        shown.append(text.add(data[at : at + size])[0])
        at, turn = at + size, turn + 1
    if not text.stopped:
        shown.append(text.end()[0])
    return [piece for piece in shown if piece], text.stopped


def test_a_syllable_comes_whole() -> None:
    text = AnswerText()
    pieces = [text.add(bytes([byte]))[0] for byte in "입고".encode()]
    assert pieces == ["", "", "입", "", "", "고"]


def test_half_a_syllable_at_the_end_is_left_out() -> None:
    assert played("입고".encode()[:-1], [2], []) == (["입"], False)


def test_what_is_no_utf8_shows_as_such() -> None:
    assert played(b"\x95" + "고".encode(), [1], [])[0] == ["\ufffd", "고"]


def test_a_stop_string_is_held_back_and_never_shown() -> None:
    text = AnswerText(["\n질문:"])
    assert [text.add(piece.encode())[0] for piece in ("답", "\n", "질", "서")] == ["답", "", "", "\n질서"]
    assert [text.add(piece.encode())[0] for piece in ("\n", "질문", ": 또")] == ["", "", ""]
    assert text.stopped
    assert text.end() == ("", [])


def test_the_earliest_of_several_stop_strings_counts() -> None:
    assert played("하나 둘 셋".encode(), [99], ["셋", "둘"]) == (["하나 "], True)


def test_entries_come_with_their_characters_and_not_with_a_stop_string() -> None:
    text = AnswerText(["끝"])
    whole = "입고".encode()
    assert text.add(whole[:2], "ㄱ") == ("", [])
    assert text.add(whole[2:4], "ㄴ") == ("입", ["ㄱ", "ㄴ"])
    assert text.add(whole[4:], "ㄷ") == ("고", ["ㄷ"])
    assert text.add("끝".encode(), "ㄹ") == ("", [])
    assert text.stopped


def test_a_token_that_is_no_character_is_spelled_in_bytes() -> None:
    assert spelled(" 입고".encode()) == " 입고"
    assert spelled("입".encode()[:2]) == "bytes:\\xec\\x9e"


TEXT = st.text(alphabet="입고 재끝\n:a", max_size=40)
STOPS = st.lists(st.text(alphabet="입고끝\n:", min_size=1, max_size=4), max_size=3)


@given(TEXT, st.lists(st.integers(1, 7), min_size=1, max_size=5), STOPS)
def test_nothing_is_lost_and_no_stop_leaks(text: str, sizes: list[int], stops: list[str]) -> None:
    """However the bytes come, the text shown is the same: all of it, or all before the first stop string seen."""
    pieces, stopped = played(text.encode(), sizes, stops)
    shown = "".join(pieces)
    assert text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    assert stopped == any(stop in text for stop in stops)
    if stopped:
        assert any(text.startswith(stop, len(shown)) for stop in stops)
    else:
        assert shown == text
    assert "\ufffd" not in shown


def llama_like() -> PreTrainedTokenizerFast:
    """Few letters, all other bytes by fallback, blanks as a letter, the first blank taken off: as Llama's does it."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "입", "고", "\u2581입"]
    core = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [("\u2581", "입")], byte_fallback=True))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    core.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    core.add_special_tokens([AddedToken(token, special=True) for token in ("<s>", "</s>")])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def byte_level() -> PreTrainedTokenizerFast:
    """Every byte a token, and one added word."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken("</s>", special=True)])
    core.add_tokens([AddedToken("창고")])
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")


@pytest.mark.parametrize("build", [llama_like, byte_level])
def test_special_tokens_without_a_name_are_not_shown(build: Callable[[], PreTrainedTokenizerFast]) -> None:
    named = build()
    named.backend_tokenizer.add_special_tokens([AddedToken("<|im_end|>", special=True)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=named.backend_tokenizer, eos_token="</s>")
    token = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert token not in tokenizer.all_special_ids
    assert TokenBytes(tokenizer).of(token) == b""
    assert TokenBytes(tokenizer).of(tokenizer.convert_tokens_to_ids("입" if build is llama_like else "창고")) != b""


@pytest.mark.parametrize("build", [llama_like, byte_level])
@pytest.mark.parametrize("text", ["입고 뷁 입", " 입고", "창고로 a\n입고", "🙂 입"])
def test_bytes_of_tokens_spell_what_the_tokenizer_decodes(
    build: Callable[[], PreTrainedTokenizerFast], text: str
) -> None:
    tokenizer = build()
    ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    known = TokenBytes(tokenizer)
    spelled_out = b"".join(known.of(token, first=number == 0) for number, token in enumerate(ids))
    assert spelled_out.decode() == tokenizer.decode(ids, skip_special_tokens=True)
    assert known.of(tokenizer.eos_token_id) == b""
