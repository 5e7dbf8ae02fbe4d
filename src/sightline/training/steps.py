"""Steps: what a training reads, as a sequence that is a pure function of its index.

`steps[i]` is always the same list of micro-batches, whatever was read before it. So a training that was interrupted
goes on at its step, and no iterator has a state that could be lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy
import torch
from torch import Tensor

from sightline.errors import ConfigError, InputError
from sightline.objectives.objective import Batch
from sightline.text.batches import by_length
from sightline.text.encoding import pad, real_tokens
from sightline.text.windows import Row

POOL = 50  # batches that are sorted together, at most: more would save little padding


class Steps(Protocol):
    """Optimizer steps, each a list of micro-batches: any sequence of lists of Batch will do."""

    def __len__(self) -> int:
        """How many optimizer steps there are."""
        ...

    def __getitem__(self, index: int, /) -> list[Batch]:
        """The micro-batches of one step."""
        ...


def shuffled(lengths: Sequence[int], batch_rows: int, seed: int, number: int) -> list[list[int]]:
    """One pass over all rows in batches whose rows are of similar length: indices, every row once.

    Rows are shuffled, dealt into pools of 50 batches, sorted by length within each pool, cut into batches, and the
    batches shuffled. There are at least two pools: in a single one, the same rows would meet in every pass. All batches
    have as many rows, give or take one. The result depends on the lengths, `batch_rows`, `seed` and the pass's
    `number`, and on nothing else.
    """
    random = numpy.random.default_rng((seed, number))
    order = random.permutation(len(lengths))
    sizes = [len(part) for part in numpy.array_split(order, -(-len(lengths) // batch_rows))]
    batches: list[list[int]] = []
    begin = 0
    pool_batches = min(POOL, -(-len(sizes) // 2))
    for first in range(0, len(sizes), pool_batches):
        of_pool = sizes[first : first + pool_batches]
        pool = sorted(order[begin : begin + sum(of_pool)].tolist(), key=lengths.__getitem__)
        begin += sum(of_pool)
        at = 0
        for size in of_pool:
            batches.append(pool[at : at + size])
            at += size
    return [batches[index] for index in random.permutation(len(batches))]


class LabelledSteps:
    """Labelled rows as steps: some passes over all rows, each in an order of its own.

    rows          one a text (or window, or pair), as `encode_rows` makes them
    targets       (N,): class ids (int64) or numbers (float64)
    filler        the token id that fills rows up: the tokenizer's padding token, or any where there is none
    batch_rows    rows of one optimizer step
    passes        how often every row is read
    seed          of the order
    batch_tokens  a step with more tokens than this, padding included, is cut into micro-batches; None: never
    lengths       what "similar length" goes by; default: tokens. The order of the rows depends on these, `batch_rows`
                  and `seed` only: models with different tokenizers that are to see the same batches need the same
                  lengths, such as those of the texts in characters
    numbers       the rows' numbers in the user's file, for messages; default: from 1

    >>> steps = LabelledSteps(rows, targets, filler=0, batch_rows=32, passes=3, seed=0)  # doctest: +SKIP
    >>> for progress in fit(training, steps): ...  # doctest: +SKIP
    """

    def __init__(
        self,
        rows: Sequence[Row],
        targets: Sequence[int] | Sequence[float] | numpy.ndarray,
        *,
        filler: int,
        batch_rows: int,
        passes: int,
        seed: int,
        batch_tokens: int | None = None,
        lengths: Sequence[int] | None = None,
        numbers: Sequence[int] | None = None,
    ) -> None:
        for name, value in (("batch_rows", batch_rows), ("passes", passes), ("batch_tokens", batch_tokens)):
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} must be 1 or more")
        self.rows, self.filler = rows, filler
        self.targets = torch.as_tensor(numpy.asarray(targets))
        self.lengths = [len(row.ids) for row in rows] if lengths is None else list(lengths)
        self.numbers = range(1, len(rows) + 1) if numbers is None else numbers
        self.batch_rows, self.passes, self.seed, self.batch_tokens = batch_rows, passes, seed, batch_tokens
        for name, many in (("targets", self.targets), ("lengths", self.lengths), ("numbers", self.numbers)):
            if len(many) != len(rows):
                raise InputError(f"there are {len(rows)} rows and {len(many)} {name}; give one for each row")
        if not rows:
            raise InputError("there are no rows to learn from; give at least one")
        for number, row in zip(self.numbers, rows, strict=True):
            if not row.ids:
                raise InputError(f"row {number} has no token; leave it out")
        self._pass: tuple[int, list[list[int]]] = (-1, [])

    @property
    def steps_per_pass(self) -> int:
        """How many optimizer steps read every row once."""
        return -(-len(self.rows) // self.batch_rows)

    def __len__(self) -> int:
        return self.passes * self.steps_per_pass

    def indices(self, step: int) -> list[int]:
        """Which rows `step` reads, by their index."""
        number, place = divmod(range(len(self))[step], self.steps_per_pass)
        held, batches = self._pass
        if held != number:
            batches = shuffled(self.lengths, self.batch_rows, self.seed, number)
            self._pass = number, batches
        return batches[place]

    def __getitem__(self, step: int) -> list[Batch]:
        indices = self.indices(step)
        if self.batch_tokens is None:
            return [self._batch(indices)]
        parts = by_length([len(self.rows[index].ids) for index in indices], self.batch_tokens)
        return [self._batch([indices[place] for place in part]) for part in parts]

    def _batch(self, indices: list[int]) -> Batch:
        rows = [self.rows[index] for index in indices]
        real = [len(row.ids) for row in rows]
        width = max(real)
        inputs: dict[str, Tensor] = {"input_ids": pad([row.ids for row in rows], width, self.filler, "right")}
        if min(real) < width:
            inputs["attention_mask"] = real_tokens(real, width, "right")
        if rows[0].types is not None:
            inputs["token_type_ids"] = pad([row.types or [] for row in rows], width, 0, "right")
        numbers = tuple(self.numbers[index] for index in indices)
        return Batch(inputs=inputs, targets=self.targets[indices], rows=numbers, tokens=sum(real))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what is read when: `Training(…, data=steps.fingerprint)`."""
        digest = hashlib.sha256(
            repr((self.filler, self.batch_rows, self.passes, self.seed, self.batch_tokens)).encode()
        )
        digest.update(numpy.asarray(self.lengths, dtype=numpy.int64).tobytes())
        digest.update(self.targets.numpy().tobytes())
        for row in self.rows:
            digest.update(numpy.asarray([len(row.ids), *row.ids, *(row.types or [])], dtype=numpy.int64).tobytes())
        return digest.hexdigest()
