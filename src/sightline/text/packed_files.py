"""The files that a path stands for, all in memory: a file, what a folder holds, or what an archive does; packed or not.

Rows of .jsonl, .ndjson and .parquet are mappings by column, those of any other file its lines.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sightline.errors import InputError, NotFoundError
from sightline.text.records import JSON_LINES, decoded_lines, json_rows, parquet_rows, parquet_types
from sightline.text.rows import no_unicode
from sightline.text.unpack import is_archive, kind_of, members

LARGEST = 2**30  # bytes of all files together, and of the texts in one of them
_OF_A_TEXT = 100  # bytes that a text takes beside its own


@dataclass(frozen=True, kw_only=True)
class PackedFile:
    """A file's name, with the folders that it lies in, and its bytes as they were before they were packed."""

    name: str
    content: bytes

    @property
    def suffix(self) -> str:
        """How the name ends, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    def texts(self, *columns: str) -> Iterator[tuple[str, ...]]:
        """The texts in these columns, row by row; a line of a plain file, or a text of a .jsonl, is one called "text".

        Raises InputError for a row without a text in one of them, for one that is no valid Unicode, and for more than
        `LARGEST` bytes, which a small file may hold.
        """
        left = LARGEST
        for number, row in enumerate(self._rows(columns), start=1):
            found = []
            for column in columns:
                text = row.get(column)
                if not isinstance(text, str):
                    there = ", ".join(map(repr, list(row)[:12])) or "nothing"
                    has = f"there it has {row[column]!r:.40}" if column in row else f"it has {there}"
                    raise InputError(f"row {number} of {self.name} has no text {column!r}; {has}")
                try:
                    left -= len(text.encode()) + _OF_A_TEXT
                except UnicodeEncodeError as error:
                    raise no_unicode(f"row {number} of {self.name}", error) from None
                found.append(text)
            if left < 0:
                raise InputError(f"{self.name} holds more than {LARGEST:,} bytes of text; give a smaller file")
            yield tuple(found)

    def _rows(self, columns: Sequence[str]) -> Iterator[Mapping[str, object]]:
        if self.suffix == ".parquet":
            there = parquet_types(self.content, self.name)
            wanted = [column for column in columns if column in there] or list(there)[:1]  # one, so that rows are named
            for values in parquet_rows(self.content, wanted, self.name):
                yield dict.fromkeys(there) | dict(zip(wanted, values, strict=True))
            return
        lines = decoded_lines(io.BytesIO(self.content), self.name)
        if self.suffix in JSON_LINES:
            for row in json_rows(lines, self.name):
                yield {"text": row} if isinstance(row, str) else row
            return
        for line in lines:
            yield {"text": line.removesuffix("\n").removesuffix("\r")}


def _paths(path: Path) -> list[tuple[Path, str]]:
    """The files at a path, and the folder of each below it."""
    if not path.is_dir():
        return [(path, "")]
    inside = sorted(each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
    return [(each, each.parent.relative_to(path).as_posix().removeprefix(".")) for each in inside]


def packed_files(path: str | Path, suffixes: Sequence[str]) -> list[PackedFile]:
    """The files at `path` that end in one of `suffixes` once they are unpacked, by name; a path to one file that is no
    archive is that file, whatever it ends in.

    Raises NotFoundError where there is nothing at the path, and InputError for what cannot be read, for a folder or an
    archive without such a file, and for more than `LARGEST` bytes.
    """
    path = Path(path)
    if not path.exists():
        raise NotFoundError(
            f"there is no file or folder {path}; give the path of the data, or hf://datasets/OWNER/NAME"
        )
    alone = not path.is_dir() and not is_archive(path.name)
    found: list[PackedFile] = []
    left = LARGEST
    for each, folder in _paths(path):
        if path.is_dir() and PurePosixPath(kind_of(each.name)[1]).suffix.lower() not in suffixes:
            continue
        for member in members(each):
            if not alone and member.suffix not in suffixes:
                continue
            content = member.file.read(left + 1)
            left -= len(content)
            if left < 0:
                raise InputError(f"{path} holds more than {LARGEST:,} bytes of data; give fewer files")
            found.append(PackedFile(name=f"{folder}/{member.file_name}".lstrip("/"), content=content))
    if not found:
        raise InputError(f"{path} holds no file that ends in {', '.join(suffixes)}; give the path of the data itself")
    return sorted(found, key=lambda file: file.name)
