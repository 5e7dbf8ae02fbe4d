"""Log-probabilities of picked words, without the vocabulary of probabilities around them.

Logits of a whole vocabulary are the largest tensors that a small language model has. Softmax in float32, as usual code
writes it, holds four more of their size, twice as wide where logits are bfloat16, and spends most of its time moving
them. Here the sums run over a few rows at a time, in numbers that stay in the processor's cache; only the logits are
kept, and only their gradient is written.

Shapes: N tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CACHED = {"cpu": 2**20}  # logits that are looked at together: 4 MB of them in float32
ELSEWHERE = 2**27


def _parts(logits: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """A few rows of logits (N, V) at a time: which, and a wide copy of them that may be written to until the next."""
    rows, words = logits.shape
    some = max(1, CACHED.get(logits.device.type, ELSEWHERE) // max(words, 1))
    room = logits.new_empty((min(some, rows), words), dtype=torch.promote_types(logits.dtype, torch.float32))
    for begin in range(0, rows, some):
        part = slice(begin, min(begin + some, rows))
        yield part, room[: part.stop - begin].copy_(logits[part])


class _Picked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(logits.dtype, torch.float32)
        # Above the largest logit lies what log Σ exp has more: apart, both keep their last bits.
        wanted, largest, above = logits.new_empty((3, len(logits)), dtype=wide)
        for part, some in _parts(logits):
            torch.amax(some, -1, out=largest[part])
            wanted[part] = some.sub_(largest[part, None]).gather(-1, targets[part, None])[:, 0]
            above[part] = some.exp_().sum(-1).log_()
        ctx.save_for_backward(logits, targets, largest, above)
        return wanted - above, largest + above

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_found: Tensor, by_normalizer: Tensor) -> tuple[Tensor, None]:
        logits, targets, largest, above = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        factor = (by_normalizer - by_found) * (-above).exp()  # of exp(logit − largest)
        for part, some in _parts(logits):
            some.sub_(largest[part, None]).exp_().mul_(factor[part, None])
            gradient[part] = some.scatter_add_(-1, targets[part, None], by_found[part, None])
        return gradient, None


def picked(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probability of each target, and the log Σ exp of its row: both (N,), in nats, in float32 at least.

    logits   (N, V), of any floating type
    targets  (N,), ids below V

    >>> picked(torch.zeros(1, 4), torch.tensor([2]))
    (tensor([-1.3863]), tensor([1.3863]))
    """
    apply: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = _Picked.apply
    return apply(logits, targets)
