"""A whole run on a tiny base: adapter, result file, resume to the same curve, plain peft."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

from corpora.errors import MalmoiError
from tests.integration.training.runs import Heard, InterruptedRunError, config, same_outcome
from training.errors import BaseModelError
from training.loading import load_base, load_tokenizer
from training.plan import plan_run
from training.recipes import RECIPES
from training.run import run_training

pytestmark = pytest.mark.usefixtures("small_recipe")


def test_a_run_and_a_resumed_run_are_the_same(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    calm = Heard()
    run_training(config(tiny_base, training_file, tmp_path / "calm"), calm)
    with pytest.raises(InterruptedRunError):
        run_training(config(tiny_base, training_file, tmp_path / "killed"), Heard(die_at=8))
    resumed = Heard()
    run_training(config(tiny_base, training_file, tmp_path / "killed"), resumed)
    assert any("checkpoint-6에서 이어서" in message for _, message, _ in resumed.lines)
    expected, got = calm.result(), resumed.result()
    assert got["steps"] == expected["steps"] == 12
    same_outcome(expected, got)
    check_outcome(tiny_base, expected)


def check_outcome(base: Path, result: dict[str, Any]) -> None:
    """The adapter opens with plain peft and holds no pickle; the result file has OpenAI's columns."""
    adapter = Path(result["adapter_dir"])
    assert not list(adapter.glob("*.bin"))
    assert not list(adapter.glob("*.pt"))
    card = (adapter / "README.md").read_text(encoding="utf-8")
    assert "tiny" in card
    # Twelve updates of four rows are three passes over sixteen.
    assert "| epochs | 3 | max\\_steps가 에포크 대신 정함(레시피: 16) |" in card
    model = load_base(str(base))
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        bare = model(input_ids=ids).logits
        tuned = PeftModel.from_pretrained(model, str(adapter)).eval()(input_ids=ids).logits
    assert not torch.equal(bare, tuned)
    with Path(result["result_csv"]).open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0])[:5] == ["step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy"]
    assert rows[-1]["step"] == "12"
    assert [entry["step"] for entry in result["checkpoints"]][-1] == 12


