"""Mask: who may attend to whom, as data.

A mask is a small frozen expression without tensors inside, closed under `&`, `|` and `~`. True means *may attend*,
everywhere, as in PyTorch's boolean masks. The same object drives the kernel, the probe and the picture on the page.

    >>> see = Causal() & SlidingWindow(256) | Prefix(32)
    >>> str(see)
    'causal & sliding_window(256) | prefix(32)'
    >>> Mask.parse(str(see)) == see
    True

Shapes: B batch, Q queries, K keys.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.errors import ConfigError, InputError


class Mask(ABC):
    """A rule over the coordinates of a query and a key. The leaves and connectives below are all there are."""

    binds: ClassVar[int] = 4  # how tightly the text form binds: leaf 4, ~ 3, & 2, | 1
    reads: ClassVar[str] = ""  # the optional coordinate that the rule cannot do without

    def __and__(self, other: Mask) -> Mask:
        return And(self, _a_mask(other))

    def __or__(self, other: Mask) -> Mask:
        return Or(self, _a_mask(other))

    def __invert__(self) -> Mask:
        return Not(self)

    @abstractmethod
    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        """Whether the query may attend to the key, elementwise over coordinates that broadcast against each other."""

    def table(self, queries: Coordinates, keys: Coordinates) -> Tensor:
        """Who may attend to whom: bool (B, Q, K), or (1, Q, K) where all rows agree.

        Raises InputError when the mask reads a coordinate that was not given.

        >>> Causal().table(Coordinates.consecutive(1, start=1), Coordinates.consecutive(3)).tolist()
        [[[True, True, False]]]
        """
        return self.rule(queries.as_queries(), keys.as_keys()).expand(-1, queries.tokens, keys.tokens)

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        """Whether the host knows, without looking at any tensor, that every query sees every key."""
        return False

    def leaves(self) -> tuple[Mask, ...]:
        """The rules that the expression is made of, from left to right."""
        return (self,)

    def conjuncts(self) -> tuple[Mask, ...]:
        """The parts whose and is the whole."""
        return (self,)

    def written(self, python: bool) -> str:
        """The expression as Python, `Causal() | Prefix(4)`, or as text, `causal | prefix(4)`."""
        values = ", ".join(str(value) if python else str(value).lower() for value in _values(self))
        if python:
            return f"{type(self).__name__}({values})"
        return f"{snake(type(self).__name__)}({values})" if values else snake(type(self).__name__)

    def __str__(self) -> str:
        return self.written(python=False)

    def __repr__(self) -> str:
        return self.written(python=True)

    @staticmethod
    def parse(text: str) -> Mask:
        """The mask that `str` wrote. Raises ConfigError that names what it could not read."""
        from sightline.core.mask_text import parse  # which needs the leaves below

        return parse(text)


def _values(mask: Mask) -> list[object]:
    """A leaf's values in order, trailing defaults left out."""
    values = [getattr(mask, f.name) for f in fields(mask)]  # type: ignore[arg-type]
    defaults = [f.default for f in fields(mask)]  # type: ignore[arg-type]
    while values and values[-1] == defaults[len(values) - 1]:
        values.pop()
    return values


