"""What is found before a run: cuts, stop tokens, overlap, memory, licence, and rows to look at."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from corpora.overlap import Overlap, overlap
from tests.small_tokenizers import byte_level
from training.encoding import EncodedRows, EncodingReport, encode_rows
from training.errors import EncodingError, PreflightError
from training.licence import licence_of
from training.preflight import Budget, Side, Subject, preflight
from training.recipes import RECIPES
from training.samples import SHOWN, samples_of
from training.templates import chat_template

RECIPE = dataclasses.replace(RECIPES["demo"], max_length=120)
TEMPLATE = chat_template(RECIPE, byte_level())
CONFIG = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 192,
    "vocab_size": 700,
    "model_type": "llama",
}


def talk(question: str, answer: str = "네, 그렇습니다.", **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer} | more]


ROWS = [(number * 2, talk(f"{number}번 로케이션은 어디에 있나요?")) for number in range(1, 201)]


def side(rows: list[tuple[int, list[dict[str, Any]]]], length: int = RECIPE.max_length) -> Side:
    encoded, report = encode_rows(rows, byte_level(), TEMPLATE, length)
    return Side(rows=encoded, report=report)


def subject(folder: Path, train: Side, **more: Any) -> Subject:
    values = {"base": str(folder), "recipe": RECIPE, "tokenizer": byte_level(), "template": TEMPLATE, "train": train}
    return Subject(**(values | more))


def budget(**more: Any) -> Budget:
    values = {"total_steps": 50, "share_seen": 1.0, "tokens_per_step": 400, "micro_batch": 8, "sequence_tokens": 60,
              "lora_r": 32}  # fmt: skip
    return Budget(**(values | more))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\nlanguage: ko\n---\n# 시험용\n", encoding="utf-8")
    return tmp_path


def test_a_clean_run(base: Path) -> None:
    valid = side([(1, talk("새 물음"))])
    found = preflight(
        subject(base, side(ROWS), valid=valid, overlap=overlap(ROWS, [(1, talk("새 물음"))])),
        budget(flops=1e12, free_bytes=10**12),
    )
    assert found.warnings == ()
    assert (found.answers_checked, found.stop_token, found.truncated_share) == (201, "</s>", 0.0)
    assert found.licence == "apache-2.0"
    assert [sample.line for sample in found.samples] == [2, 202, 400]
    assert found.samples[0].text == "<s>[질문]\n1번 로케이션은 어디에 있나요?\n[답변]\n⟦네, 그렇습니다.</s>⟧\n"
    assert found.samples[0].trained_tokens < found.samples[0].tokens
    assert found.estimate is not None
    assert found.seconds == pytest.approx(50 * 400 * found.estimate.flops_per_token / 0.3e12)
    told = json.loads(json.dumps(found.as_dict(), ensure_ascii=False))
    assert told["train"]["rows"] == told["train"]["kept"] == 200
    assert told["samples"][0]["text"].startswith("<s>[질문]")
    assert told["overlap"] == {"rows": 0, "of": 1, "lines": []}
    assert "경고 0건" in found.summary()


def test_above_one_percent_cut_the_run_fails(base: Path) -> None:
    long = [(1000 + number, talk("?", "입고 예정을 조회합니다. " * 30)) for number in range(3)]
    train = side(ROWS + long)
    with pytest.raises(PreflightError) as caught:
        preflight(subject(base, train), budget())
    assert (caught.value.code, caught.value.param) == ("too_many_truncated", "training_file")
    assert caught.value.message.startswith("3 of 203 rows (1.5%) are longer than 120 tokens")
    assert "Lines 1000, 1001, 1002." in caught.value.message
    assert "allow_truncated" in caught.value.hint
    found = preflight(subject(base, train), budget(), allow_truncated=0.02)
    assert found.truncated_share == 3 / 203
    assert "3행이 너무 길어" in found.warnings[0]
    assert train.report.unstopped == 3
    with pytest.raises(PreflightError) as validation:
        preflight(subject(base, side(ROWS), valid=side(long[:1])), budget())
    assert validation.value.param == "validation_file"
    one = preflight(subject(base, side(ROWS + long[:1])), budget())
    assert one.truncated_share <= 0.01


def test_what_is_dropped_is_told_with_its_lines_and_why(base: Path) -> None:
    rows = [*ROWS, (7001, talk("재고 " * 200)), (7003, talk("?", weight=0)), (7005, talk("?", weight=0))]
    found = preflight(subject(base, side(rows)), budget(share_seen=0.02))
    assert (found.train.rows, found.train.kept, found.train.dropped) == (203, 200, 3)
    assert (found.train.dropped_cut, found.train.dropped_untrained) == (1, 2)
    assert "답변이 모두 잘린 행 1, 답변의 weight가 모두 0인 행 2(행 7001, 7003, 7005)" in found.warnings[0]
    assert any("데이터의 2.0%만 봅니다" in warning for warning in found.warnings)


def test_validation_rows_that_are_training_rows(base: Path) -> None:
    valid = [(1, talk("5번 로케이션은  어디에 있나요?")), (2, talk("새 물음"))]
    found = preflight(subject(base, side(ROWS), valid=side(valid), overlap=overlap(ROWS, valid)), budget())
    assert found.overlap == Overlap(rows=1, of=2, lines=(1,))
    assert "1행이 학습 데이터에도 있습니다(행 1)" in found.warnings[0]
    with pytest.raises(PreflightError) as caught:
        preflight(subject(base, side(ROWS), valid=side(ROWS), overlap=overlap(ROWS, ROWS)), budget())
    assert (caught.value.code, caught.value.param) == ("validation_is_training", "validation_file")


def test_an_answer_without_its_stop_token_ends_the_run(base: Path) -> None:
    """Encoding refuses such rows; should it ever let one through, this is the second look."""
    rows = EncodedRows()
    for row in side(ROWS).rows:
        rows.append(row.input_ids, bytes(label >= 0 for label in row.labels), truncated=False)
    rows.append([60, 61, 62], b"\0\1\1", truncated=False)
    with pytest.raises(PreflightError) as caught:
        preflight(subject(base, Side(rows=rows, report=EncodingReport(rows=201, kept=201))), budget())
    assert caught.value.code == "stop_token_untrained"


def test_what_is_not_known_is_said(base: Path) -> None:
    (base / "config.json").unlink()
    (base / "README.md").unlink()
    recipe = dataclasses.replace(RECIPES["auto"], template="demo.jinja", max_length=120)
    found = preflight(subject(base, side(ROWS), recipe=recipe), budget())
    assert (found.licence, found.licence_source) == ("unknown", "none")
    assert found.estimate is None
    assert found.seconds is None
    assert [part for warning in found.warnings for part in ("config.json", "라이선스") if part in warning] == [
        "config.json",
        "라이선스",
    ]
    assert "알 수 없음" in found.summary()
    (base / "config.json").write_text(json.dumps(CONFIG))
    tight = preflight(subject(base, side(ROWS)), budget(free_bytes=1000))
    assert "장치의 0.0 GB보다 큽니다" in tight.warnings[0]


def test_a_run_of_few_updates_is_told(base: Path) -> None:
    few = preflight(subject(base, side(ROWS)), budget(total_steps=9))
    assert few.warnings == ("갱신이 9단계뿐이라 거의 배우지 못합니다. n_epochs를 늘리거나 batch_size를 줄이세요.",)
    assert preflight(subject(base, side(ROWS)), budget(total_steps=10)).warnings == ()


def test_max_steps_that_repeat_the_data_beyond_measure_are_told(base: Path) -> None:
    assert preflight(subject(base, side(ROWS)), budget(max_steps_epochs=50)).warnings == ()
    (warning,) = preflight(subject(base, side(ROWS)), budget(total_steps=2000, max_steps_epochs=51)).warnings
    assert warning.startswith("max_steps 2,000단계는 학습 데이터를 51번 되풀이합니다(n_epochs의 한도는 50).")


def test_a_template_that_nobody_brought_is_told(base: Path) -> None:
    """The tokenizer's own, saved beside it, is no reason for a warning, even where it is the same one."""
    recipe = dataclasses.replace(RECIPES["auto"], max_length=120, licence="?")
    ours = chat_template(recipe, byte_level())
    rows, report = encode_rows(ROWS, byte_level(), ours, 120)
    told = subject(base, Side(rows=rows, report=report), recipe=recipe, template=ours)
    found = preflight(told, budget())
    assert found.fallback_template
    assert "'### 질문:'과 '### 답변:'" in found.warnings[0]
    (base / "chat_template.jinja").write_text(ours, encoding="utf-8")
    found = preflight(told, budget())
    assert (found.fallback_template, found.warnings) == (False, ())


