"""The records of personal data: what was found, what can be done with it, and the placeholders that replace it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["DEFAULT_KINDS", "PLACEHOLDERS", "Checksum", "Confidence", "PersonalData", "PersonalDataAction"]

Confidence = Literal["high", "low"]
Checksum = Literal["passed", "failed", "not_applicable"]


class PersonalDataAction(StrEnum):
    """What curation does with a sample in which personal data was found with high confidence."""

    FLAG = "flag"  #: Keep it as it is and note what was found.
    MASK = "mask"  #: Keep it with placeholders.
    REJECT = "reject"  #: Drop it.


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonalData:
    """A stretch of text that identifies a person, or might."""

    kind: str  #: A key of ``KINDS``, such as ``phone``.
    start: int  #: Offset of its first code point in the text that was searched.
    end: int  #: Offset behind its last code point.
    text: str  #: ``text[start:end]`` as it was written, full-width digits included.
    confidence: Confidence  #: ``low`` is for reports only; never masked or rejected unasked.
    evidence: dict[str, str | None]  #: ``checksum``: passed, failed or not_applicable; ``context``: the label or None.


#: Placeholders are worded so that they differ from the field names of forms and manuals: "[전화번호]" is a field that a
#: reader is told to fill in, "[전화번호 가림]" is a number that was hidden.
PLACEHOLDERS: dict[str, str] = {
    "resident_number": "[주민등록번호 가림]",
    "foreigner_number": "[외국인등록번호 가림]",
    "business_number": "[사업자등록번호 가림]",
    "corporate_number": "[법인등록번호 가림]",
    "card": "[카드번호 가림]",
    "phone": "[전화번호 가림]",
    "email": "[이메일 가림]",
    "account": "[계좌번호 가림]",
    "passport": "[여권번호 가림]",
    "driving_licence": "[운전면허번호 가림]",
    "address": "[주소 가림]",
}

#: Kinds searched for unless told otherwise. Business and corporate numbers are public registers of companies and stand
#: in every invoice, so they are asked for by name, for instance where sole traders are customers.
DEFAULT_KINDS: frozenset[str] = frozenset(PLACEHOLDERS) - {"business_number", "corporate_number"}
