"""Bulk curation decides as the curator does row by row, whatever the batches; best, resume, idempotence, order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import ConflictError
from corpora.korean.personal_data import PersonalDataAction
from corpora.records import Candidate, Message, Provenance, Sample, Verdict
from generators.curation import bulk
from generators.curation.bulk import BulkCurator, BulkRow
from generators.curation.curator import Curator
from generators.curation.decontamination import Contamination
from generators.curation.settings import CurationSettings, import_settings
from retrieval.embedders import HashedEmbedder

QUESTIONS = (
    "입고 예정을 등록하는 방법을 알려 주세요.",
    "입고 예정은 어떻게 등록하나요?",
    "입고 예정을 취소하는 방법을 알려 주세요.",
    "출고 예정을 등록하는 방법을 알려 주세요.",
    "재고가 맞으면 마감합니까?",
    "재고가 맞지 않으면 마감합니까?",
    "반품 사유 코드는 몇 가지인가요?",
    "반품 사유 코드가 몇 가지입니까?",
    "짧다",
    "WMS 도입 비용은 얼마나 드나요?",
    "WMS 도입 기간은 얼마나 걸리나요?",
)
ANSWERS = (
    "입고 화면에서 예정 번호를 입력하고 저장 버튼을 누릅니다.",
    "입고 화면에서 예정 번호를 넣고 저장 단추를 누르세요.",
    "반품 사유 코드는 모두 네 가지입니다.",
    "재고 조정 화면에서 차이를 확인한 뒤 마감합니다.",
)
EMBEDDER = HashedEmbedder.fit([*QUESTIONS, *ANSWERS])


def candidate(question: str, answer: str, *, grounded: bool = False, group_id: str | None = None) -> Candidate:
    messages = (Message(role="user", content=question), Message(role="assistant", content=answer))
    provenance = Provenance(generator="imported", slot=0)
    return Candidate(messages=messages, provenance=provenance, grounded=grounded, group_id=group_id)


CANDIDATES = st.builds(
    candidate,
    st.sampled_from(QUESTIONS),
    st.sampled_from(ANSWERS),
    grounded=st.booleans(),
    group_id=st.none() | st.sampled_from("가나"),
)
MALFORMED = st.just(
    Candidate(messages=(), provenance=Provenance(generator="imported", slot=0), malformed="broken_json")
)
REFUSED = st.builds(
    lambda c: Candidate(
        messages=c.messages, provenance=c.provenance, rejection=Verdict(stage="grounding", reason="no_citation")
    ),
    CANDIDATES,
)


def rows_of(candidates: Sequence[Candidate]) -> list[BulkRow]:
    return [BulkRow(f"sample_{n}", c) for n, c in enumerate(candidates)]


def run(candidates: Sequence[Candidate], wanted: CurationSettings, **kwargs: object) -> list[Sample]:
    rows = rows_of(candidates)
    return list(BulkCurator(wanted, embedder=EMBEDDER, **kwargs).run(lambda: rows))  # type: ignore[arg-type]


def one_by_one(candidates: Sequence[Candidate], wanted: CurationSettings) -> list[Verdict]:
    curator, found = Curator(wanted, EMBEDDER), list[Verdict]()
    for row in rows_of(candidates):
        cleaned = curator.clean(row.candidate)
        verdict = curator.judge(cleaned)
        found.append(verdict)
        if verdict.stage == "accepted":
            curator.remember(Sample(id=row.key, candidate=cleaned, accepted=True, verdict=verdict))
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(CANDIDATES | MALFORMED | REFUSED, max_size=30), st.sampled_from([1, 2, 7, 1024]))
def test_bulk_and_one_by_one_agree(candidates: list[Candidate], size: int) -> None:
    wanted = import_settings(speech_level={"user": "any", "assistant": "polite"}, semantic_threshold=0.6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "BATCH", size)
        samples = run(candidates, wanted)
    expected = one_by_one(candidates, wanted)
    assert [(s.verdict.stage, s.verdict.reason, s.verdict.evidence.get("of")) for s in samples] == [
        (v.stage, v.reason, v.evidence.get("of")) for v in expected
    ]
    assert [s.verdict.score for s in samples] == pytest.approx([v.score for v in expected], abs=1e-4)
    assert [s.id for s in samples] == [row.key for row in rows_of(candidates)]


@settings(max_examples=40, deadline=None)
@given(st.lists(CANDIDATES, max_size=25))
def test_what_was_kept_is_kept_again(candidates: list[Candidate]) -> None:
    for keep in ("first", "best"):
        wanted = import_settings(keep=keep, semantic_threshold=0.6)
        kept = [s.candidate for s in run(candidates, wanted) if s.accepted]
        assert all(s.accepted for s in run(kept, wanted))


@settings(max_examples=40, deadline=None)
@given(st.lists(CANDIDATES, max_size=20), st.lists(CANDIDATES, max_size=10))
def test_rows_that_follow_change_nothing_before_them(first: list[Candidate], more: list[Candidate]) -> None:
    wanted = import_settings(semantic_threshold=0.6)
    assert run([*first, *more], wanted)[: len(first)] == run(first, wanted)


@settings(max_examples=40, deadline=None)
@given(st.lists(CANDIDATES, max_size=20), st.integers(0, 20), st.sampled_from(["first", "best"]))
def test_an_interrupted_run_goes_on_to_the_same_end(candidates: list[Candidate], done: int, keep: str) -> None:
    wanted = import_settings(keep=keep, semantic_threshold=0.6)
    whole = run(candidates, wanted)
    rows = rows_of(candidates)
    rest = list(BulkCurator(wanted, embedder=EMBEDDER).run(lambda: rows, whole[:done]))
    assert whole[:done] + rest == whole


def test_the_best_of_two_stays() -> None:
    short = candidate("반품 사유 코드는 몇 가지인가요?", "네 가지입니다.")
    full = candidate("반품 사유 코드가 몇 가지입니까?", "반품 사유 코드는 파손, 오배송, 변심, 기타의 네 가지입니다.")
    flagged = candidate(
        "반품 사유 코드는 몇 가지인가요?", "물론입니다! 반품 사유 코드는 파손, 오배송, 변심, 기타의 네 가지나 됩니다."
    )
    rows = [short, full, flagged]
    assert [s.accepted for s in run(rows, import_settings())] == [True, False, False]
    best = run(rows, import_settings(keep="best"))
    assert [s.accepted for s in best] == [False, True, False]
    assert best[0].verdict.evidence["of"] == "sample_1"
    assert "chatter" in best[2].flags


def test_conversations_that_open_alike_are_two() -> None:
    def talk(*texts: str) -> Candidate:
        roles = ("user", "assistant") * len(texts)
        messages = tuple(Message(role=role, content=text) for role, text in zip(roles, texts, strict=False))  # type: ignore[arg-type]
        return Candidate(messages=messages, provenance=Provenance(generator="imported", slot=0))

    opening = ("반품을 등록하고 싶어요.", "송장 번호를 알려 주시겠습니까?")
    first = talk(*opening, "네.", "반품 화면에서 송장 번호로 조회해 주십시오.")
    second = talk(*opening, "송장을 잃어버렸어요.", "고객 이름과 주문 날짜로도 찾을 수 있습니다.")
    assert [s.accepted for s in run([first, second, first], import_settings())] == [True, True, False]


NUMBER = "반품 문의는 담당자 김하나 010-2345-6789로 연락하시면 됩니다."


@pytest.mark.parametrize(
    ("action", "accepted", "answer"),
    [
        (PersonalDataAction.FLAG, True, NUMBER),
        (PersonalDataAction.MASK, True, NUMBER.replace("010-2345-6789", "[전화번호 가림]")),
        (PersonalDataAction.REJECT, False, NUMBER),
    ],
)
def test_personal_data(action: PersonalDataAction, accepted: bool, answer: str) -> None:
    (sample,) = run([candidate("반품 문의는 누구에게 하나요?", NUMBER)], import_settings(personal_data=action))
    assert sample.accepted == accepted
    assert sample.candidate.answer == answer
    assert "010-2345-6789" not in str(sample.verdict.evidence) + str(sample.flags)
    assert ("personal_data" in sample.flags) == (action is not PersonalDataAction.MASK)
    assert ("masked_personal_data" in sample.flags) == (action is PersonalDataAction.MASK)


def test_contamination_comes_before_duplicates() -> None:
    protected = Contamination()
    protected.protect_row("시험.jsonl:7", "반품 사유 코드는 몇 가지인가요?", "네 가지입니다.")
    asked = candidate("반품 사유 코드가 몇 가지입니까?", "네 가지입니다.")
    for sample in run([asked, asked], import_settings(), contamination=protected):
        assert (sample.verdict.stage, sample.verdict.evidence["of"]) == ("contamination", "시험.jsonl:7")


def test_own_nouns_keep_a_word_whole() -> None:
    wanted = import_settings(domain_nouns=("마감대사",))
    curation = BulkCurator(wanted, embedder=EMBEDDER)
    (sample,) = list(curation.run(lambda: rows_of([candidate("마감대사는 언제 하나요?", "매일 저녁에 합니다.")])))
    assert "+1 nouns" in sample.candidate.provenance.versions["tokenizer"]
    assert curation.versions == sample.candidate.provenance.versions


def test_rows_that_change_between_two_looks_are_refused() -> None:
    looks = iter(
        [rows_of([candidate(q, ANSWERS[0]) for q in QUESTIONS[:3]]), rows_of([candidate(QUESTIONS[0], "답.")])]
    )
    with pytest.raises(ConflictError):
        list(BulkCurator(import_settings(keep="best"), embedder=EMBEDDER).run(lambda: next(looks)))


def talk(*texts: str, generator: str = "imported") -> Candidate:
    roles = ("user", "assistant") * len(texts)
    messages = tuple(Message(role=role, content=text) for role, text in zip(roles, texts, strict=False))  # type: ignore[arg-type]
    return Candidate(messages=messages, provenance=Provenance(generator=generator, slot=0))


def test_one_instruction_over_many_inputs_is_many_rows_of_a_dataset() -> None:
    inputs = ("입고 검수가 끝나면 적치 지시를 냅니다.", "반품은 사흘 안에 처리합니다.", "지게차는 실내에서 서행합니다.")
    rows = [talk(f"다음 문장을 영어로 옮기세요.\n\n{text}", "옮긴 문장입니다.") for text in inputs]
    assert [s.accepted for s in run([*rows, rows[0]], import_settings())] == [True, True, True, False]
    # A generator that makes free tasks must find new instructions, as Self-Instruct has it.
    made = [talk(f"다음 문장을 요약하세요.\n\n{text}", "요약입니다.", generator="self_instruct") for text in inputs]
    assert [s.accepted for s in run(made, import_settings())] == [True, False, False]


def test_a_blank_line_in_front_is_no_instruction() -> None:
    rows = [talk(f"\n\n{question}", ANSWERS[0], generator="self_instruct") for question in QUESTIONS[4:6]]
    assert [s.accepted for s in run(rows, import_settings())] == [True, True]


def test_later_turns_may_be_short_and_point_at_what_was_said() -> None:
    opening = ("반품 사유 코드를 알려 주세요.", "파손, 오배송, 변심, 기타입니다.")
    for later in ("위 내용을 표로 정리해 주세요.", "ㅋㅋ 네.", "네"):
        (sample,) = run([talk(*opening, later, "네, 그렇게 하겠습니다.")], import_settings())
        assert sample.accepted, sample.verdict
    (sample,) = run([talk("위 내용을 표로 정리해 주세요.", "내용이 없습니다.")], import_settings())
    assert sample.verdict.reason == "question_not_standalone"


def test_variants_of_one_group_stay() -> None:
    said = ("입고 예정은 어떻게 등록하나요?", "입고 예정은 어떻게 등록해?")
    rows = [candidate(text, ANSWERS[0], group_id="가") for text in said]
    other = candidate(said[0], ANSWERS[0], group_id="나")
    assert [s.accepted for s in run([*rows, other], import_settings(semantic_threshold=0.6))] == [True, True, False]
    # A copy is no variant: a job that ran twice must not double its rows.
    copies = run([*rows, *rows], import_settings(semantic_threshold=0.6))
    assert [s.verdict.reason for s in copies] == ["ok", "ok", "exact_duplicate", "exact_duplicate"]


def test_the_input_of_a_test_row_gives_it_away_under_any_instruction() -> None:
    text = "위험물은 지정된 방폭 구역에만 보관하며 소화기 두 대를 입구 양쪽에 비치해야 합니다."
    protected = Contamination()
    protected.protect_row("시험:1", "요약하세요.", f"요약하세요.\n\n{text}\n위험물 보관 규정입니다.")
    asked = talk(f"다음 글을 영어로 옮기세요.\n\n{text}", "옮긴 글입니다.")
    (sample,) = run([asked], import_settings(), contamination=protected)
    assert sample.verdict.reason == "contaminated_text"
