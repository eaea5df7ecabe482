"""Whatever is said, by whatever template and tokenizer: trained is what the answers say and their stop token, no more.

And chat reads, before every answer, the very tokens that training read there.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trl
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tests.small_tokenizers import CHATML, CONTROL, INST, KINDS, THINKING, TRIMMING
from training.encoding import IGNORED, encode_row, encode_rows, prompt_ids, stop_ids
from training.errors import EncodingError
from training.reading import reader
from training.recipes import RECIPES
from training.templates import FALLBACK, chat_template, load_template

PHRASE = "(답변 종료)"
PHRASED = dataclasses.replace(RECIPES["polyglot-ko-1.3b"], stop_phrase=PHRASE)
OPENED = dataclasses.replace(RECIPES["gemma-2b"], system_prompt="존댓말로 답합니다.")
#: Name, template and what stands behind an answer's text.
TEMPLATES = {
    "eeve": (load_template("eeve.jinja"), "</s>"),
    "demo": (load_template("demo.jinja"), "</s>"),
    "polyglot": (load_template("polyglot-ko.jinja"), "</s>"),
    "polyglot with a phrase": (chat_template(PHRASED, None), f"{PHRASE}</s>"),
    "gemma": (load_template("gemma.jinja"), "<end_of_turn>"),
    "gemma with opening words": (chat_template(OPENED, None), "<end_of_turn>"),
    "chatml": (CHATML, "<|im_end|>"),
    "trimming": (TRIMMING, "<|im_end|>"),
    "inst": (INST, " </s>"),
}
#: What a tokenizer or a template may stumble over, joined at random with any other letters.
STONES = (
    *CONTROL,
    *("\n", "\n\n", " ", "  ", "\t", "\r\n", "\u3000", "\u200b", "\ufeff"),
    *("재고", unicodedata.normalize("NFD", "각종 입고"), "ㄱㅏ", "👨\u200d👩\u200d👧", "🇰🇷", "e\u0301", "漢字", "ﬁ"),
    *(PHRASE, "Human: ", "Assistant:\n", "### 답변:\n", "[답변]\n", "[/INST]", "<start_of_turn>model\n"),
    *("{{ bos_token }}", "{%- generation -%}", "{% endfor %}", "⟦", "\U0010f000", "\U0010f001", "\ue000", "</", "s>"),
)
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TEXTS = st.lists(st.one_of(st.sampled_from(STONES), LETTERS), max_size=5).map("".join)
TURNS = st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from([None, None, 0, 1])), min_size=1, max_size=4)


def conversation(system: str | None, turns: Sequence[tuple[str, str, int | None]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [] if system is None else [{"role": "system", "content": system}]
    for question, answer, weight in turns:
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer} | ({} if weight is None else {"weight": weight}))
    return messages


def stretches(row: Any) -> list[tuple[int, int]]:
    """Where trained tokens begin and end; answers never touch."""
    trained = [False, *(label != IGNORED for label in row.labels), False]
    edges = [place for place in range(1, len(trained)) if trained[place] != trained[place - 1]]
    return [(start - 1, end - 1) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def said(tokenizer: Any, ids: Sequence[int], start: int, end: int) -> str:
    """The text of a stretch where it stands: some tokenizers leave a blank out at a text's start."""
    before = tokenizer.decode(ids[:start])
    whole = tokenizer.decode(ids[:end])
    assert whole.startswith(before)
    return str(whole[len(before) :])


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(system=st.one_of(st.none(), st.just(""), TEXTS), turns=TURNS)
def test_any_conversation(kind: str, name: str, system: str | None, turns: list[tuple[str, str, int | None]]) -> None:
    tokenizer, (template, tail) = KINDS[kind](), TEMPLATES[name]
    messages = conversation(system, turns)
    row = encode_row(messages, tokenizer, template, 10**6)
    spans = stretches(row)
    wanted = [(answer.strip() if name == "trimming" else answer) + tail for _, answer, weight in turns if weight != 0]
    if kind == "unigram_bytes":
        # This letter is how such a tokenizer spells a blank.
        wanted = [text.replace("▁", " ") for text in wanted]
    assert [said(tokenizer, row.input_ids, *span) for span in spans] == wanted
    assert all(label in (IGNORED, token) for label, token in zip(row.labels, row.input_ids, strict=True))
    stop = stop_ids(tokenizer, template)[0]
    assert [row.input_ids[end - 1] for _, end in spans] == [stop] * len(wanted)
    check_prompts(messages, row, spans, tokenizer, template)
    # Nobody but the template gives control tokens.
    quiet = [message | {"content": "말"} for message in messages]
    own = set(tokenizer.all_special_ids) | {tokenizer.convert_tokens_to_ids(token) for token in CONTROL}
    skeleton = encode_row(quiet, tokenizer, template, 10**6)
    assert [i for i in row.input_ids if i in own] == [i for i in skeleton.input_ids if i in own]


