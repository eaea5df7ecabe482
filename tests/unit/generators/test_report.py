"""The curation report: counts that add up, question templates, pages and plots of any text, caps that are told."""

from __future__ import annotations

import importlib.util
import json
import math
import re
import struct
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import InvalidInputError, MissingExtraError
from corpora.records import Candidate, Message, Provenance, Sample, Verdict
from generators.curation.report import Report, question_template, render_html, write_plots, write_report
from generators.curation.report.counting import EvenSample, Spread, Tally
from generators.curation.report.examples import EXAMPLE_CHARS, plain, shortened

ACCEPTED = Verdict(stage="accepted", reason="ok")
QUESTION, ANSWER = "입고 절차에 대해 설명해 주세요.", "입고 예정을 확인한 뒤 도크를 배정합니다."
STAGES = ["parse", "grounding", "filter", "near_duplicate", "semantic_duplicate", "judge", "심사"]


def sample(
    question: str = QUESTION,
    answer: str = ANSWER,
    *,
    verdict: Verdict = ACCEPTED,
    generator: str = "extractive_qa",
    malformed: str | None = None,
    **more: Any,
) -> Sample:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    candidate = Candidate(
        messages=() if malformed else messages,
        provenance=Provenance(generator=generator, slot=0),
        malformed=malformed,
        raw=question if malformed else None,
    )
    return Sample(id="sample_1", candidate=candidate, accepted=verdict is ACCEPTED, verdict=verdict, **more)


def rejected(reason: str = "answer_too_short", stage: str = "filter", **more: Any) -> Verdict:
    return Verdict(stage=stage, reason=reason, **more)


def reported(*samples: Sample, **caps: int) -> dict[str, Any]:
    report = Report(**caps)
    for entry in samples:
        report.add(entry)
    made: dict[str, Any] = json.loads(json.dumps(report.to_json(), ensure_ascii=False, allow_nan=False))
    return made


# Question templates.

TEMPLATES = [
    ("입고 절차에 대해 설명해 주세요.", "~에 대해 설명해 주세요."),
    ("RF 단말기 사용법에 대해 자세히 설명해 주세요.", "~에 대해 자세히 설명해 주세요."),
    ("출고 검수 절차에 관하여 자세히 설명해 주시기 바랍니다.", "~에 관하여 자세히 설명해 주시기 바랍니다."),
    ("재고 회전율에 대한 설명을 해 주세요.", "~에 대한 설명을 해 주세요."),
    # Particles after consonant and vowel, blanks and full stops make no difference.
    ("입고 검수 절차를 알려 주세요.", "~을/를 알려 주세요."),
    ("출고 마감 시간을 알려주세요", "~을/를 알려 주세요."),
    ("안녕하세요. 출고 마감 시간을 알려 주세요!", "~을/를 알려 주세요."),
    ("반품은 어떻게 처리하나요?", "~은/는 어떻게 처리하나요?"),
    ("그건 뭐야?", "~은/는 뭐야?"),
    ("크로스도킹이 뭐야?", "~이/가 뭐야?"),
    ("로트 번호란 무엇인가요?", "~이란/란 무엇인가요?"),
    ("입고 검수란?", "~이란/란?"),
    ("'로케이션'은 무슨 뜻인가요?", "~은/는 무슨 뜻인가요?"),
    ("송장이 뭔지 쉽게 알려줘", "~이/가 뭔지 쉽게 알려 줘."),
    # Nouns that only ask stay behind a clause or 의, and belong to the topic behind a noun.
    ("WMS에서 바코드를 스캔하는 방법은 무엇인가요?", "~하는 방법은 무엇인가요?"),
    ("재고 실사와 순환 실사의 차이는 무엇인가요?", "~의 차이는 무엇인가요?"),
    ("피킹 리스트를 출력하는 이유가 궁금합니다.", "~하는 이유가 궁금합니다."),
    # Question words stay where they stand.
    ("왜 출고 전에 검수를 해야 하나요?", "왜 ~을/를 해야 하나요?"),
    ("누가 반품을 승인하나요?", "누가 ~을/를 승인하나요?"),
    ("시스템은 언제 재고를 할당하나요?", "~은/는 언제 ~을/를 할당하나요?"),
    ("어떤 경우에 피킹을 취소할 수 있나요?", "어떤 경우에 ~을/를 취소할 수 있나요?"),
    ("몇 시까지 출고 오더를 확정해야 하나요?", "몇 시까지 ~을/를 확정해야 하나요?"),
    ("어떻게 하면 재고를 줄일 수 있나요?", "어떻게 하면 ~을/를 줄일 수 있나요?"),
    ("입고 예정을 등록하려면 어떻게 하나요?", "~하려면 어떻게 하나요?"),
    ("출고 지시를 내리기 전에 무엇을 점검해야 합니까?", "~을/를 내리기 전에 무엇을 점검해야 합니까?"),
    ("입고 시 무엇을 확인하나요?", "~ 시 무엇을 확인하나요?"),
    # How to tell is no topic.
    ("재고 조정의 목적과 절차를 단계별로 설명하세요.", "~을/를 단계별로 설명하세요."),
    ("반품 처리를 구체적으로 알려 주시겠어요?", "~을/를 구체적으로 알려 주시겠어요?"),
    # The sentence that asks counts, not the stage that is set, nor the material below it.
    ("당신은 창고 관리자입니다. 신입에게 줄 인사말을 써 주세요.", "~을/를 써 주세요."),
    ('다음 문장을 고쳐 주세요.\n\n"어제 입고 끝났어. 이제 무엇을 하나요?"', "~을/를 고쳐 주세요."),
    ("고마워요!", "고마워요."),
    ("", ""),
]