def test_where_a_licence_is_read(tmp_path: Path) -> None:
    recipe = RECIPES["gemma-2b"]
    assert licence_of("google/gemma-2b", recipe).source == "recipe"
    (tmp_path / "LICENSE").write_text("\n  Gemma Terms of Use \n\n2024\n")
    assert licence_of(str(tmp_path), recipe).name == "Gemma Terms of Use"
    card = tmp_path / "README.md"
    card.write_text("# 라이선스를 말하지 않는 카드\nlicense: mit\n", encoding="utf-8")
    assert licence_of(str(tmp_path), recipe).source == "LICENSE"
    card.write_text("---\nlicense: [\n---\n", encoding="utf-8")
    assert licence_of(str(tmp_path), recipe).source == "LICENSE"
    card.write_text("---\nlicense: other\nlicense_name: gemma\n---\n", encoding="utf-8")
    assert (licence_of(str(tmp_path), recipe).name, licence_of(str(tmp_path), recipe).source) == ("gemma", "README.md")


def test_long_rows_are_shown_by_their_ends() -> None:
    rows, _ = encode_rows([(1, talk("물음 " * 2000, "답 " * 2000))], byte_level(), TEMPLATE, 10**6)
    (sample,) = samples_of(rows, byte_level())
    assert len(sample.text) < 3 * SHOWN
    assert "자 생략" in sample.text
    assert sample.text.endswith("</s>⟧\n")


