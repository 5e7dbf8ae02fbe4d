"""Rows of a table in a file, one after another, never all of it in memory; for a column of texts and for labelled rows.

    .csv                     RFC 4180: the first row names the columns, a text in quotes may hold commas and line breaks
    .tsv                     the first row names the columns; tabs part them, and a quote is a sign like any other
    .jsonl .ndjson           a JSON object a line
    .parquet                 by polars

Rows are counted from 1, the one that names the columns not included. Blank lines at the end are no rows. What cannot be
read is named by row or by line and byte.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

from sightline.errors import InputError

JSON_LINES = (".jsonl", ".ndjson")
DELIMITED = (".csv", ".tsv")
_ROWS_AT_ONCE = 4096
_BYTES_AT_ONCE = 2**26  # of texts as Python has them: a small file may hold the same long one many times
_LONGEST_FIELD = 2**26  # signs: the library's own limit is shorter than some texts, none lets an open quote take all
_ROWS_FOR_KEYS = 1000  # of a JSONL file: the keys of its first rows are its columns


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The file, or InputError for one that this user cannot read."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check its permissions") from None
    with file:
        yield file


def decoded(line: bytes, number: int, name: str) -> str:
    """A line of a UTF-8 file, the number from 1; InputError for other bytes."""
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} is not UTF-8 text: byte {error.start + 1} of line {number} is 0x{line[error.start]:02x};"
            " save it as UTF-8"
        ) from None


def decoded_lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    """The lines of a UTF-8 file, their ends included, without blank ones at its end; InputError for other bytes."""
    blank: list[str] = []
    for number, line in enumerate(file, start=1):
        text = decoded(line, number, name)
        if text in ("\n", "\r\n"):
            blank.append(text)
            continue
        yield from blank
        blank.clear()
        yield text


def delimited_rows(
    lines: Iterable[str], name: str, suffix: str, *, header: bool = True, blank: bool = False
) -> Iterator[list[str]]:
    """The rows of a .csv or .tsv, the names of the columns first: those of the first row, or column1, column2, …

    blank  a line without anything is a row of empty fields, instead of an error
    """
    csv.field_size_limit(_LONGEST_FIELD)
    if suffix == ".tsv":
        rows = csv.reader(lines, strict=True, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        rows = csv.reader(lines, strict=True)
    number = -1 if header else 0  # of the last row that was read
    try:
        first = next(rows, [])
        number += 1
        other = next((sign for sign in ";\t" if len(first) == 1 and sign in first[0]), None)
        if other is not None:
            raise InputError(
                f"the {'header' if header else 'first row'} of {name} is one column, {first[0]!r:.80}, with {other!r}"
                " in it: separate columns by commas in a .csv and by tabs in a .tsv"
            )
        yield first if header else [f"column{column}" for column in range(1, len(first) + 1)]
        for number, row in enumerate(rows if header else chain([first] if first else [], rows), start=1):
            if blank and not row:
                row = [""] * len(first)
            if len(row) != len(first):
                remedy = "take tabs out of texts" if suffix == ".tsv" else "put texts that hold commas in quotes"
                raise InputError(
                    f"row {number} of {name} (line {rows.line_num}) has {len(row)} fields, its"
                    f" {'header' if header else 'first row'} {len(first)}; {remedy}"
                )
            yield row
    except csv.Error as error:
        if "new-line character" in str(error):  # a CR that no LF follows
            raise InputError(
                f"line {rows.line_num} of {name} has a carriage return within it, as old Macs end lines; save the file"
                " with LF or CRLF at the ends of lines"
            ) from None
        remedy = "" if suffix == ".tsv" else "; is a quote in it or before it left open?"
        raise InputError(f"row {number + 1} of {name} (line {rows.line_num}) cannot be read: {error}{remedy}") from None


_decoder = json.JSONDecoder()


def _json(line: str) -> object:
    """What `json.loads` gives, in half of its time for a line that holds a value and nothing else."""
    try:
        row, end = _decoder.raw_decode(line)
    except ValueError:  # blanks before it, or what is no JSON at all
        return json.loads(line)
    return row if line[end:] in ("", "\n", "\r\n") else json.loads(line)


def json_row(line: str, number: int, name: str) -> str | Mapping[str, object]:
    """A row of a .jsonl: an object, or a text in quotes."""
    try:
        row = _json(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"row {number} of {name} is not JSON ({error}); write one JSON object a line") from None
    if not isinstance(row, (str, Mapping)):
        raise InputError(f"row {number} of {name} is {line.strip():.40}; write one JSON object a line")
    return row


def json_rows(lines: Iterable[str], name: str) -> Iterator[str | Mapping[str, object]]:
    """The rows of a .jsonl: objects, or texts in quotes."""
    for number, line in enumerate(lines, start=1):
        yield json_row(line, number, name)


@contextmanager
def parquet_errors(name: Path | str) -> Iterator[None]:
    """What polars raises, as one line."""
    import polars

    try:
        yield
    except polars.exceptions.PolarsError as error:
        raise InputError(f"cannot read {name}: {str(error).splitlines()[0]:.120}; is it a Parquet file?") from None


def parquet_types(source: Path | bytes, name: str | None = None) -> dict[str, bool]:
    """The columns of a .parquet, a path or what stands in it under this name, and whether each holds texts."""
    import polars

    with parquet_errors(name or str(source)):
        return {key: kind == polars.String for key, kind in polars.scan_parquet(source).collect_schema().items()}


def parquet_rows(source: Path | bytes, columns: Sequence[str], name: str | None = None) -> Iterator[tuple[object, ...]]:
    """The values of these columns of a .parquet, a path or what stands in it under this name, row by row."""
    import polars

    with parquet_errors(name or str(source)):
        rows = polars.scan_parquet(source).select(columns)
        for some in rows.collect_batches(chunk_size=_ROWS_AT_ONCE, lazy=True):
            size = polars.sum_horizontal(1, polars.col(polars.String).str.len_bytes())
            longest = some.select(size.max()).item() or 1
            yield from some.iter_rows(buffer_size=min(512, 1 + _BYTES_AT_ONCE // longest))


@dataclass(frozen=True, kw_only=True)
class Records:
    """A table in a file: what its columns are called, and its rows, as often as they are asked for."""

    path: Path
    name: str
    columns: tuple[str, ...]
    header: bool

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[object, ...]]:
        """The values of these columns, row by row: text in .csv and .tsv, else as they are typed. InputError for a row
        that cannot be read or lacks a column."""
        suffix = self.path.suffix.lower()
        if suffix == ".parquet":
            yield from parquet_rows(self.path, columns)
            return
        with open_bytes(self.path) as file:
            lines = decoded_lines(file, self.name)
            if suffix in JSON_LINES:
                yield from _fields(lines, columns, self.name)
                return
            table = delimited_rows(lines, self.name, suffix, header=self.header, blank=True)
            names = next(table)
            where = [names.index(column) for column in columns]
            for row in table:
                yield tuple([row[index] for index in where])


def _fields(lines: Iterable[str], columns: Sequence[str], name: str) -> Iterator[tuple[object, ...]]:
    for number, row in enumerate(json_rows(lines, name), start=1):
        if isinstance(row, str):
            raise InputError(f"row {number} of {name} is a text without a label; write one JSON object a line")
        missing = next((column for column in columns if column not in row), None)
        if missing is not None:
            there = ", ".join(map(repr, list(row)[:12])) or "nothing"
            raise InputError(f"row {number} of {name} has no {missing!r}, it has {there}; give every row the same keys")
        yield tuple([row[column] for column in columns])


def open_records(path: Path, name: str, *, header: bool = True) -> Records:
    """The table in a file, its columns read. `header` False: the first row of a .csv or .tsv is a row like any other,
    and the columns are called column1, column2, …"""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        columns = list(parquet_types(path))
    else:
        with open_bytes(path) as file:
            lines = decoded_lines(file, name)
            if suffix in JSON_LINES:
                rows = islice(json_rows(lines, name), _ROWS_FOR_KEYS)
                columns = list(dict.fromkeys(key for row in rows if not isinstance(row, str) for key in row))
            else:
                columns = next(delimited_rows(lines, name, suffix, header=header))
    return Records(path=path, name=name, columns=tuple(columns), header=header)
