"""Relative positions: scores that depend on how far a key is from a query, and on nothing else of where they stand.

    Dai et al. 2019, "Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context", section 3.3; XLNet (Yang
    et al. 2019, section 2.4) reads them alike.

Distances are few, at most queries + keys, and pairs are many. So sinusoids are made for each distance that occurs, once
a forward for all layers; each layer projects them, multiplies them with its queries, and only these scores are dealt
out to the pairs, by their coordinates: padded, packed and remembered tokens need no case of their own.

Shapes: B batch, H heads, Q queries, K keys, R distances, D head width, W model width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sightline.core.check import whole
from sightline.core.dropout import Dropout
from sightline.core.linear import Linear
from sightline.core.sight import Sight
from sightline.errors import ConfigError


def sinusoids(distances: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of distance × 10000^(−2k/W) for k = 0 … W/2 − 1: (R,) → (R, W), float32.

    Vaswani et al. 2017, section 3.5, with all sines first, as Transformer-XL's and XLNet's weights have learned them.

    >>> sinusoids(torch.tensor([0, 7]), 4).shape
    torch.Size([2, 4])
    """
    frequency = 1 / 10000 ** (torch.arange(0, width, 2, dtype=torch.float32, device=distances.device) / width)
    angle = distances.float()[:, None] * frequency  # (R, W/2)
    return torch.cat([angle.sin(), angle.cos()], -1)


class RelativePositions(nn.Module):
    """query · W_R sinusoid(query's position − key's position), for every pair: (B, H, Q, D) → (B, H, Q, K).

    width       W, of the sinusoids: even
    heads       H, each D = head_width wide
    clamp       distances beyond it, on either side, count as it; None: each counts as it is
    dropout     of the sinusoids, in training; all layers of one forward see the same ones dropped
    """

    def __init__(
        self, width: int, *, heads: int, head_width: int, clamp: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if width % 2:
            raise ConfigError(f"width={width} must be even: a sinusoid has a sine and a cosine for each frequency")
        if clamp is not None:
            whole("clamp", clamp)
        self.width, self.heads, self.clamp = width, heads, clamp
        self.project = Linear(width, heads * head_width, bias=False)  # W_R
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, sight: Sight) -> Tensor:
        """query (B, H, Q, D), with what the model adds to it, scaled → scores (B, H, Q, K)."""
        table = sight.shared(("sinusoids", self.width, self.clamp), lambda: self.dropout(self._table(sight)))
        projected = self.project(table.to(query.dtype)).unflatten(-1, (self.heads, -1))  # (R, H, D)
        return sight.distances.spread(query @ projected.permute(1, 2, 0))

    def _table(self, sight: Sight) -> Tensor:
        """(R, W)."""
        distances = sight.distances.values
        near = distances if self.clamp is None else distances.clamp(-self.clamp, self.clamp)
        return sinusoids(near, self.width)
