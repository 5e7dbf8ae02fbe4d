"""Texts from a file, one after another, never all of it in memory.

    .txt and anything else        a line is a row
    .jsonl .ndjson                a JSON object, or a text in quotes, a line
    .csv .tsv .parquet            one column of the table; `records.py` says how they are read

Rows are counted from 1, the one that names the columns not included. Blank lines at the end are no rows. What cannot be
read is named by row or by line and byte.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from sightline.errors import InputError, NotFoundError
from sightline.phrases import and_more, did_you_mean
from sightline.text.records import (
    DELIMITED,
    JSON_LINES,
    decoded_lines,
    delimited_rows,
    json_rows,
    open_bytes,
    parquet_rows,
    parquet_types,
)

_USUAL = ("text", "sentence")  # what a column of texts is called, where nobody says


def choose_column(columns: Sequence[str], asked: str | None, name: str) -> str:
    """The column that holds the texts: the one asked for, the only one, or the one that is called "text" or "sentence".

    Raises InputError that lists the columns, or names the nearest.
    """
    there = and_more([*map(repr, columns)], most=12)
    if asked is not None:
        if asked in columns:
            return asked
        meant = did_you_mean(asked, columns) or f"its columns are {there}"
        raise InputError(f"{name} has no column {asked!r}: {meant}")
    if not columns:
        raise InputError(f"{name} has no column of texts; name a file that has one")
    usual = [column for column in columns if column.casefold() in _USUAL]
    if len(columns) == 1 or len(usual) == 1:
        return usual[0] if usual else columns[0]
    raise InputError(f"{name} has the columns {there}; say which one holds the texts with column=…")


def _text(value: object, number: int, column: str, name: str) -> str:
    if isinstance(value, str):
        return value
    what = "nothing" if value is None else f"{type(value).__name__} {value!r:.40}"
    raise InputError(f"row {number} of {name} has {what} in column {column!r}, where text belongs")


def _of_plain(lines: Iterable[str], column: str | None, name: str) -> Iterator[str]:
    if column is not None:
        raise InputError(f"{name} has lines and no columns, so none is called {column!r}; leave out column=…")
    for line in lines:
        yield line.removesuffix("\n").removesuffix("\r")


def no_columns(number: int, column: str, name: str) -> str:
    """What is wrong where a row is a text in quotes, and a column was asked for."""
    return f"row {number} of {name} is a text, without a column {column!r}; leave out column=…"


def _of_jsonl(lines: Iterable[str], column: str | None, name: str) -> Iterator[str]:
    chosen = column
    for number, row in enumerate(json_rows(lines, name), start=1):
        if not isinstance(row, str):
            texts = [key for key, value in row.items() if isinstance(value, str)]
            chosen = choose_column(texts if chosen is None else list(row), chosen, f"row {number} of {name}")
            yield _text(row[chosen], number, chosen, name)
        elif column is None:
            yield row
        else:
            raise InputError(no_columns(number, column, name))


def _of_delimited(lines: Iterable[str], column: str | None, name: str, suffix: str) -> Iterator[str]:
    rows = delimited_rows(lines, name, suffix)
    columns = next(rows)
    index = columns.index(choose_column(columns, column, name))
    for row in rows:
        yield row[index]


def _of_parquet(path: Path, column: str | None) -> Iterator[str]:
    chosen = choose_column([key for key, text in parquet_types(path).items() if column or text], column, str(path))
    for number, (value,) in enumerate(parquet_rows(path, [chosen]), start=1):
        yield _text(value, number, chosen, str(path))


def _of_file(file: IO[bytes], suffix: str, column: str | None, name: str) -> Iterator[str]:
    lines = decoded_lines(file, name)
    if suffix in JSON_LINES:
        return _of_jsonl(lines, column, name)
    if suffix in DELIMITED:
        return _of_delimited(lines, column, name, suffix)
    return _of_plain(lines, column, name)


def _rows(path: Path, column: str | None) -> Iterator[str]:
    if str(path) == "-":
        yield from _of_file(sys.stdin.buffer, "", column, "standard input")
    elif path.suffix.lower() == ".parquet":
        yield from _of_parquet(path, column)
    else:
        with open_bytes(path) as file:
            yield from _of_file(file, path.suffix.lower(), column, str(path))


def _at_least_one(rows: Iterator[str], path: Path) -> Iterator[str]:
    number = 0
    for number, row in enumerate(rows, start=1):  # noqa: B007
        yield row
    if not number:
        raise InputError(f"{path} has no rows; give a file with at least one text")


def read_texts(path: str | Path, column: str | None = None) -> Iterator[str]:
    """The texts of a file, or with "-" of standard input (lines), as an iterator that holds a few rows at a time.

    column  which column of a table they are in; not needed where only one has texts, or one is called "text"

    Raises NotFoundError at once for a file that is not there, and InputError, where the iterator comes to it, for what
    cannot be read.

        for vectors in embed_batches(model, read_texts("reviews.csv", column="review")): ...
    """
    path = Path(path)
    if str(path) != "-" and not path.exists():
        raise NotFoundError(f"there is no file {path}; give the path of a .txt, .jsonl, .csv, .tsv or .parquet")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the path of a file in it")
    return _at_least_one(_rows(path, column), path)
