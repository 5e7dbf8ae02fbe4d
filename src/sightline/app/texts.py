"""Texts to classify, from a file or as they come on standard input: a few at a time, singly or in pairs."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sightline.errors import InputError, NotFoundError

Some = list[tuple[str, ...]]  # rows, each a text or a pair of texts

ROWS_AT_ONCE = 1024
BYTES_AT_ONCE = 65536
LONGEST_LINE = 2**26  # bytes


def _line(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input is not UTF-8 text: byte {error.start + 1} of line {number} is 0x{line[error.start]:02x};"
            " convert it first"
        ) from None


def _parted(line: str, number: int, paired: bool) -> tuple[str, ...]:
    if not paired:
        return (line,)
    parts = tuple(line.split("\t"))
    if len(parts) != 2:
        raise InputError(
            f"line {number} has {len(parts) - 1} tabs; this classifier reads pairs: text, tab, second text"
        )
    return parts


def _lines_so_far() -> Iterator[list[bytes]]:
    """The lines of standard input, without their ends: as many at once as are there already."""
    if sys.stdin is None:
        raise InputError("there is no standard input; name a file")
    begun: list[bytes] = []  # the parts of a line that has not ended yet, which are put together once
    while chunk := sys.stdin.buffer.read1(BYTES_AT_ONCE):  # type: ignore[union-attr]  # waits for some, not for all
        begun.append(chunk)
        if b"\n" in chunk:
            *lines, rest = b"".join(begun).split(b"\n")
            yield lines
            begun = [rest]
        elif sum(map(len, begun)) > LONGEST_LINE:
            raise InputError(f"a line of standard input is longer than {LONGEST_LINE:,} bytes; is a text on each line?")
    if last := b"".join(begun):
        yield [last]


def lines_as_they_come(paired: bool = False) -> Iterator[Some]:
    """The texts of standard input, one a line, as they come. Blank lines at the end are no rows."""
    number, blank = 0, 0
    for lines in _lines_so_far():
        some: Some = []
        for line in lines:
            number += 1
            text = _line(line, number)
            if not text:
                blank += 1
                continue
            some += [("", "") if paired else ("",)] * blank  # before other lines they are rows
            blank = 0
            some.append(_parted(text, number, paired))
        if some:
            yield some


def _checked(values: Sequence[object], columns: Sequence[str], number: int, name: str) -> tuple[str, ...]:
    """A row's texts; a cell that holds nothing is an empty one."""
    for column, value in zip(columns, values, strict=True):
        if not isinstance(value, str | None):
            what = f"{type(value).__name__} {value!r:.40}"
            raise InputError(f"row {number} of {name} has {what} in column {column!r}, where text belongs")
    return tuple("" if value is None else str(value) for value in values)


def _of_table(
    path: Path, asked: tuple[str, ...] | None, usual: tuple[str, ...] | None, header: bool
) -> Iterator[tuple[str, ...]] | None:
    """The rows of a table with columns, or None where it is no table, or its column is still to be found."""
    from sightline.text.records import DELIMITED, JSON_LINES, open_records, parquet_types
    from sightline.text.tables import choose_column

    if path.suffix.lower() not in (*DELIMITED, *JSON_LINES, ".parquet"):
        return None
    records = open_records(path, str(path), header=header)
    if asked is not None:
        columns = tuple(choose_column(records.columns, each, str(path)) for each in asked)
    elif usual is not None and set(usual) <= set(records.columns):
        columns = usual
    elif not header:
        columns = (choose_column(records.columns, None, str(path)),)
    elif path.suffix.lower() == ".parquet":
        columns = (
            choose_column([name for name, holds_text in parquet_types(path).items() if holds_text], None, str(path)),
        )
    else:
        return None
    found = enumerate(records.rows(columns), start=1)
    return (_checked(values, columns, number, str(path)) for number, values in found)


def _unlike(usual: tuple[str, ...]) -> InputError:
    """A classifier of pairs would answer to single texts too, and a classifier of texts to pairs: nonsense."""
    taught = f"texts, in {usual[0]!r}" if len(usual) == 1 else f"pairs of texts, in {usual[0]!r} and {usual[1]!r}"
    wanted = "one column" if len(usual) == 1 else "two columns of a table"
    return InputError(f"this classifier was taught on {taught}; name {wanted} with --column")


def rows_of(
    file: str, asked: tuple[str, ...] | None, usual: tuple[str, ...] | None, *, header: bool = True
) -> Iterator[Some]:
    """The texts of a file, or of standard input for "-", some at a time.

    asked  the columns that the user named; usual: those that the classifier was taught on
    """
    if asked is not None and len(asked) > 2:
        raise InputError(f"--column names {len(asked)} columns; give one of texts, or two for pairs")
    if asked is not None and usual is not None and len(asked) != len(usual):
        raise _unlike(usual)
    if file == "-":
        if asked is not None:
            raise InputError("standard input has lines and no columns; leave --column out")
        yield from lines_as_they_come(usual is not None and len(usual) == 2)
        return
    from sightline.text.tables import read_texts

    path = Path(file)
    if not path.exists():
        raise NotFoundError(f"there is no file {path}; give the path of a .txt, .jsonl, .csv, .tsv or .parquet")
    rows = None if path.is_dir() else _of_table(path, asked, usual, header)
    if rows is None:
        if usual is not None and len(usual) == 2:
            raise _unlike(usual)
        column = None if asked is None else asked[0]
        rows = ((text,) for text in read_texts(path, column))
    while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
        yield some
