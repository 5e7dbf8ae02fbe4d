"""Sight: a mask resolved for one set of queries and keys, once per forward pass.

Every layer of a stack shares one Sight; a layer with a limit of its own narrows it, and equal limits share the result.
What the kernel may take for granted (nothing to mask, plain causal order) is decided here from facts known on the host,
never from device values.

Shapes: B batch, Q queries, K keys.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Causal, Mask, NotItself, NotPadding, SameDocument
from sightline.errors import ConfigError, InputError

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

KERNELS = ("auto", "reference", "sdpa", "flex")
T = TypeVar("T")


@dataclass(frozen=True)
class Distances:
    """How far each key is from each query, for what depends on position through query.position − key.position alone.

    values  int64 (R,): the distances that can occur, from the highest to the lowest, each once
    index   int64 (B or 1, Q, K): which of them each pair has; None where positions are consecutive on both sides: then
            the first query has the last K of them, and each later one those that begin one place earlier
    """

    values: Tensor
    index: Tensor | None

    def spread(self, scores: Tensor) -> Tensor:
        """What each pair gets of scores for each distance: (B, H, Q, R) → (B, H, Q, K).

        Where positions are consecutive this is the relative shift (Dai et al. 2019, appendix B), a view; else a gather.
        """
        batch, heads, queries, distances = scores.shape
        if self.index is not None:
            return scores.gather(-1, self.index[:, None].expand(batch, heads, -1, -1))
        if queries == 1:
            return scores
        # Row i begins at Q − 1 − i: in rows that are one shorter, laid end to end, that is always the first place.
        rows = scores.flatten(2)[:, :, queries - 1 : queries * distances - 1]
        return rows.unflatten(2, (queries, distances - 1))[..., : distances - queries + 1]


class Sight:
    """Who sees whom, for these queries and these keys.

    mask     the rule; `NotPadding()`, `SameDocument()` where rows are packed, and `NotItself()` where some are blind,
             are always and-ed to it
    allowed  bool (B or 1, Q, K), and-ed too: what no rule expresses
    kernel   "auto", or the name of one of the routes that `attend` can take
    wanted   int64 (B, N), indices of queries: those whose states after the last layer are asked for; None: all

    >>> from sightline.core.mask import Causal
    >>> Sight(Causal(), Coordinates.consecutive(2)).table.tolist()
    [[[True, False], [True, True]]]
    """

    def __init__(
        self,
        mask: Mask,
        queries: Coordinates,
        keys: Coordinates | None = None,
        *,
        allowed: Tensor | None = None,
        kernel: str = "auto",
        wanted: Tensor | None = None,
    ) -> None:
        if kernel not in KERNELS:
            raise ConfigError(f"there is no attention kernel {kernel!r}; choose one of {', '.join(KERNELS)}")
        self.mask, self.queries, self.keys = mask, queries, queries if keys is None else keys
        self.allowed, self.kernel, self.wanted = allowed, kernel, wanted
        if allowed is not None:
            self._check_allowed(allowed)
        self._narrowed: dict[Mask, Sight] = {}
        self._shared: dict[Hashable, Any] = {}

    def _check_allowed(self, allowed: Tensor) -> None:
        wanted = (self.queries.tokens, self.keys.tokens)
        if allowed.dtype != torch.bool:
            raise InputError(f"`allowed` is of {allowed.dtype}; pass booleans, True where a query may see a key")
        if allowed.dim() != 3 or allowed.shape[1:] != wanted:
            shape = tuple(allowed.shape)
            raise InputError(
                f"`allowed` has shape {shape}; it must be (rows or 1, queries, keys), the last two {wanted}"
            )

    def limited(self, limit: Mask | None) -> Sight:
        """This sight and-ed with a layer's limit; the same limit gives the same Sight."""
        if limit is None:
            return self
        if limit not in self._narrowed:
            narrow = Sight(self.mask & limit, self.queries, self.keys, allowed=self.allowed, kernel=self.kernel)
            narrow._shared = self._shared
            self._narrowed[limit] = narrow
        return self._narrowed[limit]

    def shared(self, name: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, made once for these queries and keys: every layer that asks for `name` gets the same."""
        if name not in self._shared:
            self._shared[name] = make()
        found: T = self._shared[name]
        return found

    @property
    def distances(self) -> Distances:
        """How far keys are from queries, within what the host knows of both."""
        return self.shared("distances", self._distances)

    def _distances(self) -> Distances:
        queries, keys = self.queries, self.keys
        (low, high), (first, end) = (each.bounds or _measured(each) for each in (queries, keys))
        farthest, nearest = high - 1 - first, low - (end - 1)
        device = queries.position.device
        if queries.start is not None and keys.start is not None:
            return Distances(torch.arange(farthest, nearest - 1, -1, device=device), None)
        distance = queries.position[:, :, None] - keys.position[:, None, :]
        if farthest - nearest >= distance.numel():  # positions lie far apart: a table of all between them is too long
            ascending, index = torch.unique(-distance, return_inverse=True)
            return Distances(-ascending, index)
        values = torch.arange(farthest, nearest - 1, -1, device=device)
        return Distances(values, (farthest - distance).clamp(0, len(values) - 1))

    @cached_property
    def last(self) -> Sight:
        """The sight of the last layer, where only the `wanted` tokens ask."""
        if self.wanted is None:
            return self
        rows, index = len(self.wanted), self.wanted
        queries = self.queries.each(lambda t: t.expand(rows, -1).gather(1, index))
        allowed = self.allowed
        if allowed is not None:
            allowed = allowed.expand(rows, -1, -1).gather(1, index[..., None].expand(-1, -1, allowed.shape[-1]))
        return Sight(self.mask, queries, self.keys, allowed=allowed, kernel=self.kernel)

    @cached_property
    def rule(self) -> Mask:
        """The mask with all that is always and-ed to it."""
        rule = self.mask
        if self.keys.real is not None:
            rule = rule & NotPadding()
        if self.queries.document is not None or self.keys.document is not None:
            rule = rule & SameDocument()
        if self.queries.blind is not None:
            rule = rule & NotItself()
        return rule

    @cached_property
    def table(self) -> Tensor:
        """Who may attend to whom: bool (B or 1, Q, K)."""
        table = self.rule.table(self.queries, self.keys)
        return table if self.allowed is None else table & self.allowed

    @cached_property
    def block_mask(self) -> BlockMask:
        """The rule in the form that FlexAttention takes: compiled into the kernel, hidden blocks left out."""
        from torch.nn.attention.flex_attention import create_block_mask

        rule, queries, keys = self.rule, self.queries, self.keys

        def may_attend(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return rule.rule(queries.at(row, query), keys.at(row, key))

        batch, device = max(queries.batch, keys.batch), queries.position.device.type
        return create_block_mask(may_attend, batch, None, queries.tokens, keys.tokens, device=device)

    @cached_property
    def sees_all(self) -> bool:
        """Whether the host knows that every query sees every key."""
        return self.allowed is None and self.rule.sees_all(self.queries, self.keys)

    @cached_property
    def plain_causal(self) -> bool:
        """Whether the host knows that query i sees exactly keys 0 … i: the one case of a kernel's own `is_causal`."""
        if self.allowed is not None or self.queries.start is None or not self.queries.same_places(self.keys):
            return False
        return [part for part in self.rule.conjuncts() if not part.sees_all(self.queries, self.keys)] == [Causal()]


def _measured(at: Coordinates) -> tuple[int, int]:
    """The bounds of coordinates of which the host knows nothing: a look at the device."""
    low, high = at.position.aminmax()
    return int(low), int(high) + 1
