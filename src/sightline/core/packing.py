"""Packing: a padded batch's real tokens side by side, so that dense layers compute nothing for padding.

Norms, projections and feed-forwards look at one token at a time and do not care where it lies; attention does, and gets
rows again. What lies where is known before the layers run, and every layer shares it.

Shapes: B batch, T tokens, N real tokens of all rows, W width.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sightline.core.sight import Sight

MOVE = 16  # numbers of a token that dense layers compute while another token is moved; docs/performance.md
START = 2**20  # what they multiply in each matrix, W by W, while a layer's moves are started


class Packing(Protocol):
    """How tokens lie while the layers run."""

    def pack(self, rows: Tensor) -> Tensor:
        """(B, T, W), as a batch comes, → as dense layers take it."""

    def spread(self, x: Tensor) -> Tensor:
        """As dense layers give it → (B, T, W), whatever where padded; what lies in rows stays as it is."""

    def unpack(self, x: Tensor) -> Tensor:
        """As dense layers give it → (B, T, W), zeros where padded; what lies in rows stays as it is."""


class _InRows:
    """Tokens stay where they are."""

    def pack(self, rows: Tensor) -> Tensor:
        return rows

    def spread(self, x: Tensor) -> Tensor:
        return x

    def unpack(self, x: Tensor) -> Tensor:
        return x


IN_ROWS = _InRows()


class RealTokens:
    """Real tokens only, (N, W).

    >>> packing = RealTokens(torch.tensor([[True, True], [False, True]]))
    >>> packing.pack(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])).flatten().tolist()
    [1.0, 2.0, 4.0]
    >>> packing.unpack(torch.tensor([[1.0], [2.0], [4.0]])).flatten().tolist()
    [1.0, 2.0, 0.0, 4.0]
    """

    def __init__(self, real: Tensor) -> None:
        self.real = real
        self.places = real.flatten().nonzero().flatten()  # (N,), where each lies in B · T
        number = (real.flatten().cumsum(0) - 1).view(real.shape)
        own = number.gather(1, real.int().argmax(-1, keepdim=True))  # padding is given its row's first token: no mate's
        self.numbers = torch.where(real, number, own).clamp(min=0).flatten()  # (B · T,)

    def pack(self, rows: Tensor) -> Tensor:
        return rows.flatten(0, 1).index_select(0, self.places)

    def spread(self, x: Tensor) -> Tensor:
        return x if x.dim() == 3 else x.index_select(0, self.numbers).view(*self.real.shape, -1)

    def unpack(self, x: Tensor) -> Tensor:
        return x if x.dim() == 3 else torch.where(self.real[..., None], self.spread(x), 0.0)


def packing_for(rows: Tensor, sight: Sight) -> Packing:
    """What suits these queries (B, T, W), from facts known on the host: rows, where little or nothing is padded.

    Measured on CPUs, so elsewhere tokens stay where they are.
    """
    real = sight.queries.real
    if real is None or real.device.type != "cpu" or real.shape != rows.shape[:2] or torch.compiler.is_compiling():
        return IN_ROWS
    tokens, width = real.numel(), rows.shape[-1]
    padding = tokens - int(real.sum())
    if padding == tokens or padding * width < MOVE * tokens or padding * width**2 < START:
        return IN_ROWS
    return RealTokens(real)
