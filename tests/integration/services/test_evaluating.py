"""Evaluations as jobs on a real store: what is refused, what the judge says over a socket, what the report keeps.

The models' answers are laid into the run's folder, as an earlier attempt would have left them: the real child finds
nothing left to do. Models that really answer are tested in ``tests/integration/training/test_answers.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from app.api.schemas.evaluations import Evaluation, EvaluationReport
from app.jobs.kinds import JobOutcome
from app.services import evaluation, evaluation_answers, evaluation_request
from app.services.context import Services
from app.services.datasets import add_dataset
from app.services.evaluating import run_evaluate
from app.services.evaluation_request import METRICS, EvaluateParams, EvaluationRequest
from app.services.files import create_file, get_file
from app.services.generation import BudgetRequest
from app.store.queries import change
from app.store.tables import AdapterRow
from corpora.errors import ConflictError, InvalidInputError, MalmoiError
from tests.integration.services.conftest import context_of
from tests.integration.services.exports import DOCK, LABEL, Store

SERVER = Path(__file__).parents[2] / "scripted_server.py"
TUNED = "ft:아기:malmoi:물류:00000001"
HOSTILE = "</td><script>alert('말모이')</script>"
REFERENCES = ["도착 후 30분 안에 확정합니다.", "품질 담당자가 승인합니다.", "매주 월요일에 전량을 셉니다."]
#: The base knows nothing, the tuned model the first two; neither knows the third.
SAID = {"base": [HOSTILE, "", "잘 모르겠습니다."], "tuned": [*REFERENCES[:2], "잘 모르겠습니다."]}


@dataclass
class Endpoint:
    """A scripted judge and what it was sent."""

    url: str
    log: Path

    def hashes(self) -> list[str]:
        return [json.loads(line)["hash"] for line in self.log.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    log = tmp_path_factory.mktemp("endpoint") / "requests.jsonl"
    log.touch()
    command = [sys.executable, str(SERVER), "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Endpoint(f"http://127.0.0.1:{int(process.stdout.readline())}/v1", log)
        process.kill()


@pytest.fixture
def service(services: Services, tmp_path: Path) -> Services:
    """A base in the folder of models, and a model that was tuned from it."""
    base, adapter = tmp_path / "models" / "아기", tmp_path / "adapter"
    base.mkdir(parents=True)
    adapter.mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 600}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (base / "model.safetensors").write_bytes(b"")
    with services.store.write() as session:
        session.add(
            AdapterRow(
                id=TUNED, job_id="ftjob-1", base_model="아기", recipe="demo", base_path=str(base), path=str(adapter),
                created_at=1.0,
            )
        )  # fmt: skip
    return replace(services, settings=services.settings.model_copy(update={"models_dir": tmp_path / "models"}))


def judged_by(service: Services, endpoint: Endpoint) -> Services:
    return replace(service, settings=service.settings.model_copy(update={"model_base_url": endpoint.url}))


def line(number: int) -> str:
    turns = [("system", "다음 지문에 근거하여 답하세요."), ("user", f"질문 {number}번입니다. {HOSTILE}")]
    messages = [{"role": role, "content": content} for role, content in (*turns, ("assistant", REFERENCES[number]))]
    return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def upload(service: Services, data: str | None = None) -> str:
    text = "".join(map(line, range(3))) if data is None else data
    return str(create_file(service, "시험.jsonl", "fine-tune", iter([text.encode()]))["id"])


def ask(service: Services, **fields: Any) -> dict[str, Any]:
    body = {"base_model": "아기", "model": TUNED, "repeats": 2, "repeat_rows": 3} | fields
    return evaluation.create_evaluation(service, EvaluationRequest.model_validate(body))


def lay_answers(service: Services, evaluation_id: str) -> None:
    def one(row: int, side: str, sample: int) -> dict[str, Any]:
        text = SAID[side][row - 1]
        return {"row": row, "side": side, "sample": sample, "text": text, "finish_reason": "stop" if text else "length",
                "prompt_tokens": 9, "completion_tokens": 7, "nll": 5.0 if side == "tuned" else 9.0, "answer_tokens": 4,
                "failure": None}  # fmt: skip

    made = [one(row, side, sample) for side in SAID for row in (1, 2, 3) for sample in range(3)]
    text = "".join(json.dumps(answer, ensure_ascii=False) + "\n" for answer in made)
    (service.folder("runs", evaluation_id) / "answers.jsonl").write_text(text, encoding="utf-8")


def run(service: Services) -> JobOutcome:
    """The next evaluation, run to its end as a worker would."""
    row = service.jobs.claim("test", [evaluation.KIND])
    assert row is not None
    context = context_of(service, row.id, row.attempt)
    try:
        outcome = run_evaluate(service, context, EvaluateParams.model_validate(row.params))
    except MalmoiError as exc:
        error = {"code": exc.code, "message": exc.message, "hint": exc.hint, "retryable": exc.retryable}
        outcome = JobOutcome(status="failed", error=error | {"param": exc.param})
    service.jobs.finish(row.id, row.attempt, outcome.status, outcome.result, outcome.error)
    return outcome


def evaluated(service: Services, **fields: Any) -> dict[str, Any]:
    made = ask(service, file_id=upload(service), **fields)
    lay_answers(service, made["id"])
    run(service)
    body = evaluation.get_evaluation(service, made["id"])
    Evaluation.model_validate(body)
    return body


def read(service: Services, body: dict[str, Any], kind: str) -> str:
    return b"".join(evaluation.read_report(service, body["id"], kind)[0]).decode()


def report_of(service: Services, body: dict[str, Any]) -> dict[str, Any]:
    report = json.loads(read(service, body, "json"))
    EvaluationReport.model_validate(report)
    return dict(report)


# -- creating ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, "rows_not_named", "dataset_id"),
        ({"file_id": "file-1", "dataset_id": "dataset_1"}, "rows_not_named", "dataset_id"),
        ({"file_id": "file-없음"}, "file_not_found", "file_id"),
        ({"dataset_id": "dataset_없음"}, "dataset_not_found", "dataset_id"),
        ({"file_id": "file-1", "model": "ft:없음"}, "model_not_found", "model"),
        ({"file_id": "file-1", "base_model": "없음"}, "model_not_found", "base_model"),
        ({"file_id": "file-1", "model": "아기"}, "same_model", "model"),
        ({"file_id": "file-1", "judge_model": "심판"}, "no_model_endpoint", "judge_model"),
        ({"file_id": "file-1", "metrics": ["kobest"]}, "missing_extra", None),
    ],
)
def test_what_does_not_fit_is_refused(service: Services, fields: dict[str, Any], code: str, param: str | None) -> None:
    with pytest.raises(MalmoiError) as wrong:
        ask(service, **fields)
    assert (wrong.value.code, wrong.value.param) == (code, param)
    assert evaluation.list_evaluations(service, None, 10, "desc") == ([], False)


def test_a_dataset_gives_its_held_out_side_and_says_when_there_is_none(service: Services) -> None:
    with service.store.write() as session:
        dataset_id = add_dataset(session, "시험", None, 1.0).id
    store = Store(service, dataset_id)
    store.add(DOCK)
    with pytest.raises(InvalidInputError, match="no accepted sample in split 'test' \\(1 in all\\)") as none:
        ask(service, dataset_id=dataset_id)
    assert (none.value.code, none.value.param) == ("no_held_out_rows", "split")
    store.add(LABEL, split="test")
    held = ask(service, dataset_id=dataset_id)
    assert (held["split"], held["dataset_id"], held["file_id"]) == ("test", dataset_id, None)
    blob = service.jobs.get(held["id"]).params["rows_sha256"]
    assert "라벨" in service.blobs.path(blob).read_text(encoding="utf-8")
    assert "도크" not in service.blobs.path(blob).read_text(encoding="utf-8")
    assert ask(service, dataset_id=dataset_id, split="train")["split"] == "train"


def test_both_sides_are_asked_in_the_same_template(service: Services) -> None:
    targets = service.jobs.get(ask(service, file_id=upload(service))["id"]).params["targets"]
    assert targets["base"]["adapter"] is None
    assert targets["tuned"]["adapter"] is not None
    assert targets["base"]["recipe"] == targets["tuned"]["recipe"] == "demo"
    # Not only the recipe's: the adapter's own, which may have a stop phrase.
    assert targets["base"]["template_of"] == targets["tuned"]["adapter"]
    assert targets["base"]["template"] == targets["tuned"]["template"]


def test_two_templates_of_one_recipe_are_told_apart_by_their_text(service: Services, tmp_path: Path) -> None:
    earlier = "ft:아기:malmoi:예전:00000002"
    adapters = {TUNED: tmp_path / "adapter", earlier: tmp_path / "예전"}
    adapters[earlier].mkdir()
    with service.store.write() as session:
        session.add(
            AdapterRow(
                id=earlier, job_id="ftjob-2", base_model="아기", recipe="demo",
                base_path=str(tmp_path / "models" / "아기"), path=str(adapters[earlier]), created_at=2.0,
            )
        )  # fmt: skip
    for ends, differ in ((("(답변 종료)", ""), True), (("(끝)", "(끝)"), False)):
        for folder, end in zip(adapters.values(), ends, strict=True):
            (folder / "chat_template.jinja").write_text(f"{{{{ messages[0].content }}}}{end}", encoding="utf-8")
        results = evaluated(service, base_model=earlier, metrics=["empty"])["results"]
        assert ("different_templates" in {note["code"] for note in results["notes"]}) == differ


def test_a_limit_in_dollars_needs_a_price(service: Services, endpoint: Endpoint) -> None:
    with pytest.raises(InvalidInputError) as unpriced:
        ask(
            judged_by(service, endpoint),
            file_id=upload(service),
            judge_model="scripted",
            budget={"max_cost_usd": 1},
        )
    assert unpriced.value.code == "model_without_price"


# -- running -----------------------------------------------------------------------------------------------------------


def test_without_a_judge_its_figures_are_absent_and_it_is_said(service: Services) -> None:
    body = evaluated(service)
    assert body["status"] == "succeeded"
    results = body["results"]
    assert results["rows"] == {
        "in_file": 3,
        "total": 3,
        "scored": 3,
        "failed": 0,
        "failures": {},
        "seen_in_training": None,
    }
    assert results["judge"] is None
    assert "judge_score" not in {metric["name"] for metric in results["metrics"]}
    codes = {note["code"] for note in results["notes"]}
    assert codes == {"no_judge", "few_rows"}
    by_name = {metric["name"]: metric for metric in results["metrics"]}
    assert by_name["exact_match"]["base"]["value"] == 0.0
    assert by_name["exact_match"]["tuned"]["value"] == pytest.approx(2 / 3)
    assert by_name["empty"]["difference"]["value"] == pytest.approx(-1 / 3)
    assert by_name["self_similarity"]["tuned"]["value"] == 1.0
    assert {metric["group"] for metric in results["metrics"]} == set(METRICS) - {"judge", "kobest", "klue"}


def test_rows_that_the_model_was_trained_on_are_counted(service: Services) -> None:
    params = {"training_sha256": service.blobs.put([line(1).replace("질문 1번", "질문  1번").encode()], None)[0]}
    trained = service.jobs.submit("train", params)
    with service.store.write() as session:
        change(session, AdapterRow, AdapterRow.id == TUNED, job_id=trained.id)
    results = evaluated(service, metrics=["empty"])["results"]
    assert results["rows"]["seen_in_training"] == 1
    assert "seen_in_training" in {note["code"] for note in results["notes"]}
    assert "seen_in_validation" not in {note["code"] for note in results["notes"]}


def test_rows_that_the_training_was_validated_on_are_told(service: Services) -> None:
    seen = b"".join(line(number).encode() + b"\n" for number in (1, 2))
    trained = service.jobs.submit(
        "train", {"training_sha256": None, "validation_sha256": service.blobs.put([seen], None)[0]}
    )
    with service.store.write() as session:
        change(session, AdapterRow, AdapterRow.id == TUNED, job_id=trained.id)
    notes = {note["code"]: note["message"] for note in evaluated(service, metrics=["empty"])["results"]["notes"]}
    assert notes["seen_in_validation"].startswith("2행은 학습할 때의 검증 파일에도")


def test_the_report_keeps_answers_side_by_side_and_escapes_them(service: Services) -> None:
    body = evaluated(service)
    report = report_of(service, body)
    assert {name: report[name] for name in body["results"]} == body["results"]
    assert [row["row"] for row in report["outputs"]] == [1, 2, 3]
    assert report["outputs"][0]["base"]["text"] == HOSTILE
    assert report["outputs"][1]["tuned"]["scores"]["exact_match"] == 1.0
    lines = read(service, body, "jsonl").splitlines()
    assert [json.loads(entry) for entry in lines] == report["outputs"]
    page = read(service, body, "html")
    assert HOSTILE not in page
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4  # three questions and one answer
    assert "품질 담당자가 승인합니다." in page
    assert "http" not in page  # it loads nothing
    files = [get_file(service, file_id) for file_id in body["result_files"]]
    assert [(file["filename"], file["purpose"]) for file in files] == [
        (name, "fine-tune-results") for name in ("report.json", "report.html", "answers.jsonl")
    ]


def test_a_judge_is_asked_twice_a_pair_and_put_to_the_test(service: Services, endpoint: Endpoint) -> None:
    body = evaluated(judged_by(service, endpoint), judge_model="scripted")
    assert body["status"] == "succeeded", body["error"]
    judge = body["results"]["judge"]
    compared = judge["comparison"]
    assert (judge["judged"], judge["not_judged"], judge["stopped"]) == (3, 0, None)
    # The third answers are the same letter by letter: a tie that nobody is asked about.
    assert [compared[name] for name in ("win", "tie", "lose", "inconsistent", "unreadable")] == [2, 1, 0, 0, 0]
    assert compared["win_rate"]["value"] == pytest.approx((2 + 0.5) / 3)
    assert compared["consistency"] == 1.0
    score = next(metric for metric in body["results"]["metrics"] if metric["name"] == "judge_score")
    assert score["base"]["value"] == 1.0
    assert score["tuned"]["value"] == pytest.approx((10 + 10 + 1) / 3)
    check = judge["check"]
    kinds = ("shuffled", "truncated", "wrong_number")
    assert check["all"]["answers"] == sum(check[kind]["answers"] for kind in kinds) >= 4
    assert check["all"]["by_score"]["share"] == check["all"]["by_comparison"]["share"] == 1.0
    assert [check[kind]["inconsistent"] for kind in (*kinds, "all")] == [0, 0, 0, 0]
    assert judge["prompts"]["grade"].startswith("answer.grade@v1#")
    said = report_of(service, body)["outputs"][0]["judge"]
    assert (said["tuned"]["score"], said["comparison"]["outcome"]) == (10, "win")
    assert "심사 모델은 믿을 만한가" in read(service, body, "html")
    assert not [note for note in body["results"]["notes"] if note["code"].startswith("judge_")]


def test_a_judge_that_looks_at_places_is_found_out(service: Services, endpoint: Endpoint) -> None:
    body = evaluated(judged_by(service, endpoint), judge_model="scripted-first", metrics=["judge"])
    judge = body["results"]["judge"]
    assert judge["comparison"]["inconsistent"] == 2
    assert judge["comparison"]["consistency"] == pytest.approx(1 / 3)
    assert judge["check"]["all"]["by_score"]["share"] == 0.0
    check = judge["check"]
    assert check["all"]["by_comparison"]["share"] == 0.0
    # It follows the places on the bad answers as well: every pair turned, of every kind.
    assert all(one["inconsistent"] == one["by_comparison"]["n"] for one in check.values())
    assert check["all"]["inconsistent"] == sum(one["inconsistent"] for kind, one in check.items() if kind != "all") > 0
    assert {"judge_fails_check", "judge_inconsistent"} <= {note["code"] for note in body["results"]["notes"]}
    assert [metric["name"] for metric in body["results"]["metrics"]] == ["judge_score"]


def test_a_judge_that_cannot_be_read_judges_nothing(service: Services, endpoint: Endpoint) -> None:
    body = evaluated(
        judged_by(service, endpoint), judge_model="scripted-chatter", metrics=["judge", "empty"], judge_check_rows=1
    )
    judge = body["results"]["judge"]
    # The one pair of equal answers needs no judge.
    assert (judge["comparison"]["compared"], judge["comparison"]["unreadable"]) == (1, 2)
    assert judge["unreadable_grades"] == {"base": 3, "tuned": 3}
    assert judge["check"]["all"]["by_score"] == {"n": 0, "caught": 0, "share": None}
    assert "judge_unreadable" in {note["code"] for note in body["results"]["notes"]}
    assert "읽을 수 없었습니다" in read(service, body, "html")
    assert [metric["name"] for metric in body["results"]["metrics"]] == ["empty"]


def test_a_budget_that_ends_keeps_what_was_judged_and_goes_on_later(service: Services, endpoint: Endpoint) -> None:
    served = judged_by(service, endpoint)
    body = evaluated(served, judge_model="scripted", metrics=["judge"], judge_check_rows=0, budget={"max_requests": 3})
    assert (body["status"], body["error"]["code"]) == ("incomplete", "budget_exhausted")
    judge = body["results"]["judge"]
    assert judge["judged"] + judge["not_judged"] == 3
    assert judge["not_judged"] > 0
    assert judge["stopped"]["code"] == "budget_exhausted"
    assert "judge_stopped" in {note["code"] for note in body["results"]["notes"]}
    before = len(endpoint.hashes())
    evaluation.resume_evaluation(served, body["id"], BudgetRequest(max_requests=100))
    assert run(served).status == "succeeded"
    whole = evaluation.get_evaluation(served, body["id"])["results"]["judge"]
    assert (whole["judged"], whole["not_judged"]) == (3, 0)
    # Nine questions in all (three grades of the base, two of the tuned model, two pairs twice); none was sent again.
    assert 3 + len(endpoint.hashes()) - before == 9


def test_a_judge_that_refuses_the_key_pauses_the_evaluation(service: Services, endpoint: Endpoint) -> None:
    body = evaluated(judged_by(service, endpoint), judge_model="scripted-refuse-key", metrics=["judge"])
    assert (body["status"], body["error"]["code"], body["results"]) == ("paused", "key_refused", None)
    with pytest.raises(ConflictError) as early:
        evaluation.read_report(service, body["id"], "json")
    assert early.value.code == "report_not_ready"


def test_a_broken_file_fails_the_job_with_its_line(service: Services) -> None:
    made = ask(service, file_id=upload(service, line(0) + '{"messages": []}\n'))
    assert run(service).status == "failed"
    error = evaluation.get_evaluation(service, made["id"])["error"]
    assert (error["code"], error["param"]) == ("invalid_training_file", "file_id")
    assert "line 2" in error["message"]


def test_benchmarks_are_run_for_both_sides_once(
    service: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A script in the harness's place, which is an extra: it fails on its second run, and goes on behind the first."""
    ran = tmp_path / "ran"

    def command(base: str, adapter: str | None, names: Any, *, output: Path, **_more: Any) -> list[str]:
        found = {"results": {names[0]: {"alias": names[0], "acc,none": 0.75 if adapter else 0.5}}}
        code = (
            "import pathlib, sys\n"
            f"ran, out = pathlib.Path({str(ran)!r}), pathlib.Path({str(output)!r})\n"
            "ran.open('a').write('x')\n"
            "if len(ran.read_text()) == 2: sys.exit('허브에 닿지 않습니다')\n"
            "print('| 표 |')\n"
            "out.mkdir(parents=True, exist_ok=True)\n"
            f"(out / 'results_1.json').write_text({json.dumps(found)!r})\n"
        )
        return [sys.executable, "-c", code]

    monkeypatch.setattr(evaluation_answers, "harness_command", command)
    monkeypatch.setattr(evaluation_request, "require_harness", lambda: None)
    made = ask(service, file_id=upload(service), metrics=["empty", "kobest"])
    lay_answers(service, made["id"])
    row = service.jobs.claim("test", [evaluation.KIND])
    assert row is not None
    context, params = context_of(service, row.id, row.attempt), EvaluateParams.model_validate(row.params)
    broken = run_evaluate(service, context, params)
    assert broken.status == "failed"
    assert broken.error is not None
    assert "허브에 닿지 않습니다" in broken.error["message"]
    outcome = run_evaluate(service, context, params)
    assert outcome.result is not None
    figures = {"base": {"kobest": {"acc": 0.5}}, "tuned": {"kobest": {"acc": 0.75}}}
    assert outcome.result["results"]["benchmarks"] == figures
    assert len(ran.read_text()) == 3  # the first side was not run again


@pytest.mark.parametrize(("wanted", "status"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_wish_to_stop_ends_the_child(service: Services, wanted: Any, status: str) -> None:
    ask(service, file_id=upload(service))
    row = service.jobs.claim("test", [evaluation.KIND])
    assert row is not None
    context = replace(context_of(service, row.id, row.attempt), stop=lambda: wanted)
    assert run_evaluate(service, context, EvaluateParams.model_validate(row.params)).status == status


@pytest.mark.long  # the child imports torch
def test_a_child_that_cannot_load_the_base_fails_the_job(service: Services) -> None:
    """The real child, and a folder that holds no model."""
    made = ask(service, file_id=upload(service))
    assert run(service).status == "failed"
    error = evaluation.get_evaluation(service, made["id"])["error"]
    assert error["code"] in ("tokenizer_unusable", "base_model_unusable")
    events, _ = evaluation.list_events(service, made["id"], None, 10, "asc")
    assert [event["object"] for event in events] == ["evaluation.event"] * len(events)
    assert events[0]["message"] == "3행 가운데 3행으로 비교합니다."
