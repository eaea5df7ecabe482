"""Chat on tiny real models: one base, adapters switched on it, several answers at once, the same as alone."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerFast

from corpora.errors import InvalidInputError
from tests.tiny_adapter import build_tiny_adapter
from training.chat import Chat, answering, models, serve
from training.encoding import prompt_ids
from training.errors import AdapterError, BaseModelError
from training.loading import load_base
from training.recipes import RECIPES

QUESTION = {"role": "user", "content": "3번 로케이션은 어디에 있나요?"}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """At this size a second thread gives nothing, and waiting for it costs seconds on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def adapters(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("adapters")
    return [str(build_tiny_adapter(tiny_base, folder / str(seed), seed)) for seed in range(3)]


@pytest.fixture(scope="module")
def chat(tiny_base: Path) -> Chat:
    """One loaded base for the tests of this module; every one of them leaves it idle."""
    chat = Chat()
    chat.shelf.open(str(tiny_base))
    return chat


def ask(base: Path | str, adapter: str | None = None, **more: Any) -> dict[str, Any]:
    model = {"base": str(base), "adapter": adapter, "recipe": "demo"}
    return {"model": model, "messages": [QUESTION], "max_tokens": 12, "temperature": 0} | more


def told(chat: Chat, *requests: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[tuple[str, int], str]]:
    """Every event of these requests asked at once, and the text of each answer."""
    for number, request in enumerate(requests):
        chat.submit({"id": str(number)} | request)
    events: list[dict[str, Any]] = []
    texts: dict[tuple[str, int], str] = defaultdict(str)
    while chat.busy:
        for event in chat.turn():
            events.append(event)
            if event["type"] == "delta":
                texts[event["id"], event["index"]] += event["text"]
    return events, texts


def errors(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {event["id"]: event["error"] for event in events if event["type"] == "error"}


def test_base_and_adapters_answer_together_as_they_do_alone(
    tiny_base: Path, adapters: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def counting(base: str, **more: Any) -> Any:
        loaded.append(base)
        return load_base(base, **more)

    monkeypatch.setattr(models, "load_base", counting)
    chat = Chat()
    sides = [None, *adapters]
    alone = [chat.answer(ask(tiny_base, side)) for side in sides]
    _, texts = told(chat, *(ask(tiny_base, side) for side in sides))
    assert [texts[str(number), 0] for number in range(4)] == [answer["text"] for answer in alone]
    assert len({answer["text"] for answer in alone}) == 4
    assert loaded == [str(tiny_base)]


@pytest.mark.parametrize("side", [None, 0])
def test_the_same_answer_as_the_library_gives(
    chat: Chat, tiny_base: Path, adapters: list[str], side: int | None
) -> None:
    """Transformers' own loop on PEFT's own model, greedy."""
    model = load_base(str(tiny_base))
    adapter = None if side is None else adapters[side]
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    answer = chat.answer(ask(tiny_base, adapter, max_tokens=24))
    tokenizer, manner = chat.shelf.tokenizer, chat.shelf.manner("demo")
    ids = torch.tensor([prompt_ids([QUESTION], tokenizer, manner.template)])
    with torch.no_grad():
        made = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=list(manner.stop_ids),
            pad_token_id=tokenizer.pad_token_id,
        )[0, ids.shape[1] :].tolist()
    assert answer["completion_tokens"] == len(made)
    # The library shows the half of a last character as U+FFFD; nobody is shown that here.
    assert answer["text"].rstrip("\ufffd") == tokenizer.decode(made, skip_special_tokens=True).rstrip("\ufffd")


def test_the_least_used_adapters_leave(tiny_base: Path, adapters: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    chat = Chat(adapters=2)
    first = [chat.answer(ask(tiny_base, adapter))["text"] for adapter in adapters]
    assert len(chat.shelf.use(None).peft_config) == 2
    assert [chat.answer(ask(tiny_base, adapter))["text"] for adapter in adapters] == first
    assert len(chat.shelf.use(None).peft_config) == 2


def test_an_adapter_that_was_written_again_is_loaded_again(chat: Chat, tiny_base: Path, tmp_path: Path) -> None:
    folder = build_tiny_adapter(tiny_base, tmp_path / "어댑터", 11)
    before = chat.answer(ask(tiny_base, str(folder)))["text"]
    build_tiny_adapter(tiny_base, folder, 12)
    assert chat.answer(ask(tiny_base, str(folder)))["text"] != before


def test_seeds_give_the_same_answers_whatever_else_is_asked(chat: Chat, tiny_base: Path) -> None:
    drawn = ask(tiny_base, temperature=1.0, seed=7, n=2)
    _, alone = told(chat, drawn)
    _, among = told(chat, ask(tiny_base, temperature=1.0), drawn, ask(tiny_base, temperature=1.0, seed=8))
    assert alone["0", 0] == among["1", 0]
    assert alone["0", 1] == among["1", 1]
    assert alone["0", 0] != alone["0", 1]
    assert among["1", 0] != among["2", 0]


def test_no_choice_is_that_of_a_seed_nearby(chat: Chat, tiny_base: Path) -> None:
    asked = [ask(tiny_base, temperature=1.0, seed=seed, n=2, max_tokens=30) for seed in (5, 6, -(2**63), 2**63 - 1)]
    events, texts = told(chat, *asked)
    assert errors(events) == {}
    assert len({texts[str(request), index] for request in range(4) for index in range(2)}) == 8


def test_more_choices_than_grow_together(chat: Chat, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(tiny_base, temperature=1.0, seed=7, n=5, max_tokens=8)
    whole, texts = told(chat, request)
    monkeypatch.setattr(answering, "TOGETHER", 2)
    events, parted = told(chat, request)
    assert parted == texts
    assert len({parted["0", index] for index in range(5)}) == 5
    assert sorted(event["index"] for event in events if event["type"] == "finish") == list(range(5))
    assert [event["completion_tokens"] for event in events if event["type"] == "end"] == [
        whole[-1]["completion_tokens"]
    ]


def test_a_temperature_of_hardly_anything_takes_the_likeliest(chat: Chat, tiny_base: Path) -> None:
    said = {chat.answer(ask(tiny_base, temperature=warm))["text"] for warm in (0, 1e-40, 9e-6)}
    assert len(said) == 1


def test_a_stop_string_ends_the_answer_and_never_shows(chat: Chat, tiny_base: Path) -> None:
    drawn = ask(tiny_base, temperature=1.0, seed=3, max_tokens=40)
    whole = chat.answer(drawn)["text"]
    stop = whole[len(whole) // 2 :][:2]
    events, texts = told(chat, drawn | {"stop": [stop]})
    assert texts["0", 0] == whole[: whole.index(stop)]
    assert [event["finish_reason"] for event in events if event["type"] == "finish"] == ["stop"]
    assert events[-1]["completion_tokens"] < 40


def test_a_recipes_stop_phrase_is_no_part_of_the_answer(
    chat: Chat, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = ask(tiny_base, temperature=1.0, seed=3, max_tokens=40)
    whole = chat.answer(drawn)["text"]
    phrase = whole[len(whole) // 2 :][:3]
    monkeypatch.setitem(RECIPES, "demo", dataclasses.replace(RECIPES["demo"], stop_phrase=phrase))
    answer = Chat().answer(drawn)
    assert (answer["text"], answer["finish_reason"]) == (whole[: whole.index(phrase)], "stop")


def test_log_probabilities_spell_the_answer(chat: Chat, tiny_base: Path) -> None:
    request = ask(tiny_base, temperature=1.0, seed=5, max_tokens=30, top_logprobs=3)
    events, texts = told(chat, request)
    entries = [entry for event in events if event["type"] == "delta" for entry in event["logprobs"]]
    assert len(entries) == events[-1]["completion_tokens"] == 30
    spelled = b"".join(bytes(entry["bytes"]) for entry in entries).decode(errors="replace")
    assert spelled.rstrip("\ufffd") == texts["0", 0].rstrip("\ufffd")
    for entry in entries:
        values = [top["logprob"] for top in entry["top_logprobs"]]
        assert len(values) == 3
        assert values == sorted(values, reverse=True)
        assert entry["logprob"] <= values[0] <= 0
    greedy, _ = told(chat, request | {"temperature": 0})
    for event in greedy:
        for entry in event.get("logprobs", ()):
            assert entry["logprob"] == entry["top_logprobs"][0]["logprob"]


def test_penalties_and_biases_shift_what_is_drawn(chat: Chat, tiny_base: Path, adapters: list[str]) -> None:
    plain = ask(tiny_base, adapters[0], max_tokens=30)
    changes: dict[str, dict[str, Any]] = {
        "plain": {},
        "frequency": {"frequency_penalty": 2.0},
        "repetition": {"repetition_penalty": 5.0},
        "biased": {"logit_bias": {"40": 100}},
    }
    told_ = {name: chat.answer(plain | more)["text"] for name, more in changes.items()}
    token = chat.shelf.tokenizer.decode([40])
    assert told_["biased"] == token * 30
    assert len({told_["plain"], told_["frequency"], told_["repetition"]}) == 3
    with pytest.raises(InvalidInputError, match="no token 999999"):
        chat.answer(plain | {"logit_bias": {"999999": 1}})


def test_a_short_answer_does_not_wait_for_a_long_one(chat: Chat, tiny_base: Path) -> None:
    events, _ = told(chat, ask(tiny_base, max_tokens=60), ask(tiny_base, max_tokens=3))
    assert [event["id"] for event in events if event["type"] == "end"] == ["1", "0"]


def test_a_cancelled_answer_ends_and_the_others_go_on(chat: Chat, tiny_base: Path) -> None:
    for name in ("a", "b", "c"):
        chat.submit({"id": name} | ask(tiny_base, max_tokens=20))
    seen = list(chat.turn())
    chat.cancel("a")
    while chat.busy:
        events = list(chat.turn())
        assert all(event["id"] != "a" for event in events)
        seen += events
    assert [event["id"] for event in seen if event["type"] == "end"] == ["b", "c"]


def test_another_base_waits_for_its_turn(tiny_base: Path, adapters: list[str], tmp_path: Path) -> None:
    other = shutil.copytree(tiny_base, tmp_path / "다른 모델")
    chat = Chat()
    events, texts = told(
        chat,
        ask(tiny_base, adapters[0], max_tokens=8),
        ask(other, adapters[0], max_tokens=8),
        ask(tiny_base, adapters[0], max_tokens=8),
    )
    assert [event["id"] for event in events if event["type"] == "end"] == ["0", "1", "2"]
    assert texts["0", 0] == texts["1", 0] == texts["2", 0] != ""


def test_faults_of_one_request_leave_the_rest_alone(chat: Chat, tiny_base: Path, tmp_path: Path) -> None:
    long = [{"role": "user", "content": "로케이션 " * 3000}]
    wide = build_tiny_adapter(tiny_base, tmp_path / "wide", 1)
    config = json.loads((wide / "adapter_config.json").read_text())
    (wide / "adapter_config.json").write_text(json.dumps(config | {"r": 8}))
    pickled = build_tiny_adapter(tiny_base, tmp_path / "pickled", 1)
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    events, texts = told(
        chat,
        ask(tiny_base, max_tokens=8),
        ask(tiny_base) | {"messages": long},
        ask(tiny_base, str(wide)),
        ask(tiny_base, str(pickled)),
        ask(tiny_base, str(tmp_path / "없음")),
        ask(tiny_base, max_tokens=8),
    )
    found = errors(events)
    assert found["1"]["code"] == "context_length_exceeded"
    assert [found[name]["code"] for name in ("2", "3", "4")] == [AdapterError.code] * 3
    assert "pickled" in found["3"]["message"]
    assert all(error["status"] == 400 for error in found.values())
    assert texts["0", 0] == texts["5", 0] != ""
    with pytest.raises(BaseModelError):
        chat.answer(ask(tmp_path / "없음"))
    assert chat.answer(ask(tiny_base, max_tokens=8))["text"] == texts["0", 0]


def test_as_many_passages_as_there_is_room_for(chat: Chat, tiny_base: Path) -> None:
    passages = [[f"{n}장", f"{n}번 도크는 {n}층에 있습니다. " * 4] for n in range(1, 21)]
    events, _ = told(chat, ask(tiny_base, passages=passages), ask(tiny_base, passages=passages[:1]))
    shown = {event["id"]: event for event in events if event["type"] == "start"}
    assert 1 < shown["0"]["passages"] < 20
    assert shown["0"]["prompt_tokens"] <= chat.shelf.context - 12
    assert shown["1"]["passages"] == 1
    with pytest.raises(InvalidInputError, match="first passage"):
        chat.answer(ask(tiny_base, passages=[["장", "도크 " * 3000]]))


def test_lines_in_and_out(tiny_base: Path, chat: Chat) -> None:
    out = io.StringIO()
    requests = [
        {"id": "가"} | ask(tiny_base, max_tokens=50),
        {"id": "나"} | ask(tiny_base),
        {"id": "가", "cancel": True},
    ]
    serve(map(json.dumps, requests), out, chat)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["id"] for event in events if event["type"] == "end"] == ["나"]


def build_family(kind: str, folder: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A random model of another family with this tokenizer."""
    from transformers import AutoModelForCausalLM
    from transformers.models.gemma2 import Gemma2Config
    from transformers.models.gemma3 import Gemma3TextConfig
    from transformers.models.gpt_neox import GPTNeoXConfig

    shared = {
        "vocab_size": len(tokenizer) + 6,  # padded, as real ones are
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    gemma = {"num_key_value_heads": 1, "head_dim": 32, "sliding_window": 16}
    config = {
        "gemma2": lambda: Gemma2Config(**shared, **gemma),
        "gemma3": lambda: Gemma3TextConfig(**shared, **gemma),
        "gpt_neox": lambda: GPTNeoXConfig(**shared),
    }[kind]()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["gemma2", "gemma3", "gpt_neox"])
def test_every_family_goes_on_from_its_cache(kind: str, chat: Chat, tiny_base: Path, tmp_path: Path) -> None:
    """Two answers of one request, each its own token for token, past the sliding window, as one alone gives them."""
    chat.shelf.open(str(tiny_base))
    base = build_family(kind, tmp_path / kind, chat.shelf.tokenizer)
    other = Chat()
    drawn = ask(base, temperature=1.0, seed=2, max_tokens=24) | {
        "logit_bias": {str(chat.shelf.tokenizer.eos_token_id): -100}
    }
    events, texts = told(other, drawn | {"n": 2}, drawn)
    assert errors(events) == {}
    # The first answer of two is drawn from the same random numbers as that of one.
    assert texts["0", 0] == texts["1", 0]
    assert texts["0", 0] != texts["0", 1]
    model = other.shelf.use(None)
    ids = torch.tensor([prompt_ids([QUESTION], other.shelf.tokenizer, other.shelf.manner("demo").template)])
    with torch.no_grad():
        made = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, min_new_tokens=20, do_sample=False
        )[0, ids.shape[1] :].tolist()
    greedy = other.answer(drawn | {"temperature": 0, "max_tokens": 20})["text"]
    assert greedy.rstrip("\ufffd") == other.shelf.tokenizer.decode(made, skip_special_tokens=True).rstrip("\ufffd")
