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

CHUNK_BYTES = 2**22  # of text
CHUNK_DOCUMENTS = 2**15
DIGEST = 16  # bytes that stand for a text


class Document(NamedTuple):
    """A cleaned text.

    source  the number of the one it is from
    digest  16 bytes that stand for it
    size    its bytes in UTF-8
    """

    source: int
    text: str
    digest: bytes
    size: int


@dataclass(kw_only=True)
class Chunk:
    """Some documents, and what was met on the way to them.

    place   where reading goes on behind it: a source's number, and how many of its documents come before
    counts  documents that were read, bad, or empty; and that were changed by cleaning, by what was changed
    bad     what was wrong with those that were left out
    size    bytes of all texts
    """

    place: tuple[int, int]
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
        digest = hashlib.blake2b(content, digest_size=DIGEST).digest()
        self.documents.append(Document(source, text, digest, len(content)))
        self.size += len(content)


def chunks(
    sources: Sequence[Source],
    place: tuple[int, int],
    *,
    parting: Parting,
    column: str | None,
    skip_bad: bool,
    begin: Callable[[int], None],
) -> Iterator[Chunk]:
    """All documents from a place on, in chunks that depend on nothing but where they begin.

    begin  is told the number of each source before it is read

    Raises InputError, behind a chunk of all that comes before, for the first document that cannot be read, unless
    `skip_bad`.
    """
    first, before = place
    chunk = Chunk(place=place)
    for number in range(first, len(sources)):
        begin(number)
        done = before if number == first else 0
        for found in sources[number].documents(parting, column, done):
            if isinstance(found, Bad) and not skip_bad:
                yield chunk
                raise InputError(f"{found.why}; or leave out what cannot be read with --skip-bad (skip_bad=True)")
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
                chunk = Chunk(place=chunk.place)
        chunk.place = (number + 1, 0)
    yield chunk


def is_for_valid(digest: bytes, share: float, seed: int) -> bool:
    """Whether the text with this digest is one to judge by: its own business, and the seed's."""
    key = seed.to_bytes(16, "little")
    drawn = hashlib.blake2b(digest, digest_size=8, key=key).digest()
    return int.from_bytes(drawn, "little") < share * 2**64
