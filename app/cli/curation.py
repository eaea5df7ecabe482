"""``malmoi curate`` and ``malmoi import``: files in, files out, the service's own stages, no server.

Progress on a terminal, none in a pipe. Rows that do not fit are counted and shown with their line; the exit code is 0
with a count, 2 when nothing fits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpora.errors import InvalidInputError

if TYPE_CHECKING:
    from app.services.file_curation import Counts, CurationFiles
    from generators.curation.settings import CurationSettings

__all__ = ["add_curate", "add_import", "run_curate", "run_import"]

Commands = Any  # argparse's own type is private
#: The names of ``retrieval.guards.GUARDS``, written out so that ``--help`` need not load it; a test keeps both in step.
GUARD_NAMES = ("negation", "noun_substitution", "opposites", "argument_order", "predicate_substitution")
#: What is said of rows by what became of them; the names are those of ``generators.imported``.
TOLD = {
    "context_kept": "지문을 system 차례에 담았습니다 (--context drop: 뺌)",
    "context_dropped": "지문을 뺐습니다 (--context keep: system 차례에 담음)",
    "other_answers": "다른 정답은 대화에 담지 않았습니다 (--metadata: 곁에 적음)",
    "weights": "학습하지 않을 답(weight 0)이 있습니다 (--personal-data mask: 표시가 사라짐)",
    "own_test": "원본의 test나 validation에 속합니다 (--test: 따로 모음, --new-split: 무시)",
}


def _add_files(command: argparse.ArgumentParser) -> None:
    command.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="files or Hugging Face dataset folders")
    command.add_argument("-o", "--output", type=Path, required=True, help="JSONL in the messages schema")
    command.add_argument("--format", help="format of the inputs; found by looking when not given")
    command.add_argument("--rejected", type=Path, help="JSONL of what was left out, with the reason of each row")
    command.add_argument("--metadata", action="store_true", help="keep id, source, group and flags with each line")
    command.add_argument(
        "--context",
        choices=("keep", "drop"),
        default="keep",
        help="passage of a grounded row: system turn, or left out",
    )
    command.add_argument("--new-split", action="store_true", help="forget the train and test that an input comes with")


def add_import(commands: Commands) -> None:
    """Declare ``malmoi import``."""
    command = commands.add_parser("import", help="convert a dataset into the messages schema")
    _add_files(command)


def add_curate(commands: Commands) -> None:
    """Declare ``malmoi curate``."""
    command = commands.add_parser("curate", help="filter a dataset, drop its near-duplicates, say why")
    _add_files(command)
    add = command.add_argument
    add("--report", type=Path, help="R.json, R.html, or a folder for both and the plots")
    add("--near-duplicate-threshold", default="0.7", metavar="T", help="ROUGE-L F1 above which a row is a repeat")
    add("--tokenizer", default="content_morphemes", help="content_morphemes, morpheme, whitespace, character, english")
    add("--guards", nargs="*", choices=GUARD_NAMES, help="what parts rows that share their words")
    add("--domain-nouns", type=Path, metavar="FILE", help="nouns of your domain, one a line, that must not be split")
    add("--semantic-threshold", type=float, metavar="T", help="cosine above which a row is a repeat")
    add("--no-semantic", action="store_true", help="compare wording only")
    add("--keep", choices=("first", "best"), default="first", help="which of two repeats stays")
    add("--user", choices=("any", "polite", "plain"), default="any", help="speech level of questions")
    add("--assistant", choices=("any", "polite", "plain"), default="any", help="speech level of answers")
    add("--personal-data", choices=("flag", "mask", "reject"), default="flag", help="what to do with it")
    add("--against", nargs="+", type=Path, default=[], metavar="FILE", help="documents and tests never to give away")
    add("--test", type=Path, help="JSONL for the test; groups stay whole, near-duplicates on one side")
    add("--test-fraction", default="0.1", metavar="F", help="share of the test")


def _files(arguments: argparse.Namespace) -> CurationFiles:
    from app.services.file_curation import CurationFiles
    from app.services.outputs import check_outputs

    missing = next((path for path in arguments.inputs if not path.exists()), None)
    if missing is not None:
        raise InvalidInputError(f"There is no file {_shown(missing)}.", param="inputs", code="file_not_found")
    check_outputs([getattr(arguments, name, None) for name in ("output", "rejected", "report", "test")])
    return CurationFiles(
        inputs=tuple(arguments.inputs),
        output=arguments.output,
        rejected=arguments.rejected,
        report=getattr(arguments, "report", None),
        test=getattr(arguments, "test", None),
        test_fraction=getattr(arguments, "test_fraction", "0"),
        format=arguments.format,
        metadata=arguments.metadata,
        context=arguments.context,
        own_split=not arguments.new_split,
    )


def _shown(path: Path) -> str:
    """A path that any terminal takes, whatever the encoding of its name."""
    from corpora.importers import printable

    return printable(str(path))


def _settings(arguments: argparse.Namespace) -> CurationSettings:
    from corpora.korean.personal_data import PersonalDataAction
    from corpora.korean.rouge import TOKENIZERS
    from generators.curation.settings import decimal_share, import_settings

    if arguments.tokenizer not in TOKENIZERS:
        raise InvalidInputError(
            f"There is no tokenizer '{arguments.tokenizer}'; there are {', '.join(TOKENIZERS)}.", param="tokenizer"
        )
    nouns: tuple[str, ...] = ()
    if arguments.domain_nouns is not None:
        try:
            lines = arguments.domain_nouns.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as exc:
            file = _shown(arguments.domain_nouns)
            raise InvalidInputError(f"{file} cannot be read: {exc}.", param="domain_nouns") from exc
        nouns = tuple(line.strip() for line in lines if line.strip())
    semantic = arguments.semantic_threshold
    if semantic is not None and not 0 < semantic <= 1:
        raise InvalidInputError("semantic_threshold is above 0 and at most 1.", param="semantic_threshold")
    if arguments.test is not None and Fraction(decimal_share(arguments.test_fraction, "test_fraction")) > Fraction(
        1, 2
    ):
        raise InvalidInputError("test_fraction is at most 0.5.", param="test_fraction")
    return import_settings(
        near_duplicate_threshold=decimal_share(arguments.near_duplicate_threshold, "near_duplicate_threshold"),
        tokenizer=arguments.tokenizer,
        domain_nouns=nouns,
        **({} if arguments.guards is None else {"guards": tuple(dict.fromkeys(arguments.guards))}),
        semantic_threshold=semantic,
        speech_level={"user": arguments.user, "assistant": arguments.assistant},
        personal_data=PersonalDataAction(arguments.personal_data),
        keep=arguments.keep,
    )


def run_curate(arguments: argparse.Namespace) -> None:
    """Run ``malmoi curate``."""
    from app.services.file_curation import curate_files, protect

    files, settings = _files(arguments), _settings(arguments)
    contamination = protect(arguments.against) if arguments.against else None
    counts = curate_files(
        files, settings, semantic=not arguments.no_semantic, contamination=contamination, progress=_progress()
    )
    _say(counts)
    if files.test is not None:
        train = f"학습용 {counts.accepted - counts.test:,}행: {_shown(files.output)}"
        print(f"{train}   검증용 {counts.test:,}행: {_shown(files.test)}")


def run_import(arguments: argparse.Namespace) -> None:
    """Run ``malmoi import``."""
    from app.services.file_curation import import_files

    _say(import_files(_files(arguments), _progress()))


def _progress() -> Callable[[int], None]:
    """A counter on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        return lambda _rows: None

    def show(rows: int) -> None:
        print(f"\r{rows:,}행", end="", file=sys.stderr, flush=True)

    return show


def _say(counts: Counts) -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"{counts.rows:,}행 = 채택 {counts.accepted:,} + 거절 {counts.rejected.total():,}")
    for reason, count in counts.reasons.most_common():
        print(f"  거절 {count:>8,}  {reason}")
    for name, count in counts.told.items():
        print(f"  참고 {count:>8,}  {TOLD[name]}")
    for fault in counts.shown:
        print(f"malmoi: {fault}", file=sys.stderr)
    if counts.faults.total() > len(counts.shown):
        print(f"malmoi: … {counts.faults.total() - len(counts.shown):,} more rows cannot be read", file=sys.stderr)
