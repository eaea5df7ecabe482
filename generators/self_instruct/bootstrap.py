"""The mode ``bootstrap``: Self-Instruct's pipeline in English, parsed and filtered as published (0b26cca).

New instructions from eight shown, then for each: is it classification, then its instances; output-first where it is
(the label, then an input for it), input-first where it is not. Parsers and filters are those of
bootstrap_instructions, identify_clf_or_not and prepare_for_finetuning, quirks included: an instruction is lower-cased
behind its first letter, and a reply cut off loses all of them. Novelty is the curator's, with the tokenizer
``english`` at 0.7; only what repeats a shown task word for word gets no requests of its own.

Not carried over: several prompts in one request, and how prepare_for_finetuning writes training prompts (its 7 and 6
templates and field names cut at random), which is the exporters' part. Which of more than five instances stay is drawn
by hash instead of ``random``. Must not know the other modes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from corpora.records import Candidate, Provenance, Verdict
from generators.asking import ask_text
from generators.base import SlotResult
from generators.ports import Reply, Usage
from generators.prompting import render
from generators.self_instruct.filters import (
    BOOTSTRAP_BLACKLIST,
    MAX_INSTANCES,
    Pair,
    english_instruction_fault,
    english_pair_fault,
    refused,
)
from generators.self_instruct.slot import Slot, Tried, all_of, task_candidate

__all__ = ["Draft", "Instance", "is_classification", "parse_instances", "parse_instructions", "run"]

_INSTRUCTION_STOP = ("\n\n", "\n16", "16.", "16 .")
_INSTRUCTION_PRESENCE = 2.0
_KIND_STOP = ("\n", "Task")
_KIND_TOKENS = 3
_INSTANCE_STOP = (f"Example {MAX_INSTANCES + 1}", "Task:")
_INSTANCE_PRESENCE = 1.5
#: By whether it is classification, whose prompt is longer.
_INSTANCE_TOKENS = {True: 300, False: 350}

_OUTPUT = re.compile(r"Output\s*\d*\s*:")
_INPUT = re.compile(r"Input\s*\d*\s*:")
_EXAMPLE = re.compile(r"Example\s?\d*\.?")
_LABEL = "Class label:"


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A new instruction."""

    instruction: str  #: As the reference stores it.
    fault: Verdict | None  #: The filter that drops it; None for what the reference keeps.


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """An instance as it was read."""

    pair: Pair
    cut: bool = False  #: The reply ended inside it.


def parse_instructions(text: str, finish_reason: str) -> list[Draft] | None:
    """New instructions of a reply in order, dropped ones included; None for a reply that was cut off."""
    if finish_reason == "length":
        return None
    drafts = []
    for piece in re.split(r"\n\d+\s?\. ", text):
        instruction = re.sub(r"\s+", " ", piece).strip().capitalize()
        if instruction:
            fault = english_instruction_fault(instruction, BOOTSTRAP_BLACKLIST)
            drafts.append(Draft(instruction=instruction, fault=fault))
    return drafts


def is_classification(text: str) -> bool:
    """Whether a reply calls a task classification; everything but a bare yes does not."""
    return text.strip() in ("Yes", "yes", "YES")


def parse_instances(text: str, finish_reason: str, *, classification: bool) -> list[Instance]:
    """Instances of a reply in order, unfiltered; none where the reply has not the form asked for."""
    pairs = _labelled(text) if classification else _worked(text.strip())
    instances = [Instance(pair=pair) for pair in pairs]
    if instances and finish_reason == "length":
        instances[-1] = replace(instances[-1], cut=True)
    return instances


def _labelled(text: str) -> list[Pair]:
    """Output-first: each label stands behind its heading, its input on the lines below."""
    pairs = []
    for piece in text.split(_LABEL)[1:]:
        label, _, task_input = piece.strip().partition("\n")
        pairs.append(Pair(input=task_input.strip(), output=label.strip()))
    return pairs


def _worked(text: str) -> list[Pair]:
    """Input-first: numbered examples, or a single one without a number."""
    if _EXAMPLE.search(text):
        return [_pair(piece.strip()) for piece in _EXAMPLE.split(text) if piece.strip()]
    return [_pair(text)] if _OUTPUT.search(text) else []