def test_a_loss_that_is_no_number_ends_the_run(
    tiny_base: Path, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = dataclasses.replace(RECIPES["demo"], learning_rate=1e38, warmup_ratio=0.0)
    monkeypatch.setitem(RECIPES, "demo", broken)
    with pytest.raises(MalmoiError, match="no number"):
        run_training(config(tiny_base, training_file, tmp_path / "out"), Heard())


def test_a_base_that_is_not_there(training_file: Path, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError):
        run_training(config(tmp_path / "none", training_file, tmp_path / "out"), Heard())


@pytest.mark.parametrize(
    ("recipe", "rows", "asked", "steps", "micro", "accumulation"),
    [
        ("eeve-10.8b", 1000, {}, 126, 4, 4),
        ("eeve-10.8b", 1000, {"max_steps": 10}, 10, 4, 4),
        ("eeve-10.8b", 1000, {"n_epochs": 1, "batch_size": 2}, 500, 2, 1),
        ("eeve-10.8b", 1000, {"n_epochs": 1, "batch_size": 6}, 167, 2, 3),
        ("eeve-10.8b", 3, {}, 2, 4, 4),
    ],
)
def test_plans(
    recipe: str, rows: int, asked: dict[str, Any], steps: int, micro: int, accumulation: int, tmp_path: Path
) -> None:
    plan = plan_run(config(tmp_path, tmp_path, tmp_path, **({"max_steps": None} | asked)), RECIPES[recipe], rows)
    assert (plan.total_steps, plan.micro_batch, plan.accumulation) == (steps, micro, accumulation)
    assert 1 <= plan.eval_steps <= steps


def test_a_run_killed_after_its_last_step_trains_no_more(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    """Ten steps of four rows over sixteen end in mid-epoch: a resumed run must not take an eleventh."""
    calm, killed, resumed = Heard(), Heard(die_at="result"), Heard()
    run_training(config(tiny_base, training_file, tmp_path / "calm", max_steps=10), calm)
    with pytest.raises(InterruptedRunError):
        run_training(config(tiny_base, training_file, tmp_path / "killed", max_steps=10), killed)
    run_training(config(tiny_base, training_file, tmp_path / "killed", max_steps=10), resumed)
    assert any("checkpoint-10에서 이어서" in message for _, message, _ in resumed.lines)
    assert resumed.result()["steps"] == 10
    same_outcome(calm.result(), resumed.result())


def line(question: str, answer: str) -> str:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": turns}, ensure_ascii=False) + "\n"


def rendered(question: str, answer: str) -> str:
    """What the template makes of it, by hand."""
    return f"<s>[질문]\n{question}\n[답변]\n{answer}</s>\n"


@pytest.mark.parametrize("die_at", [None, pytest.param(3, marks=pytest.mark.long)])
def test_trained_tokens_are_counted_to_the_last(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, die_at: int | None
) -> None:
    """Two epochs over 13 rows in updates of 8: twice the tokens of every row, cut ones as cut, dropped ones never."""
    pairs = [(f"{n}번 로케이션 " * (1 + n % 5), "출고장 옆입니다. " * (1 + n % 3)) for n in range(11)]
    pairs += [
        ("재고는?", "조회 화면에서 봅니다. " * 200),
        ("입고 예정 " * 300, "네."),
        ("피킹 지시는?", "작업 화면에 나옵니다."),
    ]
    file = tmp_path / "file.jsonl"
    # A blank line between any two: line numbers are those of the file.
    file.write_text("\n".join(line(*pair) for pair in pairs), encoding="utf-8")
    limited = dataclasses.replace(RECIPES["demo"], max_length=200, eval_steps=1)
    monkeypatch.setitem(RECIPES, "demo", limited)
    tokenizer = load_tokenizer(str(tiny_base))
    lengths = [len(tokenizer(rendered(*pair), add_special_tokens=False)["input_ids"]) for pair in pairs]
    assert [length > 200 for length in lengths] == [False] * 11 + [True, True, False]
    expected = 2 * (sum(lengths[:11]) + 200 + lengths[13])
    several = {"max_steps": None, "n_epochs": 2, "batch_size": 8, "allow_truncated": 0.2}
    asked = config(tiny_base, file, tmp_path / "out", **several)
    if die_at is not None:
        with pytest.raises(InterruptedRunError):
            run_training(asked, Heard(die_at))
    heard = Heard()
    run_training(asked, heard)
    assert heard.said("이어서") == (die_at is not None)
    assert heard.result()["steps"] == 4
    assert heard.result()["encoding"]["dropped_lines"] == [25]
    assert heard.result()["trained_tokens"] == expected


def test_trained_tokens_of_a_run_that_ends_in_mid_epoch(tiny_base: Path, tmp_path: Path) -> None:
    """Ten equal rows by four: updates of 4, 4, 2, 4, 4 rows."""
    file = tmp_path / "file.jsonl"
    file.write_text(line("재고는?", "조회 화면에서 봅니다.") * 10, encoding="utf-8")
    tokens = len(
        load_tokenizer(str(tiny_base))(rendered("재고는?", "조회 화면에서 봅니다."), add_special_tokens=False)[
            "input_ids"
        ]
    )
    heard = Heard()
    run_training(config(tiny_base, file, tmp_path / "out", max_steps=5), heard)
    assert heard.result()["trained_tokens"] == 18 * tokens


def test_a_wrong_line_is_named_with_its_file(tiny_base: Path, training_file: Path, tmp_path: Path) -> None:
    """The trainer checks what it reads, whoever started it."""
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(training_file.read_bytes() + b"\n" + json.dumps({"messages": []}).encode())
    with pytest.raises(MalmoiError, match=r"^line 18: ") as caught:
        run_training(config(tiny_base, training_file, tmp_path / "out", validation_file=torn), Heard())
    assert (caught.value.status, caught.value.param) == (400, "validation_file")


def test_a_share_of_the_training_file_is_measured_and_not_trained(
    tiny_base: Path, training_file: Path, tmp_path: Path
) -> None:
    heard = Heard()
    asked = {"validation_file": None, "validation_fraction": 0.25, "max_steps": 3}
    run_training(config(tiny_base, training_file, tmp_path, **asked), heard)
    result = heard.result()
    assert heard.said("4행을 무작위로")
    # Each side has counts of its own, in the events, the preflight and the card.
    sides = result["preflight"]["train"], result["preflight"]["valid"]
    assert [side["kept"] for side in sides] == [12, 4]
    assert result["encoding"] == sides[0]
    timing = next(data["timing"] for _, message, data in heard.lines if message.startswith("학습 시간: 예상"))
    assert timing == result["timing"]
    assert timing["steps"] == 3
    expected = timing["estimate"]
    assert expected["how"] == "measured" or torch.cuda.is_available()
    # Other processes may come and go between the estimate and the run: the order of magnitude holds all the same.
    assert expected["low"] / 10 < timing["took_seconds"] < expected["high"] * 10
    told = [data for _, message, data in heard.lines if message.startswith("나눈 뒤")]
    assert told == list(sides)
    whole = next(data for _, message, data in heard.lines if message.startswith("학습 데이터: 16행"))
    assert sum(side["trained_tokens"] for side in sides) == whole["trained_tokens"]
    assert result["valid_loss_after"] < result["valid_loss_before"]
    # Three updates of four rows: once through the twelve that are left.
    with Path(result["result_csv"]).open(encoding="utf-8") as handle:
        assert float(list(csv.DictReader(handle))[-1]["epoch"]) == 1
    metrics = [data for kind, _, data in heard.lines if kind == "metrics"]
    assert metrics[-1]["full_valid_loss"] == pytest.approx(result["valid_loss_after"], abs=1e-3)


def test_equal_rows_leave_nothing_to_hold_out(tiny_base: Path, tmp_path: Path) -> None:
    file = tmp_path / "학습.jsonl"
    file.write_text(line("재고는?", "조회 화면에서 봅니다.") * 12, encoding="utf-8")
    heard = Heard()
    run_training(config(tiny_base, file, tmp_path / "out", validation_fraction=0.25, max_steps=1), heard)
    assert heard.said("떼어 낼 행이 없습니다")
    assert heard.result()["valid_loss_before"] is None