def test_refused_rows_are_told_together() -> None:
    tokenizer = byte_level()
    rows = [(number, talk("?", "\ud800" if number % 3 == 0 else "답")) for number in range(1, 80)]
    with pytest.raises(EncodingError) as caught:
        encode_rows(rows, tokenizer, TEMPLATE, 100, "validation_file")
    assert caught.value.message.startswith("line 3: messages[1] holds half of a surrogate pair")
    assert "Refused too: 25 more, lines 6, 9, 12," in caught.value.message
    assert caught.value.message.endswith(" …")
    assert caught.value.param == "validation_file"


def test_the_rest_of_a_file_that_no_row_of_can_be_read_is_left() -> None:
    read = []

    def source() -> Any:
        for number in range(1, 5000):
            read.append(number)
            yield number, talk("?", "\ud800")

    with pytest.raises(EncodingError, match="99 more"):
        encode_rows(source(), byte_level(), TEMPLATE, 100)
    assert len(read) < 1000


@pytest.mark.parametrize("length", [1, 2, 10, 20, 25, 30, 40, 10**6])
def test_the_counts_of_a_cut_are_exact(length: int) -> None:
    """Against a count by hand, for every length: what is kept, lost, trained and unfinished."""
    rows = [(number, talk("재고 " * (number % 7), "있습니다. " * (number % 5) + "끝")) for number in range(1, 40)]
    whole, _ = encode_rows(rows, byte_level(), TEMPLATE, 10**6)
    expected = EncodingReport(rows=39, longest=max(whole.lengths()))
    for (number, _), row in zip(rows, whole, strict=True):
        cut = [label >= 0 for label in row.labels[:length]]
        if len(row.input_ids) > length:
            expected.truncated += 1
            expected.tokens_cut += len(row.input_ids) - length
            expected.truncated_lines.append(number)
        if not any(cut):
            expected.dropped += 1
            expected.dropped_cut += 1
            expected.dropped_lines.append(number)
            continue
        expected.kept += 1
        expected.tokens += len(cut)
        expected.trained_tokens += sum(cut)
        stop = byte_level().eos_token_id
        expected.unstopped += stop not in row.labels[:length]
    if expected.kept == 0:
        with pytest.raises(EncodingError, match=f"limit of {length} tokens"):
            encode_rows(rows, byte_level(), TEMPLATE, length)
        return
    kept, report = encode_rows(rows, byte_level(), TEMPLATE, length)
    assert report == expected
    assert sum(kept.lengths()) == report.tokens
