"""A stop phrase from the request to the answer: trained, carried by the adapter, cut off by chat and by evaluation."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.training.conftest import ROWS, write_rows
from tests.integration.training.runs import Heard, config
from tests.small_tokenizers import byte_level
from tests.tiny_adapter import build_tiny_adapter
from training.answer_config import AnswerSide
from training.answering import Answerer, Decoding
from training.chat import Chat
from training.chat.models import Shelf
from training.encoding import IGNORED, encode_row
from training.loading import load_tokenizer
from training.merge import MergeConfig, merge_adapter
from training.plan import effective_recipe
from training.recipe_fields import STOP_PHRASE
from training.recipes import RECIPES
from training.run import run_training
from training.templates import asking_template, chat_template, own_template, stop_phrase_of

QUESTION = {"role": "user", "content": "3번 로케이션은 어디에 있나요?"}


def phrased(phrase: str, recipe: str = "demo") -> str:
    return chat_template(dataclasses.replace(RECIPES[recipe], stop_phrase=phrase), None)


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20))
def test_a_phrase_is_read_back_from_its_template(phrase: str) -> None:
    assert stop_phrase_of(phrased(phrase)) == phrase


def test_a_request_asks_for_one(tmp_path: Path) -> None:
    """What is trained is the golden sequence of ``polyglot-ko-stop-phrase``: answer, phrase, stop token."""
    asked = config(tmp_path, tmp_path / "학습.jsonl", tmp_path, recipe="polyglot-ko-1.3b", stop_phrase=STOP_PHRASE)
    recipe = effective_recipe(asked)
    assert recipe.stop_phrase == "(답변 종료)"
    template, tokenizer = chat_template(recipe, None), byte_level()
    row = encode_row([QUESTION, {"role": "assistant", "content": "2층입니다."}], tokenizer, template, 999)
    trained = tokenizer.decode([label for label in row.labels if label != IGNORED])
    assert trained == f"2층입니다.(답변 종료){tokenizer.eos_token}"
    none = asked.model_copy(update={"stop_phrase": ""})
    assert effective_recipe(none).stop_phrase is None


def test_a_folder_brings_its_template(tmp_path: Path) -> None:
    assert own_template(tmp_path) is None
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "옛것"}), encoding="utf-8")
    assert own_template(tmp_path) == "옛것"
    (tmp_path / "chat_template.jinja").write_text("새것", encoding="utf-8")
    assert own_template(tmp_path) == "새것"
    assert asking_template(RECIPES["demo"], None, tmp_path) == "새것"
    # A base's own template is for its recipe to choose.
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert asking_template(RECIPES["demo"], None, tmp_path) == phrased("")[phrased("").index("\n") + 1 :]


@pytest.fixture(scope="module")
def plain(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_adapter(tiny_base, tmp_path_factory.mktemp("adapter") / "하나", 1)


@pytest.fixture(scope="module")
def said(tiny_base: Path, plain: Path) -> str:
    """What the adapter answers without a phrase."""
    return str(Chat().answer(ask(tiny_base, plain))["text"])


def ask(base: Path, adapter: Path) -> dict[str, Any]:
    model = {"base": str(base), "adapter": str(adapter), "recipe": "demo"}
    return {"model": model, "messages": [QUESTION], "max_tokens": 16, "temperature": 0}


@pytest.fixture
def ending(plain: Path, said: str, tmp_path: Path) -> tuple[Path, str]:
    """The same adapter with a template whose phrase is what it says in the middle of its answer, and the phrase."""
    assert len(said) > 6
    phrase = said[len(said) // 2 :][:3].strip()
    folder = tmp_path / "끝맺는 어댑터"
    shutil.copytree(plain, folder)
    (folder / "chat_template.jinja").write_text(phrased(phrase), encoding="utf-8")
    return folder, phrase


def test_chat_stops_at_the_phrase_and_does_not_show_it(
    tiny_base: Path, plain: Path, said: str, ending: tuple[Path, str]
) -> None:
    adapter, phrase = ending
    chat = Chat()
    answer = chat.answer(ask(tiny_base, adapter))
    assert phrase in said
    assert answer["text"].rstrip() == said.partition(phrase)[0].rstrip()
    assert answer["finish_reason"] == "stop"
    assert answer["completion_tokens"] < 16
    # The other adapter on the same base, by the same recipe, knows no phrase.
    assert chat.answer(ask(tiny_base, plain))["text"] == said


def test_evaluation_stops_there_too(tiny_base: Path, plain: Path, said: str, ending: tuple[Path, str]) -> None:
    adapter, phrase = ending
    answerer = Answerer()
    answerer.choose(AnswerSide(name="tuned", base=str(tiny_base), adapter=str(adapter), recipe="demo"))
    prompts = [answerer.prompt([QUESTION]), answerer.prompt([QUESTION | {"content": "실사는 언제 하나요?"}])]
    first, other = answerer.generate(prompts, Decoding(max_tokens=16, temperature=0, top_p=1, seed=1))
    assert first.text == said.partition(phrase)[0].rstrip()
    assert (first.finish_reason, phrase in first.text) == ("stop", False)
    assert 0 < first.completion_tokens < 16
    alone = answerer.generate(prompts[:1], Decoding(max_tokens=16, temperature=0, top_p=1, seed=1))[0]
    assert alone == first
    assert other.completion_tokens > 0


@pytest.mark.long
def test_training_chat_and_merge_share_the_adapters_template(
    tiny_base: Path, training_file: Path, small_recipe: None, tmp_path: Path
) -> None:
    heard = Heard()
    run_training(config(tiny_base, training_file, tmp_path, max_steps=2, stop_phrase=STOP_PHRASE), heard)
    result = heard.result()
    expected = phrased(STOP_PHRASE)
    adapter = Path(result["adapter_dir"])
    for folder in (adapter, *(Path(kept["path"]) for kept in result["checkpoints"])):
        assert own_template(folder) == expected
    samples = result["preflight"]["samples"]
    assert all(STOP_PHRASE in json.dumps(sample, ensure_ascii=False) for sample in samples)
    assert STOP_PHRASE in (adapter / "README.md").read_text(encoding="utf-8")
    shelf = Shelf()
    shelf.open(str(tiny_base))
    assert shelf.manner("demo").stop_phrase is None
    manner = shelf.manner("demo", str(adapter))
    assert (manner.template, manner.stop_phrase) == (expected, STOP_PHRASE)
    merged = tmp_path / "합친 것"
    asked = {"base": str(tiny_base), "base_label": "tiny", "adapter": adapter, "adapter_label": "ft:tiny"}
    merge_adapter(MergeConfig(**asked, recipe="demo", output_dir=merged, prompts=2), Heard())
    assert load_tokenizer(str(merged)).chat_template == expected
    shelf.open(str(merged))
    assert shelf.manner("demo").stop_phrase == STOP_PHRASE
    # A training on the merged model goes on with the phrase, unless asked for none.
    heard = Heard()
    run_training(config(merged, training_file, tmp_path / "둘째", max_steps=1), heard)
    assert own_template(Path(heard.result()["adapter_dir"])) == expected
    heard = Heard()
    run_training(config(merged, training_file, tmp_path / "셋째", max_steps=1, stop_phrase=""), heard)
    assert stop_phrase_of(own_template(Path(heard.result()["adapter_dir"])) or "") is None


@pytest.mark.long
def test_answers_that_hold_the_phrase_already_are_told(tiny_base: Path, small_recipe: None, tmp_path: Path) -> None:
    rows = [[row[0], row[1] | {"content": row[1]["content"] + STOP_PHRASE}] for row in ROWS[:2]] + ROWS[2:12]
    heard = Heard()
    file = write_rows(tmp_path / "두 번.jsonl", rows)
    run_training(config(tiny_base, file, tmp_path / "out", max_steps=1, stop_phrase=STOP_PHRASE), heard)
    told = next(data for _, _, data in heard.lines if "stop_phrase_in_answers" in data)
    assert told == {"stop_phrase_in_answers": 2}
    assert heard.said("(행 1, 2)")
