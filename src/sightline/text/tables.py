"""Texts from a file, one after another, never all of it in memory.

    .txt and anything else   a line is a row
    .jsonl .ndjson           a JSON object, or a text in quotes, a line
    .csv                     RFC 4180: the first row names the columns, a text in quotes may hold commas and line breaks
    .tsv                     the first row names the columns; tabs part them, and a quote is a sign like any other
    .parquet                 by polars

Rows are counted from 1, the one that names the columns not included. Blank lines at the end are no rows. What cannot be
read is named by row or by line and byte.
"""

from __future__ import annotations

import csv
import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from sightline.errors import InputError, NotFoundError

_ROWS_AT_ONCE = 4096
_USUAL = ("text", "sentence")  # what a column of texts is called, where nobody says


def _lines(file: IO[bytes], name: str) -> Iterator[str]:
    """The lines of a UTF-8 file, their ends included, without blank ones at its end; InputError for other bytes."""
    blank: list[str] = []
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name} is not UTF-8 text: byte {error.start + 1} of line {number} is 0x{line[error.start]:02x};"
                " save it as UTF-8"
            ) from None
        if text in ("\n", "\r\n"):
            blank.append(text)
            continue
        yield from blank
        blank.clear()
        yield text


def choose_column(columns: Sequence[str], asked: str | None, name: str) -> str:
    """The column that holds the texts: the one asked for, the only one, or the one that is called "text" or "sentence".

    Raises InputError that lists the columns, or names the nearest.
    """
    there = ", ".join(map(repr, columns[:12])) + (", …" if len(columns) > 12 else "")
    if asked is not None:
        if asked in columns:
            return asked
        near = difflib.get_close_matches(asked, columns, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"its columns are {there}"
        raise InputError(f"{name} has no column {asked!r}: {meant}")
    if not columns:
        raise InputError(f"{name} has no column of texts; name a file that has one")
    usual = [column for column in columns if column.casefold() in _USUAL]
    if len(columns) == 1 or len(usual) == 1:
        return usual[0] if usual else columns[0]
    raise InputError(f"{name} has the columns {there}; say which one holds the texts (column=…)")


def _text(value: object, number: int, column: str, name: str) -> str:
    if isinstance(value, str):
        return value
    what = "nothing" if value is None else f"{type(value).__name__} {value!r:.40}"
    raise InputError(f"row {number} of {name} has {what} in column {column!r}, where text belongs")


def _of_plain(lines: Iterable[str], column: str | None, name: str) -> Iterator[str]:
    if column is not None:
        raise InputError(f"{name} has lines and no columns, so none is called {column!r}; leave column out")
    for line in lines:
        yield line.removesuffix("\n").removesuffix("\r")


def _of_jsonl(lines: Iterable[str], column: str | None, name: str) -> Iterator[str]:
    chosen = column
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"row {number} of {name} is not JSON ({error}); write one JSON object a line") from None
        if isinstance(row, str) and column is None:
            yield row
        elif isinstance(row, Mapping):
            texts = [key for key, value in row.items() if isinstance(value, str)]
            chosen = choose_column(texts if chosen is None else list(row), chosen, f"row {number} of {name}")
            yield _text(row[chosen], number, chosen, name)
        else:
            raise InputError(f"row {number} of {name} is {line.strip():.40}; write one JSON object a line")


def _of_csv(lines: Iterable[str], column: str | None, name: str, suffix: str) -> Iterator[str]:
    csv.field_size_limit(2**31 - 1)  # the library's own limit of 128 KiB is shorter than some texts
    if suffix == ".tsv":
        rows = csv.reader(lines, strict=True, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(lines, strict=True)
    number = 0
    try:
        columns = next(rows, [])
        other = next((sign for sign in ";\t" if len(columns) == 1 and sign in columns[0]), None)
        if other is not None:
            raise InputError(
                f"the header of {name} is one column, {columns[0]!r}, with {other!r} in it: separate columns by commas"
                " in a .csv and by tabs in a .tsv"
            )
        index = columns.index(choose_column(columns, column, name))
        for number, row in enumerate(rows, start=1):
            if len(row) != len(columns):
                remedy = "take tabs out of texts" if suffix == ".tsv" else "put texts that hold commas in quotes"
                raise InputError(
                    f"row {number} of {name} (line {rows.line_num}) has {len(row)} fields, its header {len(columns)};"
                    f" {remedy}"
                )
            yield row[index]
    except csv.Error as error:
        raise InputError(f"row {number + 1} of {name} (line {rows.line_num}) cannot be read: {error}") from None


def _of_parquet(path: Path, column: str | None) -> Iterator[str]:
    import polars

    try:
        table = polars.scan_parquet(path)
        schema: Mapping[str, Any] = table.collect_schema()
        chosen = choose_column(
            [key for key, kind in schema.items() if column or kind == polars.String], column, str(path)
        )
        rows = table.select(chosen)
        for start in range(0, rows.select(polars.len()).collect().item(), _ROWS_AT_ONCE):
            some = rows.slice(start, _ROWS_AT_ONCE).collect()[chosen]
            for number, value in enumerate(some, start=start + 1):
                yield _text(value, number, chosen, str(path))
    except polars.exceptions.PolarsError as error:
        raise InputError(f"cannot read {path}: {str(error).splitlines()[0]:.120}; is it a Parquet file?") from None


def _of_file(file: IO[bytes], suffix: str, column: str | None, name: str) -> Iterator[str]:
    lines = _lines(file, name)
    if suffix in (".jsonl", ".ndjson"):
        return _of_jsonl(lines, column, name)
    if suffix in (".csv", ".tsv"):
        return _of_csv(lines, column, name, suffix)
    return _of_plain(lines, column, name)


def _rows(path: Path, column: str | None) -> Iterator[str]:
    if str(path) == "-":
        yield from _of_file(sys.stdin.buffer, "", column, "standard input")
    elif path.suffix.lower() == ".parquet":
        yield from _of_parquet(path, column)
    else:
        try:
            file = path.open("rb")
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}; check its permissions") from None
        with file:
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
