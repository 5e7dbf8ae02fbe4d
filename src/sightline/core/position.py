"""Positions: how a network is told where its tokens stand. Read from coordinates, never from array indices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightline.core.coordinates import Coordinates
from sightline.core.sight import Sight
from sightline.errors import ConfigError

ENDLESS = 2**30
"""Positions of a network that knows them only relative to each other: more than any text has."""


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


@dataclass(frozen=True)
class Rotary:
    """Queries and keys turned by their positions, so that query · key depends on how far they are from each other.

    Su et al. 2021, "RoFormer", equation 34. Numbers i and i + D/2 of a head are a point in the plane, which is turned
    by position · base^(−2i/D). Angles are float32, as in transformers, made once a forward for all layers of a base.

    width  D, of one head: even
    base   higher bases turn more slowly, for texts that reach farther

    >>> from sightline.core.mask import Causal
    >>> sight = Sight(Causal(), Coordinates.consecutive(3))
    >>> Rotary(4).query(torch.ones(1, 1, 3, 4), sight).shape
    torch.Size([1, 1, 3, 4])
    """

    width: int
    base: float = 10_000.0

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2:
            raise ConfigError(f"rotary positions turn pairs, and a head is {self.width} numbers wide; make that even")
        if not 0 < self.base < float("inf"):
            raise ConfigError(f"a rotary base of {self.base!r} turns nothing; give a number above 0, such as 10000.0")

    def query(self, query: Tensor, sight: Sight) -> Tensor:
        """(B, H, Q, D), of the sight's queries."""
        return self._turned(query, sight.queries, sight)

    def key(self, key: Tensor, sight: Sight) -> Tensor:
        """(B, H, S, D), of the last S of the sight's keys: a cache holds earlier ones as they were turned then."""
        tokens, queries, keys = key.shape[-2], sight.queries, sight.keys

        def places() -> Coordinates:
            last = keys if tokens == keys.tokens else keys.slice(-tokens, keys.tokens)
            return queries if last.same_places(queries) else last

        return self._turned(key, sight.shared(("projected", tokens), places), sight)

    def _turned(self, x: Tensor, at: Coordinates, sight: Sight) -> Tensor:
        which = "queries" if at is sight.queries else at.tokens  # keys are told apart by how many there are
        cos, sin = sight.shared(("rotary", self, which, x.dtype), lambda: self._angles(at.position, x.dtype))
        wide = x.to(cos.dtype)
        return torch.addcmul(wide * cos, wide.roll(self.width // 2, -1), sin).to(x.dtype)

    def _angles(self, position: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Factors of each number and of its partner D/2 away, each (B or 1, 1, T, D): cosines; sines, negative for the
        first of the two. Numbers of 16 bits are turned in 32, which loses nothing."""
        index = torch.arange(0, self.width, 2, dtype=torch.float32, device=position.device)
        angle = position[:, None, :, None].float() * (1.0 / self.base ** (index / self.width))
        wide = torch.promote_types(dtype, torch.float32)
        cos, sin = angle.cos(), angle.sin()
        return torch.cat([cos, cos], -1).to(wide), torch.cat([-sin, sin], -1).to(wide)
