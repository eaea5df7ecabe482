"""Reading comprehension: KorQuAD 1.0 and 2.0, and questions about Korean Wikipedia.

The question alone is the user's turn and the passage stands beside it in ``context``: whoever shows it to a model
renders it then. Rows of one article share a group, since its passages answer one another's questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from corpora.ids import content_id
from corpora.importers.html import html_text, looks_like_html
from corpora.importers.rows import ImportedRow, RowError, clean_text, conversation, optional_text, scalars

__all__ = [
    "convert_korean_wiki_qa",
    "convert_korquad_1",
    "convert_korquad_2",
    "fits_korean_wiki_qa",
    "fits_korquad_1",
    "fits_korquad_2",
]


def fits_korquad_1(row: Mapping[str, Any]) -> bool:
    """An article with ``paragraphs``, or a flat row with ``answers`` as Hugging Face has it."""
    flat = "question" in row and "context" in row and isinstance(row.get("answers"), dict)
    return isinstance(row.get("paragraphs"), list) or flat


def fits_korquad_2(row: Mapping[str, Any]) -> bool:
    """An article with ``qas`` and its HTML, or a flat row with one ``answer`` object."""
    flat = "question" in row and "context" in row and isinstance(row.get("answer"), dict)
    return (isinstance(row.get("qas"), list) and ("context" in row or "raw_html" in row)) or flat


def fits_korean_wiki_qa(row: Mapping[str, Any]) -> bool:
    """``context``, ``question`` and ``answer``, all text."""
    return all(isinstance(row.get(name), str) for name in ("context", "question", "answer"))


def convert_korquad_1(row: Mapping[str, Any]) -> Iterator[ImportedRow | RowError]:
    """An article: a row for each question of each paragraph; the first answer is taken, others go to the metadata.

    Raises:
        RowError: the article has no paragraphs.
    """
    if "paragraphs" not in row:
        answers = row.get("answers")
        texts = answers.get("text") if isinstance(answers, dict) else None
        listed = [{"text": text} for text in texts] if isinstance(texts, list) else None
        question = {"id": row.get("id"), "question": row.get("question"), "answers": listed}
        yield from _questions([question], row.get("context"), _article(row), "")
        return
    paragraphs = row["paragraphs"]
    if not isinstance(paragraphs, list) or not paragraphs:
        raise RowError("missing_field", "'paragraphs' is no list or an empty one.")
    article = _article(row)
    for index, paragraph in enumerate(paragraphs):
        where = f"paragraphs[{index}]"
        if not isinstance(paragraph, dict):
            yield RowError("not_an_object", "a paragraph is no object.", where)
            continue
        yield from _questions(paragraph.get("qas"), paragraph.get("context"), article, f"{where}.")


def convert_korquad_2(row: Mapping[str, Any]) -> Iterator[ImportedRow | RowError]:
    """An article: a row for each question; context and answers in HTML become text."""
    questions = row.get("qas")
    if "qas" not in row:
        questions = [{"id": row.get("id"), "question": row.get("question"), "answer": row.get("answer")}]
    if isinstance(questions, list):
        questions = [_without_html(question) for question in questions]
    context = _plain(row.get("context") or row.get("raw_html"))
    yield from _questions(questions, context, _article(row), "")


def convert_korean_wiki_qa(row: Mapping[str, Any]) -> Iterator[ImportedRow]:
    """``{"context", "question", "answer"}``.

    Raises:
        RowError: a text is missing, empty or broken.
    """
    context = clean_text(row.get("context"), "context")
    messages = conversation([("user", row.get("question"), "question"), ("assistant", row.get("answer"), "answer")])
    title = optional_text(row.get("title"), "title")
    yield ImportedRow(
        messages=messages,
        grounded=True,
        context=context,
        group_id=content_id("group", title or context),
        metadata=scalars(row, without=("context", "question", "answer")),
    )


@dataclass(frozen=True, slots=True)
class _Article:
    """What all questions of one article share."""

    title: object
    group: str | None  # by address or title; None where it has neither


def _article(row: Mapping[str, Any]) -> _Article:
    name = row.get("url") or row.get("title")
    return _Article(row.get("title"), content_id("group", name) if isinstance(name, str) and name.strip() else None)


def _questions(questions: object, context: object, article: _Article, where: str) -> Iterator[ImportedRow | RowError]:
    try:
        passage = clean_text(context, "context")
        title = optional_text(article.title, "title")
        if not isinstance(questions, list):
            raise RowError("missing_field", "'qas' is no list.")
        if not questions:
            raise RowError("no_question", "there is no question about this passage.")
    except RowError as fault:
        yield RowError(fault.code, fault.message, where.rstrip("."))
        return
    for index, question in enumerate(questions):
        try:
            yield _question(question, passage, article.group or content_id("group", passage), title)
        except RowError as fault:
            yield RowError(fault.code, fault.message, f"{where}qas[{index}]")


def _question(question: object, passage: str, group: str, title: str | None) -> ImportedRow:
    if not isinstance(question, dict):
        raise RowError("not_an_object", "a question is no object.")
    answers = question.get("answers", [question.get("answer")])
    if not isinstance(answers, list) or not all(isinstance(answer, dict) for answer in answers):
        raise RowError("missing_field", "'answers' is no list of objects.")
    if not answers:
        raise RowError("no_answer", "the question has no answer.")
    texts = [clean_text(answer.get("text"), "answer") for answer in answers]
    messages = conversation([("user", question.get("question"), "question"), ("assistant", texts[0], "answer")])
    metadata = scalars({"id": question.get("id"), "title": title})
    others = sorted(set(texts) - {texts[0]})
    if others:
        metadata["other_answers"] = others
    return ImportedRow(messages=messages, grounded=True, context=passage, group_id=group, metadata=metadata)


def _without_html(question: object) -> object:
    """A question of KorQuAD 2 with the tags of its answer gone."""
    answer = question.get("answer") if isinstance(question, dict) else None
    if not isinstance(question, dict) or not isinstance(answer, dict):
        return question
    return {**question, "answer": {**answer, "text": _plain(answer.get("text"))}}


def _plain(value: object) -> object:
    """Text out of HTML; anything else as it is, for the check behind to judge."""
    return html_text(value) if isinstance(value, str) and looks_like_html(value) else value
