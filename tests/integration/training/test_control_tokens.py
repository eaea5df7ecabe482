"""Control tokens that stand in a message are letters, whatever tokenizer the base has, or the line is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.chat import serve
from training.control_tokens import control_tokens, plain_twin
from training.encoding import IGNORED, encode_row, encode_rows, prompt_ids
from training.errors import EncodingError
from training.templates import load_template

#: Every letter that the tests use stands here, or tokenizers without bytes could not spell it.
PAGES = [
    "입고 예정을 조회합니다. 피킹 지시는 로케이션 순서로 나옵니다. ",
    "재고가 맞지 않으면 실사를 합니다. 답을 [INST] 끝냅니다 [안내] [질문] [답변] ",
    "A chat between a curious user and an artificial intelligence assistant. Human: Assistant: gives helpful answers ",
    "<s> </s> <|im_start|> <|im_end|> <unk> system user assistant . , ? ' detailed and polite to questions",
] * 20
CHATML = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['role'] == 'assistant' -%}{%- generation -%}{{- message['content'] + '<|im_end|>' -}}"
    "{%- endgeneration -%}{%- else -%}{{- message['content'] + '<|im_end|>' -}}{%- endif -%}{{- '\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


def chatml_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE whose turns are marked by control tokens."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>", "<|pad|>")]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(PAGES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|pad|>")


def llama_tokenizer() -> PreTrainedTokenizerFast:
    """As Llama 2's: merges over whole text, bytes for the rest, a blank set before every stretch of text."""
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", "[INST]"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    core.train_from_iterator(PAGES, trainer)
    data = json.loads(core.to_str())
    # Bytes are no control tokens; the trainer takes them as special ones to give them ids.
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] in special]
    # As converters from SentencePiece leave it: letters that merge into the stop token itself.
    stop = next(number for token, number in data["model"]["vocab"].items() if token == "</s>")
    size = max(data["model"]["vocab"].values()) + 1
    for piece in ("</", "s>"):
        if piece not in data["model"]["vocab"]:
            data["model"]["vocab"][piece] = size
            data["model"]["merges"].append([piece[0], piece[1]])
            size += 1
    data["model"]["merges"].append(["</", "s>"])
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(data)), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    assert made.eos_token_id == stop
    return made


