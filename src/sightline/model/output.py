"""Output: what a forward pass gives back, one dataclass whatever was asked.

Shapes: B batch, T tokens, K all tokens that answered, W width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sightline.core.cache_protocol import StackCache
from sightline.core.coordinates import Coordinates


@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """The result of `model(…)`.

    last_hidden_state  (B, T, W), for every family; what stands where a row is padded means nothing (it may be zeros)
    coordinates        where each token stands; heads and poolings need them
    hidden_states      (B, T, W) before the first block, then after each, the last one being last_hidden_state
    attentions         (B, H, T, K) for each block, rows summing to one over those whom a token may see
    cache              the one that was passed, now holding these tokens too
    """

    last_hidden_state: Tensor
    coordinates: Coordinates
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    cache: StackCache | None = None
