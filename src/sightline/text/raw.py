"""Documents from files, one after another, never all of it in memory: text, JSONL, CSV, Parquet, packed or not.

    .jsonl .ndjson .csv .tsv .parquet    a row is a document: one column of the table
    anything else                        text; what a document is, is said by `Parting`

A document that cannot be read comes as what is wrong with it and where, and reading goes on behind it where that can
be: with the next line, the next paragraph or the next file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from sightline.errors import InputError
from sightline.text.records import (
    DELIMITED,
    JSON_LINES,
    decoded,
    decoded_lines,
    delimited_rows,
    json_row,
    parquet_rows,
    parquet_types,
)
from sightline.text.tables import choose_column, no_columns
from sightline.text.unpack import Member, is_archive, kind_of, members

Parting = Literal["files", "blank-lines", "lines", "endoftext"]
"""What a document of a text file is: all of it, what blank lines part, a line, what lines of <|endoftext|> part."""

LONGEST = 2**25  # bytes of one document, about ten of the longest novels
END_OF_TEXT = b"<|endoftext|>"
_LOOKED_AT = 2**20
_REFUSED = {
    **dict.fromkeys(".zst .7z .rar .lz4 .br .z".split(), "unpack it first"),
    **dict.fromkeys(
        (".pdf", ".docx", ".doc", ".epub", ".html", ".htm", ".xml", ".xlsx", ".odt"), "save it as plain text"
    ),
    **dict.fromkeys(".json .arrow .npy .pkl".split(), "write a .jsonl: one JSON object a line"),
}


@dataclass(frozen=True)
class Bad:
    """A document that cannot be read: where it stands, what is wrong, what to do."""

    why: str


Found = str | Bad


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """The lines of a file with their ends; None for one that is longer than a document may be."""
    while line := file.readline(LONGEST + 1):
        if len(line) <= LONGEST:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST)
        yield None


def _too_long(name: str, remedy: str) -> Bad:
    return Bad(f"{name} has more than {LONGEST >> 20} MiB, too many for one document; {remedy}")


def _text(content: bytes, number: int, name: str) -> Found:
    """Lines as a text, the first of them with this number."""
    nul = content.find(b"\0")
    if nul >= 0:
        line = number + content.count(b"\n", 0, nul)
        return Bad(f"{name} has a zero byte in line {line}, so it is no UTF-8 text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        begin = content.rfind(b"\n", 0, error.start) + 1
        end = content.find(b"\n", error.start)
        try:  # for the same words as everywhere
            return decoded(content[begin : end if end >= 0 else None], number + content.count(b"\n", 0, begin), name)
        except InputError as said:
            return Bad(str(said))


def _whole(file: IO[bytes], name: str) -> Iterator[Found]:
    content = file.read(LONGEST + 1)
    remedy = "say what else parts documents with documents=…"
    yield _text(content, 1, name) if len(content) <= LONGEST else _too_long(name, remedy)


def _by_line(file: IO[bytes], name: str) -> Iterator[Found]:
    for number, line in enumerate(_lines(file), start=1):
        yield _too_long(f"line {number} of {name}", "is it text?") if line is None else _text(line, number, name)


def _parted(file: IO[bytes], name: str, ends: Callable[[bytes], bool]) -> Iterator[Found]:
    """What lies between the lines that end a document."""
    held = bytearray()
    begin, size = 1, 0
    for number, line in enumerate(_lines(file), start=1):
        if line is not None and ends(line):
            if size:
                yield _joined(held, begin, size, name)
            held, begin, size = bytearray(), number + 1, 0
            continue
        size += LONGEST + 1 if line is None else len(line)
        if size <= LONGEST:
            held += line or b""
        else:
            held.clear()
    if size:
        yield _joined(held, begin, size, name)


def _joined(held: bytearray, begin: int, size: int, name: str) -> Found:
    if size > LONGEST:
        return _too_long(f"what begins in line {begin} of {name}", "part it, or say what else parts documents")
    return _text(bytes(held), begin, name)


def _of_text(file: IO[bytes], name: str, parting: Parting) -> Iterator[Found]:
    if parting == "files":
        return _whole(file, name)
    if parting == "lines":
        return _by_line(file, name)
    if parting == "endoftext":
        return _parted(file, name, lambda line: line.strip() == END_OF_TEXT)
    return _parted(file, name, lambda line: not line.strip())


def cell(value: object, number: int, column: str, name: str) -> Found:
    """A table's cell as a document; what holds nothing is an empty one."""
    if value is None or isinstance(value, str):
        if value is not None and len(value) > LONGEST:
            return _too_long(f"row {number} of {name}", "part it into several rows")
        return value or ""
    return Bad(f"row {number} of {name} has {type(value).__name__} {value!r:.40} in column {column!r}, not text")


