"""What ``training.preflight`` warns of, in Korean: nothing here ends a run.

``warnings_of(subject, budget, needed, licence_source, fallback=False)`` gives one sentence for each finding.
"""

from __future__ import annotations

from training.encoding import EncodingReport
from training.estimate import Estimate
from training.preflight_subject import Budget, Subject

__all__ = ["warnings_of"]

#: Updates below which a run is told to teach little.
FEW_STEPS = 10
#: Passes over the data that a request may ask for as ``n_epochs``.
MOST_EPOCHS = 50


def warnings_of(
    subject: Subject, budget: Budget, needed: Estimate | None, licence_source: str, *, fallback: bool
) -> list[str]:
    """All warnings.

    Args:
        subject: What is trained on what.
        budget: What the run has.
        needed: Memory and work; None where config.json does not tell.
        licence_source: Who said the base's licence; ``none`` where nobody did.
        fallback: Whether neither recipe nor tokenizer has a template.
    """
    found = []
    for name, side in (("학습", subject.train), ("검증", subject.valid)):
        found += _data_warnings(name, side.report) if side else []
    if budget.share_seen < 1:
        found.append(f"{budget.total_steps:,}단계로는 학습 데이터의 {budget.share_seen:.1%}만 봅니다.")
    if budget.total_steps < FEW_STEPS:
        found.append(
            f"갱신이 {budget.total_steps}단계뿐이라 거의 배우지 못합니다. n_epochs를 늘리거나 batch_size를 줄이세요."
        )
    passes = budget.max_steps_epochs
    if passes is not None and passes > MOST_EPOCHS:
        found.append(
            f"max_steps {budget.total_steps:,}단계는 학습 데이터를 {passes:,}번 되풀이합니다(n_epochs의 한도는 "
            f"{MOST_EPOCHS}). 답변을 외우기만 할 수 있으니 max_steps를 줄이거나 데이터를 늘리세요."
        )
    if fallback:
        found.append(
            "토크나이저에 대화 템플릿이 없어 질문과 답변을 '### 질문:'과 '### 답변:'으로 적는 기본 템플릿을 씁니다. "
            "모델이 다른 형식을 배웠다면 그 템플릿을 토크나이저에 넣거나, 형식이 맞는 recipe를 고르세요."
        )
    overlap = subject.overlap
    if overlap is not None and overlap.rows:
        lines = ", ".join(map(str, overlap.lines[:10]))
        found.append(f"검증 데이터 {overlap.of:,}행 가운데 {overlap.rows:,}행이 학습 데이터에도 있습니다(행 {lines}).")
    if needed is None:
        found.append("config.json으로 모델의 크기를 알 수 없어 메모리와 시간을 어림하지 못했습니다.")
    elif budget.free_bytes is not None and needed.memory_bytes > budget.free_bytes:
        found.append(
            f"예상 메모리 {needed.memory_bytes / 1e9:.1f} GB가 장치의 {budget.free_bytes / 1e9:.1f} GB보다 큽니다."
        )
    if licence_source == "none":
        found.append("기반 모델의 라이선스를 알 수 없습니다. 쓰기 전에 모델 카드를 확인하세요.")
    return found


def _data_warnings(name: str, report: EncodingReport) -> list[str]:
    found = []
    if report.dropped:
        lines = ", ".join(map(str, report.dropped_lines[:10]))
        found.append(
            f"{name} 데이터 {report.dropped:,}행에는 학습할 토큰이 없어 뺐습니다: 답변이 모두 잘린 행 "
            f"{report.dropped_cut:,}, 답변의 weight가 모두 0인 행 {report.dropped_untrained:,}(행 {lines})."
        )
    if report.truncated:
        lines = ", ".join(map(str, report.truncated_lines[:10]))
        found.append(
            f"{name} 데이터 {report.truncated:,}행이 너무 길어 토큰 {report.tokens_cut:,}개를 잃었고, "
            f"{report.unstopped:,}행은 마지막 답변이 끝나기 전에 잘렸습니다(행 {lines})."
        )
    if report.unknown_tokens:
        found.append(f"{name} 데이터의 토큰 {report.unknown_tokens:,}개는 이 토크나이저가 쓸 줄 모르는 글자입니다.")
    return found
