"""A corpus as steps: documents in a new order each pass, one behind the other, cut into rows of one length, and these
shuffled too, lest a long novel be all that many steps in a row read.

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
from numpy.typing import NDArray

from sightline.core.check import whole
from sightline.errors import ConfigError, InputError
from sightline.objectives.objective import Batch
from sightline.objectives.text import TextObjective, TextRows
from sightline.text.corpus import Documents
from sightline.text.words import Words
from sightline.training.shuffled import keys_of, shuffled


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Some steps of one shape: how many, how many rows each reads, and how many tokens a row has."""

    steps: int
    rows: int
    tokens: int

    def __post_init__(self) -> None:
        for name in ("steps", "rows", "tokens"):
            whole(name, getattr(self, name))


def stage_of(stages: Sequence[Stage], step: int) -> tuple[int, int]:
    """The number of a step's stage, and how many of its steps come before. IndexError behind the last."""
    for number, stage in enumerate(stages):
        if step < stage.steps:
            return number, step
        step -= stage.steps
    raise IndexError(step)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pass:
    """How the documents are read in a pass.

    order  (N,) the documents, one behind the other
    ends   (N,) where each of them ends
    keys   of the order in which the rows are read
    """

    order: NDArray[numpy.int64]
    ends: NDArray[numpy.int64]
    keys: Sequence[int]


class PackedSteps:
    """Documents as steps of an objective of running text; what a step reads is a pure function of its number.

    documents   what is read, such as `open_corpus(folder).train`
    objective   what is asked of it
    words       what is known of its tokens: `words_of(corpus.tokenizer)`
    stages      the shapes of the steps, one stage after the other; each begins a pass of its own
    seed        of the orders of documents and rows in each pass, and of all that the objective draws
    micro_rows  a batch of more rows than this is cut into micro-batches; changes rounding, and what
                dropout draws. None: never

    A pass lays the documents in an order that it draws, as one stream. A row is T tokens of it and the one behind them,
    with which another row begins: so each token of a pass is asked for once. What is left at the end, less than a row,
    is not read. The rows are read in another order that is drawn (`shuffled`). Pass p of stage k draws both orders from
    `default_rng((seed, 2, k, p))`, and what step s asks is drawn from `default_rng((seed, 1, s))`. The documents'
    lengths and orders are held in memory, 40 bytes a document.

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
        self._passes: dict[tuple[int, int], _Pass] = {}

    def __len__(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def rows(self, step: int) -> TextRows:
        """What a step reads, before the objective asks anything of it."""
        at, before = stage_of(self.stages, range(len(self))[step])
        stage = self.stages[at]
        in_a_pass = self._rows_of(at)
        ids = numpy.empty((stage.rows, stage.tokens + 1), numpy.int64)
        documents = numpy.empty_like(ids)
        numbers = []
        for row in range(stage.rows):
            turn, index = divmod(before * stage.rows + row, in_a_pass)
            read = self._pass(at, turn)
            offset = shuffled(index, in_a_pass, read.keys) * stage.tokens
            numbers.append(1 + self._read(read, offset, ids[row], documents[row]))
        return TextRows(ids=torch.from_numpy(ids), documents=torch.from_numpy(documents), numbers=tuple(numbers))

    def __getitem__(self, step: int) -> list[Batch]:
        return self.asked(step, range(len(self))[step] / len(self))

    def asked(self, step: int, done: float) -> list[Batch]:
        """What a step asks when the share `done` of the training is over, whenever that is."""
        step = range(len(self))[step]
        random = numpy.random.default_rng((self.seed, 1, step))
        batches = self.objective.batches(self.rows(step), self.words, random, done)
        return batches if self.micro_rows is None else list(cut(batches, self.micro_rows))

    def _rows_of(self, stage: int) -> int:
        """How many rows a pass of a stage has."""
        return (self.documents.tokens - 1) // self.stages[stage].tokens

    def _pass(self, stage: int, turn: int) -> _Pass:
        """A pass of a stage. Two are remembered: a step may read the end of one and the beginning of the next."""
        if (stage, turn) not in self._passes:
            for old in [each for each in self._passes if each != (stage, turn - 1)]:
                del self._passes[old]
            random = numpy.random.default_rng((self.seed, 2, stage, turn))
            order = random.permutation(len(self.documents))
            keys = keys_of(random, self._rows_of(stage))
            self._passes[stage, turn] = _Pass(order=order, ends=self.documents.lengths[order].cumsum(), keys=keys)
        return self._passes[stage, turn]

    def _read(self, read: _Pass, offset: int, ids: numpy.ndarray, documents: numpy.ndarray) -> int:
        """Fill a row (T + 1,) with a pass's tokens from `offset` on, and with which document of the row each is of;
        the index of the first of them."""
        at = int(numpy.searchsorted(read.ends, offset, side="right"))
        begin = offset - (int(read.ends[at - 1]) if at else 0)
        first, filled, segment = int(read.order[at]), 0, 0
        while filled < len(ids):
            piece = self.documents[int(read.order[at])][begin : begin + len(ids) - filled]
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
