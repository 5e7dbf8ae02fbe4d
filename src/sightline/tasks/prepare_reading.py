"""Documents on their way into a corpus: read, cleaned and counted, in chunks that are encoded at once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sightline.errors import InputError
from sightline.tasks.prepare_sources import Source
from sightline.text.clean import clean
from sightline.text.raw import Bad, Parting

CHUNK_BYTES = 2**21  # of text
CHUNK_DOCUMENTS = 2**15
DIGEST = 16  # bytes that stand for a text


class Document(NamedTuple):
    """A cleaned text.

    source  the number of the one it is from
    digest  16 bytes that stand for it
    drawn   a number below 2**64 that the text and the seed decide, as good as drawn by lot
    size    its bytes in UTF-8
    """

    source: int
    text: str
    digest: bytes
    drawn: int
    size: int

    def is_for_valid(self, share: float) -> bool:
        """Whether it is one to judge by: its own business, whatever else there is."""
        return self.drawn < share * 2**64


@dataclass(kw_only=True)
class Chunk:
    """Some documents, and what was met on the way to them.

    place   where reading goes on behind it: a source's number, and how many of its documents come before
    seed    of what is drawn
    counts  documents that were read, bad, or empty; and that were changed by cleaning, by what was changed
    bad     what was wrong with those that were left out
    size    bytes of all texts
    """

    place: tuple[int, int]
    seed: int
    documents: list[Document] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return self.size >= CHUNK_BYTES or self.counts["read"] >= CHUNK_DOCUMENTS

    def take(self, source: int, text: str) -> None:
        """Clean a text, and keep it where something is left."""
        text = clean(text, self.counts)
        if not text:
            self.counts["empty"] += 1
            return
        content = text.encode()
        found = hashlib.blake2b(content, digest_size=DIGEST + 8, salt=self.seed.to_bytes(16, "little")).digest()
        drawn = int.from_bytes(found[DIGEST:], "little")
        self.documents.append(Document(source, text, found[:DIGEST], drawn, len(content)))
        self.size += len(content)


def chunks(
    sources: Sequence[Source],
    place: tuple[int, int],
    *,
    parting: Parting,
    column: str | None,
    seed: int,
    skip_bad: bool,
    begin: Callable[[int], None],
) -> Iterator[Chunk]:
    """All documents from a place on, in chunks that depend on nothing but where they begin.

    begin  is told the number of each source before it is read

    Raises InputError, behind a chunk of all that comes before, for the first document that cannot be read, unless
    `skip_bad`.
    """
    first, before = place
    chunk = Chunk(place=place, seed=seed)
    for number in range(first, len(sources)):
        begin(number)
        done = before if number == first else 0
        for found in sources[number].documents(parting, column, done):
            if isinstance(found, Bad) and not skip_bad:
                yield chunk
                raise InputError(f"{found.why}; or leave out what cannot be read with skip_bad=True")
            done += 1
            chunk.counts["read"] += 1
            if isinstance(found, Bad):
                chunk.counts["bad"] += 1
                chunk.bad.append(found.why)
            else:
                chunk.take(number, found)
            chunk.place = (number, done)
            if chunk.full:
                yield chunk
                chunk = Chunk(place=chunk.place, seed=seed)
        chunk.place = (number + 1, 0)
    yield chunk
