"""Shuffled orders: every thing once, and wherever chance may put it."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.training.shuffled import ROUNDS, shuffled


def keys_of(seed: int) -> list[int]:
    return numpy.random.default_rng(seed).integers(0, 2**64, ROUNDS, dtype=numpy.uint64).tolist()


@given(count=st.integers(1, 700), seed=st.integers(0, 99))
def test_each_comes_once(count: int, seed: int) -> None:
    assert sorted(shuffled(index, count, keys_of(seed)) for index in range(count)) == list(range(count))


def test_however_many_there_are() -> None:
    count = 10**15 + 37
    found = [shuffled(index, count, keys_of(0)) for index in range(1000)]
    assert len(set(found)) == 1000 and 0 <= min(found) < 0.05 * count and 0.95 * count < max(found) < count


@pytest.mark.parametrize("count", [24, 1000])
def test_each_is_as_likely_at_each_place(count: int) -> None:
    """χ² of where the first, the middle and the last thing come, over many orders, within 5 standard deviations."""
    orders = 100 * count
    for index in (0, count // 2, count - 1):
        found = numpy.bincount([shuffled(index, count, keys_of(seed)) for seed in range(orders)], minlength=count)
        chi = float(((found - 100) ** 2 / 100).sum())
        assert abs(chi - (count - 1)) < 5 * (2 * (count - 1)) ** 0.5


def test_what_was_together_is_apart() -> None:
    """Of neighbours, no more stay close together than chance brings there."""
    count = 20_000
    places = numpy.empty(count)
    for index in range(count):
        places[shuffled(index, count, keys_of(7))] = index
    apart = numpy.abs(numpy.diff(places))
    assert abs(float(apart.mean()) / count - 1 / 3) < 0.01
    assert abs(float((apart < 64).mean()) - 2 * 64 / count) < 5 * (2 * 64 / count / count) ** 0.5
