"""A run's data: files read and encoded, split where asked, turned into sequences for the trainer.

Knows nothing of models. ``read_data(...)``, then ``RunData.sequences(...)``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from corpora.messages import training_rows
from corpora.overlap import Overlap, overlap
from corpora.preferences import Preference, preference_rows
from training.config import TrainConfig
from training.encoding import EncodedRow, EncodedRows, EncodingReport, encode_rows
from training.events import Events
from training.packing import as_dataset, held_out, packed_dataset, subset
from training.plan import Machine, PackShape, pack_shape
from training.preferences import PreferenceRow, better_rows, encode_preferences
from training.recipes import Recipe
from training.rows import Counted

__all__ = ["RunData", "RunSide", "Sequences", "read_data"]

Numbered = Iterator[tuple[int, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sequences:
    """What the trainer is fed."""

    dataset: Dataset
    longest: int  #: Tokens of the longest sequence.
    shape: tuple[PackShape, int] | None = None  #: How rows were packed, and the number of sequences.


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSide:
    """Training or held-out data."""

    rows: EncodedRows  #: Of pairs: the prompts with their better answers.
    report: EncodingReport
    pairs: Sequence[PreferenceRow] = ()

    @property
    def fed(self) -> list[int]:
        """Tokens of every sequence that goes through the model, before packing: rows, or both answers of each pair."""
        return [length for pair in self.pairs for length in pair.lengths] or self.rows.lengths()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunData:
    """Both sides of a run's data."""

    train: RunSide
    valid: RunSide | None = None
    overlap: Overlap | None = None  #: None where nothing was held out by file.
    whole: EncodingReport | None = None  #: Of the training file, where a share of it was held out.

    @property
    def valid_rows(self) -> EncodedRows:
        """Held-out rows; may be none."""
        return self.valid.rows if self.valid else EncodedRows()

    def evaluated(self, seed: int) -> Sequence[EncodedRow]:
        """Held-out rows in an order of the seed: an evaluation in mid-run reads the first ones."""
        places = list(range(len(self.valid_rows)))
        random.Random(seed).shuffle(places)  # noqa: S311 -- an order, no secret
        return subset(self.valid_rows, places)

    def sequences(self, batch: int, recipe: Recipe, machine: Machine, seed: int) -> Sequences:
        """Packed where the recipe says so, else a row a sequence."""
        rows, lengths = self.train.rows, self.train.rows.lengths()
        if not recipe.packing:
            return Sequences(dataset=as_dataset(rows), longest=max(self.train.fed))
        shape = pack_shape(lengths, batch, recipe, machine)
        packed = packed_dataset(rows, shape.length, seed)
        return Sequences(dataset=packed, longest=shape.length, shape=(shape, len(packed)))


def read_data(
    config: TrainConfig, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, template: str, events: Events
) -> RunData:
    """Read and encode the run's files, and say what was cut and dropped.

    Raises:
        MalmoiError: a line breaks the format or cannot be encoded.
    """
    read = _Reader(config, recipe, tokenizer, template, events)
    train = read.side(config.training_file, "training_file", "학습")
    if config.validation_file is not None:
        valid = read.side(config.validation_file, "validation_file", "검증")
        with config.training_file.open("rb") as seen, config.validation_file.open("rb") as held:
            common = overlap(read.conversations(seen, "training_file"), read.conversations(held, "validation_file"))
        return RunData(train=train, valid=valid, overlap=common)
    if config.validation_fraction == 0:
        return RunData(train=train)
    places, kept = held_out(train.rows, config.validation_fraction, config.seed)
    if not places:
        # All rows are the same one, and a model is not measured on what it was trained on.
        words = "학습 데이터의 행이 모두 같아 검증용으로 떼어 낼 행이 없습니다. 검증 없이 학습합니다."
        events.emit("message", words, None, "warn")
        return RunData(train=train)
    events.say(f"학습 데이터에서 {len(places)}행을 무작위로(시드 {config.seed}) 떼어 검증에 씁니다.")
    counted = [[_counted(train, place) for place in side] for side in (kept, places)]
    left, apart = train.report.without(counted[1], counted[0]), EncodingReport.of(counted[1])
    _tell(events, "나눈 뒤 학습", left)
    _tell(events, "나눈 뒤 검증", apart)
    return RunData(train=_part(train, kept, left), valid=_part(train, places, apart), whole=train.report)


