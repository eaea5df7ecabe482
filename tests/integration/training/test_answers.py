"""Answers of a base with its adapter off and on: likelihoods by hand, seeds, batches, and going on after a kill."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.integration.training.runs import Heard, InterruptedRunError
from training.answer_config import AnswerConfig, AnswerSide
from training.answering import Answerer, Decoding
from training.answers import run_answers
from training.encoding import IGNORED, encode_row
from training.loading import load_base, load_tokenizer
from training.recipes import recipe_for
from training.templates import chat_template

ROWS = [
    [
        {"role": "system", "content": "다음 지문에 근거하여 답하세요.\n\n[1] 보관\n로케이션은 네 층에 있습니다."},
        {"role": "user", "content": "로케이션은 몇 층에 있나요?"},
        {"role": "assistant", "content": "네 층에 있습니다."},
    ],
    [
        {"role": "user", "content": "안녕하세요?"},
        {"role": "assistant", "content": "네, 안녕하세요."},
        {"role": "user", "content": "7번 로케이션은 어디에 있나요?"},
        {"role": "assistant", "content": "7번 로케이션은 2층 통로에 있습니다."},
    ],
    [{"role": "user", "content": "실사란?"}, {"role": "assistant", "content": "수량을 세는 일입니다."}],
]


@pytest.fixture(scope="session")
def adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that changes every answer: its weights are drawn, not zero."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(3)
    lora = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "v_proj", "up_proj"], init_lora_weights=False)
    get_peft_model(load_base(str(tiny_base)), lora).save_pretrained(folder)
    return folder


def config(base: Path, adapter: Path, folder: Path, **more: Any) -> AnswerConfig:
    folder.mkdir(exist_ok=True)
    rows = folder / "rows.jsonl"
    lines = [json.dumps({"row": n, "messages": m}, ensure_ascii=False) for n, m in enumerate(ROWS, start=1)]
    rows.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sides = [AnswerSide(name="base", base=str(base), recipe="demo")]
    sides.append(AnswerSide(name="tuned", base=str(base), adapter=str(adapter), recipe="demo"))
    values: dict[str, Any] = {"sides": sides, "rows_file": rows, "output": folder / "answers.jsonl"}
    return AnswerConfig(**(values | {"max_tokens": 6, "repeats": 2, "repeat_rows": 2, "batch_size": 2} | more))


def answers(path: Path) -> dict[tuple[int, str, int], dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = {(one["row"], one["side"], one["sample"]): one for one in lines}
    assert len(found) == len(lines)
    return found


@pytest.fixture(scope="module")
def whole(tiny_base: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Heard]:
    """An undisturbed run."""
    asked = config(tiny_base, adapter, tmp_path_factory.mktemp("whole"))
    heard = Heard()
    run_answers(asked, heard)
    return asked.output.read_bytes(), heard


def test_every_row_is_answered_by_both_sides(whole: tuple[bytes, Heard], tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_bytes(whole[0])
    found = answers(tmp_path / "answers.jsonl")
    assert set(found) == {
        (row, side, sample) for side in ("base", "tuned") for row in (1, 2, 3) for sample in range(3 if row < 3 else 1)
    }
    for key, one in found.items():
        assert one["failure"] is None
        assert 0 < one["completion_tokens"] <= 6
        assert one["finish_reason"] in (("stop", "length") if one["completion_tokens"] == 6 else ("stop",))
        assert (one["nll"] is not None) == (key[2] == 0)
    assert any(found[number, "base", 0]["nll"] != found[number, "tuned", 0]["nll"] for number in (1, 2, 3))
    result = whole[1].result()
    assert (result["rows"], result["done"], result["failures"]) == (3, 14, {})
    progress = [data for kind, _, data in whole[1].lines if kind == "progress"]
    assert progress[-1] == {"side": "tuned", "done": 14, "total": 14}


def test_likelihoods_are_those_of_the_labelled_tokens(whole: tuple[bytes, Heard], tiny_base: Path) -> None:
    """By hand, from the logits of the bare base: only the last answer counts, its stop token included."""
    tokenizer = load_tokenizer(str(tiny_base))
    template = chat_template(recipe_for(str(tiny_base), "demo"), tokenizer)
    turns: list[dict[str, Any]] = [dict(message) for message in ROWS[1]]
    turns[1]["weight"] = 0
    row = encode_row(turns, tokenizer, template, 512)
    model = load_base(str(tiny_base)).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.input_ids], device=model.device)).logits[0].float()
    logs = torch.log_softmax(logits, -1)
    places = [place for place, label in enumerate(row.labels) if label != IGNORED]
    expected = -sum(float(logs[place - 1, row.labels[place]]) for place in places)
    said = next(
        one
        for one in map(json.loads, whole[0].decode().splitlines())
        if (one["row"], one["side"], one["sample"]) == (2, "base", 0)
    )
    assert said["answer_tokens"] == len(places)
    assert row.labels[places[-1]] == tokenizer.eos_token_id
    assert said["nll"] == pytest.approx(expected, rel=1e-3)
    assert math.exp(said["nll"] / said["answer_tokens"]) > 1


def test_a_base_is_asked_in_the_template_of_its_adapter(tiny_base: Path, adapter: Path, tmp_path: Path) -> None:
    """One with a stop phrase: both sides read the same prompt, and the same tokens are held against them."""
    phrased = tmp_path / "어댑터"
    shutil.copytree(adapter, phrased)
    recipe = replace(recipe_for(str(tiny_base), "demo"), stop_phrase="(답변 종료)")
    template = chat_template(recipe, load_tokenizer(str(tiny_base)))
    (phrased / "chat_template.jinja").write_text(template, encoding="utf-8")
    counts = []
    for name, template_of in (("따로", None), ("같이", str(phrased))):
        base = AnswerSide(name="base", base=str(tiny_base), recipe="demo", template_of=template_of)
        tuned = AnswerSide(name="tuned", base=str(tiny_base), adapter=str(phrased), recipe="demo")
        asked = config(tiny_base, phrased, tmp_path / name, sides=[base, tuned], max_tokens=2, repeats=0)
        run_answers(asked, Heard())
        found = answers(asked.output)
        sides = [[found[row, side, 0] for row in (1, 2, 3)] for side in ("base", "tuned")]
        counts.append([[(one["prompt_tokens"], one["answer_tokens"]) for one in side] for side in sides])
    (base_alone, tuned_alone), (base_same, tuned_same) = counts
    assert base_same == tuned_same == tuned_alone
    # The phrase stands behind earlier answers and behind the one that is asked about.
    assert all(mine[1] < theirs[1] for mine, theirs in zip(base_alone, tuned_alone, strict=True))
    assert base_alone[1][0] < tuned_alone[1][0]


@pytest.mark.parametrize("die_at", [2, 5])
def test_a_killed_run_goes_on_to_the_same_answers(
    die_at: int, whole: tuple[bytes, Heard], tiny_base: Path, adapter: Path, tmp_path: Path
) -> None:
    class Dies(Heard):
        batches = 0

        def emit(self, type_: str, message: str, data: dict[str, Any] | None = None, level: str = "info") -> None:
            super().emit(type_, message, data, level)
            self.batches += type_ == "progress"
            if self.batches == die_at:
                raise InterruptedRunError

    asked = config(tiny_base, adapter, tmp_path)
    with pytest.raises(InterruptedRunError):
        run_answers(asked, Dies())
    # The power failed in the middle of a line, and in the middle of a batch.
    kept = asked.output.read_bytes().splitlines(keepends=True)
    asked.output.write_bytes(b"".join(kept[:-1]) + kept[-1][: len(kept[-1]) // 2])
    run_answers(asked, Heard())
    (tmp_path / "undisturbed.jsonl").write_bytes(whole[0])
    assert answers(asked.output) == answers(tmp_path / "undisturbed.jsonl")


def test_a_run_that_is_done_loads_nothing(whole: tuple[bytes, Heard], tmp_path: Path) -> None:
    asked = config(tmp_path / "no base", tmp_path / "no adapter", tmp_path)
    asked.output.write_bytes(whole[0])
    heard = Heard()
    run_answers(asked, heard)
    assert heard.result()["done"] == 14
    assert asked.output.read_bytes() == whole[0]


def test_a_prompt_without_room_is_a_failure_with_its_cause(tiny_base: Path, adapter: Path, tmp_path: Path) -> None:
    asked = config(tiny_base, adapter, tmp_path, repeats=0)
    context = json.loads((tiny_base / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
    long = [{"role": "user", "content": "재고 " * context}, {"role": "assistant", "content": "네."}]
    rows = [{"row": 1, "messages": long}, {"row": 2, "messages": ROWS[2]}]
    asked.rows_file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    heard = Heard()
    run_answers(asked, heard)
    found = answers(asked.output)
    for side in ("base", "tuned"):
        assert found[1, side, 0]["failure"] == "context_length_exceeded"
        assert found[1, side, 0]["finish_reason"] is None
        assert found[2, side, 0]["failure"] is None
    assert heard.result()["failures"] == {"context_length_exceeded": 2}


def test_batches_seeds_and_adapters(tiny_base: Path, adapter: Path) -> None:
    answerer = Answerer()
    bare = AnswerSide(name="base", base=str(tiny_base), recipe="demo")
    tuned = bare.model_copy(update={"name": "tuned", "adapter": str(adapter)})
    answerer.choose(bare)
    prompts = [answerer.prompt(row[:-1]) for row in ROWS]
    assert len({len(prompt) for prompt in prompts}) > 1  # so that there is padding
    greedy = Decoding(max_tokens=6, temperature=0.0, top_p=1.0, seed=7)
    together = answerer.generate(prompts, greedy)
    assert together == [answerer.generate([prompt], greedy)[0] for prompt in prompts]
    before, tokens = answerer.likelihood(ROWS[0])
    answerer.choose(tuned)
    with_adapter = answerer.generate(prompts, greedy)
    assert answerer.likelihood(ROWS[0]) != (before, tokens)
    answerer.choose(bare)
    assert answerer.generate(prompts, greedy) == together  # the adapter is off again
    assert answerer.likelihood(ROWS[0]) == (before, tokens)
    assert [one.text for one in with_adapter] != [one.text for one in together]
    drawn = Decoding(max_tokens=6, temperature=1.0, top_p=1.0, seed=7)
    assert answerer.generate(prompts, drawn) == answerer.generate(prompts, drawn)
    other = Decoding(max_tokens=6, temperature=1.0, top_p=1.0, seed=8)
    assert answerer.generate(prompts, drawn) != answerer.generate(prompts, other)


def test_half_a_reference_has_no_likelihood(tiny_base: Path) -> None:
    answerer = Answerer()
    answerer.choose(AnswerSide(name="base", base=str(tiny_base), recipe="demo"))
    long = [ROWS[2][0], {"role": "assistant", "content": "재고 " * answerer.context}]
    assert answerer.likelihood(long) == (None, 0)