@pytest.mark.parametrize(("question", "template"), TEMPLATES)
def test_a_template_is_the_question_without_its_topic(question: str, template: str) -> None:
    assert question_template(question) == template


def test_decomposed_hangul_gives_the_same_template() -> None:
    import unicodedata

    assert question_template(unicodedata.normalize("NFD", QUESTION)) == "~에 대해 설명해 주세요."


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_has_a_template_in_one_short_line(text: str) -> None:
    template = question_template(text)
    assert len(template) <= 80
    assert "\n" not in template


def test_shares_of_templates() -> None:
    topics = ("입고", "출고", "반품")
    samples = [sample(f"{topic} 절차에 대해 설명해 주세요.") for topic in topics] + [sample("반품은 누가 승인하나요?")]
    openings = reported(*samples)["openings"]
    assert openings["top"] == [
        {"template": "~에 대해 설명해 주세요.", "count": 3, "share": 0.75},
        {"template": "~은/는 누가 승인하나요?", "count": 1, "share": 0.25},
    ]
    assert (openings["largest_share"], openings["questions"], openings["pruned"]) == (0.75, 4, 0)


# Counts.

samples = st.builds(
    sample,
    question=st.sampled_from(["입고는?", QUESTION, "Explain FIFO", "반품은 누가 승인하나요?"]),
    verdict=st.one_of(
        st.just(ACCEPTED),
        st.builds(rejected, st.sampled_from(["near_duplicate", "짧음", "x"]), st.sampled_from(STAGES)),
    ),
    generator=st.sampled_from(["extractive_qa", "rag_qa"]),
    split=st.sampled_from(["train", "test"]),
    flags=st.dictionaries(st.sampled_from(["chatter", "mixed_english"]), st.just({}), max_size=2),
) | st.builds(sample, malformed=st.just("no JSON"), verdict=st.builds(rejected, st.just("malformed"), st.just("parse")))


