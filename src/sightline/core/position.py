"""Positions: how a network is told where its tokens stand. Read from coordinates, never from array indices."""

from __future__ import annotations

from torch import Tensor, nn

from sightline.core.coordinates import Coordinates


class LearnedPositions(nn.Module):
    """One learned vector a position (Devlin et al. 2019; Radford et al. 2019).

    offset: rows at the top of the table that no token ever reads (RoBERTa and BART keep two).
    """

    def __init__(self, positions: int, width: int, offset: int = 0) -> None:
        super().__init__()
        self.table = nn.Embedding(positions + offset, width)
        self.offset = offset

    def forward(self, at: Coordinates) -> Tensor:
        """(B or 1, T, W)."""
        return self.table(at.position + self.offset)
