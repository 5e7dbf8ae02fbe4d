"""Reach: which tokens know of the whole text under a mask, and so which of them may stand for it.

Shapes: T tokens, all of them queries and keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask, Prefix, SlidingWindow
from sightline.errors import UnsupportedError

TOKENS = 8  # enough to tell the kinds of sight apart
Token = Literal["first", "last"]


def size_of(leaf: Mask) -> int:
    """How many positions a leaf reaches over; 0 for one that counts none."""
    match leaf:
        case SlidingWindow(size) | Prefix(size):
            return size
        case _:
            return 0


def informed(mask: Mask, positions: int) -> dict[str, bool]:
    """Whether the first and the last token of a text know of all its tokens, if only through enough layers.

    A stack's sight is the mask, and each token itself through the residual, closed over depth.
    """
    tokens = min(positions, TOKENS + max(size_of(leaf) for leaf in mask.leaves()))
    rank = (torch.arange(tokens) + tokens // 2) % tokens  # an order in which neither of the two comes last
    at = replace(Coordinates.consecutive(tokens), rank=rank[None])
    sees = mask.table(at, at)[0] | torch.eye(tokens, dtype=torch.bool)
    known = {}
    for which, token in (("first", 0), ("last", -1)):
        now, before = sees[token], 0
        while int(now.sum()) > before:
            before = int(now.sum())
            now = sees[now].any(0)
        known[which] = bool(now.all())
    return known


def check_informed(pooling: str, tokens: Mapping[str, Token], mask: Mask, positions: int) -> None:
    """Refuse (UnsupportedError) a pooling that this mask makes meaningless.

    tokens  the poolings that take one token's vector, and which; another is taken for one of all tokens

    The first token means nothing where it does not see the text: under a causal mask it sees only itself, and texts
    that begin alike all get the same vector. Likewise the last. A mask that reads more of a token than its place cannot
    be looked through at all.
    """
    for leaf in mask.leaves():
        if leaf.reads:
            raise UnsupportedError(
                f"the mask {leaf} reads tokens' {leaf.reads}s, which a text has not; look through another"
            )
    token = tokens.get(pooling)
    if token is None:
        return
    sees = informed(mask, positions)
    if not sees[token]:
        others = [name for name, which in tokens.items() if sees[which]]
        raise UnsupportedError(
            f"pooling {pooling!r} means nothing here: under the mask {mask} the {token} token does not see the"
            f" whole text; choose {' or '.join(map(repr, [*others, 'mean']))}"
        )
