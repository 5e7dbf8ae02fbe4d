"""Labelled rows from a file: texts or pairs of texts, each with its class or its number.

    table = read_examples("reviews.csv")            # finds the columns where they are obvious
    table.assumed                                   # ("The texts are in the column 'review', the longest one.", …)
    table.examples.texts[0], table.examples.labels[table.examples.targets[0]]

N rows · L classes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy

from sightline.errors import InputError, NotFoundError
from sightline.text.columns import Column, check_header, check_no_header, choose_columns, describe
from sightline.text.hub_tables import PREFIX, fetch_table
from sightline.text.labelled_rows import Counts, Row, check_rows_are_unicode, drawn, usable_rows, without_duplicates
from sightline.text.labels import alike, as_classes, as_numbers, decide_kind, sorted_classes
from sightline.text.records import DELIMITED, JSON_LINES, Records, open_records

Kind = Literal["auto", "classes", "numbers"]
SUFFIXES = (*DELIMITED, *JSON_LINES, ".parquet")


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
        raise InputError(f"most={most} cannot be; give at least 1 row, or leave it out for all")
    if kind not in get_args(Kind):
        raise InputError(f"kind={kind!r} is none; labels are 'classes' or 'numbers', or 'auto' decides")
    file, name = _file_of(path)
    records = open_records(file, name, header=header)
    if not header and file.suffix.lower() in DELIMITED:
        check_no_header(next(records.rows(records.columns), ()), name)
    asked = (text,) if isinstance(text, str) else text
    values = cache(lambda: _described(records))
    chosen = choose_columns(records.columns, text=asked, label=label, name=name, values=values)
    counts = Counts()
    usable = usable_rows(records, chosen.text, chosen.label, counts, progress)
    rows, repeated = (list(usable), 0) if most is None else drawn(usable, most, seed)
    if not rows:
        raise InputError(
            f"{name} has no labelled row: {counts.read} read, {counts.empty} without text, {counts.unlabelled} without"
            f" label; its texts are in {', '.join(map(repr, chosen.text))}, its labels in {chosen.label!r}"
        )
    check_rows_are_unicode(rows, name)
    n_drawn = len(rows) + repeated
    rows, conflicting = without_duplicates(rows)
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
        assumed=(*chosen.assumed, *decided),
    )


def _described(records: Records) -> dict[str, Column]:
    about = describe(records.columns, records.rows(records.columns))
    if records.header and records.path.suffix.lower() in DELIMITED:
        check_header(records.columns, about, records.name)
    return about


def _targets(
    rows: Sequence[Row], kind: Kind, labels: tuple[str, ...] | None, name: str
) -> tuple[numpy.ndarray, tuple[str, ...] | None, list[str]]:
    """The targets, the classes if there are any, and sentences on what was decided."""
    said, numbers, decided = [row.label for row in rows], [row.number for row in rows], []
    if labels is not None:
        return as_classes(said, labels, numbers, name), labels, []
    if kind == "auto":
        kind, sentence = decide_kind(said, numbers, name)
        decided.append(sentence)
    if kind == "numbers":
        targets = as_numbers(said, numbers, name)
        if targets.min() == targets.max():
            raise InputError(
                f"every labelled row of {name} has the number {said[0]}; there is nothing to predict: give another"
                " column with label=…"
            )
        return targets, None, [sentence for sentence in decided if sentence]
    classes = sorted_classes(said)
    if len(classes) < 2:
        (only, count) = Counter(said).most_common(1)[0]
        raise InputError(
            f"every labelled row of {name} has the label {only!r} ({count} rows); there is nothing to tell apart: give"
            " rows of at least two classes, or another column with label=…"
        )
    decided.append(alike(classes))
    return as_classes(said, classes, numbers, name), classes, [sentence for sentence in decided if sentence]