def _counted(side: RunSide, place: int) -> Counted:
    return side.pairs[place].counted if side.pairs else side.rows.counted(place)


def _part(side: RunSide, places: Sequence[int], report: EncodingReport) -> RunSide:
    pairs = [side.pairs[place] for place in places] if side.pairs else ()
    return RunSide(rows=subset(side.rows, places), report=report, pairs=pairs)


@dataclass(frozen=True, slots=True)
class _Reader:
    config: TrainConfig
    recipe: Recipe
    tokenizer: PreTrainedTokenizerBase
    template: str
    events: Events

    def side(self, path: Path, param: str, name: str) -> RunSide:
        decomposed: list[int] = []
        phrased: list[int] = []
        # In bytes, as validation reads it: text mode would end lines at carriage returns too.
        with path.open("rb") as handle:
            if self.config.method == "dpo":
                source = _noted(preference_rows(handle, param=param), decomposed)
                pairs, report = encode_preferences(source, self.tokenizer, self.template, self.recipe.max_length, param)
                side = RunSide(rows=better_rows(pairs), report=report, pairs=pairs)
            else:
                lines = self._phrases(training_rows(handle, param=param, decomposed=decomposed), phrased)
                rows, report = encode_rows(lines, self.tokenizer, self.template, self.recipe.max_length, param)
                side = RunSide(rows=rows, report=report)
        _tell(self.events, name, report)
        if decomposed:
            words = (
                f"{name} 데이터 {len(decomposed):,}행이 NFC가 아니어서(macOS 파일은 흔히 NFD입니다) NFC로 읽었습니다."
            )
            self.events.emit("message", words, {"not_nfc": len(decomposed)}, "warn")
        if phrased:
            words = (
                f"{name} 데이터 {len(phrased):,}행의 답변에 종료 문구 '{self.recipe.stop_phrase}'이(가) 이미 "
                f"있습니다(행 {', '.join(map(str, phrased[:10]))}). 문구는 답변마다 한 번 더 붙고, "
                "대화는 처음 나온 문구에서 끊깁니다. 데이터에서 지우거나 다른 문구를 쓰세요."
            )
            self.events.emit("message", words, {"stop_phrase_in_answers": len(phrased)}, "warn")
        return side

    def _phrases(self, rows: Numbered, found: list[int]) -> Numbered:
        """The rows, noting those whose answers hold the stop phrase already."""
        phrase = self.recipe.stop_phrase
        for number, messages in rows:
            if phrase is not None and any(m["role"] == "assistant" and phrase in m["content"] for m in messages):
                found.append(number)
            yield number, messages

    def conversations(self, handle: Any, param: str) -> Numbered:
        if self.config.method != "dpo":
            return training_rows(handle, param=param)
        return (
            (number, [*pair.messages, {"role": "assistant", "content": pair.preferred}])
            for number, pair in preference_rows(handle, param=param)
        )


def _noted(pairs: Iterator[tuple[int, Preference]], decomposed: list[int]) -> Iterator[tuple[int, Preference]]:
    for number, pair in pairs:
        if pair.decomposed:
            decomposed.append(number)
        yield number, pair


def _tell(events: Events, side: str, report: EncodingReport) -> None:
    lost = report.truncated + report.dropped
    message = (
        f"{side} 데이터: {report.rows}행 가운데 {report.kept}행 사용, {report.dropped}행 제외, "
        f"{report.truncated}행 잘림, 토큰 {report.tokens:,}개 중 {report.trained_tokens:,}개 학습"
    )
    events.emit("message", message, report.as_dict(), "warn" if lost else "info")
