"""Labelled rows from a file: texts or pairs of texts, each with its class or its number.

    table = read_examples("reviews.csv")            # finds the columns where they are obvious
    table.assumed                                   # ("The texts are in the column 'review', the longest one.", …)
    table.examples.texts[0], table.examples.labels[table.examples.targets[0]]

N rows · L classes
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy

from sightline.errors import InputError, NotFoundError
from sightline.text.columns import Chosen, Column, check_header, choose_columns, describe
from sightline.text.duplicates import digest
from sightline.text.hub_tables import PREFIX, fetch_table
from sightline.text.labels import as_classes, as_numbers, decide_kind, label_text, sorted_classes
from sightline.text.records import DELIMITED, JSON_LINES, Records, open_records

Kind = Literal["auto", "classes", "numbers"]
SUFFIXES = (*DELIMITED, *JSON_LINES, ".parquet")
_REPORT_EVERY = 4096  # rows


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Labelled rows, ready to learn from.

    texts    the texts (N)
    pairs    the second texts (N), or None where a row is one text
    targets  int64 places in `labels` (N,), or float64 numbers (N,)
    labels   the names of the classes (L), or None where numbers are predicted
    rows     where each stands in its file, from 1
    """

    texts: list[str]
    pairs: list[str] | None
    targets: numpy.ndarray
    labels: tuple[str, ...] | None
    rows: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Sequence[int] | numpy.ndarray) -> Examples:
        """The rows at these places, in this order."""
        places = numpy.asarray(indices, numpy.int64)
        return replace(
            self,
            texts=[self.texts[place] for place in places],
            pairs=None if self.pairs is None else [self.pairs[place] for place in places],
            targets=self.targets[places],
            rows=[self.rows[place] for place in places],
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """What `read_examples` found in a file.

    examples      the rows that are left
    name          what to call the file
    text_columns  one column of texts, or two
    label_column  the column of labels
    read          rows in the file
    empty         rows without a text, left out
    unlabelled    rows with a text and no label, left out
    duplicates    rows with the texts and the label of an earlier one, left out (where rows were drawn: of those)
    conflicting   rows kept whose texts also stand in the file with another label
    sampled_from  how many labelled rows those of `examples` were drawn from; None: all were taken
    assumed       a plain sentence for each thing that was decided and not asked for
    """

    examples: Examples
    name: str
    text_columns: tuple[str, ...]
    label_column: str
    read: int
    empty: int
    unlabelled: int
    duplicates: int
    conflicting: int
    sampled_from: int | None
    assumed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    texts: tuple[str, ...]
    label: str


class _Counts:
    """What is left out of a file, counted on the way."""

    def __init__(self) -> None:
        self.read = self.empty = self.unlabelled = 0

    @property
    def usable(self) -> int:
        return self.read - self.empty - self.unlabelled


def _usable_rows(
    records: Records, chosen: Chosen, counts: _Counts, progress: Callable[[int], None] | None
) -> Iterator[_Row]:
    """The rows that have texts and a label."""
    for number, values in enumerate(records.rows((*chosen.text, chosen.label)), start=1):
        counts.read = number
        if progress is not None and number % _REPORT_EVERY == 0:
            progress(number)
        texts: list[str] = []
        for column, value in zip(chosen.text, values, strict=False):
            if value is not None and not isinstance(value, str):
                what = f"{type(value).__name__} {value!r:.40}"
                raise InputError(f"row {number} of {records.name} has {what} in column {column!r}, where text belongs")
            texts.append(value or "")
        if isinstance(values[-1], (list, dict, bytes)):
            what = f"a {type(values[-1]).__name__}, {values[-1]!r:.40}, as its label"
            raise InputError(f"row {number} of {records.name} has {what}; a label is one text or number")
        label = label_text(values[-1])
        if not all(text.strip() for text in texts):
            counts.empty += 1
        elif not label:
            counts.unlabelled += 1
        else:
            yield _Row(number, tuple(texts), label)


def _drawn(rows: Iterator[_Row], most: int, seed: int) -> list[_Row]:
    """At most so many rows with different texts or labels, each with equal chance, in the order of the file.

    A number is drawn for each row from its text, its label and the seed, and the rows with the smallest are kept: equal
    rows are kept or left together, and neither their order nor their number matters. Rows equal to a kept one stay too,
    to be counted as duplicates.
    """
    key = seed.to_bytes(8, "little", signed=True)
    kept: dict[int, list[_Row]] = {}
    largest: list[int] = []  # a heap of the negated numbers drawn
    for row in rows:
        said = "\0".join((*row.texts, row.label)).encode("utf-8", "surrogatepass")
        drawn = int.from_bytes(hashlib.blake2b(said, digest_size=8, key=key).digest(), "little")
        if drawn in kept:
            kept[drawn].append(row)
        elif len(kept) < most:
            kept[drawn] = [row]
            heapq.heappush(largest, -drawn)
        elif drawn < -largest[0]:
            del kept[-heapq.heapreplace(largest, -drawn)]
            kept[drawn] = [row]
    return sorted((row for same in kept.values() for row in same), key=lambda row: row.number)


def _without_duplicates(rows: Sequence[_Row]) -> tuple[list[_Row], int]:
    """The first of each group of rows with the same texts and label, and how many rows' texts have two labels."""
    labels_of: dict[bytes, list[str]] = {}
    left, keys = [], []
    for row in rows:
        key = digest(*row.texts)
        labels = labels_of.setdefault(key, [])
        if row.label not in labels:
            labels.append(row.label)
            left.append(row)
            keys.append(key)
    return left, sum(len(labels_of[key]) > 1 for key in keys)


def _remedy(file: Path) -> str:
    suffix = file.suffix.lower()
    if suffix in (".gz", ".xz", ".zip", ".bz2", ".zst"):
        return "unpack it first"
    if suffix == ".json":
        return "with a JSON object a line it is a .jsonl, so rename it; else write it as one"
    if suffix in (".xls", ".xlsx", ".ods"):
        return "save the sheet as .csv"
    return f"give a {', '.join(SUFFIXES)}"


def _file_of(path: str | Path) -> tuple[Path, str]:
    """The file to read and what to call it. Raises NotFoundError or InputError for what is no table."""
    address = str(path)
    if address.startswith(PREFIX):
        if not address.lower().endswith(SUFFIXES):
            raise InputError(f"{address!r} is no table that is read here: {_remedy(Path(address))}")
        return fetch_table(address), address
    file = Path(path)
    if not file.exists():
        raise NotFoundError(f"there is no file {file}; give the path of a {', '.join(SUFFIXES)}")
    if file.is_dir():
        raise InputError(f"{file} is a folder; give the path of a file in it")
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(f"{file} is no table that is read here: {_remedy(file)}")
    return file, str(file)


def read_examples(
    path: str | Path,
    *,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    kind: Kind = "auto",
    labels: tuple[str, ...] | None = None,
    most: int | None = None,
    seed: int = 0,
    header: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Table:
    """The labelled rows of a .csv, .tsv, .jsonl, .ndjson or .parquet.

    path      a file, or the address of one on the Hugging Face hub, hf://datasets/OWNER/NAME/FILE.parquet
    text      the column of texts, or two columns for pairs; None: the obvious one
    label     the column of labels; None: the obvious one
    kind      "classes", "numbers", or "auto": what the labels look like
    labels    for a second file: the classes of the first, in its order
    most      at most so many rows, drawn by `seed`; only these are held in memory
    header    False: the first row of a .csv or .tsv is data, the columns are column1, column2, …
    progress  called with the number of rows read so far

    Raises NotFoundError for a file that is not there, and InputError, in one line with what to do, for columns that are
    not obvious, rows that cannot be read, labels that do not fit, or a single class.

        train = read_examples("train.csv", text=["review"], label="stars", kind="classes")
        dev = read_examples("dev.csv", text=["review"], label="stars", labels=train.examples.labels)
    """
    if most is not None and most < 1:
        raise InputError(f"most is {most}; give at least 1 row, or leave it out for all")
    file, name = _file_of(path)
    records = open_records(file, name, header=header)
    asked = (text,) if isinstance(text, str) else text
    values = cache(lambda: _described(records))
    chosen = choose_columns(records.columns, text=asked, label=label, name=name, values=values)
    counts = _Counts()
    usable = _usable_rows(records, chosen, counts, progress)
    rows = list(usable) if most is None else _drawn(usable, most, seed)
    if not rows:
        raise InputError(
            f"{name} has no labelled row: {counts.read} read, {counts.empty} without text, {counts.unlabelled} without"
            f" label; its texts are in {', '.join(map(repr, chosen.text))}, its labels in {chosen.label!r}"
        )
    n_drawn = len(rows)
    rows, conflicting = _without_duplicates(rows)
    if progress is not None:
        progress(counts.read)
    targets, classes, decided = _targets(rows, kind, labels, name)
    return Table(
        examples=Examples(
            texts=[row.texts[0] for row in rows],
            pairs=[row.texts[1] for row in rows] if len(chosen.text) == 2 else None,
            targets=targets,
            labels=classes,
            rows=[row.number for row in rows],
        ),
        name=name,
        text_columns=chosen.text,
        label_column=chosen.label,
        read=counts.read,
        empty=counts.empty,
        unlabelled=counts.unlabelled,
        duplicates=n_drawn - len(rows),
        conflicting=conflicting,
        sampled_from=counts.usable if n_drawn < counts.usable else None,
        assumed=(*chosen.assumed, *([decided] if decided else [])),
    )


def _described(records: Records) -> dict[str, Column]:
    about = describe(records.columns, records.rows(records.columns))
    if records.header and records.path.suffix.lower() in DELIMITED:
        check_header(records.columns, about, records.name)
    return about


def _targets(
    rows: Sequence[_Row], kind: Kind, labels: tuple[str, ...] | None, name: str
) -> tuple[numpy.ndarray, tuple[str, ...] | None, str]:
    """The targets, the classes if there are any, and the sentence on what was decided."""
    said, numbers, decided = [row.label for row in rows], [row.number for row in rows], ""
    if labels is not None:
        return as_classes(said, labels, numbers, name), labels, ""
    if kind == "auto":
        kind, decided = decide_kind(said, numbers, name)
    if kind == "numbers":
        return as_numbers(said, numbers, name), None, decided
    classes = sorted_classes(said)
    if len(classes) < 2:
        (only, count) = Counter(said).most_common(1)[0]
        raise InputError(
            f"every labelled row of {name} has the label {only!r} ({count} rows); there is nothing to tell apart: give"
            " rows of at least two classes, or another column with --label (label=…)"
        )
    return as_classes(said, classes, numbers, name), classes, decided
