"""Coordinates: what is known of each token besides its content.

Masks and position encodings read coordinates, never array indices; so left padding, packing, eviction and chunked
prefill are no special cases.

Shapes: B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from sightline.errors import InputError

_ABSENT = {"position": 0, "real": 1, "document": 0, "token_type": 0, "rank": 0, "blind": 0}
"""What a field stands for where it is not given, beside tokens that have it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Coordinates:
    """Where each token stands. Every field is (B, T), or (1, T) where all rows agree.

    position    int64: place in its own text, from 0
    real        bool: not padding; None says that nothing is padded
    document    int64: which of several packed texts it belongs to; None says that every row is one text
    token_type  int64: segment (BERT's first or second sentence); None where the caller gave none
    rank        int64: place in the order of a permuted mask; a prefix has rank 0
    blind       bool: asks without knowing what stands at its own place; None says that nobody does
    start       known on the host: positions are start, start + 1, … in every row and nothing is padded
    within      known on the host, where start is not: every position is at least the first and below the second

    >>> Coordinates.consecutive(3, start=4).position
    tensor([[4, 5, 6]])
    """

    position: Tensor
    real: Tensor | None = None
    document: Tensor | None = None
    token_type: Tensor | None = None
    rank: Tensor | None = None
    blind: Tensor | None = None
    start: int | None = None
    within: tuple[int, int] | None = None

    @staticmethod
    def consecutive(tokens: int, *, start: int = 0, device: torch.device | str | None = None) -> Coordinates:
        """Coordinates of `tokens` tokens in a row, nothing padded."""
        return Coordinates(position=torch.arange(start, start + tokens, device=device)[None], start=start)

    @staticmethod
    def padded(real: Tensor) -> Coordinates:
        """Coordinates of padded rows: position = index minus leading padding.

        Padding before and after the text takes the position of its nearest real token, so that it never reaches past a
        table of positions; padding within the text keeps its place.
        real: bool (B, T), True for tokens that are not padding.
        """
        seen = real.long().cumsum(-1)
        leading = (seen == 0).sum(-1, keepdim=True)  # (B, 1)
        trailing = ((seen == seen[:, -1:]) & ~real).sum(-1, keepdim=True)
        last = (real.shape[-1] - trailing - leading - 1).clamp(min=0)
        index = torch.arange(real.shape[-1], device=real.device)
        position = torch.minimum((index - leading).clamp(min=0), last)
        return Coordinates(position=position, real=real, within=(0, real.shape[-1]))

    @property
    def tokens(self) -> int:
        """How many tokens stand in a row, padding included."""
        return self.position.shape[-1]

    @property
    def batch(self) -> int:
        """How many rows are told apart; 1 where all agree."""
        held = (self.position, self.real, self.document, self.token_type, self.rank, self.blind)
        return max(field.shape[0] for field in held if field is not None)

    @property
    def end(self) -> int:
        """The position after the last one, where the host knows it; raises InputError where it does not."""
        if self.start is None:
            raise InputError("the host does not know where these tokens end; ask only when `start` is known")
        return self.start + self.tokens

    @property
    def bounds(self) -> tuple[int, int] | None:
        """The lowest position and the one after the highest, or wider; None where the host does not know them."""
        return self.within if self.start is None else (self.start, self.start + self.tokens)

    def same_places(self, other: Coordinates) -> bool:
        """Whether both are known on the host to describe the same tokens in the same order."""
        if self is other:
            return True
        return self.start is not None and self.start == other.start and self.tokens == other.tokens

    def each(self, change: Callable[[Tensor], Tensor]) -> Coordinates:
        """Every tensor changed by `change`; what the host knew of positions is forgotten."""
        on_host = ("start", "within")
        held: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in on_host}
        changed: dict[str, Any] = {name: None if value is None else change(value) for name, value in held.items()}
        return Coordinates(**changed)

    def to(self, device: torch.device | str) -> Coordinates:
        """The same coordinates on another device."""
        return replace(self.each(lambda t: t.to(device)), start=self.start, within=self.within)

    def slice(self, begin: int, end: int) -> Coordinates:
        """Tokens begin … end − 1 of every row, counted as Python counts: from the end where negative."""
        start = None if self.start is None else self.start + range(self.tokens)[begin:end].start
        return replace(self.each(lambda t: t[:, begin:end]), start=start, within=self.within)

    def rows(self, index: Tensor) -> Coordinates:
        """The rows named by `index`, in that order; coordinates shared by all rows stay shared."""
        chosen = self.each(lambda t: t if t.shape[0] == 1 else t.index_select(0, index))
        return replace(chosen, start=self.start, within=self.within)

    def repeated(self, times: int) -> Coordinates:
        """Every row `times` times, copies side by side; coordinates shared by all rows stay shared."""
        copies = self.each(lambda t: t if t.shape[0] == 1 else t.repeat_interleave(times, dim=0))
        return replace(copies, start=self.start, within=self.within)

    def at(self, row: Tensor, token: Tensor) -> Coordinates:
        """Every field (): one token of one row, both named by index tensors, as compiled kernels ask for it."""
        return self.each(lambda t: t[row if t.shape[0] > 1 else 0, token])

    def following(self, tokens: int) -> Coordinates:
        """Coordinates of `tokens` real tokens that continue each row: next positions, same document and segment.

        Raises InputError where ranks are in use, since nobody can know the next one.
        """
        if self.rank is not None:
            raise InputError("tokens that continue a permuted row need ranks of their own; pass ranks")
        steps = torch.arange(1, tokens + 1, device=self.position.device)
        last = self._last_real()
        document, token_type = (None if t is None else t.expand(-1, tokens) for t in (last.document, last.token_type))
        start = None if self.start is None else self.end
        low, high = self.bounds or (0, 0)
        within = None if self.bounds is None else (low if self.real is None else min(low, 0), high + tokens)
        return Coordinates(
            position=last.position + steps, document=document, token_type=token_type, start=start, within=within
        )

    def before(self, tokens: int) -> Coordinates:
        """Coordinates of `tokens` real tokens that each row goes on from: the positions before its first, segment 0, of
        the document of its first real one."""
        steps = torch.arange(-tokens, 0, device=self.position.device)
        rank = None if self.rank is None else torch.zeros_like(steps)[None]
        document = None
        if self.document is not None:
            first = steps.new_zeros(1, 1) if self.real is None else self.real.long().argmax(-1, keepdim=True)
            first, held = first.expand(self.batch, 1), self.document.expand(self.batch, -1)
            document = held.gather(1, first).expand(-1, tokens)
        low, high = self.bounds or (0, 0)
        return Coordinates(
            position=self.position[:, :1] + steps,
            document=document,
            rank=rank,
            start=None if self.start is None else self.start - tokens,
            within=None if self.bounds is None else (low - tokens, high),
        )

    def _last_real(self) -> Coordinates:
        """Each row's last real token, (B, 1); of a row that has none yet, position −1, so that 0 is the next."""
        if self.real is None:
            return self.slice(self.tokens - 1, self.tokens)
        index = torch.arange(self.tokens, device=self.position.device)
        place = torch.where(self.real, index, -1).amax(-1, keepdim=True)
        last = self.each(lambda t: t.expand(len(place), -1).gather(1, place.clamp(min=0)))
        return replace(last, position=torch.where(place < 0, -1, last.position))

    def as_queries(self) -> Coordinates:
        """Every field (B, T, 1), to be compared with keys (B, 1, T)."""
        return self.each(lambda t: t[:, :, None])

    def as_keys(self) -> Coordinates:
        """Every field (B, 1, T)."""
        return self.each(lambda t: t[:, None, :])

    def then(self, later: Coordinates) -> Coordinates:
        """These tokens followed by `later` ones, row by row.

        A field that only one side has is filled in where its absence has a meaning (nothing padded, one document,
        segment 0); ranks have no such meaning, and a mixture raises InputError.
        """
        if (self.rank is None) != (later.rank is None):
            raise InputError("some of these tokens have a rank and some have none; give ranks to all or to none")
        joined: dict[str, Any] = {
            name: _join(getattr(self, name), getattr(later, name), self.position, later.position, fill)
            for name, fill in _ABSENT.items()
        }
        follows = self.start is not None and later.start == self.start + self.tokens
        early, late = self.bounds, later.bounds
        within = (min(early[0], late[0]), max(early[1], late[1])) if early is not None and late is not None else None
        return Coordinates(**joined, start=self.start if follows else None, within=within)


def _join(early: Tensor | None, late: Tensor | None, before: Tensor, after: Tensor, fill: int) -> Tensor | None:
    if early is None and late is None:
        return None
    early = torch.full_like(before, fill).to(late.dtype) if early is None and late is not None else early
    late = torch.full_like(after, fill).to(early.dtype) if late is None and early is not None else late
    rows = max(early.shape[0], late.shape[0])  # type: ignore[union-attr]
    return torch.cat([early.expand(rows, -1), late.expand(rows, -1)], dim=1)  # type: ignore[union-attr]
