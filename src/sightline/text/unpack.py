"""Files within files: what .xz, .gz, .bz2, .zip and .tar hold, as streams, one after another.

Nothing is written where an archive says, and nothing is held but a buffer. A file that unpacks to hundreds of times its
size is no text, and is refused after its first 64 MiB; an archive within an archive is not opened.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from sightline.errors import InputError
from sightline.text.records import open_bytes

MOST_EXPANSION = 200  # times as many bytes as are packed
FREE = 2**26  # bytes, from where on that counts
_BUFFER = 2**18
_Stream = lzma.LZMAFile | gzip.GzipFile | bz2.BZ2File


def _gzip(file: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=file, mode="rb")


_TAR = {".tgz": ".gz", ".txz": ".xz", ".tbz2": ".bz2"}
_STREAMS: dict[str, Callable[[IO[bytes]], _Stream]] = {".xz": lzma.LZMAFile, ".gz": _gzip, ".bz2": bz2.BZ2File}
_BROKEN = (lzma.LZMAError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file, by itself or in an archive.

    name       what to call it in messages: "novels.tar.xz, in it emma.txt"
    file_name  what it is called, without the ending of what packed it
    file       its bytes, to be read once, before the next member is asked for
    """

    name: str
    file_name: str
    file: IO[bytes]

    @property
    def suffix(self) -> str:
        """How its name ends: ".jsonl"."""
        return PurePosixPath(self.file_name).suffix.lower()


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """What unpackers raise, as one line."""
    try:
        yield
    except _BROKEN as error:
        cut = isinstance(error, EOFError) or "unexpected end of data" in str(error)
        what = "is cut off" if cut else f"is damaged ({error})"
        raise InputError(f"{name} {what}; copy or download it again") from None
    except (RuntimeError, NotImplementedError) as error:  # a password, a method that Python has not
        raise InputError(f"{name} cannot be unpacked ({error}); unpack it first") from None
    except OSError as error:
        what = f"is damaged ({error}); copy or download it again"  # how one library says so
        raise InputError(f"{name} {what}" if error.errno is None else f"cannot read {name}: {error.strerror}") from None


class _Unpacked(io.RawIOBase):
    """A stream whose errors are said in one line, and which ends in one where too much comes out of too little."""

    def __init__(self, stream: IO[bytes] | _Stream, packed: IO[bytes], name: str) -> None:
        self.stream, self.packed, self.name = stream, packed, name
        self.begin, self.out = packed.tell(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader hands over
        with _readable(self.name):
            found = self.stream.read(len(buffer))
        buffer[: len(found)] = found
        self.out += len(found)
        packed = max(self.packed.tell() - self.begin, 1)
        if self.out > FREE and self.out > MOST_EXPANSION * packed:
            raise InputError(
                f"{self.name} unpacks to more than {MOST_EXPANSION} times its size, which no text does; unpack it first"
            )
        return len(found)


def _buffered(stream: IO[bytes] | _Stream, packed: IO[bytes], name: str) -> io.BufferedReader:
    return io.BufferedReader(_Unpacked(stream, packed, name), _BUFFER)


def kind_of(file_name: str) -> tuple[str, str]:
    """How a file is packed, "" where it is not, and what it is called without."""
    path = PurePosixPath(file_name)
    suffix = path.suffix.lower()
    if suffix in _TAR:
        return _TAR[suffix], path.stem + ".tar"
    return (suffix, path.stem) if suffix in (*_STREAMS, ".zip", ".tar") else ("", path.name)


def is_archive(file_name: str) -> bool:
    """Whether a file holds others, by its name."""
    kind, rest = kind_of(file_name)
    return kind in (".zip", ".tar") or kind_of(rest)[0] in (".zip", ".tar")


def _hidden(name: str) -> bool:
    """What archivers leave beside the files: `.DS_Store`, `__MACOSX/…`."""
    parts = [part for part in PurePosixPath(name).parts if part != ".."]
    return any(part.startswith((".", "__MACOSX")) for part in parts)


def _of_zip(file: IO[bytes], name: str) -> Iterator[Member]:
    with _readable(name):
        archive = zipfile.ZipFile(file)
    with archive:
        for entry in archive.infolist():
            if entry.is_dir() or _hidden(entry.filename):
                continue
            inner = f"{name}, in it {entry.filename!r}"
            with _readable(inner):
                stream = archive.open(entry)
            with stream:
                yield from _inside(inner, entry.filename, _buffered(stream, file, inner), file, nested=True)


def _of_tar(stream: IO[bytes], packed: IO[bytes], name: str) -> Iterator[Member]:
    with _readable(name):
        archive = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115  # closed below
    with archive:
        while True:
            with _readable(name):
                entry = archive.next()
            if entry is None:
                return
            cast(Any, archive).members.clear()  # which would grow with every file of the archive
            if not entry.isreg() or _hidden(entry.name):
                continue
            inner = f"{name}, in it {entry.name!r}"
            content = archive.extractfile(entry)
            if content is not None:
                yield from _inside(inner, entry.name, _buffered(content, packed, inner), packed, nested=True)


def _inside(name: str, file_name: str, file: IO[bytes], packed: IO[bytes], *, nested: bool) -> Iterator[Member]:
    kind, rest = kind_of(file_name)
    if not kind:
        yield Member(name=name, file_name=rest, file=file)
    elif kind in _STREAMS:
        with _STREAMS[kind](file) as stream:
            yield from _inside(name, rest, _buffered(stream, packed, name), packed, nested=nested)
    elif nested:
        raise InputError(f"{name} is an archive within an archive; unpack one of them first")
    elif kind == ".zip":
        yield from _of_zip(file, name)
    else:
        yield from _of_tar(file, packed, name)


def members(path: Path, tell: Callable[[IO[bytes]], None] | None = None) -> Iterator[Member]:
    """The files that a file holds, or itself, each to be read before the next is asked for.

    tell  is handed the open file, whose `tell()` then says how much of it was read

    Raises InputError, here or where a member is read, for what is damaged, cut off, or cannot be unpacked.

        for member in members(Path("novels.tar.xz")): ...
    """
    with open_bytes(path) as file:
        if tell is not None:
            tell(file)
        yield from _inside(str(path), path.name, file, file, nested=False)