def check_prompts(
    messages: list[dict[str, Any]], row: Any, spans: list[tuple[int, int]], tokenizer: Any, template: str
) -> None:
    """Before every trained answer stand the tokens that chat has there."""
    places = [n for n, m in enumerate(messages) if m["role"] == "assistant" and m.get("weight", 1) == 1]
    for place, (start, _) in zip(places, spans, strict=True):
        assert prompt_ids(messages[:place], tokenizer, template) == row.input_ids[:start]


@pytest.mark.parametrize("kind", KINDS)
def test_an_ordinary_row_is_what_the_tokenizer_makes_of_the_whole_text(kind: str) -> None:
    """Cutting where answers begin changes no token where no token would reach over the cut."""
    tokenizer = KINDS[kind]()
    for name, (template, _) in TEMPLATES.items():
        if name == "inst":
            # Its prompts end in a blank, which byte-level tokenizers join with the word behind it.
            continue
        messages = conversation(
            "공손히 답합니다.", [("피킹이란?", "꺼내는 일입니다.", None), ("출고는?", "뒤에 합니다.", 0)]
        )
        text = reader(tokenizer, template)._renderer.conversation(messages).text
        assert (
            encode_row(messages, tokenizer, template, 9999).input_ids
            == tokenizer(text, add_special_tokens=False)["input_ids"]
        )


