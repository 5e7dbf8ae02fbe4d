"""Shuffled orders: every thing once, and wherever chance may put it."""

from itertools import pairwise

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.training import shuffled as module
from sightline.training.shuffled import shuffled


def keys_of(seed: int, count: int) -> list[int]:
    return module.keys_of(numpy.random.default_rng(seed), count)


@given(count=st.integers(1, 700), seed=st.integers(0, 99))
def test_each_comes_once(count: int, seed: int) -> None:
    keys = keys_of(seed, count)
    assert sorted(shuffled(index, count, keys) for index in range(count)) == list(range(count))


def test_however_many_there_are() -> None:
    count = 10**15 + 37
    keys = keys_of(0, count)
    found = [shuffled(index, count, keys) for index in range(1000)]
    assert len(set(found)) == 1000 and 0 <= min(found) < 0.05 * count and 0.95 * count < max(found) < count


@pytest.mark.parametrize("count", [24, 1000])
def test_each_is_as_likely_at_each_place(count: int) -> None:
    """χ² of where the first, the middle and the last thing come, over many orders, within 5 standard deviations."""
    orders = [keys_of(seed, count) for seed in range(100 * count)]
    for index in (0, count // 2, count - 1):
        found = numpy.bincount([shuffled(index, count, keys) for keys in orders], minlength=count)
        chi = float(((found - 100) ** 2 / 100).sum())
        assert abs(chi - (count - 1)) < 5 * (2 * (count - 1)) ** 0.5


def test_what_was_together_is_apart() -> None:
    """Of neighbours, no more stay close together than chance brings there."""
    count = 20_000
    keys, places = keys_of(7, count), numpy.empty(count)
    for index in range(count):
        places[shuffled(index, count, keys)] = index
    apart = numpy.abs(numpy.diff(places))
    assert abs(float(apart.mean()) / count - 1 / 3) < 0.01
    assert abs(float((apart < 64).mean()) - 2 * 64 / count) < 5 * (2 * 64 / count / count) ** 0.5


@pytest.mark.parametrize("count", [16, 64, 256])
def test_neighbours_stay_neighbours_as_rarely_as_by_chance(count: int) -> None:
    """By chance, 2 − 2/n pairs of an order of n do, with a variance of less than 2."""
    orders = 500_000 // count
    stayed = 0
    for seed in range(orders):
        keys = keys_of(seed, count)
        order = [shuffled(index, count, keys) for index in range(count)]
        stayed += sum(abs(one - other) == 1 for one, other in pairwise(order))
    assert abs(stayed / orders - (2 - 2 / count)) < 5 * (2 / orders) ** 0.5
