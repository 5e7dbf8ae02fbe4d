"""The two ways through all documents that preparing a corpus takes: to learn a tokenizer, and to encode."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy

from sightline.errors import CheckpointError, InputError
from sightline.tasks.corpus_encoder import Encoder
from sightline.tasks.prepare_config import MEBIBYTE, PrepareConfig
from sightline.tasks.prepare_journal import Journal, Sample
from sightline.tasks.prepare_reading import Chunk, chunks
from sightline.tasks.prepare_sources import Source, StreamSource
from sightline.tasks.shards import ShardWriter, Written
from sightline.text.corpus import PARTS
from sightline.text.raw import Parting

COMMIT_BYTES = 2**25  # of text: what a run that is killed has to read again
AHEAD = 2  # chunks that are encoded while others are read and written: together they keep all cores busy
BAD_NAMED = 100  # of what was left out, so many are named

Encoded = tuple[numpy.ndarray, numpy.ndarray]


@dataclass(frozen=True, kw_only=True)
class PrepareProgress:
    """How far a preparation is.

    stage       "sampling" (texts to learn a tokenizer from), "learning" (that tokenizer) or "encoding"
    read, size  bytes of the sources that this stage has read, and of all; 0 for what is streamed
    documents   that are in the corpus so far
    tokens      that they have
    text_bytes  of their text
    """

    stage: Literal["sampling", "learning", "encoding"]
    read: int
    size: int
    documents: int = 0
    tokens: int = 0
    text_bytes: int = 0


@dataclass(kw_only=True)
class Work:
    """A preparation under way: where, of what, how, and its journal."""

    out: Path
    config: PrepareConfig
    sources: list[Source]
    parting: Parting
    journal: Journal
    _known: set[int] = field(default_factory=set)  # sources whose files were looked at by this process

    def chunks(self) -> Iterator[Chunk]:
        """The documents from the place on that the journal has."""
        source, before = self.journal.get("place") or (0, 0)
        return chunks(
            self.sources,
            (source, before),
            parting=self.parting,
            column=self.config.column,
            seed=self.config.seed,
            skip_bad=self.config.skip_bad,
            begin=self._begin,
        )

    def _begin(self, number: int) -> None:
        """Note what a source is; CheckpointError where it was something else when it was begun."""
        if number in self._known:
            return
        source, before = self.sources[number], self.journal.source(number)
        if isinstance(source, StreamSource) and "commit" in before:
            source.pin(before["commit"])
        facts = source.facts()
        if any(before.get(name, value) != value for name, value in facts.items()):
            raise CheckpointError(
                f"{facts['name']} has changed since this corpus was begun in {self.out}; delete that folder, or name"
                " another with out=…"
            )
        self.journal.put_source(number, {**before, **facts})
        self._known.add(number)

    def progress(self, stage: Literal["sampling", "learning", "encoding"], source: int) -> PrepareProgress:
        """How far reading is, at a source."""
        sizes = [each.size for each in self.sources]
        here = self.sources[source].read if source < len(sizes) else 0
        return PrepareProgress(stage=stage, read=sum(sizes[:source]) + here, size=sum(sizes))


def sampling(work: Work) -> Generator[PrepareProgress, None, tuple[int, list[str]]]:
    """Gather the texts that a tokenizer is learned from: at most so many MiB, evenly of the training part.

    Returns how many documents were met that are of the other part, and what was wrong with the first that cannot be
    read.
    """
    sample, since = Sample(work.journal, work.config.sample_mib * MEBIBYTE), 0
    kept, bad = 0, list[str]()

    def commit(chunk: Chunk) -> None:
        work.journal.put("place", chunk.place)
        sample.remember()
        work.journal.commit()

    for chunk in work.chunks():
        for document in chunk.documents:
            if document.is_for_valid(work.config.valid):
                kept += 1
            else:
                sample.add(document.digest, document.size, document.text)
        bad = bad or chunk.bad[:1]
        since += chunk.size
        if since >= COMMIT_BYTES:
            commit(chunk)
            since = 0
        if not chunk.counts["read"]:
            continue
        try:
            yield work.progress("sampling", chunk.place[0])
        except GeneratorExit:
            commit(chunk)
            raise
    commit(chunk)
    return kept, bad


class Encoding:
    """Documents into shards; while some are encoded, the next are read."""

    def __init__(self, work: Work, encoder: Encoder, token_type: str) -> None:
        self.work, self.encoder, self.token_type = work, encoder, token_type
        state = work.journal.get("parts") or {}
        self.writers = {part: ShardWriter(work.out, part, token_type, Written(**state.get(part, {}))) for part in PARTS}
        self.counts = Counter(work.journal.get("counts") or {})
        self.bad: list[str] = work.journal.get("bad") or []
        self._kept: Counter[int] = Counter()  # of each source since the last commit
        self._place = work.journal.get("place") or (0, 0)  # behind what is written

    def run(self) -> Generator[PrepareProgress, None, None]:
        """To the end of all sources. Left early, what was read counts."""
        failure: InputError | None = None
        pending: deque[tuple[Future[Encoded], Chunk]] = deque()
        since, chunks = 0, self.work.chunks()
        with ThreadPoolExecutor(max_workers=AHEAD) as pool:
            while True:
                try:
                    chunk = next(chunks, None)
                except InputError as error:
                    chunk, failure = None, error
                if chunk is None:
                    break
                self._drop_seen(chunk)
                pending.append((pool.submit(self.encoder.encode, [each.text for each in chunk.documents]), chunk))
                since += chunk.size
                if since >= COMMIT_BYTES:
                    self._commit(pending)
                    since = 0
                while len(pending) > AHEAD:
                    self._write(pending)
                try:
                    yield self._progress(chunk)
                except GeneratorExit:
                    self._commit(pending)
                    raise
            self._commit(pending)
        if failure is not None:
            raise failure

    def _drop_seen(self, chunk: Chunk) -> None:
        """Leave out what is a document already. The journal counts these as seen from its next commit on."""
        new = self.work.journal.are_new(each.digest for each in chunk.documents)
        kept = [each for each, one in zip(chunk.documents, new, strict=True) if one]
        chunk.counts["duplicates"] += len(chunk.documents) - len(kept)
        chunk.documents = kept

    def _write(self, pending: deque[tuple[Future[Encoded], Chunk]]) -> None:
        """Append the first chunk that is pending to the shards."""
        encoded, chunk = pending.popleft()
        ids, lengths = encoded.result()
        share = self.work.config.valid
        valid = numpy.array([each.is_for_valid(share) for each in chunk.documents], bool)
        for part, chosen in zip(PARTS, (~valid, valid), strict=True):
            if chosen.any():
                documents = [each for each, one in zip(chunk.documents, chosen, strict=True) if one]
                self.writers[part].add(
                    ids if chosen.all() else ids[numpy.repeat(chosen, lengths)],
                    lengths[chosen],
                    words=sum(len(each.text.split()) for each in documents),
                    text_bytes=sum(each.size for each in documents),
                )
        self._kept.update(each.source for each in chunk.documents)
        self.counts.update(chunk.counts)
        self.bad += chunk.bad[: max(BAD_NAMED - len(self.bad), 0)]
        self._place = chunk.place

    def _commit(self, pending: deque[tuple[Future[Encoded], Chunk]]) -> None:
        """Write all that is pending, and let it count: what the journal has seen is in the shards then."""
        while pending:
            self._write(pending)
        journal = self.work.journal
        journal.put("parts", {part: writer.commit() for part, writer in self.writers.items()})
        journal.put("counts", dict(self.counts))
        journal.put("bad", self.bad)
        journal.put("place", self._place)
        for number, count in self._kept.items():
            facts = journal.source(number)
            journal.put_source(number, {**facts, "documents": facts.get("documents", 0) + count})
        self._kept.clear()
        journal.commit()

    def _progress(self, chunk: Chunk) -> PrepareProgress:
        at = self.work.progress("encoding", chunk.place[0])
        written = [writer.written for writer in self.writers.values()]
        return PrepareProgress(
            stage="encoding",
            read=at.read,
            size=at.size,
            documents=sum(part.documents for part in written),
            tokens=sum(part.tokens for part in written),
            text_bytes=sum(part.text_bytes for part in written),
        )

    def finish(self) -> dict[str, Any]:
        """The parts' entries in the manifest."""
        return {part: writer.finish() for part, writer in self.writers.items()}

    def close(self) -> None:
        """Close the files; what was not committed is lost."""
        for writer in self.writers.values():
            writer.abandon()
