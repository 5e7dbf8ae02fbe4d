"""A corpus as steps: documents shuffled anew in each pass, one behind the other, cut into rows of one length.

Nothing is padded. A row may hold several documents and parts of some; who belongs to whom travels with it, so that
under `SameDocument` nobody looks into another's text.

    Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination"; GPT-BERT's and GPT-2's rows are cut
    like these.

Shapes: B rows, T tokens of a row, N documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy
import torch

from sightline.core.check import whole
from sightline.errors import ConfigError, InputError
from sightline.objectives.objective import Batch
from sightline.objectives.text import TextObjective, TextRows
from sightline.text.corpus import Documents
from sightline.text.words import Words


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Some steps of one shape: how many, how many rows each reads, and how many tokens a row has."""

    steps: int
    rows: int
    tokens: int

    def __post_init__(self) -> None:
        for name in ("steps", "rows", "tokens"):
            whole(name, getattr(self, name))


@dataclass(frozen=True)
class _Place:
    """A place in the stream of all passes: which pass, and how many of its tokens lie before."""

    number: int
    offset: int


class PackedSteps:
    """Documents as steps of an objective of running text; what a step reads is a pure function of its number.

    documents   what is read, such as `open_corpus(folder).train`
    objective   what is asked of it
    words       what is known of its tokens: `words_of(corpus.tokenizer)`
    stages      the shapes of the steps, one stage after the other; a later one reads on where the one before it stopped
    seed        of the order of documents in each pass, and of all that the objective draws
    micro_rows  a batch of more rows than this is cut into micro-batches; changes rounding, and what
                dropout draws. None: never

    Pass p reads the documents in the order `default_rng((seed, p)).permutation(N)`, as one stream. A row is T tokens of
    it and the one behind them, with which the next row begins: so each token of a pass is asked for once. What is left
    at the end of a pass, less than a row, is not read. Step s draws from `default_rng((seed, 1, s))`. The documents'
    lengths and order are held in memory, 24 bytes a document.

    >>> from sightline.objectives.causal import CausalLM
    >>> stages = [Stage(steps=2, rows=4, tokens=64), Stage(steps=6, rows=2, tokens=128)]
    >>> steps = PackedSteps(corpus.train, CausalLM(), words, stages=stages, seed=0)  # doctest: +SKIP
    >>> for progress in fit(training, steps): ...  # doctest: +SKIP
    """

    def __init__(
        self,
        documents: Documents,
        objective: TextObjective,
        words: Words,
        *,
        stages: Sequence[Stage],
        seed: int = 0,
        micro_rows: int | None = None,
    ) -> None:
        whole("seed", seed, least=0)
        if micro_rows is not None:
            whole("micro_rows", micro_rows)
        if not stages:
            raise ConfigError("there are no stages; give at least one, as Stage(steps=1000, rows=64, tokens=128)")
        longest = max(stage.tokens for stage in stages)
        if documents.tokens <= longest:
            raise InputError(
                f"there are {documents.tokens} tokens in all, too few for a row of {longest} and what follows it: give"
                " more text, or shorter rows"
            )
        self.documents, self.objective, self.words = documents, objective, words
        self.stages, self.seed, self.micro_rows = tuple(stages), seed, micro_rows
        self._begins = [_Place(0, 0)]
        for stage in self.stages[:-1]:
            self._begins.append(self._later(self._begins[-1], stage.steps * stage.rows, stage.tokens))
        self._passes: dict[int, tuple[numpy.ndarray, numpy.ndarray]] = {}

    def __len__(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> Stage:
        """The stage that a step belongs to."""
        return self._stage(range(len(self))[step])[0]

    def rows(self, step: int) -> TextRows:
        """What a step reads, before the objective asks anything of it."""
        stage, begin, before = self._stage(range(len(self))[step])
        first = self._later(begin, before * stage.rows, stage.tokens)
        ids = numpy.empty((stage.rows, stage.tokens + 1), numpy.int64)
        documents = numpy.empty_like(ids)
        numbers = []
        for row in range(stage.rows):
            place = self._begin(self._later(first, row, stage.tokens), stage.tokens)
            numbers.append(1 + self._read(place, ids[row], documents[row]))
        return TextRows(ids=torch.from_numpy(ids), documents=torch.from_numpy(documents), numbers=tuple(numbers))

    def __getitem__(self, step: int) -> list[Batch]:
        return self.asked(step, range(len(self))[step] / len(self))

    def asked(self, step: int, done: float) -> list[Batch]:
        """What a step asks when the share `done` of the training is over, whenever that is."""
        step = range(len(self))[step]
        random = numpy.random.default_rng((self.seed, 1, step))
        batches = self.objective.batches(self.rows(step), self.words, random, done)
        return batches if self.micro_rows is None else list(cut(batches, self.micro_rows))

    def passes(self, step: int) -> float:
        """How often the documents are read before a step: 1.5 is once, and half of them again."""
        stage, begin, before = self._stage(range(len(self))[step])
        place = self._later(begin, before * stage.rows, stage.tokens)
        return place.number + place.offset / self.documents.tokens

    def _stage(self, step: int) -> tuple[Stage, _Place, int]:
        """The stage of a step, where it begins, and how many of its steps come before."""
        for stage, begin in zip(self.stages, self._begins, strict=True):
            if step < stage.steps:
                return stage, begin, step
            step -= stage.steps
        raise IndexError(step)

    def _begin(self, place: _Place, tokens: int) -> _Place:
        """Where a row begins that is read next: there, or in the next pass, where this one has too little left."""
        return place if self.documents.tokens - 1 - place.offset >= tokens else _Place(place.number + 1, 0)

    def _later(self, place: _Place, rows: int, tokens: int) -> _Place:
        """The place behind so many rows."""
        here = (self.documents.tokens - 1 - place.offset) // tokens
        if rows <= here:
            return _Place(place.number, place.offset + rows * tokens)
        passes, last = divmod(rows - here - 1, (self.documents.tokens - 1) // tokens)
        return _Place(place.number + 1 + passes, (last + 1) * tokens)

    def _order(self, number: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The documents of a pass in their order, and where each ends in its stream. Two passes are remembered: a step
        may read the end of one and the beginning of the next."""
        if number not in self._passes:
            order = numpy.random.default_rng((self.seed, number)).permutation(len(self.documents))
            for old in [each for each in self._passes if each != number - 1]:
                del self._passes[old]
            self._passes[number] = order, numpy.cumsum(self.documents.lengths[order])
        return self._passes[number]

    def _read(self, place: _Place, ids: numpy.ndarray, documents: numpy.ndarray) -> int:
        """Fill a row (T + 1,) with the tokens from `place` on, and with which document of the row each is of; the index
        of the first of them."""
        order, ends = self._order(place.number)
        at = int(numpy.searchsorted(ends, place.offset, side="right"))
        begin = place.offset - (int(ends[at - 1]) if at else 0)
        first, filled, segment = int(order[at]), 0, 0
        while filled < len(ids):
            piece = self.documents[int(order[at])][begin : begin + len(ids) - filled]
            ids[filled : filled + len(piece)] = piece
            documents[filled : filled + len(piece)] = segment
            filled, segment = filled + len(piece), segment + bool(len(piece))
            at, begin = at + 1, 0
        return first

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what is read when: `Training(…, data=steps.fingerprint)`."""
        settings = (self.stages, self.seed, self.objective, self.documents.fingerprint, len(self.words))
        return hashlib.sha256(repr(settings).encode()).hexdigest()


def cut(batches: Iterable[Batch], most: int) -> Iterable[Batch]:
    """The same batches in parts of at most so many rows; all that the objective drew was drawn before."""
    for batch in batches:
        count = len(batch.rows)
        for begin in range(0, count, most):
            end = min(begin + most, count)
            inputs = {name: values[begin:end] for name, values in batch.inputs.items()}
            tokens = batch.tokens * end // count - batch.tokens * begin // count
            yield replace(
                batch, inputs=inputs, targets=batch.targets[begin:end], rows=batch.rows[begin:end], tokens=tokens
            )
