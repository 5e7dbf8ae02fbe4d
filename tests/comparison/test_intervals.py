"""Intervals: SciPy's where rows alone count, and the truth inside as often as they say where seeds count too."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from comparison.truth import answers
from sightline.comparison.intervals import correlation_interval, correlations, interval
from sightline.errors import InputError


@given(st.integers(1, 200), st.data())
def test_one_seed_gives_wilsons_interval(rows: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, rows))
    level = data.draw(st.sampled_from([0.8, 0.95, 0.99]))
    found = interval(numpy.arange(rows) < right, level)
    want = stats.binomtest(right, rows).proportion_ci(level, method="wilson")
    assert (found.low, found.high) == pytest.approx((want.low, want.high), abs=1e-12)
    assert found.estimate == right / rows


@given(st.integers(2, 5), st.integers(2, 60), st.integers(0, 60))
def test_seeds_that_answer_alike_count_once(seeds: int, rows: int, right: int) -> None:
    once = numpy.arange(rows) < right
    alone, many = interval(once), interval([once] * seeds)
    assert (many.low, many.high) == pytest.approx((alone.low, alone.high), abs=1e-12)


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 10**6))
def test_an_interval_is_sane(seeds: int, rows: int, seed: int) -> None:
    random = numpy.random.default_rng(seed)
    values = random.random((seeds, rows)) < random.choice([0.0, 0.1, 0.5, 0.98, 1.0])
    found = interval(values)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.low < found.high  # also where all is right, or all is wrong
    wrong = interval(~values)
    assert (1 - wrong.high, 1 - wrong.low) == pytest.approx((found.low, found.high), abs=1e-9)
    wider = interval(values, 0.99)
    assert wider.low <= found.low
    assert wider.high >= found.high


def test_seeds_that_differ_widen_it() -> None:
    row = numpy.arange(200) % 10
    alike = interval([row > 1] * 3)
    apart = interval([row > 0, row > 1, row > 2])
    assert apart.estimate == alike.estimate == pytest.approx(0.8)
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)


def test_one_wrong_answer_does_not_show_that_seeds_err_apart() -> None:
    one_wrong = numpy.ones((5, 100), dtype=bool)
    one_wrong[0, 0] = False
    assert interval(one_wrong).low < interval(numpy.arange(250) > 0).low  # five seeds are not 500 rows


COVERED = [
    # accuracy, rows, seeds, spread of seeds' skill, the rows' share
    (0.80, 100, 1, 0.0, 0.5),
    (0.95, 100, 1, 0.0, 0.5),
    (0.95, 400, 1, 0.0, 0.8),
    (0.80, 100, 3, 0.05, 0.5),
    (0.80, 1000, 3, 0.05, 0.5),
    (0.80, 400, 3, 0.0, 0.8),
    (0.95, 400, 3, 0.05, 0.5),
    (0.90, 1000, 3, 0.1, 0.8),
    (0.80, 400, 5, 0.05, 0.2),
    (0.95, 200, 5, 0.0, 0.5),
    (0.95, 1000, 5, 0.1, 0.5),
    (0.60, 50, 5, 0.1, 0.8),
]


@pytest.mark.parametrize(("accuracy", "rows", "seeds", "spread", "shared"), COVERED)
def test_intervals_hold_the_truth_as_often_as_they_say(
    accuracy: float, rows: int, seeds: int, spread: float, shared: float
) -> None:
    random = numpy.random.default_rng(rows + seeds)
    held = 0
    for _ in range(400):
        found = interval(answers(accuracy, seeds, rows, random, spread=spread, shared=shared))
        held += found.low <= accuracy <= found.high
    assert 360 <= held <= 396


def test_one_seed_cannot_see_how_seeds_differ() -> None:
    """The limit that the docstring states: bounds from one seed speak of that one trained model."""
    random = numpy.random.default_rng(0)
    held = 0
    for _ in range(200):
        found = interval(answers(0.8, 1, 2000, random, spread=0.2))
        held += found.low <= 0.8 <= found.high
    assert held < 120


@given(st.integers(4, 60), st.integers(0, 10**6))
def test_what_rows_add_to_a_correlation_is_its_derivative(rows: int, seed: int) -> None:
    """The weight of one row, raised by a little, moves the correlation by its part / N."""
    random = numpy.random.default_rng(seed)
    truth = random.normal(size=rows)
    guess = truth + random.normal(size=rows)
    found, parts = correlations(truth, guess)
    assert found[0] == pytest.approx(stats.pearsonr(truth, guess).statistic, abs=1e-12)
    assert parts.sum() == pytest.approx(0, abs=1e-9)
    little = 1e-6
    weights = numpy.ones(rows)
    weights[0] += little * rows
    both = numpy.cov(truth, guess, aweights=weights / weights.sum(), ddof=0)
    moved = both[0, 1] / numpy.sqrt(both[0, 0] * both[1, 1])
    assert (moved - found[0]) / little == pytest.approx(parts[0, 0], rel=1e-3, abs=1e-3)


def test_a_correlations_interval_is_fishers_where_numbers_are_normal() -> None:
    random = numpy.random.default_rng(2)
    truth = random.normal(size=4000)
    guess = truth + random.normal(size=4000)
    found = correlation_interval(truth, guess)
    want = stats.pearsonr(truth, guess).confidence_interval()
    assert (found.low, found.high) == pytest.approx((want.low, want.high), abs=2e-3)


@pytest.mark.parametrize(("seeds", "heavy"), [(1, False), (3, False), (3, True)])
def test_correlation_intervals_hold_the_truth(seeds: int, heavy: bool) -> None:
    """Also where the truth is far from normal, where Fisher's own interval fails."""
    random = numpy.random.default_rng(seeds + heavy)
    held = 0
    for _ in range(400):
        truth = random.laplace(size=200) if heavy else random.normal(size=200)
        spread = truth.dtype.type(numpy.sqrt(2) if heavy else 1)
        guess = truth / spread + random.normal(size=200) / 2 + random.normal(size=(seeds, 200)) / 2
        found = correlation_interval(truth, guess)
        held += found.low <= 1 / numpy.sqrt(1.5) <= found.high
    assert 360 <= held <= 396


def test_constant_predictions_have_no_interval_but_zero() -> None:
    found = correlation_interval([1.0, 2.0, 3.0], [[2.0] * 3] * 2)
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)
    perfect = correlation_interval([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert perfect.estimate == pytest.approx(1.0)
    assert perfect.low > 0.999


@pytest.mark.parametrize("values", [[], [[]], [[[1.0]]], [numpy.nan]])
def test_no_values_have_no_interval(values: list[float]) -> None:
    with pytest.raises(InputError, match="seeds, rows"):
        interval(values)


def test_truth_and_predictions_must_be_the_same_rows() -> None:
    with pytest.raises(InputError, match=r"truth \(2,\) and predictions \(1, 3\)"):
        correlation_interval([1.0, 2.0], [1.0, 2.0, 3.0])