@given(st.lists(samples, max_size=12), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_counts_add_up_whatever_comes(entries: list[Sample], cap: int) -> None:
    made = reported(*entries, names=cap, templates=cap, analysed_rows=cap)
    kept = [entry for entry in entries if entry.accepted]
    readable = [entry for entry in entries if entry.candidate.malformed is None]
    counts = made["counts"]
    assert counts["candidates"] == len(entries) == counts["accepted"] + counts["rejected"]
    assert counts["accepted"] == len(kept) == made["funnel"][-1]["left"]
    assert counts["unreadable"] == len(entries) - len(readable)
    assert sum(row["dropped"] for row in made["funnel"]) == counts["rejected"]
    assert made["splits"] == dict(sorted(Counter(entry.split for entry in kept).items()))
    assert sum(row["count"] for row in made["openings"]["top"]) + made["openings"]["pruned"] == len(kept)
    assert made["speech_levels"]["measured"] == sum(made["speech_levels"]["answer"].values()) <= cap
    for spread in made["distributions"].values():
        assert spread["before"]["n"] == sum(entry["count"] for entry in spread["before"]["bins"]) == len(readable)
        assert spread["after"]["n"] == sum(entry["count"] for entry in spread["after"]["bins"]) == len(kept)
    assert all(1 <= len(row["examples"]) <= 3 for row in made["reasons"] if cap == 4)
    assert render_html(made, "보고서")


def test_the_funnel_keeps_the_order_of_the_stages() -> None:
    made = reported(
        sample(),
        sample(verdict=rejected("near_duplicate", "near_duplicate")),
        sample(verdict=rejected("low_score", "judge")),
        sample(verdict=rejected()),
        sample(malformed="no JSON", verdict=rejected("malformed_reply", "parse")),
    )
    assert [(row["stage"], row["left"]) for row in made["funnel"]] == [
        ("parse", 4),
        ("grounding", 4),
        ("filter", 3),
        ("speech_level", 3),
        ("personal_data", 3),
        ("contamination", 3),
        ("near_duplicate", 2),
        ("semantic_duplicate", 2),
        ("judge", 1),
        ("accepted", 1),
    ]


def test_measures_of_a_small_dataset() -> None:
    made = reported(
        sample("입고는 무엇인가요?", "재고 재고 재고", flags={"chatter": {}}),
        sample("입고는 무엇인가요?", "재고를 셉니다.", split="test"),
        sample("Explain", "FIFO", verdict=rejected(), flags={"chatter": {}}),
    )
    assert made["flags"] == [{"name": "chatter", "accepted": 1, "rejected": 1}]
    assert made["splits"] == {"test": 1, "train": 1}
    chars = made["distributions"]["question_chars"]
    assert (chars["before"]["min"], chars["before"]["p50"], chars["after"]["min"]) == (7, 10, 10)
    hangul = made["distributions"]["hangul_share"]
    assert (hangul["before"]["min"], hangul["after"]["min"]) == (0, 1)
    assert made["speech_levels"]["question"] == {"haeyo": 2}
    assert made["speech_levels"]["answer"] == {"hapsyo": 1, "nominal": 1}
    # 재고 재고 재고 and 재고 세: five morphemes, two of them different; the bigrams are 재고 재고 (twice) and 재고 세.
    answer = made["diversity"]["answer"]
    assert (answer["ngrams_1"], answer["distinct_1"]) == (5, 0.4)
    assert (answer["ngrams_2"], answer["distinct_2"]) == (3, 0.6667)
    assert (answer["ngrams_3"], answer["distinct_3"]) == (1, 1.0)


def test_examples_are_three_shortened_and_without_numbers_of_people() -> None:
    long = "담당자 연락처는 010-2345-6789입니다. " + "재고를 확인합니다. " * 100
    evidence = {"found": ["010-2345-6789 전화번호"], "share": math.nan}
    entries = [sample(answer=long, verdict=rejected(evidence=evidence)) for _ in range(5)]
    row = reported(*entries)["reasons"][0]
    assert (row["count"], len(row["examples"])) == (5, 3)
    shown = row["examples"][0]
    assert shown["answer_chars"] == len(long)
    assert shown["answer"].endswith("…")
    assert len(shown["answer"]) <= EXAMPLE_CHARS + 1
    assert "2345" not in json.dumps(row, ensure_ascii=False)
    assert shown["evidence"]["share"] == "nan"


def test_shortened_and_plain_say_what_is_left_out() -> None:
    assert shortened("가" * EXAMPLE_CHARS) == "가" * EXAMPLE_CHARS
    assert shortened("가" * (EXAMPLE_CHARS + 1)) == "가" * EXAMPLE_CHARS + "…"
    assert plain(list(range(25)))[-1] == "… 5 more"
    assert plain({"path": Path("a")}) == {"path": "a"}


# Bounded counting.


@given(st.lists(st.integers(0, 30), max_size=120), st.integers(1, 8))
def test_a_full_tally_never_loses_a_row_silently(keys: list[int], cap: int) -> None:
    tally: Tally[int] = Tally(cap)
    for key in keys:
        tally.add(key)
    truth = Counter(keys)
    assert len(tally.counts) <= cap
    assert tally.total == len(keys)
    assert all(truth[key] - tally.pruned <= count <= truth[key] for key, count in tally.counts.items())


@given(st.lists(st.integers(0, 60), min_size=1), st.integers(1, 99))
def test_percentiles_are_nearest_rank(values: list[int], percent: int) -> None:
    spread = Spread((0, 10, 50), ceiling=40)
    for value in values:
        spread.add(value)
    made = spread.to_json()
    ranked = sorted(min(value, 40) for value in values)
    assert spread.percentile(percent) == ranked[math.ceil(percent * len(values) / 100) - 1]
    assert made["above_ceiling"] == sum(value > 40 for value in values)
    assert (made["max"], made["mean"]) == (max(values), round(sum(values) / len(values), 4))


@given(st.lists(st.integers(0, 50), max_size=200), st.integers(1, 20))
def test_an_even_sample_stays_within_its_caps(weights: list[int], rows: int) -> None:
    kept: EvenSample[int] = EvenSample(rows=rows, weight=100)
    for number, weight in enumerate(weights):
        ticket = kept.ticket()
        if ticket is not None:
            kept.keep(ticket, number, weight)
    assert len(kept) <= rows
    assert sum(weights[number] for number in kept) <= 100 or len(kept) == 1
    if len(weights) <= rows and sum(weights) <= 100:
        assert list(kept) == list(range(len(weights)))


def test_an_even_sample_takes_from_the_whole_stream() -> None:
    kept: EvenSample[int] = EvenSample(rows=1000, weight=10**9)
    for number in range(50_000):
        ticket = kept.ticket()
        if ticket is not None:
            kept.keep(ticket, number, 1)
    assert 500 <= len(kept) <= 1000
    # Five fifths of the stream with a fifth of the sample each: four standard deviations of a binomial around it.
    fifths = Counter(number // 10_000 for number in kept)
    expected = len(kept) / 5
    assert all(abs(fifths[fifth] - expected) < 4 * math.sqrt(expected * 0.8) for fifth in range(5))


def test_caps_are_reported() -> None:
    entries = [
        sample(f"{topic} {verb}?") for topic in ("입고는", "출고는") for verb in ("뭐야", "누가 하나요", "왜 해요")
    ]
    made = reported(*entries, templates=2, analysed_rows=3)
    limits = made["limits"]
    assert limits["templates"]["cap"] == 2
    assert limits["templates"]["pruned_rows"] == made["openings"]["pruned"] > 0
    assert limits["analysed_rows"]["cap"] == 3
    assert limits["analysed_rows"]["measured"] == made["speech_levels"]["measured"] <= 3
    assert limits["analysed_rows"]["of"] == 6
    page = render_html(made, "보고서")
    assert f"6건 가운데 {made['speech_levels']['measured']}건에서 쟀습니다(고르게 뽑은 표본)" in page
    assert "따로 세지 않음" in page


# The page.

HOSTILE = '<script>alert("재고")</script><img src=https://example.com/x onerror=alert(1)>'


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.update(name for name, _ in attrs)


def mixture() -> dict[str, Any]:
    return reported(
        sample(),
        sample(HOSTILE, generator=HOSTILE, flags={HOSTILE: {}}),
        sample(HOSTILE, HOSTILE, verdict=rejected(HOSTILE, HOSTILE, score=0.5, evidence={HOSTILE: [HOSTILE]})),
        sample(HOSTILE, malformed=HOSTILE, verdict=rejected("malformed_reply", "parse", evidence={"why": HOSTILE})),
    )


def test_a_page_escapes_what_samples_say_and_loads_nothing() -> None:
    page = render_html(mixture(), HOSTILE)
    found = _Tags()
    found.feed(page)
    assert not {"script", "img", "link", "iframe", "object"} & set(found.tags)
    assert not {"src", "href", "onerror"} & set(found.attributes)
    assert "&lt;script&gt;" in page
    assert not re.search(r"@import|url\(", page)
    assert found.tags["h2"] >= 9
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_an_empty_report_is_a_page_with_plots(tmp_path: Path) -> None:
    made = reported()
    assert "탈락한 후보가 없습니다" in render_html(made, "보고서")
    assert len(write_plots(made, tmp_path)) == 5


# Files.


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert head[12:16] == b"IHDR"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


@pytest.mark.filterwarnings("error")
def test_plots_are_pictures_with_every_letter(tmp_path: Path) -> None:
    # Emoji and formulas are what a font and matplotlib's own markup stumble over: a missing letter would be a warning.
    odd = sample("$x_1$ 📦\u2212 로트 $란 무엇인가요?", verdict=rejected("𝄞_$\\frac$", "심사"))
    made = reported(
        sample("$x_1$ 📦𝄞 로트는 어떤 $건가요?"),
        odd,
        *[sample(answer="재고를 셉니다. " * n) for n in range(1, 400, 40)],
    )
    paths = write_plots(made, tmp_path / "plots")
    names = {"funnel.png", "reasons.png", "lengths.png", "speech_levels.png", "templates.png"}
    assert {path.name for path in paths} == names
    for path in paths:
        width, height = png_size(path)
        assert width == 1350
        assert 300 <= height <= 1300
        assert 5_000 < path.stat().st_size < 500_000


def test_plots_leave_no_trace_in_matplotlib(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    write_plots(mixture(), tmp_path)
    assert dict(mpl.rcParams) == before


def test_a_report_is_written_by_its_suffix(tmp_path: Path) -> None:
    made = mixture()
    write_report(made, tmp_path / "deep" / "report.json")
    text = (tmp_path / "deep" / "report.json").read_text(encoding="utf-8")
    assert json.loads(text) == made
    assert "~에 대해 설명해 주세요." in text
    write_report(made, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    written = write_report(made, tmp_path / "folder")
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "folder").iterdir())
    assert len(written) == 7


def test_a_report_replaces_no_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("메모", encoding="utf-8")
    with pytest.raises(InvalidInputError):
        write_report(reported(), tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "메모"


def test_a_failed_write_leaves_the_earlier_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(reported(sample()), tmp_path / "report.json")
    before = (tmp_path / "report.json").read_bytes()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(reported(), tmp_path / "report.json")
    assert (tmp_path / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_without_the_extra_only_plots_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "koreanize_matplotlib" else real(name)
    )
    write_report(mixture(), tmp_path / "report.html")
    with pytest.raises(MissingExtraError, match=r"malmoi\[report\]"):
        write_report(mixture(), tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
