"""What a preparation remembers on the disk while it is under way: how far it is, and which texts it has seen.

A SQLite file: what is committed is there whatever happens, what is not has never been. It holds 16 bytes for each
document, and at most 64 MiB of them in memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sightline.errors import CheckpointError

JOURNAL = ".preparing.db"
_MEMORY = 2**16  # KiB
ASKED = 500  # digests that one query asks for; every SQLite takes 999
_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (number INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sample (digest BLOB PRIMARY KEY, bytes INTEGER NOT NULL, text TEXT NOT NULL);
"""


class Journal:
    """The journal in a folder.

    >>> journal = Journal(folder)  # doctest: +SKIP
    >>> journal.are_new([digest, digest])  # doctest: +SKIP
    [True, False]
    >>> journal.put("place", [0, 17]); journal.commit()  # doctest: +SKIP
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        with self._errors():
            self._file = sqlite3.connect(self.path, isolation_level=None)
        try:
            with self._errors():
                self._file.execute(f"PRAGMA cache_size = -{_MEMORY}")
                self._file.execute("PRAGMA synchronous = FULL")
                self._file.executescript(_TABLES)
                self._file.execute("BEGIN IMMEDIATE")
        except CheckpointError:
            self._file.close()
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What SQLite raises, as one line."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            what = str(error)
            if "not a database" in what or "malformed" in what:
                remedy = f"delete {self.path.parent} and begin anew"
            else:
                remedy = "free some space there, or choose a folder you may write to"
            raise CheckpointError(f"cannot write {self.path}: {what}; {remedy}") from error

    def get(self, name: str) -> Any:
        """What was put under a name; None where nothing was."""
        with self._errors():
            row = self._file.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, name: str, value: object) -> None:
        """Remember a value that JSON has a form for."""
        with self._errors():
            self._file.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def source(self, number: int) -> dict[str, Any]:
        """What is known of a source; empty where it was not begun."""
        with self._errors():
            row = self._file.execute("SELECT value FROM sources WHERE number = ?", (number,)).fetchone()
        return {} if row is None else json.loads(row[0])

    def put_source(self, number: int, value: dict[str, Any]) -> None:
        with self._errors():
            self._file.execute("INSERT OR REPLACE INTO sources VALUES (?, ?)", (number, json.dumps(value)))

    def are_new(self, digests: Iterable[bytes]) -> list[bool]:
        """Whether each of these digests was never seen; from now on it was."""
        given = list(digests)
        with self._errors():
            known: set[bytes] = set()
            for begin in range(0, len(given), ASKED):
                some = given[begin : begin + ASKED]
                places = ",".join("?" * len(some))
                known.update(
                    row[0] for row in self._file.execute(f"SELECT * FROM seen WHERE digest IN ({places})", some)
                )
            new = []
            for digest in given:
                new.append(digest not in known)
                known.add(digest)
            fresh = ((digest,) for digest, one in zip(given, new, strict=True) if one)
            self._file.executemany("INSERT INTO seen VALUES (?)", fresh)
        return new

    def forget(self) -> None:
        """As if nothing had ever been put."""
        with self._errors():
            for table in ("facts", "sources", "seen", "sample"):
                self._file.execute(f"DELETE FROM {table}")

    def commit(self) -> None:
        """All that was put since the last commit is there for good."""
        with self._errors():
            self._file.execute("COMMIT")
            self._file.execute("BEGIN IMMEDIATE")

    def close(self) -> None:
        """What was not committed is forgotten."""
        self._file.close()

    def add_sample(self, digest: bytes, size: int, text: str) -> int:
        """Add a text of so many bytes; how many more there are now: none, where it was there."""
        with self._errors():
            row = (digest, size, text)
            return size * self._file.execute("INSERT OR IGNORE INTO sample VALUES (?, ?, ?)", row).rowcount

    def largest_sample(self) -> tuple[bytes, int]:
        """The digest and the bytes of the text whose digest is the largest."""
        with self._errors():
            digest, size = self._file.execute(
                "SELECT digest, bytes FROM sample ORDER BY digest DESC LIMIT 1"
            ).fetchone()
        return digest, size

    def drop_sample(self, digest: bytes) -> None:
        with self._errors():
            self._file.execute("DELETE FROM sample WHERE digest = ?", (digest,))

    def samples(self) -> Iterator[str]:
        """The texts, in the order of their digests."""
        with self._errors():
            for (text,) in self._file.execute("SELECT text FROM sample ORDER BY digest"):
                yield text

    def sampled(self) -> tuple[int, int]:
        """How many texts there are, and their bytes."""
        with self._errors():
            count, size = self._file.execute("SELECT COUNT(*), COALESCE(SUM(bytes), 0) FROM sample").fetchone()
        return count, size

    def clear_samples(self) -> None:
        with self._errors():
            self._file.execute("DELETE FROM sample")


def remove_journal(folder: Path) -> None:
    """Delete the journal in a folder, and what SQLite leaves beside it when it is killed."""
    for name in (JOURNAL, f"{JOURNAL}-journal"):
        (folder / name).unlink(missing_ok=True)


class Sample:
    """At most so many bytes of all texts that it is shown, the same ones in whatever order: those of the smallest
    digests, which are as good as drawn by lot.

    Raises nothing of its own; the texts lie in the journal.
    """

    def __init__(self, journal: Journal, most: int) -> None:
        self.journal, self.most = journal, most
        self.bytes = journal.sampled()[1]
        limit = journal.get("sample_limit")
        self._limit = None if limit is None else bytes.fromhex(limit)  # the smallest digest that was dropped

    def add(self, digest: bytes, size: int, text: str) -> None:
        """Show it a text."""
        if self._limit is not None and digest >= self._limit:
            return
        self.bytes += self.journal.add_sample(digest, size, text)
        while self.bytes > self.most:
            self._limit, dropped = self.journal.largest_sample()
            self.journal.drop_sample(self._limit)
            self.bytes -= dropped

    def remember(self) -> None:
        """To be called before the journal is committed."""
        self.journal.put("sample_limit", None if self._limit is None else self._limit.hex())
