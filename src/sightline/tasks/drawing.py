"""A mask drawn for a terminal: a few tokens in a row, who of them may attend to whom.

    >>> print(draw(Causal(), tokens=3))
            key 0 1 2
    query 0     ■ · ·
          1     ■ ■ ·
          2     ■ ■ ■

Shapes: T tokens, all of them queries and keys.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sightline.core.check import whole
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask, NotItself, NotPadding, Permuted, SameDocument
from sightline.core.reach import size_of

SEES, BLIND = "■", "·"
SEED = 0  # of the order that a permuted mask is shown under


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A mask on a few tokens.

    rows     a text a query, a sign a key: ■ may attend, · may not
    example  what was made up to draw it (an order, padding), and what so few tokens cannot show; empty where nothing
    """

    rows: tuple[str, ...]
    example: str

    def __str__(self) -> str:
        digits = len(str(len(self.rows) - 1))
        lines = [f"{'key':>11} " + " ".join(f"{key:>{digits}}" for key in range(len(self.rows)))]
        for query, row in enumerate(self.rows):
            asks = "query" if query == 0 else ""
            lines.append(f"{asks:5} {query:<5} " + " ".join(f"{sign:>{digits}}" for sign in row))
        return "\n".join(lines)


def _listed(numbers: torch.Tensor) -> str:
    return " ".join(str(number) for number in numbers.tolist())


def example(mask: Mask, tokens: int) -> tuple[Coordinates, str]:
    """Coordinates of `tokens` tokens that show what the mask tells apart, and in words what was made up."""
    kinds = {type(leaf) for leaf in mask.leaves()}
    position = torch.arange(tokens)
    rank = document = real = blind = None
    said = []
    if Permuted in kinds:
        rank = torch.randperm(tokens, generator=torch.Generator().manual_seed(SEED)) + 1
        said.append(f"an example order, drawn with seed {SEED}: token 0 to {tokens - 1} come as number {_listed(rank)}")
    if SameDocument in kinds:
        first = tokens - tokens // 2
        document = (position >= first).long()
        position = torch.where(document == 1, position - first, position)
        said.append(f"an example of two packed texts, the second from token {first} on")
    if NotPadding in kinds:
        real = torch.arange(tokens) < tokens - tokens // 4
        said.append(f"an example row whose last {tokens // 4} tokens are padding")
    if NotItself in kinds:
        blind = torch.ones(tokens, dtype=torch.bool)
        said.append("an example in which every token asks for its own place, blind for what stands there")
    wide = [leaf for leaf in mask.leaves() if size_of(leaf) >= tokens]
    said += [f"{leaf} reaches over all {tokens} tokens drawn here" for leaf in wide]
    rank, document, real, blind = (None if field is None else field[None] for field in (rank, document, real, blind))
    at = Coordinates(position=position[None], rank=rank, document=document, real=real, blind=blind)
    return at, "; ".join(dict.fromkeys(said))


def draw(mask: Mask, tokens: int = 8) -> Drawing:
    """`mask` on `tokens` tokens of one row, drawn from its own table. Raises ConfigError for no tokens.

    draw(Causal() & SlidingWindow(3)).rows[4]    # '··■■■···'
    """
    whole("tokens", tokens)
    at, said = example(mask, tokens)
    table = mask.table(at, at)[0].tolist()
    return Drawing(rows=tuple("".join(SEES if sees else BLIND for sees in row) for row in table), example=said)


def differing(one: Mask, other: Mask, tokens: int = 8) -> int:
    """How many of the T × T cells differ between two masks, both drawn on the same example."""
    at, _ = example(one & other, tokens)
    return int((one.table(at, at) != other.table(at, at)).sum())