def snake(name: str) -> str:
    """A class's name as the text form spells it."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _grouped(mask: Mask, python: bool, at_least: int) -> str:
    return mask.written(python) if mask.binds >= at_least else f"({mask.written(python)})"


def _check_size(what: str, size: object, least: int, remedy: str) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or not least <= size < 2**63:
        raise ConfigError(f"a {what} of {size} positions cannot be: {remedy}")


def _a_mask(part: object) -> Mask:
    if not isinstance(part, Mask):
        raise ConfigError(f"{part!r} is no mask; & and | join masks, such as Causal() | Prefix(4)")
    return part


def _everyone(query: Coordinates, key: Coordinates) -> Tensor:
    return torch.ones_like(query.position + key.position, dtype=torch.bool)


@dataclass(frozen=True, repr=False)
class Bidirectional(Mask):
    """Everyone sees everyone (BERT)."""

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        return _everyone(query, key)

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        return True


@dataclass(frozen=True, repr=False)
class Causal(Mask):
    """A token sees itself and what stands before it (GPT)."""

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        return key.position <= query.position

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        return queries.start is not None and keys.start is not None and keys.end <= queries.start + 1


@dataclass(frozen=True, repr=False)
class SlidingWindow(Mask):
    """A token sees those nearer than `size` positions, on both sides: |query − key| < size."""

    size: int

    def __post_init__(self) -> None:
        _check_size(
            "sliding window", self.size, 1, "give a whole number, 1 (a token sees only itself) or more, below 2**63"
        )

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        return (query.position - key.position).abs() < self.size

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        if queries.start is None or keys.start is None:
            return False
        return max(queries.end - 1 - keys.start, keys.end - 1 - queries.start) < self.size


@dataclass(frozen=True, repr=False)
class Prefix(Mask):
    """Everyone sees the first `size` positions of the row (the bidirectional part of a prefix LM)."""

    size: int

    def __post_init__(self) -> None:
        _check_size("prefix", self.size, 0, "give a whole number, 0 or more, below 2**63")

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        return _everyone(query, key) & (key.position < self.size)

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        return keys.start is not None and keys.end <= self.size


@dataclass(frozen=True, repr=False)
class Permuted(Mask):
    """A token sees those of lower or equal rank in an order; `strict` hides it from itself (XLNet's query stream).

    A prefix has rank 0, so prefixes may differ from row to row.
    """

    strict: bool = False
    reads: ClassVar[str] = "rank"

    def __post_init__(self) -> None:
        if not isinstance(self.strict, bool):
            raise ConfigError(f"strict={self.strict!r} must be true or false")

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        if query.rank is None or key.rank is None:
            raise InputError(f"the mask {self} reads each token's rank, and none was given; pass ranks")
        return key.rank < query.rank if self.strict else key.rank <= query.rank


@dataclass(frozen=True, repr=False)
class SameDocument(Mask):
    """A token sees only its own text, where several are packed into one row; else everyone."""

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        if query.document is None and key.document is None:
            return _everyone(query, key)
        first = torch.zeros((), dtype=torch.long, device=query.position.device)
        theirs, own = key.document, query.document
        return (first if theirs is None else theirs) == (first if own is None else own)

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        return queries.document is None and keys.document is None


@dataclass(frozen=True, repr=False)
class NotPadding(Mask):
    """Nobody sees padding."""

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        everyone = _everyone(query, key)
        return everyone if key.real is None else everyone & key.real

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        return keys.real is None


@dataclass(frozen=True, repr=False)
class NotItself(Mask):
    """A blind token does not see what stands at its own place (XLNet's query stream); others see themselves."""

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        everyone = _everyone(query, key)
        if query.blind is None:
            return everyone
        own = (key.position == query.position) & SameDocument().rule(query, key)
        return everyone & ~(query.blind & own)

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        return queries.blind is None


@dataclass(frozen=True, repr=False)
class And(Mask):
    """What both sides allow."""

    left: Mask
    right: Mask
    binds: ClassVar[int] = 2

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        return self.left.rule(query, key) & self.right.rule(query, key)

    def leaves(self) -> tuple[Mask, ...]:
        return self.left.leaves() + self.right.leaves()

    def conjuncts(self) -> tuple[Mask, ...]:
        return self.left.conjuncts() + self.right.conjuncts()

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        return self.left.sees_all(queries, keys) and self.right.sees_all(queries, keys)

    def written(self, python: bool) -> str:
        left, right = _grouped(self.left, python, self.binds), _grouped(self.right, python, self.binds + 1)
        return f"{left} & {right}"


@dataclass(frozen=True, repr=False)
class Or(Mask):
    """What either side allows."""

    left: Mask
    right: Mask
    binds: ClassVar[int] = 1

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        return self.left.rule(query, key) | self.right.rule(query, key)

    def leaves(self) -> tuple[Mask, ...]:
        return self.left.leaves() + self.right.leaves()

    def sees_all(self, queries: Coordinates, keys: Coordinates) -> bool:
        return self.left.sees_all(queries, keys) or self.right.sees_all(queries, keys)

    def written(self, python: bool) -> str:
        left, right = _grouped(self.left, python, self.binds), _grouped(self.right, python, self.binds + 1)
        return f"{left} | {right}"


@dataclass(frozen=True, repr=False)
class Not(Mask):
    """What the inner mask forbids."""

    inner: Mask
    binds: ClassVar[int] = 3

    def rule(self, query: Coordinates, key: Coordinates) -> Tensor:
        return ~self.inner.rule(query, key)

    def leaves(self) -> tuple[Mask, ...]:
        return self.inner.leaves()

    def written(self, python: bool) -> str:
        return f"~{_grouped(self.inner, python, self.binds)}"


LEAVES: tuple[type[Mask], ...] = (
    Bidirectional,
    Causal,
    SlidingWindow,
    Prefix,
    Permuted,
    SameDocument,
    NotPadding,
    NotItself,
)
