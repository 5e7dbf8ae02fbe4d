"""BLiMP: does a model find the grammatical one of two sentences likelier that differ in next to nothing?

    Warstadt et al. 2020, "BLiMP: The Benchmark of Linguistic Minimal Pairs for English".

67 paradigms of 1,000 pairs. A pair counts where the good sentence's sum of log-probabilities is the larger one; equal
ones are wrong. Sums are not divided by lengths. Paradigms count alike: a field's accuracy, a phenomenon's and the whole
are means over their paradigms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightline.errors import InputError
from sightline.tasks.benchmark import Benchmark, Part, Progress, Record
from sightline.tasks.reading import readings
from sightline.tasks.scorer import Scorer
from sightline.text.packed_files import PackedFile

SUFFIXES = (".jsonl", ".ndjson", ".parquet")
_PUBLISHED = {"s-selection": "argument_structure", "syntax_semantics": "syntax/semantics"}
"""What a few rows are called otherwise than in the paper."""
_KEYS = ("sentence_good", "sentence_bad", "field", "linguistics_term", "UID")


@dataclass(frozen=True, kw_only=True)
class Paradigm:
    """Pairs that test one thing; `term` is the phenomenon that they are a part of, and `field` the part of grammar."""

    name: str
    field: str
    term: str
    pairs: tuple[tuple[str, str], ...]


def paradigms(files: Sequence[PackedFile]) -> list[Paradigm]:
    """The paradigms that the files hold, by name.

    InputError for a row that lacks something, and for a paradigm that two files hold: its pairs would count twice.
    """
    pairs: dict[str, list[tuple[str, str]]] = {}
    parts: dict[str, tuple[str, str]] = {}
    of: dict[str, PackedFile] = {}
    for file in files:
        for number, row in enumerate(file.texts(*_KEYS), start=1):
            blank = next((key for key, text in zip(_KEYS, row, strict=True) if not text.strip()), None)
            if blank is not None:
                raise InputError(f"row {number} of {file.name} has an empty {blank!r}; leave it out")
            good, bad, field, term, name = row
            if of.setdefault(name, file) is not file:
                raise InputError(f"{of[name].name} and {file.name} both hold the paradigm {name}; leave one out")
            pairs.setdefault(name, []).append((good, bad))
            parts[name] = _PUBLISHED.get(field, field), _PUBLISHED.get(term, term)
    if not pairs:
        raise InputError("there are no pairs in the data; give BLiMP's files, one .jsonl a paradigm")
    return [
        Paradigm(name=name, field=parts[name][0], term=parts[name][1], pairs=tuple(pairs[name]))
        for name in sorted(pairs)
    ]


def judge(by: Scorer, paradigm: Paradigm, progress: Progress) -> Record:
    """How many good sentences have the larger sum."""
    found = by.log_probs(readings(by.tokenizer, [text for pair in paradigm.pairs for text in pair]), progress)
    # A first token that has no score is NaN.
    sums = [math.fsum(value for value in each.tolist() if not math.isnan(value)) for each in found]
    good, bad = sums[::2], sums[1::2]
    correct = sum(one > other for one, other in zip(good, bad, strict=True))
    return {
        "field": paradigm.field,
        "term": paradigm.term,
        "pairs": len(good),
        "correct": correct,
        "ties": sum(one == other for one, other in zip(good, bad, strict=True)),
        "accuracy": correct / len(good),
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def summary(parts: Mapping[str, Record]) -> Record:
    """Accuracies over all paradigms, by field and by phenomenon."""
    of: dict[str, dict[str, list[float]]] = {"fields": {}, "phenomena": {}}
    for record in parts.values():
        of["fields"].setdefault(record["field"], []).append(record["accuracy"])
        of["phenomena"].setdefault(record["term"], []).append(record["accuracy"])
    return {
        "accuracy": _mean([record["accuracy"] for record in parts.values()]),
        "paradigms": len(parts),
        "pairs": sum(record["pairs"] for record in parts.values()),
        "ties": sum(record["ties"] for record in parts.values()),
        **{kind: {name: _mean(values) for name, values in sorted(groups.items())} for kind, groups in of.items()},
    }


def _table(by: Scorer, found: Record) -> str:
    asked = f"{found['paradigms']} paradigm{'s' * (found['paradigms'] != 1)}"
    lines = [
        f"{found['accuracy']:7.2%}  BLiMP, {asked}, {found['pairs']:,} pairs; by {by.how}",
        "",
    ]
    lines += [f"{value:7.2%}  {name}" for name, value in found["fields"].items()]
    lines += ["", *(f"{value:7.2%}  {name.replace('_', ' ')}" for name, value in found["phenomena"].items())]
    if found["ties"]:
        lines += ["", f"{found['ties']:,} pairs have equal sums, and count as wrong"]
    return "\n".join(lines)


def blimp(by: Scorer, files: Sequence[PackedFile]) -> Benchmark:
    """The benchmark for one model; a part is a paradigm."""

    def part(paradigm: Paradigm) -> Part:
        return Part(name=paradigm.name, size=len(paradigm.pairs), run=lambda progress: judge(by, paradigm, progress))

    return Benchmark(
        name="blimp",
        settings=by.settings,
        unit="pairs",
        parts=[part(paradigm) for paradigm in paradigms(files)],
        summary=summary,
        table=lambda found: _table(by, found),
    )
