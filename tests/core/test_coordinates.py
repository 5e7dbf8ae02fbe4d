"""Coordinates: positions of padded rows, and what the host may claim to know of them."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.errors import InputError
from strategies import coordinates, padding

NAMES = [field.name for field in fields(Coordinates) if field.name not in ("start", "within")]


def bools(*rows: str) -> Tensor:
    """`x` is a token, `.` is padding."""
    return torch.tensor([[sign == "x" for sign in row] for row in rows], dtype=torch.bool)


def same(a: Coordinates, b: Coordinates) -> bool:
    """Whether every field agrees, also in its shape."""
    held = [(getattr(a, name), getattr(b, name)) for name in NAMES]
    return all((x is None and y is None) or (x is not None and y is not None and torch.equal(x, y)) for x, y in held)


def is_truthful(at: Coordinates) -> bool:
    """Whether `start` and `bounds` say nothing, or what is so."""
    if at.bounds is not None and bool(((at.position < at.bounds[0]) | (at.position >= at.bounds[1])).any()):
        return False
    if at.start is None:
        return True
    counted = torch.arange(at.start, at.start + at.tokens)
    return bool((at.position == counted).all()) and (at.real is None or bool(at.real.all()))


# Padded rows


@pytest.mark.parametrize(
    ("row", "positions"),
    [
        ("xxxx", [0, 1, 2, 3]),
        ("..xx", [0, 0, 0, 1]),
        ("xx..", [0, 1, 1, 1]),
        (".xx.", [0, 0, 1, 1]),
        ("x.xx", [0, 1, 2, 3]),
        (".x.x.", [0, 0, 1, 2, 2]),
        ("....", [0, 0, 0, 0]),
        ("", []),
    ],
)
def test_position_is_index_minus_leading_padding(row: str, positions: list[int]) -> None:
    at = Coordinates.padded(bools(row))
    assert at.position.tolist() == [positions]
    assert at.position.dtype == torch.int64
    assert at.real is not None and torch.equal(at.real, bools(row))
    assert at.start is None  # the host does not look


@given(st.integers(1, 3).flatmap(lambda rows: padding(rows, 6)))
def test_every_row_of_a_padded_batch_is_told_where_it_would_stand_alone(real: Tensor) -> None:
    at = Coordinates.padded(real)
    for row, position in zip(real, at.position, strict=True):
        places = row.nonzero()[:, 0]
        if len(places):
            assert torch.equal(position[row], places - places[0])
            assert position.max() == position[places[-1]]  # padding never reaches further than the text
        alone = Coordinates.padded(row[None])
        assert torch.equal(alone.position[0], position)


# What the host knows

STEPS: dict[str, Callable[[Coordinates, int], Coordinates]] = {
    "slice": lambda at, n: at.slice(min(n, at.tokens), at.tokens),
    "head": lambda at, n: at.slice(0, n),
    "tail": lambda at, n: at.slice(-n, at.tokens),
    "rows": lambda at, n: at.rows(torch.tensor([0] * (n + 1))),
    "repeated": lambda at, n: at.repeated(n + 1),
    "to": lambda at, n: at.to("cpu"),
    "then a gap": lambda at, n: at.then(Coordinates.consecutive(2, start=9)),
    "then what follows": lambda at, n: at.then(at.following(n)) if at.tokens else at,
    "following": lambda at, n: at.following(n) if at.tokens else at,
    "after": lambda at, n: Coordinates.consecutive(n).then(at),
    "then padding": lambda at, n: at.then(Coordinates.padded(bools("." * n + "x"))),
    "each": lambda at, n: at.each(lambda field: field.flip(-1)),
}


@given(
    st.integers(0, 4),
    st.integers(0, 3),
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 3)), max_size=5),
)
def test_start_and_bounds_are_never_claimed_where_they_are_not_so(
    tokens: int, start: int, steps: list[tuple[str, int]]
) -> None:
    for at in (Coordinates.consecutive(tokens, start=start), Coordinates.padded(bools("." * start + "x" * tokens))):
        for name, n in steps:
            at = STEPS[name](at, n)
            assert is_truthful(at), (name, n)


def test_start_is_still_known_where_the_host_can_know_it() -> None:
    at = Coordinates.consecutive(5, start=3)
    assert (at.start, at.end, at.tokens, at.batch) == (3, 8, 5, 1)
    assert at.slice(2, 4).start == 5
    assert at.slice(-2, 5).start == 6
    assert at.rows(torch.tensor([0, 0])).start == at.repeated(2).start == at.to("cpu").start == 3
    assert at.following(2).start == 8
    assert at.then(at.following(2)).start == 3
    assert at.then(Coordinates.consecutive(1, start=9)).start is None


def test_bounds_are_known_of_padded_rows_too() -> None:
    at = Coordinates.padded(bools(".xx", "xxx"))
    assert at.bounds == at.slice(1, 3).bounds == at.rows(torch.tensor([1])).bounds == at.to("cpu").bounds == (0, 3)
    assert at.following(2).bounds == (0, 5)
    assert at.then(at.following(2)).bounds == (0, 5)
    assert Coordinates.consecutive(3, start=4).bounds == (4, 7)
    assert Coordinates(position=at.position).bounds is None


def test_the_end_is_known_only_with_the_start() -> None:
    with pytest.raises(InputError, match="does not know where these tokens end"):
        Coordinates.padded(bools("x.")).end  # noqa: B018


def test_same_places_is_what_the_host_can_tell() -> None:
    at = Coordinates.consecutive(3)
    padded = Coordinates.padded(bools("xxx"))
    assert at.same_places(Coordinates.consecutive(3))
    assert padded.same_places(padded)
    for other in [Coordinates.consecutive(2), Coordinates.consecutive(3, start=1), padded]:
        assert not at.same_places(other)
        assert not other.same_places(at)


def test_coordinates_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Coordinates.consecutive(2).start = 1  # type: ignore[misc]


# Parts and copies


@given(coordinates(rows=3), st.data())
def test_slices_rows_and_copies_are_those_of_every_field(at: Coordinates, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, at.tokens))
    rows = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=4)))
    whole = at.each(lambda field: field.expand(3, -1))
    assert same(at.slice(begin, at.tokens), at.each(lambda field: field[:, begin:]))
    assert same(at.rows(rows).each(lambda field: field.expand(len(rows), -1)), whole.each(lambda field: field[rows]))
    twice = at.repeated(2).each(lambda field: field.expand(6, -1))
    assert same(twice, whole.each(lambda field: field[torch.tensor([0, 0, 1, 1, 2, 2])]))
    assert at.batch in (1, 3)
    assert (at.batch == 3) == any(
        field is not None and len(field) == 3 for field in vars(at).values() if field is not at.start
    )


@given(coordinates(rows=3))
def test_at_is_one_token_of_one_row(at: Coordinates) -> None:
    for row in range(3):
        for index in range(at.tokens):
            one = at.at(torch.tensor(row), torch.tensor(index))
            wanted = at.each(lambda field, r=row, i=index: field.expand(3, -1)[r, i])  # type: ignore[misc]
            assert same(one, wanted)


# One after the other


@given(coordinates(rows=3), coordinates(rows=3))
def test_then_puts_the_fields_side_by_side(early: Coordinates, late: Coordinates) -> None:
    absent = {"real": True, "document": 0, "token_type": 0, "blind": False}
    joined = early.then(late)
    assert joined.tokens == early.tokens + late.tokens
    for name in NAMES:
        parts = [(at, getattr(at, name)) for at in (early, late)]
        if all(field is None for _, field in parts):
            assert getattr(joined, name) is None
            continue
        wanted = [
            torch.full((3, at.tokens), absent[name]) if field is None else field.expand(3, -1) for at, field in parts
        ]
        assert torch.equal(getattr(joined, name).expand(3, -1), torch.cat(wanted, dim=1)), name
        assert getattr(joined, name).dtype == (torch.bool if name in ("real", "blind") else torch.int64)


def test_ranks_are_given_to_all_or_to_none() -> None:
    at = Coordinates.consecutive(2)
    ranked = Coordinates(position=at.position, rank=at.position)
    for first, second in [(at, ranked), (ranked, at)]:
        with pytest.raises(InputError, match="give ranks to all or to none"):
            first.then(second)
    with pytest.raises(InputError, match="pass ranks"):
        ranked.following(1)


def test_what_follows_continues_each_row_from_its_last_real_token() -> None:
    real = bools("..xx", "xxx.", "x...", ".xx.")
    at = Coordinates.padded(real)
    assert at.following(2).position.tolist() == [[2, 3], [3, 4], [1, 2], [2, 3]]
    assert at.following(2).real is None
    assert at.following(0).tokens == 0
    assert Coordinates.padded(bools("...", "..x")).following(2).position.tolist() == [[0, 1], [1, 2]]
    chosen = Coordinates(
        position=torch.tensor([[5, 6, 0]]), real=bools("xx.", ".xx"), token_type=torch.tensor([[1, 1, 0]])
    )
    follows = chosen.following(1)
    assert follows.position.tolist() == [[7], [1]]
    assert follows.token_type is not None and follows.token_type.tolist() == [[1], [0]]
    documents = torch.tensor([[0, 0, 1], [2, 2, 2]])
    packed = Coordinates(
        position=torch.tensor([[0, 1, 0], [0, 1, 2]]), document=documents, token_type=1 - documents % 2
    )
    follows = packed.following(2)
    assert follows.position.tolist() == [[1, 2], [3, 4]]
    assert follows.document is not None and follows.document.tolist() == [[1, 1], [2, 2]]
    assert follows.token_type is not None and follows.token_type.tolist() == [[0, 0], [1, 1]]
