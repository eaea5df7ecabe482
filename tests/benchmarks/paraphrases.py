"""Recall at 1 % false positives on ParaKQC, for every tokenizer and for the semantic stage.

Run by hand::

    python -m tests.benchmarks.paraphrases DATA_DIR/parakqc

Groups of ten consecutive lines are paraphrases of one another. Positive pairs: two of one group. Negative pairs: two of
different groups with the same topic and the same act, the hardest that the set has. Pairs are drawn with a fixed seed.

With ``--rows DATA_DIR``: what each guard costs in recall at 0.7, over *all* paraphrases, the first half of the groups
(on which the guards' word lists were made) and the second; and how many rows of real questions it keeps.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from corpora.korean.analyse import content_morphemes_many, prefetch
from corpora.korean.rouge import TOKENIZERS, tokenize
from retrieval.embedders import HashedEmbedder
from retrieval.guards import GUARDS
from retrieval.near_duplicates import DEFAULT_GUARDS, LexicalDuplicates, Tokenized
from tests.benchmarks.lexical_sets import real_questions

Pair = tuple[str, str]
GROUP = 10
SEED = 7
WANTED_FPR = 0.01


def read(folder: Path) -> list[tuple[str, str, list[str]]]:
    """(topic, act, texts) of each group."""
    (path,) = folder.glob("*.txt")
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    groups = [lines[n : n + GROUP] for n in range(0, len(lines), GROUP)]
    return [(group[0][0], group[0][1], [line[2] for line in group]) for group in groups]


def pairs(groups: Sequence[tuple[str, str, list[str]]], count: int) -> tuple[list[Pair], list[Pair]]:
    """Paraphrases, and pairs of the same topic and act that ask something else."""
    rng = random.Random(SEED)
    same = [pair for _, _, texts in groups for pair in itertools.combinations(texts, 2)]
    kinds: dict[tuple[str, str], list[list[str]]] = {}
    for topic, act, texts in groups:
        kinds.setdefault((topic, act), []).append(texts)
    other = [
        (rng.choice(first), rng.choice(second))
        for members in kinds.values()
        for first, second in itertools.combinations(members, 2)
    ]
    return rng.sample(same, min(count, len(same))), rng.sample(other, min(count, len(other)))


def rouge_l(tokenizer: str) -> Callable[[Pair], float]:
    from rapidfuzz.distance import LCSseq

    def score(pair: Pair) -> float:
        first, second = (tokenize(tokenizer, text) for text in pair)
        return 2 * LCSseq.similarity(first, second) / (len(first) + len(second)) if first and second else 0.0

    return score


def guarded(score: Callable[[Pair], float], guards: Sequence[str]) -> Callable[[Pair], float]:
    """0 where a guard parts the pair, else the score."""

    def judged(pair: Pair) -> float:
        first, second = (tokenize("content_morphemes", text) for text in pair)
        parted = any(GUARDS[name](pair[0], first, pair[1], second) for name in guards)
        return 0.0 if parted else score(pair)

    return judged


def cosine(texts: Sequence[str]) -> Callable[[Pair], float]:
    embedder = HashedEmbedder.fit(texts)
    return lambda pair: float(embedder.embed([pair[0]])[0] @ embedder.embed([pair[1]])[0])


#: Sets of guards that are compared; each of the later ones stands beside the first two.
GUARD_SETS: tuple[tuple[str, ...], ...] = (
    (),
    ("negation",),
    ("negation", "noun_substitution"),
    *(("negation", "noun_substitution", name) for name in ("opposites", "argument_order", "predicate_substitution")),
    DEFAULT_GUARDS,
    tuple(GUARDS),
)


def recalls(groups: Sequence[tuple[str, str, list[str]]]) -> list[float]:
    """For each of ``GUARD_SETS`` the share of all paraphrases of ``groups`` that are found at 0.7."""
    content, total, found = rouge_l("content_morphemes"), 0, [0] * len(GUARD_SETS)
    for pair in (pair for _, _, texts in groups for pair in itertools.combinations(texts, 2)):
        total += 1
        if content(pair) <= 0.7:
            continue
        first, second = (tokenize("content_morphemes", text) for text in pair)
        parting = {name for name, guard in GUARDS.items() if guard(pair[0], first, pair[1], second)}
        for number, guards in enumerate(GUARD_SETS):
            found[number] += parting.isdisjoint(guards)
    return [count / total for count in found]


def guard_table(groups: Sequence[tuple[str, str, list[str]]], folder: Path) -> None:
    """Recall of both halves of ParaKQC, and rows kept of real questions, by guards."""
    half = len(groups) // 2
    prefetch(text for _, _, texts in groups for text in texts)
    first, second = recalls(groups[:half]), recalls(groups[half:])
    questions = real_questions(folder)
    tokens = content_morphemes_many(questions)
    rows = [(str(n), Tokenized(*row)) for n, row in enumerate(zip(questions, tokens, strict=True))]
    print(f"\n| guards | recall, first half | recall, second half | kept of {len(rows)} real questions |")
    print("|---|---|---|---|")
    for guards, seen, unseen in zip(GUARD_SETS, first, second, strict=True):
        kept = sum(hit is None for hit in LexicalDuplicates("0.7", guards=guards).join(rows))
        print(f"| {', '.join(guards) or 'none'} | {seen:.4f} | {unseen:.4f} | {kept} |")


def operating_point(positive: Sequence[float], negative: Sequence[float]) -> tuple[float, float, float]:
    """(lowest threshold with at most 1 % false positives, recall there, AUC); a pair counts when above it."""
    allowed = int(WANTED_FPR * len(negative))
    threshold = sorted(negative, reverse=True)[allowed]
    recall = sum(score > threshold for score in positive) / len(positive)
    ranked = sorted([(score, 1) for score in positive] + [(score, 0) for score in negative])
    below, area = 0, 0.0
    for _, group in itertools.groupby(ranked, key=lambda entry: entry[0]):
        labels = [label for _, label in group]
        hits, misses = sum(labels), len(labels) - sum(labels)
        area += hits * (below + misses / 2)
        below += misses
    return threshold, recall, area / (len(positive) * len(negative))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--rows", type=Path, metavar="DATA_DIR", help="compare guards, with the real questions here")
    arguments = parser.parse_args()
    groups = read(arguments.folder)
    positive, negative = pairs(groups, arguments.pairs)
    texts = [text for _, _, found in groups for text in found]
    prefetch(text for pair in (*positive, *negative) for text in pair)
    print(f"{len(groups)} groups, {len(positive)} paraphrases, {len(negative)} others; {platform.machine()}\n")
    scores: dict[str, Callable[[Pair], float]] = {f"ROUGE-L, {name}": rouge_l(name) for name in TOKENIZERS}
    content = rouge_l("content_morphemes")
    scores["ROUGE-L, content_morphemes, guard negation"] = guarded(content, ["negation"])
    scores["ROUGE-L, content_morphemes, default guards"] = guarded(content, DEFAULT_GUARDS)
    scores["cosine, hashed embedder"] = cosine(texts)
    scores["cosine, hashed embedder, guard negation"] = guarded(cosine(texts), ["negation"])
    print("| score | AUC | threshold at 1 % FPR | recall there | recall / FPR at 0.7 | recall / FPR at 0.85 |")
    print("|---|---|---|---|---|---|")
    for name, score in scores.items():
        hits, misses = [score(pair) for pair in positive], [score(pair) for pair in negative]
        threshold, recall, auc = operating_point(hits, misses)
        at = [
            f"{sum(s > t for s in hits) / len(hits):.3f} / {sum(s > t for s in misses) / len(misses):.4f}"
            for t in (0.7, 0.85)
        ]
        print(f"| {name} | {auc:.3f} | {threshold:.3f} | {recall:.3f} | {at[0]} | {at[1]} |")
    if arguments.rows is not None:
        guard_table(groups, arguments.rows)


if __name__ == "__main__":
    main()
