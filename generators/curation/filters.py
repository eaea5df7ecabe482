"""Filters: small pure functions from a candidate to a verdict with reason and evidence, or None when it passes.

``FILTERS`` names them in the order in which they are asked, cheap first. They know no model and no other
candidate, and ask for morphemes only where letters do not decide. ``flags`` of the neighbouring module note what is
worth knowing without dropping it.
"""

from __future__ import annotations

from generators.curation.endings import complete_ending
from generators.curation.form import (
    character_repetition,
    length,
    line_repetition,
    not_an_echo,
    repetition,
    script,
    special_characters,
    whole_characters,
    wordless,
)
from generators.curation.phrases import no_prompt_leak, no_refusal
from generators.curation.standalone import needs_no_document
from generators.curation.verdicts import Filter, rejected

__all__ = ["FILTERS", "FILTERS_VERSION", "Filter", "rejected"]

#: Bumped when a filter's decision changes; recorded with every sample.
FILTERS_VERSION = 3

FILTERS: dict[str, Filter] = {
    "length": length,
    "wordless": wordless,
    "not_an_echo": not_an_echo,
    "whole_characters": whole_characters,
    "script": script,
    "special_characters": special_characters,
    "character_repetition": character_repetition,
    "repetition": repetition,
    "line_repetition": line_repetition,
    "no_prompt_leak": no_prompt_leak,
    "no_refusal": no_refusal,
    "needs_no_document": needs_no_document,
    "complete_ending": complete_ending,
}
