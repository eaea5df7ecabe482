"""The dataset card of a bundle: YAML that the Hub and ``datasets`` read, then Korean and English for people.

``card_facts`` asks the store what the card tells of a dataset, ``Making`` counts on the way through the rows what they
were made with, ``render_card`` fills ``dataset_card.md.jinja``. The text is a function of these alone: no clock, no
random order. Names that people gave (datasets, documents, models) are escaped and can break neither YAML nor Markdown.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.store.queries import Session, count_by, find, values
from app.store.tables import CorpusRow, DatasetRow, DocumentRow, SampleRow

__all__ = ["CardFacts", "Making", "card_facts", "render_card", "size_category"]

_TEMPLATE = Path(__file__).with_name("dataset_card.md.jinja")
#: Documents named one by one; of further ones the card tells the number.
MAX_SOURCES = 50
#: Upper bounds and names as the Hub has them (its dataset card specification, ``size_categories``).
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_LARGEST = "10M<n<100M"
#: An imported row names file and line; the card counts by file.
_LINE_NUMBER = re.compile(r":\d+$")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~$&])")


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """What the store tells of a dataset and of the splits that are exported."""

    dataset_id: str
    name: str  #: The dataset's label.
    version: int  #: That is exported.
    corpus: str | None  #: Label of the corpus, where there is one still.
    splits: tuple[str, ...]  #: Exported ones that have accepted samples, train first.
    accepted: dict[str, int]  #: Accepted samples of the whole dataset by split.
    rejections: tuple[tuple[str, str, int], ...]  #: (stage, reason, count) of the whole dataset, most first.
    removed: int  #: Samples that were removed with their documents.
    sources: tuple[tuple[str | None, int], ...]  #: (title, accepted samples), most first; None for a deleted one.
    further_sources: int  #: Documents that are not among ``sources``.

    def digest(self) -> str:
        """Changes with anything that the card tells, and with its wording."""
        told = json.dumps(asdict(self), ensure_ascii=False, sort_keys=True).encode()
        return hashlib.sha256(told + _TEMPLATE.read_bytes()).hexdigest()


class Making:
    """What rows were made with, counted one by one."""

    def __init__(self) -> None:
        self.makers: Counter[tuple[str, str, str]] = Counter()
        self.versions: Counter[tuple[str, str]] = Counter()

    def add(self, provenance: Mapping[str, Any]) -> None:
        """Count a row by its stored provenance."""
        prompt = _LINE_NUMBER.sub("", provenance.get("prompt") or "")
        self.makers[(provenance["generator"], provenance.get("model") or "", prompt)] += 1
        self.versions.update((provenance.get("versions") or {}).items())


def card_facts(session: Session, dataset: DatasetRow, side: str) -> CardFacts:
    """What a card tells, from one snapshot; ``side`` is ``train``, ``test`` or ``all``."""
    own = SampleRow.dataset_id == dataset.id
    accepted = (own, SampleRow.status == "accepted")
    by_split: dict[str, int] = {"train": 0, "test": 0} | dict(count_by(session, [SampleRow.split], *accepted))
    splits = tuple(split for split in ("train", "test") if side in (split, "all") and by_split[split])
    made = (*accepted, SampleRow.split.in_(splits), SampleRow.document_id.is_not(None))
    documents = count_by(session, [SampleRow.document_id], *made)
    shown = documents[:MAX_SOURCES]
    wanted = DocumentRow.id.in_([document_id for document_id, _ in shown])
    titles = {row[0]: row[1] for row in values(session, [DocumentRow.id, DocumentRow.title], wanted)}
    rejections = count_by(session, [SampleRow.stage, SampleRow.reason], own, SampleRow.status == "rejected")
    corpus = find(session, CorpusRow, CorpusRow.id == dataset.corpus_id) if dataset.corpus_id else None
    return CardFacts(
        dataset_id=dataset.id,
        name=dataset.name,
        version=dataset.version,
        corpus=corpus.name if corpus else None,
        splits=splits,
        accepted=by_split,
        rejections=tuple((stage, reason, count) for stage, reason, count in rejections),
        removed=dataset.removed,
        sources=tuple((titles.get(document_id), count) for document_id, count in shown),
        further_sources=len(documents) - len(shown),
    )


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows."""
    return next((name for bound, name in _SIZES if rows < bound), _LARGEST)


def render_card(
    facts: CardFacts,
    making: Making,
    *,
    files: Mapping[str, str],
    written: Mapping[str, int],
    refused: Mapping[str, int],
    metadata: bool,
) -> str:
    """The card's text.

    Args:
        facts: From ``card_facts``.
        making: Of the rows that were written.
        files: File that a loader reads, by split.
        written: Rows by split.
        refused: Accepted rows that could not be written, by reason.
        metadata: Whether rows carry metadata.
    """
    makers = sorted(making.makers.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = sum(written.values())
    text = _template().render(
        facts=facts,
        makers=[(*what, count) for what, count in makers],
        versions=sorted((*what, count) for what, count in making.versions.items()),
        files=files,
        written=written,
        rows=rows,
        size=size_category(rows),
        rejected=sum(count for *_, count in facts.rejections),
        refused=sorted(refused.items()),
        metadata=metadata,
    )
    return text.rstrip() + "\n"


@functools.cache
def _template() -> jinja2.Template:
    # The result is Markdown and YAML; what autoescape knows is HTML.
    environment = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"yaml": _yaml, "text": _text}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


def _yaml(value: str) -> str:
    r"""A YAML string in double quotes: JSON's form, with ``\U`` for what YAML does not let stand."""
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\U{ord(character):08x}" for character in quoted)


def _text(value: str) -> str:
    """Text in a Markdown paragraph or cell of a table."""
    return _MARKDOWN.sub(r"\\\1", " ".join(value.split()))
