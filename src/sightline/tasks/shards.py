"""Writing the shards of one part of a corpus, so that a run that was killed goes on at its last commit."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy

from sightline.core.files import sha256_of, write_error
from sightline.errors import CheckpointError
from sightline.text.corpus import ENDS, TOKEN_TYPES, shard_name

SHARD_TOKENS = 2**26  # a shard that has as many takes no further document


@dataclass(kw_only=True)
class Written:
    """What of a part is on the disk, and counts; as it stands in the journal and, in the end, in the manifest.

    shards         those that are full, as the manifest names them
    shard_tokens, shard_documents  of the one that is being written
    """

    documents: int = 0
    tokens: int = 0
    words: int = 0
    text_bytes: int = 0
    shards: list[dict[str, Any]] = field(default_factory=list)
    shard_tokens: int = 0
    shard_documents: int = 0


class ShardWriter:
    """The shards of one part, behind one another.

    >>> writer = ShardWriter(folder, "train", "uint16", Written())  # doctest: +SKIP
    >>> writer.add(ids, lengths, words=120, text_bytes=700)  # doctest: +SKIP
    >>> state = writer.commit()  # doctest: +SKIP
    """

    def __init__(self, folder: Path, part: str, token_type: str, written: Written) -> None:
        self.folder, self.part, self.kind, self.written = folder, part, TOKEN_TYPES[token_type], written
        self._open: tuple[IO[bytes], IO[bytes]] | None = None
        self._forget_what_came_after()

    def _paths(self, number: int) -> tuple[Path, Path]:
        name = shard_name(self.part, number)
        return self.folder / f"{name}.bin", self.folder / f"{name}.idx"

    def _forget_what_came_after(self) -> None:
        """Cut off what a killed run wrote after its last commit."""
        number, written = len(self.written.shards), self.written
        sizes = (written.shard_tokens * self.kind.itemsize, written.shard_documents * ENDS.itemsize)
        try:
            for path, size in zip(self._paths(number), sizes, strict=True):
                if size and (not path.is_file() or path.stat().st_size < size):
                    raise CheckpointError(
                        f"{path} is shorter than it was when it was written; delete {self.folder} and begin anew"
                    )
                if path.is_file():
                    os.truncate(path, size)
            for path in self.folder.glob(f"{self.part}-*.*"):
                if path.suffix in (".bin", ".idx") and path.stem > shard_name(self.part, number):
                    path.unlink()
        except OSError as error:
            raise write_error(self.folder, error) from error

    def add(self, ids: numpy.ndarray, lengths: numpy.ndarray, *, words: int, text_bytes: int) -> None:
        """Some documents: their ids, one behind the other, and how many each has."""
        ends = numpy.cumsum(lengths, dtype=numpy.int64)
        first, before = 0, 0
        while first < len(ends):
            room = SHARD_TOKENS - self.written.shard_tokens
            last = min(int(numpy.searchsorted(ends, before + room, side="left")) + 1, len(ends))
            end = int(ends[last - 1])
            self._append(ids[before:end], ends[first:last] - before + self.written.shard_tokens)
            first, before = last, end
            if self.written.shard_tokens >= SHARD_TOKENS:
                self._close()
        self.written.words += words
        self.written.text_bytes += text_bytes

    def _append(self, ids: numpy.ndarray, ends: numpy.ndarray) -> None:
        paths = self._paths(len(self.written.shards))
        try:
            if self._open is None:
                self._open = paths[0].open("ab"), paths[1].open("ab")
            self._open[0].write(ids.astype(self.kind, copy=False).tobytes())
            self._open[1].write(ends.astype(ENDS, copy=False).tobytes())
        except OSError as error:
            raise write_error(paths[0], error) from error
        self.written.tokens += len(ids)
        self.written.shard_tokens += len(ids)
        self.written.documents += len(ends)
        self.written.shard_documents += len(ends)

    def _flush(self) -> None:
        try:
            for file in self._open or ():
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self._paths(len(self.written.shards))[0], error) from error

    def commit(self) -> dict[str, Any]:
        """Bring what was added onto the disk; what to remember of it."""
        self._flush()
        return asdict(self.written)

    def _close(self) -> None:
        """The shard that is being written is full."""
        self._flush()
        self.abandon()
        ids, index = self._paths(len(self.written.shards))
        self.written.shards.append(
            {
                "file": ids.name,
                "tokens": self.written.shard_tokens,
                "documents": self.written.shard_documents,
                "sha256": sha256_of(ids),
                "index_sha256": sha256_of(index),
            }
        )
        self.written.shard_tokens = self.written.shard_documents = 0

    def abandon(self) -> None:
        """Close the files; what was not committed may be lost."""
        for file in self._open or ():
            with suppress(OSError):  # a full disk, which was said where it was met
                file.close()
        self._open = None

    def finish(self) -> dict[str, Any]:
        """The part's entry in the manifest."""
        if self.written.shard_documents:
            self._close()
        entry = asdict(self.written)
        return {name: value for name, value in entry.items() if not name.startswith("shard_")}
