"""The rows of a comparison: read, divided, and their facts.

Every contender learns from the same training rows, is tuned on the same dev rows, and is judged once on the same test
rows. A text never stands in two parts.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy

from sightline.errors import InputError
from sightline.text.labelled import Examples, Kind, Table, read_examples
from sightline.text.split import overlap, split

FEW = 5000  # below, a tenth is too little to judge by, and two tenths are set apart


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What a comparison runs on.

    train, dev, test  labelled rows; their class ids mean the same
    table             where they came from
    files             the files that dev and test rows were given in; None for what was set apart
    assumed           one sentence for each thing that was decided and not asked for
    """

    train: Examples
    dev: Examples
    test: Examples
    table: Table
    files: tuple[str | None, str | None]
    assumed: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The classes; None where numbers are predicted."""
        return self.train.labels

    def sampled(self, number: int, seed: int, because: str) -> Rows:
        """With so many training rows, drawn by the seed; `because` says why."""
        kept = numpy.sort(numpy.random.default_rng(seed).permutation(len(self.train))[:number])
        note = f"{number:,} of {len(self.train):,} training rows, drawn with seed {seed}: {because}."
        return replace(self, train=self.train.take(kept), assumed=(*self.assumed, note))

    def fingerprint(self) -> str:
        """A hash of all rows and how they are divided: the same for the same comparison, and for no other."""
        digest = hashlib.sha256()
        for part in (self.train, self.dev, self.test):
            for text in [*part.texts, "\0", *(part.pairs or ()), "\0", *(part.labels or ())]:
                digest.update(text.encode() + b"\0")
            digest.update(numpy.ascontiguousarray(part.targets).tobytes())
        return digest.hexdigest()

    def facts(self) -> dict[str, Any]:
        """The part "data" of results.json."""
        table, parts = self.table, {"train": self.train, "dev": self.dev, "test": self.test}
        everything = numpy.concatenate([part.targets for part in parts.values()])
        counts = Counter(everything.tolist())
        texts, pairs = self.train.texts, self.train.pairs or [""] * len(self.train)
        words = [len(text.split()) + len(pair.split()) for text, pair in zip(texts, pairs, strict=True)]
        return {
            "file": Path(table.name).name,  # results are shown around, and where a file lies is nobody's business
            "dev_file": self.files[0],
            "test_file": self.files[1],
            "text": list(table.text_columns),
            "label": table.label_column,
            "kind": "numbers" if self.labels is None else "classes",
            "labels": None if self.labels is None else list(self.labels),
            "counts": None
            if self.labels is None
            else {label: counts[index] for index, label in enumerate(self.labels)},
            "rows": {
                "read": table.read,
                "empty": table.empty,
                "unlabelled": table.unlabelled,
                "duplicates": table.duplicates,
                "conflicting": table.conflicting,
                "sampled_from": table.sampled_from,
                **{name: len(part) for name, part in parts.items()},
            },
            "words": {"median": float(numpy.median(words)), "p95": float(numpy.percentile(words, 95))},
        }


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _left_out(table: Table) -> list[str]:
    """Sentences on the rows of a file that were not used, or stand in it twice."""
    name, said = Path(table.name).name, []
    counts = {
        f"{table.empty:,} without text": table.empty,
        f"{table.unlabelled:,} without label": table.unlabelled,
        f"{table.duplicates:,} that repeat{'s' * (table.duplicates == 1)} an earlier one": table.duplicates,
    }
    if left := [what for what, count in counts.items() if count]:
        said.append(f"Left out of {table.read:,} rows in {name}: {', '.join(left)}.")
    if table.conflicting:
        have = "has a text that also stands" if table.conflicting == 1 else "have a text that also stands"
        said.append(f"{_count(table.conflicting, 'row')} of {name} {have} with another label; all are kept.")
    return said


def _without(rows: Examples, held: Examples, part: str, name: str, assumed: list[str]) -> Examples:
    """The rows of a part whose text the held-out rows called `name` do not have."""
    shared = overlap(rows, held)
    if not len(shared):
        return rows
    if len(shared) == len(rows):
        raise InputError(f"every {part} row's text is also in {name}; give files that share no rows")
    assumed.append(f"{_count(len(shared), f'{part} row')} whose text is also in {name} left out of {part}.")
    return rows.take(numpy.setdiff1d(numpy.arange(len(rows)), shared))


def _divide(
    train: Examples, dev: Examples | None, test: Examples | None, seed: int, assumed: list[str]
) -> tuple[Examples, ...]:
    """Training, dev and test rows: what was not given is set apart of the first."""
    held = 0.1 if len(train) >= FEW else 0.2
    alike = "each class" if train.labels is not None else "small and large numbers"
    if dev is None and test is None:
        parts = split(train, (1 - held - held * 0.75, held * 0.75, held), seed)
        assumed.append(
            f"Split at random with seed {seed}, {alike} in the same share: {len(parts[0]):,} rows to learn from,"
            f" {len(parts[1]):,} to choose settings on (dev), {len(parts[2]):,} to judge on (test)."
        )
        return tuple(train.take(part) for part in parts)
    if dev is not None and test is not None:
        return train, dev, test
    rest, apart = (train.take(part) for part in split(train, (1 - held, held), seed))
    missing = "dev" if dev is None else "test"
    assumed.append(f"{_count(len(apart), 'training row')} set apart as {missing}, at random with seed {seed}.")
    return rest, apart if dev is None else dev, apart if test is None else test


def read_rows(
    path: str | Path,
    *,
    text: Sequence[str] | None = None,
    label: str | None = None,
    kind: Kind = "auto",
    dev: str | Path | None = None,
    test: str | Path | None = None,
    most: int | None = None,
    header: bool = True,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Read the rows of a comparison; what is not given as a file is set apart of the first one.

    most  at most so many rows, drawn by the seed
    """
    table = read_examples(
        path, text=text, label=label, kind=kind, most=most, header=header, seed=seed, progress=progress
    )
    columns, train = list(table.text_columns), table.examples
    kind = "numbers" if train.labels is None else "classes"
    assumed = [*table.assumed, *_left_out(table)]
    if table.sampled_from is not None:
        assumed.append(f"{most:,} of {table.sampled_from:,} labelled rows, drawn with seed {seed}.")
    held: dict[str, Examples | None] = {"dev": None, "test": None}
    for name, given in {"dev": dev, "test": test}.items():
        if given is not None:
            other = read_examples(
                given, text=columns, label=table.label_column, kind=kind, labels=train.labels, most=most,
                header=header, seed=seed,
            )  # fmt: skip
            held[name] = other.examples
            assumed += _left_out(other)
    if held["dev"] is not None and held["test"] is not None:
        held["dev"] = _without(held["dev"], held["test"], "dev", "test", assumed)
    for name, part in held.items():
        if part is not None:
            train = _without(train, part, "training", name, assumed)
    parts = _divide(train, held["dev"], held["test"], seed, assumed)
    for name, part in zip(("training", "dev", "test"), parts, strict=True):
        if not len(part):
            raise InputError(f"there is no {name} row left in {table.name}; give more rows")
    return Rows(
        train=parts[0],
        dev=parts[1],
        test=parts[2],
        table=table,
        files=(None if dev is None else Path(dev).name, None if test is None else Path(test).name),
        assumed=tuple(assumed),
    )