@pytest.mark.parametrize("name", [name for name in TEMPLATES if name != "inst"])
def test_the_generation_prompt_of_a_template_is_the_prompt(name: str) -> None:
    """Other programs ask by ``add_generation_prompt``. (Llama 2's writes a blank of the answer; it has none.)"""
    tokenizer, template = KINDS["byte_level"](), TEMPLATES[name][0]
    asked = conversation("안내", [("피킹이란?", "꺼내는 일입니다.", None)])
    messages = [*asked, {"role": "user", "content": "출고는?"}]
    told = tokenizer.apply_chat_template(
        messages, chat_template=template, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    assert prompt_ids(messages, tokenizer, template) == told


def test_a_system_message_is_kept_by_every_template() -> None:
    tokenizer = KINDS["byte_level"]()
    passages = "[문서 1] 입고는 오전에 합니다.\n[문서 2] 출고는 오후에 합니다."
    for template, _ in TEMPLATES.values():
        text = tokenizer.decode(
            prompt_ids([*conversation(passages, []), {"role": "user", "content": "?"}], tokenizer, template)
        )
        assert passages in text
    gemma = prompt_ids(
        [{"role": "system", "content": "안내"}, {"role": "user", "content": "물음"}], tokenizer, TEMPLATES["gemma"][0]
    )
    assert tokenizer.decode(gemma) == "<s><start_of_turn>user\n안내\n\n물음<end_of_turn>\n<start_of_turn>model\n"


def test_a_thinking_template() -> None:
    """Where an empty thought stands before the last answer only, that is the prompt; earlier answers have another."""
    tokenizer = KINDS["byte_level"]()
    one = conversation(None, [("재고?", "있습니다.", None)])
    row = encode_row(one, tokenizer, THINKING, 9999)
    prompt = prompt_ids(one[:1], tokenizer, THINKING)
    assert row.input_ids[: len(prompt)] == prompt
    assert tokenizer.decode(prompt).endswith("assistant\n<think>\n\n</think>\n\n")
    two = conversation(None, [("재고?", "있습니다.", None), ("출고?", "합니다.", None)])
    with pytest.raises(EncodingError, match="answer 1 of 2 after another prompt") as caught:
        encode_row(two, tokenizer, THINKING, 9999)
    assert '"weight": 0' in caught.value.hint
    two[1]["weight"] = 0
    row = encode_row(two, tokenizer, THINKING, 9999)
    assert tokenizer.decode([label for label in row.labels if label != IGNORED]) == "합니다.<|im_end|>"
    check_prompts(two, row, stretches(row), tokenizer, THINKING)


def test_a_template_that_changes_an_answer_is_refused() -> None:
    tokenizer = KINDS["byte_level"]()
    rows = [
        (1, conversation(None, [("재고?", "있습니다.", None)])),
        (4, conversation(None, [("재고?", "<think>어디</think>있습니다.", None)])),
        (7, conversation(None, [("재고?", "</think>", None)])),
    ]
    with pytest.raises(EncodingError) as caught:
        encode_rows(rows, tokenizer, THINKING, 9999)
    assert caught.value.message == (
        "line 4: The chat template changes messages[1]: it leaves out, repeats or rewrites what the answer says. "
        "Refused too: 1 more, lines 7."
    )
    for change in ("message['content'] | upper", "message['content'] | replace('a', 'b')", "message['content'] * 2"):
        template = CHATML.replace("message['content']", f"({change})")
        with pytest.raises(EncodingError, match=r"changes messages\[1\]"):
            encode_row(conversation(None, [("?", "abc a", None)]), tokenizer, template, 9999)
    marked = load_template("demo.jinja").replace("- message['content'] + stop", "- message['content'] | trim + stop")
    with pytest.raises(EncodingError, match=r"changes the answer in messages\[1\]"):
        encode_row(conversation(None, [("?", " 답", None)]), tokenizer, marked, 9999)


@pytest.mark.parametrize(
    "template",
    [
        CHATML.replace(" + '<|im_end|>'", ""),
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + m['content'] }}{% endfor %}",
        CHATML.replace("'<|im_end|>'", "'[끝]'"),
    ],
)
def test_a_template_without_a_stop_token_is_refused(template: str) -> None:
    """The next turn's header is no stop token, though it is a control token: the last answer has none behind it."""
    tokenizer = KINDS["byte_level"]()
    with pytest.raises(EncodingError, match="never stop"):
        encode_row(conversation(None, [("?", "답", None), ("?", "답", None)]), tokenizer, template, 9999)


def test_what_a_template_refuses_is_told() -> None:
    tokenizer = KINDS["byte_level"]()
    strict = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
    )
    with pytest.raises(EncodingError, match="System role not supported"):
        encode_row(conversation("안내", [("?", "답", None)]), tokenizer, strict, 9999)
    with pytest.raises(EncodingError, match="no message"):
        prompt_ids([], tokenizer, CHATML)


def test_which_template_a_recipe_takes() -> None:
    tokenizer = KINDS["byte_level"]()
    assert chat_template(RECIPES["auto"], tokenizer) == load_template(FALLBACK)
    own = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", chat_template=CHATML)
    assert chat_template(RECIPES["auto"], own) == CHATML
    assert chat_template(RECIPES["gemma-2b"], own) == load_template("gemma.jinja")
    with pytest.raises(EncodingError, match="stop_phrase"):
        chat_template(dataclasses.replace(RECIPES["auto"], stop_phrase=PHRASE), own)
    assert chat_template(dataclasses.replace(RECIPES["auto"], stop_phrase=PHRASE), tokenizer).startswith("{%- set")


