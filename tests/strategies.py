"""Random masks and coordinates to draw from, and the plain definition of who may attend to whom.

Shapes: B rows, T tokens.
"""

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import (
    And,
    Bidirectional,
    Causal,
    Mask,
    Not,
    NotItself,
    NotPadding,
    Or,
    Permuted,
    Prefix,
    SameDocument,
    SlidingWindow,
)

# Masks

sizes = st.integers(1, 6)
leaves: st.SearchStrategy[Mask] = st.one_of(
    st.just(Bidirectional()),
    st.just(Causal()),
    st.builds(SlidingWindow, sizes),
    st.builds(Prefix, st.integers(0, 6)),
    st.builds(Permuted, st.booleans()),
    st.just(SameDocument()),
    st.just(NotPadding()),
    st.just(NotItself()),
)


def masks(depth: int = 4) -> st.SearchStrategy[Mask]:
    """Expressions of leaves, `&`, `|` and `~`, at most `depth` connectives deep."""
    if depth == 0:
        return leaves
    inner = masks(depth - 1)
    return st.one_of(leaves, st.builds(And, inner, inner), st.builds(Or, inner, inner), st.builds(Not, inner))


# Coordinates


def numbers(rows: int, tokens: int, low: int, high: int) -> st.SearchStrategy[Tensor]:
    """int64 (rows, tokens), each from low to high."""
    row = st.lists(st.integers(low, high), min_size=tokens, max_size=tokens)
    return st.lists(row, min_size=rows, max_size=rows).map(lambda held: torch.tensor(held).reshape(rows, tokens))


@st.composite
def padding(draw: st.DrawFn, rows: int, tokens: int) -> Tensor:
    """bool (rows, tokens): padded on the left, on the right, on both sides, anywhere, or everywhere."""
    index = torch.arange(tokens)
    held = []
    for _ in range(rows):
        if draw(st.booleans()):
            held.append(draw(numbers(1, tokens, 0, 1))[0].bool())
        else:
            first, last = draw(st.integers(0, tokens)), draw(st.integers(0, tokens))
            held.append((index >= first) & (index < last))
    return torch.stack(held)


@st.composite
def coordinates(
    draw: st.DrawFn, rows: int | None = None, tokens: int | None = None, known: bool | None = None
) -> Coordinates:
    """Coordinates of up to 3 rows and 6 tokens, always with ranks; any field may be shared by all rows.

    known  whether the host knows where the tokens start (and so that nothing is padded)
    """
    rows = draw(st.integers(1, 3)) if rows is None else rows
    tokens = draw(st.integers(1, 6)) if tokens is None else tokens
    kind = draw(
        st.sampled_from(["known", "padded", "anywhere"] if known is None else ["known"] if known else ["anywhere"])
    )
    own = st.sampled_from([1, rows])

    def some(high: int) -> Tensor | None:
        return draw(numbers(draw(own), tokens, 0, high)) if draw(st.booleans()) else None

    rank = draw(numbers(draw(own), tokens, 0, tokens))
    drawn = some(1)
    blind = None if drawn is None else drawn.bool()
    besides = {"document": some(2), "token_type": some(1), "rank": rank, "blind": blind}
    if kind == "known":
        return replace(Coordinates.consecutive(tokens, start=draw(st.integers(0, 4))), **besides)
    real = draw(padding(rows, tokens))
    if kind == "padded":
        return replace(Coordinates.padded(real), **besides)
    position = draw(numbers(draw(own), tokens, 0, 8))
    shown = draw(padding(draw(own), tokens)) if draw(st.booleans()) else None
    within = (0, 9) if draw(st.booleans()) else None
    return Coordinates(position=position, real=shown, within=within, **besides)


@st.composite
def pairs(draw: st.DrawFn, known: bool | None = None) -> tuple[Coordinates, Coordinates]:
    """Queries and keys of the same rows; now and then the same coordinates."""
    rows = draw(st.integers(1, 3))
    queries = draw(coordinates(rows, known=known))
    return queries, queries if draw(st.integers(0, 3)) == 0 else draw(coordinates(rows, known=known))


# The plain definition


@dataclass
class Token:
    """One token's coordinates as numbers; None where they were not given."""

    position: int
    real: bool | None
    document: int | None
    rank: int | None
    blind: int | None


def token(at: Coordinates, row: int, index: int) -> Token:
    """Token `index` of row `row`."""

    def field(held: Tensor | None) -> int | None:
        return None if held is None else int(held[row if held.shape[0] > 1 else 0, index])

    position, real = int(at.position[row if at.position.shape[0] > 1 else 0, index]), field(at.real)
    return Token(position, None if real is None else bool(real), field(at.document), field(at.rank), field(at.blind))


def may_attend(mask: Mask, query: Token, key: Token) -> bool:
    """What the docstrings of the masks say, of one query and one key."""
    match mask:
        case Bidirectional():
            return True
        case Causal():
            return key.position <= query.position
        case SlidingWindow(size):
            return abs(query.position - key.position) < size
        case Prefix(size):
            return key.position < size
        case Permuted(strict):
            assert query.rank is not None and key.rank is not None
            return key.rank < query.rank if strict else key.rank <= query.rank
        case SameDocument():
            return (query.document or 0) == (key.document or 0)
        case NotPadding():
            return key.real is not False
        case NotItself():
            own = key.position == query.position and (query.document or 0) == (key.document or 0)
            return not (query.blind and own)
        case And(left, right):
            return may_attend(left, query, key) and may_attend(right, query, key)
        case Or(left, right):
            return may_attend(left, query, key) or may_attend(right, query, key)
        case Not(inner):
            return not may_attend(inner, query, key)
    raise NotImplementedError(f"{mask!r} has no plain definition here")


def plain_table(mask: Mask, queries: Coordinates, keys: Coordinates) -> Tensor:
    """bool (B, Q, K): the definition, query by query and key by key."""
    rows = range(max(queries.batch, keys.batch))
    return torch.tensor(
        [
            [
                [may_attend(mask, token(queries, r, q), token(keys, r, k)) for k in range(keys.tokens)]
                for q in range(queries.tokens)
            ]
            for r in rows
        ]
    )
