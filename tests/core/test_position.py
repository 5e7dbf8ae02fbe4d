"""Positions are read from coordinates: where a token stands in its text, not in its row."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, SlidingWindow
from sightline.core.position import LearnedPositions, Rotary
from sightline.core.sight import Sight
from sightline.errors import ConfigError


@pytest.mark.parametrize("offset", [0, 2])
def test_a_learned_position_is_the_row_of_the_table_that_the_coordinate_names(offset: int) -> None:
    layer = LearnedPositions(6, 3, offset)
    rows = layer.table.weight
    assert rows.shape == (6 + offset, 3)
    assert torch.equal(layer(Coordinates.consecutive(6)), rows[None, offset:])
    left = Coordinates.padded(torch.tensor([[False, False, True, True], [True, True, True, False]]))
    wanted = torch.tensor([[0, 0, 0, 1], [0, 1, 2, 2]]) + offset
    assert torch.equal(layer(left), rows[wanted])


def test_gradients_reach_the_rows_that_were_read() -> None:
    layer = LearnedPositions(4, 2, offset=1)
    layer(Coordinates.consecutive(2, start=1)).sum().backward()
    gradient = layer.table.weight.grad
    assert gradient is not None
    assert gradient[:, 0].tolist() == [0, 0, 1, 1, 0]


# Rotary positions


def turned(x: Tensor, position: Tensor, base: float) -> Tensor:
    """The definition: numbers i and i + D/2 as one complex number, times e^(i · position · base^(−2i/D))."""
    half = x.shape[-1] // 2
    angle = position[..., None] * base ** (-torch.arange(half, dtype=torch.float64) / half)
    points = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([points.real, points.imag], -1)


PADDED = Coordinates.padded(torch.tensor([[False, False, True, True, True], [True, True, True, True, False]]))


@pytest.mark.parametrize("base", [7.0, 10_000.0])
@pytest.mark.parametrize("at", [Coordinates.consecutive(5, start=3), PADDED], ids=["consecutive", "padded"])
def test_rotary_turns_pairs_of_numbers_by_the_coordinate(at: Coordinates, base: float) -> None:
    rotary, sight = Rotary(6, base), Sight(Causal(), at)
    query, key = torch.randn(2, 2, 3, 5, 6, dtype=torch.float64).unbind()
    position = at.position[:, None].expand(2, 3, 5).double()
    # Angles are float32 numbers, so they are right to seven digits.
    assert torch.allclose(rotary.query(query, sight), turned(query, position, base), atol=1e-6)
    assert torch.allclose(rotary.key(key, sight), turned(key, position, base), atol=1e-6)


@given(st.integers(0, 4000), st.integers(0, 40), st.integers(0, 40))
def test_what_a_query_and_a_key_make_depends_on_their_distance_alone(shift: int, one: int, other: int) -> None:
    rotary = Rotary(8, 100.0)
    query, key = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64).unbind()

    def score(query_at: int, key_at: int) -> Tensor:
        where = (Coordinates.consecutive(1, start=start) for start in (query_at, key_at))
        sight = Sight(Bidirectional(), *where)
        return (rotary.query(query, sight) * rotary.key(key, sight)).sum()

    assert torch.allclose(score(one, other), score(one + shift, other + shift), atol=2e-3)
    assert torch.allclose(rotary.query(query, Sight(Bidirectional(), Coordinates.consecutive(1))), query)


@pytest.mark.parametrize("new", [1, 3, 7])
def test_the_last_of_the_keys_are_those_that_are_turned(new: int) -> None:
    """A cache holds earlier ones turned; a memory has all of them projected anew."""
    rotary, past = Rotary(4), Coordinates.padded(torch.tensor([[False, True, True, True], [True, True, True, True]]))
    later = past.following(3)
    sight = Sight(Causal(), later, past.then(later))
    key = torch.randn(2, 1, 7, 4)
    alone = Rotary(4).key(key, Sight(Causal(), later, past.then(later)))
    assert torch.equal(rotary.key(key[:, :, -new:], sight), alone[:, :, -new:])
    assert torch.equal(rotary.query(key[:, :, -3:], sight), alone[:, :, -3:])


def test_angles_are_made_once_for_all_layers_of_one_base(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    angles = Rotary._angles

    def counted(self: Rotary, position: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        made.append(self.base)
        return angles(self, position, dtype)

    monkeypatch.setattr(Rotary, "_angles", counted)
    sight, x = Sight(Causal(), Coordinates.consecutive(5)), torch.randn(1, 1, 5, 4)
    for layer in range(6):
        seen = sight if layer % 3 == 0 else sight.limited(SlidingWindow(2))
        rotary = Rotary(4, 100.0 if layer % 3 == 0 else 10.0)
        rotary.query(x, seen)
        rotary.key(x, seen)
    assert sorted(made) == [10.0, 100.0]


def test_short_numbers_are_turned_in_float32() -> None:
    sight, x = Sight(Causal(), Coordinates.consecutive(500)), torch.randn(1, 1, 500, 8).bfloat16()
    short = Rotary(8).query(x, sight)
    assert short.dtype == torch.bfloat16
    assert torch.equal(short, Rotary(8).query(x.float(), sight).bfloat16())


@pytest.mark.parametrize(
    ("width", "base", "says"),
    [(5, 10.0, "5 numbers wide; make that even"), (0, 10.0, "0 numbers wide"), (4, 0.0, "base of 0.0 turns nothing")],
)
def test_rotary_positions_that_cannot_be(width: int, base: float, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Rotary(width, base)