def bundled(name: str) -> str:
    """A template as its model brings it, from the library's collection."""
    return (Path(trl.__file__).parent / "chat_templates" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "stop"),
    [("gemma.jinja", "<end_of_turn>"), ("gemma3.jinja", "<end_of_turn>"), ("llama3.jinja", "<|eot_id|>"),
     ("llama3_2.jinja", "<|eot_id|>"), ("qwen2_5.jinja", "<|im_end|>"), ("qwen3.jinja", "<|im_end|>"),
     ("phi3.jinja", "<|end|>"), ("deepseekv3.jinja", "<｜end▁of▁sentence｜>"),
     ("cohere.jinja", "<|END_OF_TURN_TOKEN|>")],
)  # fmt: skip
def test_templates_that_models_bring(name: str, stop: str) -> None:
    """Without marks, or where an earlier answer is rewritten: every answer is trained, after the prompt of chat."""
    core = Tokenizer.from_str(KINDS["byte_level"]().backend_tokenizer.to_str())
    core.add_special_tokens([AddedToken(token, special=True) for token in (stop, "<|start_header_id|>", "<|user|>")])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=bundled(name)
    )
    template = chat_template(RECIPES["auto"], tokenizer)
    messages = conversation(None, [("재고?", "있습니다.", None), ("출고?", "합니다.\n\n끝.", None), ("?", "네", 0)])
    row = encode_row(messages, tokenizer, template, 9999)
    spans = stretches(row)
    told = [said(tokenizer, row.input_ids, *span) for span in spans]
    thought = "<think>\n\n</think>\n\n"
    assert [text.removeprefix(thought) for text in told] == [f"있습니다.{stop}", f"합니다.\n\n끝.{stop}"]
    assert (template == bundled(name)) == (name != "qwen3.jinja")
    check_prompts(messages, row, spans, tokenizer, template)


PIECES = ("<unk>", "</s>", "▁", "말", "▁말", "재고", "▁재고", "A", "▁A", "the", "▁the", ".", "x", "▁x", "가", "▁가")


@pytest.mark.parametrize("scheme", ["always", "first", "never"])
@pytest.mark.parametrize("newline", [None, " "])
def test_an_answer_gets_no_blank_that_it_has_not(scheme: str, newline: str | None) -> None:
    """However a tokenizer sets blanks before a text, one that reads line breaks as blanks too."""
    core = Tokenizer(models.Unigram([(piece, -float(place)) for place, piece in enumerate(PIECES)], unk_id=0))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    core.decoder = decoders.Metaspace(prepend_scheme=scheme)
    if newline is not None:
        core.normalizer = normalizers.Replace("\n", newline)
    core.add_special_tokens([AddedToken("</s>", special=True), AddedToken("<unk>", special=True)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", unk_token="<unk>")
    template = load_template("demo.jinja")
    row = encode_row(conversation(None, [("재고", "말", None)]), tokenizer, template, 99)
    trained = [label for label in row.labels if label != IGNORED]
    assert tokenizer.convert_ids_to_tokens(trained) == ["말", "</s>"]
    prompt = prompt_ids([{"role": "user", "content": "재고"}], tokenizer, template)
    assert row.input_ids[: len(prompt) + 2] == prompt + trained
    strange = conversation(None, [("재고", "漢字", None)])
    if scheme == "always":
        # Its letters would be one unknown letter with what is set before them.
        with pytest.raises(EncodingError, match="cannot tell apart"):
            encode_row(strange, tokenizer, template, 99)
        rows = [(1, conversation(None, [("재고", "말", None)])), (2, strange)]
        with pytest.raises(EncodingError, match=r"^line 2: .* cannot tell apart"):
            encode_rows(rows, tokenizer, template, 99)
    else:
        assert tokenizer.unk_token_id in encode_row(strange, tokenizer, template, 99).labels
