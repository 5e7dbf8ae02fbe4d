"""One long text as steps: rows that read on from batch to batch, with or without a memory of what they read.

    Dai et al. 2019, "Transformer-XL", section 3.2: segment-level recurrence.

Shapes: B rows, T tokens of a segment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property

import numpy
import torch
from torch import Tensor

from sightline.core.cache import Cache, Memory
from sightline.core.check import whole
from sightline.core.coordinates import Coordinates
from sightline.errors import InputError
from sightline.objectives.objective import Batch


class StreamSteps:
    """A stream of tokens cut into rows that lie side by side; each step reads the next segment of every row.

    ids            int64 (N,), the whole stream
    rows           how many pieces the stream is cut into: rows of a batch
    tokens         of a segment
    steps          how many there are; after the last segment the stream begins again
    memory_length  how many tokens of earlier segments each row remembers; None: it forgets what it has read
    seed           each pass over the stream begins at another token, drawn by it, so that no two cut it alike

    What a step reads is a pure function of its number. What it remembers is not: the memory is of the steps before it,
    in this order, and empty wherever a pass begins or a step is asked for out of turn. So a checkpoint holds it too:

        save(folder, training, tensors=steps.remembered())
        found = restore(folder, training)
        steps.go_on(found.step, found.tensors)

    >>> StreamSteps(torch.arange(100), rows=2, tokens=8, steps=3)[0][0].inputs["input_ids"].shape
    torch.Size([2, 8])
    """

    def __init__(
        self, ids: Tensor, *, rows: int, tokens: int, steps: int, memory_length: int | None = None, seed: int = 0
    ) -> None:
        for name, value in (("rows", rows), ("tokens", tokens), ("steps", steps)):
            whole(name, value)
        if memory_length is not None:
            whole("memory_length", memory_length)
        if ids.dim() != 1 or ids.is_floating_point():
            raise InputError(f"a stream is one row of token ids, not {ids.dtype} of shape {tuple(ids.shape)}")
        if len(ids) < rows * (tokens + 1) + tokens:
            raise InputError(
                f"the stream has {len(ids)} tokens, too few for {rows} rows of {tokens}: give fewer, or shorter ones"
            )
        self.ids, self.rows, self.tokens, self.steps = ids.long(), rows, tokens, steps
        self.memory_length, self.seed = memory_length, seed
        self._memory: Cache | None = None
        self._next = -1  # the step that the memory is of

    @property
    def steps_per_pass(self) -> int:
        """How many steps read the stream once; what is left at its end, less than a segment a row, is not read."""
        return ((len(self.ids) - self.tokens) // self.rows - 1) // self.tokens

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> list[Batch]:
        number, segment = divmod(range(len(self))[step], self.steps_per_pass)
        random = numpy.random.default_rng((self.seed, number))
        begin = int(random.integers(self.tokens)) + segment * self.tokens
        length = self.steps_per_pass * self.tokens + 1  # of a row, its last target included
        starts = begin + torch.arange(self.rows)[:, None] * (length - 1)
        read = self.ids[starts + torch.arange(self.tokens + 1)]  # (B, T + 1)
        return [
            Batch(
                inputs={"input_ids": read[:, :-1]},
                targets=read[:, 1:],
                rows=tuple(range(1, self.rows + 1)),
                tokens=self.rows * self.tokens,
                memory=self._remembered(step, fresh=segment == 0),
            )
        ]

    def _remembered(self, step: int, *, fresh: bool) -> Cache | None:
        """The memory of the steps before this one, which is to be read now."""
        if self.memory_length is None:
            return None
        if fresh or self._memory is None or step != self._next:
            self._memory = Memory(length=self.memory_length)
        self._next = step + 1
        return self._memory

    def remembered(self) -> dict[str, Tensor]:
        """What the rows remember after the last step that was taken: a name and states (B, K, W) for each layer."""
        held = [] if self._memory is None else self._memory.held()
        return {f"memory.{layer}": states for layer, (states,) in enumerate(held)}

    def go_on(self, step: int, remembered: Mapping[str, Tensor], device: torch.device | str = "cpu") -> None:
        """Let `step`, counted from 0, be the next, and the rows remember on `device` what they remembered then."""
        self._memory, self._next = None, step
        if self.memory_length is not None and remembered:
            held = [(remembered[f"memory.{layer}"].to(device),) for layer in range(len(remembered))]
            tokens = held[0][0].shape[1]
            read = step % self.steps_per_pass * self.tokens  # of each row in this pass
            self._memory = Memory(length=self.memory_length)
            self._memory.refill(Coordinates.consecutive(tokens, start=read - tokens, device=device), held)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what is read when: `Training(…, data=steps.fingerprint)`."""
        settings = (self.rows, self.tokens, self.steps, self.memory_length, self.seed)
        digest = hashlib.sha256(repr(settings).encode())
        digest.update(self.ids.numpy().tobytes())
        return digest.hexdigest()