def may_hold_text(row: Mapping[str, object]) -> list[str]:
    """The columns that hold text in this row, or nothing."""
    return [column for column, value in row.items() if value is None or isinstance(value, str)]


def _of_jsonl(file: IO[bytes], name: str, column: str | None) -> Iterator[Found]:
    chosen = column
    for number, line in enumerate(_lines(file), start=1):
        if line is None:
            yield _too_long(f"row {number} of {name}", "is there a JSON object on each line?")
            continue
        if not line.strip():
            continue
        try:
            row = json_row(decoded(line, number, name), number, name)
            if isinstance(row, str):
                yield row if column is None else Bad(no_columns(number, column, name))
                continue
            if chosen is None:
                chosen = choose_column(may_hold_text(row), None, f"row {number} of {name}")
            if chosen not in row:
                choose_column(list(row), chosen, f"row {number} of {name}")
        except InputError as error:
            yield Bad(str(error))
            continue
        yield cell(row[chosen], number, chosen, name)


def _short(lines: Iterable[bytes | None], name: str) -> Iterator[bytes]:
    for number, line in enumerate(lines, start=1):
        if line is None:
            raise InputError(_too_long(f"line {number} of {name}", "is it a table?").why)
        yield line


def _of_delimited(file: IO[bytes], name: str, suffix: str, column: str | None) -> Iterator[Found]:
    rows = delimited_rows(decoded_lines(_short(_lines(file), name), name), name, suffix)
    columns = next(rows)
    index = columns.index(choose_column(columns, column, name))
    for number, row in enumerate(rows, start=1):
        yield cell(row[index], number, columns[index], name)


def _of_parquet(member: Member, path: Path, column: str | None) -> Iterator[Found]:
    """The library reads from a file of its own, so a packed one is unpacked into the temporary folder first."""
    if kind_of(path.name)[0]:
        with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
            unpacked = Path(folder) / "table.parquet"
            with unpacked.open("wb") as file:
                shutil.copyfileobj(member.file, file, 2**20)
            yield from _rows_of_parquet(unpacked, member.name, column)
    else:
        yield from _rows_of_parquet(path, member.name, column)


def _rows_of_parquet(path: Path, name: str, column: str | None) -> Iterator[Found]:
    try:
        chosen = choose_column([key for key, text in parquet_types(path).items() if column or text], column, name)
        for number, (value,) in enumerate(parquet_rows(path, [chosen]), start=1):
            yield cell(value, number, chosen, name)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from None


def _of_member(member: Member, path: Path, parting: Parting, column: str | None) -> Iterator[Found]:
    suffix = member.suffix
    if suffix in _REFUSED:
        raise InputError(f"{member.name} is neither text nor a table that is read here; {_REFUSED[suffix]}")
    if suffix in JSON_LINES:
        yield from _of_jsonl(member.file, member.name, column)
    elif suffix in DELIMITED:
        yield from _of_delimited(member.file, member.name, suffix, column)
    elif suffix == ".parquet":
        yield from _of_parquet(member, path, column)
    else:
        yield from _of_text(member.file, member.name, parting)


def raw_documents(
    path: Path, *, parting: Parting, column: str | None = None, tell: Callable[[IO[bytes]], None] | None = None
) -> Iterator[Found]:
    """The documents of a file, as they stand there; `Bad` for each that cannot be read.

    parting  what a document of a text file is
    column   of a table; None: the only one of texts, or the one that is called "text"
    tell     is handed the open file, whose `tell()` then says how much of it was read

    Which documents come, and in which order, depends on the file alone: after n of them, `itertools.islice` goes on.
    """
    found = members(path, tell)
    while True:
        try:
            member = next(found, None)
            if member is None:
                return
            yield from _of_member(member, path, parting, column)
        except InputError as error:
            yield Bad(str(error))


def holds_text(path: Path) -> bool:
    """Whether a file is one of text by its name, packed or not, and no archive."""
    rest = kind_of(path.name)[1].lower()
    return not is_archive(path.name) and not rest.endswith((".parquet", *JSON_LINES, *DELIMITED))


def obvious_parting(path: Path) -> Parting:
    """What parts the documents of a text file: its blank lines, else its lines; from its first MiB.

    Raises InputError where the file cannot be read.
    """
    for member in members(path):
        head = member.file.read(_LOOKED_AT)
        lines = [line.strip() for line in head.strip().split(b"\n")]
        if END_OF_TEXT in lines:
            return "endoftext"
        return "blank-lines" if b"" in lines else "lines"
    return "files"
