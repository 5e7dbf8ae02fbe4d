"""What a stack asks of a cache, and a block of its part of it; and the two that need no store.

Before the layers run, `announce` says which tokens come and returns the coordinates of all that will answer; then every
layer extends its own part.

Shapes: B batch, T new tokens, K all that answer, H heads, D head width, W model width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask

KeyValue = tuple[Tensor, Tensor]


class LayerCache(Protocol):
    """One layer's part of a cache: a block calls the first, and its attention the second."""

    def recall(self, hidden: Tensor) -> Tensor:
        """Hidden states (B, K, W) that answer; `hidden` (B, T, W), or packed, are those of the new tokens."""

    def extend(self, project: Callable[[], KeyValue]) -> KeyValue:
        """Keys and values (B, H, K, D) of all that answer; `project` makes them of what answers, if wanted."""


class StackCache(Protocol):
    """What a stack asks of its cache."""

    @property
    def coordinates(self) -> Coordinates | None:
        """Of the tokens that are remembered; None before the first."""

    @property
    def ahead(self) -> int:
        """How many tokens answer before the new ones."""

    @property
    def rows(self) -> int | None:
        """How many rows are remembered; None before the first pass."""

    @property
    def recalls_the_past(self) -> bool:
        """Whether it holds hidden states as they were when tokens were read, even if later ones would change them."""

    def announce(self, new: Coordinates, reader: object | None = None, mask: Mask | None = None) -> Coordinates:
        """Say which tokens come, who reads them and through which mask; returns the coordinates of all that will
        answer them, remembered ones first."""

    def layer(self, index: int) -> LayerCache:
        """The part of layer `index`."""


class _Forgetful:
    """Remembers nothing, for a stack and for each of its layers: the cache of training and of a single forward pass."""

    coordinates = None
    ahead = 0
    rows = None
    recalls_the_past = False

    def announce(self, new: Coordinates, reader: object | None = None, mask: Mask | None = None) -> Coordinates:
        return new

    def layer(self, index: int) -> LayerCache:
        return self

    def recall(self, hidden: Tensor) -> Tensor:
        return hidden

    def extend(self, project: Callable[[], KeyValue]) -> KeyValue:
        return project()


FORGETFUL = _Forgetful()


class OnceProjected:
    """Cross-attention's cache: the source is projected at the first call, and every later call answers from that."""

    def __init__(self) -> None:
        self.held: KeyValue | None = None

    def recall(self, hidden: Tensor) -> Tensor:
        return hidden

    def extend(self, project: Callable[[], KeyValue]) -> KeyValue:
        self.held = project() if self.held is None else self.held
        return self.held

    def reorder(self, rows: Tensor) -> None:
        """Keep the rows named by `rows` (int64), in that order."""
        if self.held is not None:
            self.held = (self.held[0].index_select(0, rows), self.held[1].index_select(0, rows))
