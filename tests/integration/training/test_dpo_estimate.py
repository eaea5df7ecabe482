"""What is reckoned for a preference run: both answers of a pair, two sequences at once, and the reference's passes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.training.runs import Heard, config
from training import checks
from training.preflight import Budget, Preflight, Subject, preflight
from training.recipes import RECIPES
from training.run import run_training

LONG = "정리가 되지 않아 어디에 있는지 알 수 없습니다. "


def lines(numbers: range) -> str:
    """Worse answers are many times as long as the better ones."""
    pairs = [
        {
            "input": {"messages": [{"role": "user", "content": f"{number}번 도크는 어디인가요?"}]},
            "preferred_output": [{"role": "assistant", "content": f"{number}번 도크는 1층입니다."}],
            "non_preferred_output": [{"role": "assistant", "content": LONG * 4}],
        }
        for number in numbers
    ]
    return "".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)


def test_both_answers_count(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "학습.jsonl").write_text(lines(range(16)), encoding="utf-8")
    (tmp_path / "검증-학습.jsonl").write_text(lines(range(16, 20)), encoding="utf-8")
    budgets: list[Budget] = []
    subjects: list[Subject] = []

    def noted(subject: Subject, budget: Budget, *, allow_truncated: float = 0.01) -> Preflight:
        budgets.append(budget)
        subjects.append(subject)
        return preflight(subject, budget, allow_truncated=allow_truncated)

    monkeypatch.setattr(checks, "preflight", noted)
    heard = Heard()
    asked = {"method": "dpo", "recipe": "auto", "batch_size": 4, "max_steps": 2}
    run_training(config(tiny_base, tmp_path / "학습.jsonl", tmp_path / "out", **asked), heard)
    budget, better = budgets[0], subjects[0].train.rows.lengths()
    plan = next(data["plan"] for _, _, data in heard.lines if "plan" in data)
    # A pair is two sequences, and the longer one is the worse answer's.
    assert budget.micro_batch == 2 * plan["micro_batch"]
    assert budget.sequence_tokens > 2 * max(better)
    tokens = budget.tokens_per_step
    assert tokens > 3 * plan["batch_rows"] * sum(better) / len(better)
    assert tokens <= plan["batch_rows"] * 2 * budget.sequence_tokens
    # The reference reads what is trained on once more; each evaluation reads all held-out pairs twice.
    evaluations = plan["total_steps"] // plan["eval_steps"]
    held = budget.evaluated_tokens - plan["total_steps"] * tokens
    assert held == pytest.approx(2 * evaluations * 4 * tokens / plan["batch_rows"], rel=0.02)
    # What the trainer counts at the end is what was reckoned.
    assert heard.result()["trained_tokens"] == pytest.approx(plan["total_steps"] * tokens, rel=0.02)
    found = next(data for type_, _, data in heard.lines if type_ == "preflight")
    assert found["estimate"]["activations_bytes"] > 0
    assert found["duration"]["high"] > found["duration"]["low"] > 0


def test_rows_of_supervised_runs_are_reckoned_as_before(
    tiny_base: Path, training_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[Budget] = []
    subjects: list[Subject] = []

    def noted(subject: Subject, budget: Budget, **_: float) -> Preflight:
        budgets.append(budget)
        subjects.append(subject)
        raise StopIteration

    monkeypatch.setattr(checks, "preflight", noted)
    asked = config(tiny_base, training_file, tmp_path, packing=False, batch_size=4, max_steps=4)
    with pytest.raises(StopIteration):
        run_training(asked, Heard())
    budget, lengths = budgets[0], subjects[0].train.rows.lengths()
    assert budget.tokens_per_step == round(4 * sum(lengths) / len(lengths))
    assert budget.sequence_tokens == max(lengths)
    assert not budget.checkpointing
    assert RECIPES["demo"].micro_batch >= budget.micro_batch
    assert subjects[0].valid is not None
    assert budget.evaluated_tokens == 4 * sum(subjects[0].valid.rows.lengths())