def _pair(text: str) -> Pair:
    parts = _OUTPUT.split(text)
    task_input, output = (parts[0].strip(), parts[1].strip()) if len(parts) > 1 else ("", text.strip())
    # A second input behind the output begins an instance that nobody asked for.
    output = _INPUT.split(output)[0].strip()
    return Pair(input=re.sub(r"^Input\s*\d*\s*:", "", task_input).strip(), output=output)


async def run(slot: Slot) -> SlotResult:
    """Ask for instructions, then for the kind and the instances of each that the filters keep."""
    examples = slot.examples()
    shown = [re.sub(r"\s+", " ", example.instruction).strip().rstrip(":") for example in examples]
    number = f"{len(shown) + 1}."
    prompt = render(
        "self_instruct.bootstrap",
        tasks="\n".join(f"{place}. {text}" for place, text in enumerate(shown, start=1)),
        next=str(len(shown) + 1),
        only_classification="yes" if slot.params.classification_seeds_only else "",
    )
    request = slot.request("instructions", prompt, stop=_INSTRUCTION_STOP, presence=_INSTRUCTION_PRESENCE)
    told = await ask_text(slot.model, request)
    if told.reply is None:
        return SlotResult(usage=told.usage, failed=told.failed)
    # A chat model often repeats the number that a completion model would only continue.
    text = told.reply.text
    text = text.lstrip().removeprefix(number) if text.lstrip().startswith(number) else text
    origin = slot.origin(prompt, told.reply.model, examples)
    drafts = parse_instructions(text, told.reply.finish_reason)
    if drafts is None:
        cut = Candidate(messages=(), provenance=origin, malformed="truncated_reply", raw=told.reply.text)
        return SlotResult(candidates=(cut,), usage=told.usage)
    known = {text.casefold() for text in shown}
    work = []
    for place, draft in enumerate(drafts):
        fault = draft.fault
        if fault is None and draft.instruction.casefold() in known:
            fault = refused("repeats_shown_task")
        known.add(draft.instruction.casefold())
        work.append(_try(slot, place, replace(draft, fault=fault), origin))
    tried = await all_of(work)
    usage = sum((one.usage for one in tried), told.usage)
    return SlotResult(candidates=tuple(c for one in tried for c in one.candidates), usage=usage)


async def _try(slot: Slot, place: int, draft: Draft, origin: Provenance) -> Tried:
    """Everything that comes of one instruction."""
    if draft.fault is not None:
        return Tried(candidates=(task_candidate(draft.instruction, None, origin, draft.fault),), usage=Usage())
    prompt = render("self_instruct.bootstrap_classify", instruction=draft.instruction)
    asked = await ask_text(slot.model, slot.greedy(f"classify.{place}", prompt, _KIND_TOKENS, stop=_KIND_STOP))
    # As in the reference, a task whose kind nobody could tell is no classification.
    said = "" if asked.reply is None else asked.reply.text.strip()
    classification = is_classification(said)
    kind = "classification" if classification else "generation"
    prompt = render(f"self_instruct.bootstrap_{kind}", instruction=draft.instruction)
    request = slot.greedy(
        f"instances.{place}", prompt, _INSTANCE_TOKENS[classification], stop=_INSTANCE_STOP, presence=_INSTANCE_PRESENCE
    )
    told = await ask_text(slot.model, request)
    usage = asked.usage + told.usage
    traits = {**origin.traits, "task_type": kind, "said_of_type": said or asked.failed or "", "asked_by": origin.prompt}
    origin = replace(origin, prompt=prompt.id, traits=traits)
    if told.reply is None:
        fault = refused("no_instances", why=told.failed or "")
        return Tried(candidates=(task_candidate(draft.instruction, None, origin, fault),), usage=usage)
    return Tried(candidates=_candidates(slot, draft.instruction, told.reply, origin), usage=usage)


def _candidates(slot: Slot, instruction: str, reply: Reply, origin: Provenance) -> tuple[Candidate, ...]:
    instances = parse_instances(
        reply.text, reply.finish_reason, classification=origin.traits["task_type"] == "classification"
    )
    if not instances:
        return (Candidate(messages=(), provenance=origin, malformed="wrong_shape: no instance", raw=reply.text),)
    whole = [(one.pair, english_pair_fault(one.pair)) for one in instances if not one.cut]
    found = slot.instances(instruction, whole, origin)
    cut = (f"{one.pair.input}\n{one.pair.output}" for one in instances if one.cut)
    found += [Candidate(messages=(), provenance=origin, malformed="truncated_reply", raw=raw) for raw in cut]
    return tuple(found)