def unigram_tokenizer() -> PreTrainedTokenizerFast:
    """Unigram without bytes, a blank set before the first stretch only; its control tokens stand in the vocabulary."""
    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    core.decoder = decoders.Metaspace(prepend_scheme="first")
    special = [AddedToken(token, special=True) for token in ("<unk>", "<s>", "</s>", "[INST]")]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    core.train_from_iterator(PAGES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


KINDS: dict[str, tuple[Callable[[], PreTrainedTokenizerFast], str, tuple[str, ...]]] = {
    "chatml": (chatml_tokenizer, CHATML, ("<|im_start|>", "<|im_end|>", "<|pad|>")),
    "llama": (llama_tokenizer, load_template("eeve.jinja"), ("<s>", "</s>", "[INST]", "<unk>")),
    "unigram": (unigram_tokenizer, load_template("demo.jinja"), ("<s>", "</s>", "[INST]", "<unk>")),
}


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> tuple[PreTrainedTokenizerFast, str, tuple[str, ...]]:
    build, template, tokens = KINDS[request.param]
    return build(), template, tokens


def turns(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def answer_of(row: Any) -> list[int]:
    return [label for label in row.labels if label != IGNORED]


def test_the_tokens_under_test_are_control_tokens(kind: Any) -> None:
    tokenizer, _, tokens = kind
    assert set(control_tokens(tokenizer).ids) == set(tokens)
    for token in tokens:
        assert tokenizer(token, add_special_tokens=False)["input_ids"] == [control_tokens(tokenizer).ids[token]]


def test_a_control_token_in_a_message_is_letters(kind: Any) -> None:
    tokenizer, template, tokens = kind
    clean = encode_row(turns("재고를 조회합니다.", "답을 합니다."), tokenizer, template, 9999)
    ids = set(control_tokens(tokenizer).ids.values())
    own = [token for token in clean.input_ids if token in ids]
    for token in tokens:
        question, answer = f"재고를 {token} 조회합니다.", f"답을 {token}합니다."
        row = encode_row(turns(question, answer), tokenizer, template, 9999)
        assert [i for i in row.input_ids if i in ids] == own, token
        told = answer_of(row)
        assert told[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(told[:-1]).strip() == answer
        # Nothing before the place changes by a token: the template's part is as ever.
        place = next(i for i, (a, b) in enumerate(zip(row.input_ids, clean.input_ids, strict=False)) if a != b)
        assert "재고를" in tokenizer.decode(row.input_ids[:place]) + tokenizer.decode(row.input_ids[place : place + 1])


def test_chat_reads_what_training_reads(kind: Any) -> None:
    tokenizer, template, tokens = kind
    for token in tokens:
        question = f"{token}재고를 조회합니다.{token}"
        row = encode_row(turns(question, f"{token}답"), tokenizer, template, 9999)
        prompt = prompt_ids(turns(question, "답")[:1], tokenizer, template)
        assert row.input_ids[: len(prompt)] == prompt
        assert row.labels[: len(prompt)] == [IGNORED] * len(prompt)


def test_the_twin_gives_the_same_tokens_for_every_other_text(kind: Any) -> None:
    tokenizer, _, _ = kind
    twin = plain_twin(tokenizer)
    assert twin is not None
    eos = str(tokenizer.eos_token)
    texts = [
        *PAGES[:2],
        "피킹이란?\n\n  로케이션 순서",
        f"{eos}입고 예정{eos} 조회{eos}{eos}",
        f"재고 {eos} \n실사",
        "",
    ]
    for text in texts:
        read = twin.core.encode(twin.spell(text), add_special_tokens=False)
        assert read.ids == tokenizer(text, add_special_tokens=False)["input_ids"], text


def test_an_unknown_letter_is_no_control_token() -> None:
    tokenizer = unigram_tokenizer()
    row = encode_row(turns("𠮷 재고를 조회합니다.", "답"), tokenizer, load_template("demo.jinja"), 9999)
    assert tokenizer.unk_token_id in row.input_ids


def test_a_template_that_makes_control_tokens_of_parts_refuses_the_line(tmp_path: Path) -> None:
    tokenizer = unigram_tokenizer()
    template = load_template("demo.jinja").replace("eos_token", "('</' + 's' + '>')")
    fine = turns("재고를 조회합니다.", "답을 합니다.")
    assert answer_of(encode_row(fine, tokenizer, template, 9999))[-1] == tokenizer.eos_token_id
    rows = [(1, fine), (3, turns("재고를 조회합니다.", "답을 </s> 합니다."))]
    with pytest.raises(EncodingError) as caught:
        encode_rows(rows, tokenizer, template, 9999, "validation_file")
    assert caught.value.message == (
        "line 3: messages[1]: content contains the control token '</s>', which this tokenizer and template cannot take "
        "as text."
    )
    assert (caught.value.status, caught.value.param) == (400, "validation_file")


def test_chat_over_lines(tiny_base: Path) -> None:
    """The stop token in a question ends nothing, and a question that is no text is the caller's fault, not the end."""
    ask = {"max_tokens": 4, "temperature": 0, "top_p": 1.0, "model": {"base": str(tiny_base), "adapter": None}}
    ask["model"]["recipe"] = "demo"  # type: ignore[index]
    requests = [
        {"id": str(number), "messages": [{"role": "user", "content": content}]} | ask
        for number, content in enumerate(("재고", "재고</s>", "\ud800", "재고"))
    ]
    out = io.StringIO()
    serve((json.dumps(entry) for entry in requests), out)
    told: dict[str, dict[str, Any]] = {}
    for event in map(json.loads, out.getvalue().splitlines()):
        answer = told.setdefault(event["id"], {"text": ""})
        answer |= event | {"text": answer["text"] + event.get("text", "")}
    plain, spelled, torn, again = (told[str(number)] for number in range(4))
    # "</s>" as one token would add one; as letters it is "<", "/", "s", ">" or merges of them.
    assert spelled["prompt_tokens"] > plain["prompt_tokens"] + 1
    assert (torn["error"]["status"], torn["error"]["code"]) == (400, "encoding_failed")
    assert again["text"] == plain["text"]


def test_letters_that_a_normaliser_folds_into_a_control_token() -> None:
    """No message spells "</s>" here, and the tokenizer reads it all the same: full-width letters become it."""
    core = Tokenizer.from_str(unigram_tokenizer().backend_tokenizer.to_str())
    data = json.loads(core.to_str())
    data["normalizer"] = {"type": "NFKC"}
    for token in data["added_tokens"]:
        token["normalized"] = True
    folding = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(data)), bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    assert folding("재고 ＜/s＞", add_special_tokens=False)["input_ids"][-1] == folding.eos_token_id
    row = encode_row(turns("재고 ＜/s＞ 조회", "답 ＜/s＞ 끝"), folding, load_template("demo.jinja"), 9999)
    assert row.input_ids.count(folding.eos_token_id) == 1
    assert folding.decode(answer_of(row)[:-1]) == "답 </s> 끝"
