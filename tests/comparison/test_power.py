"""Power: a t test's where there is nothing but rows, and what it must do when rows, seeds and differences grow."""

import numpy
import pytest
from scipy import stats

from comparison.truth import answers, effects
from sightline.comparison.paired import difference
from sightline.comparison.power import power, rows_needed
from sightline.errors import ConfigError


@pytest.mark.parametrize(("gap", "variance", "rows"), [(0.03, 0.1, 1000), (0.02, 0.2, 4000), (0.1, 0.3, 300)])
def test_one_seed_gives_the_power_of_a_t_test(gap: float, variance: float, rows: int) -> None:
    away = gap / numpy.sqrt(variance / rows)
    want = stats.nct.sf(stats.t.ppf(0.975, rows - 1), rows - 1, away)
    assert power(gap, row_variance=variance, rows=rows, shares=False) == pytest.approx(want, abs=0.005)
    assert power(gap, row_variance=variance, rows=rows) == pytest.approx(want, abs=0.02)  # two rows more


@pytest.mark.parametrize("seeds", [3, 5, 9])
def test_endless_rows_leave_a_t_test_of_seeds(seeds: int) -> None:
    spread = 1e-3
    for gap in (0.03, 0.06, 0.12):
        away = gap / numpy.sqrt(spread / seeds)
        want = stats.nct.sf(stats.t.ppf(0.975, seeds - 1), seeds - 1, away)
        found = power(gap, row_variance=0.1, rows=10**12, seeds=(seeds, 1), seed_variance=(spread, 0.0))
        assert found == pytest.approx(want, abs=0.01)


def test_power_grows_with_rows_seeds_and_the_difference() -> None:
    plain = {"row_variance": 0.15, "seed_variance": (4e-4, 4e-4), "rest_variance": (0.06, 0.06)}
    rising = [
        [power(0.04, rows=rows, seeds=(3, 3), **plain) for rows in (50, 200, 800, 3200)],
        [power(0.04, rows=800, seeds=(seeds, seeds), **plain) for seeds in (2, 3, 5, 9)],
        [power(gap, rows=800, seeds=(3, 3), **plain) for gap in (0.01, 0.02, 0.04, 0.08)],
        [power(0.04, rows=800, seeds=(3, 3), alpha=alpha, **plain) for alpha in (0.001, 0.01, 0.05, 0.2)],
    ]
    for row in rising:
        assert row == sorted(row)
        assert row[0] < row[-1]
    assert power(0.0, row_variance=0.15, rows=400) == pytest.approx(0.025, abs=0.003)


def test_rows_needed_reach_the_aim_and_one_less_does_not() -> None:
    random = numpy.random.default_rng(0)
    ease = random.standard_normal(300)
    found = difference(answers(0.83, 1, 300, random, ease=ease), answers(0.8, 1, 300, random, ease=ease))
    needed = rows_needed(found)
    assert needed is not None
    assert power(found.difference, row_variance=found.row_variance, rows=needed) >= 0.8
    assert power(found.difference, row_variance=found.row_variance, rows=needed - 1) < 0.8
    assert rows_needed(found, alpha=0.005) > needed
    assert rows_needed(found, aim=0.5) < needed


def test_as_many_rows_as_needed_show_it_four_times_in_five() -> None:
    random = numpy.random.default_rng(1)
    ease = random.standard_normal(20_000)
    sample = difference(answers(0.84, 3, 20_000, random, ease=ease), answers(0.8, 3, 20_000, random, ease=ease))
    rows = rows_needed(sample)
    assert rows is not None
    shown = 0
    for _ in range(400):
        ease = random.standard_normal(rows)
        found = difference(answers(0.84, 3, rows, random, ease=ease), answers(0.8, 3, rows, random, ease=ease))
        shown += found.p < 0.05 and found.difference > 0
    assert 0.7 < shown / 400 < 0.9


def test_no_rows_make_up_for_seeds() -> None:
    row = numpy.arange(1000) % 20
    wild = difference([row > 0, row > 4, row > 8], [row > 5] * 3)
    assert wild.difference > 0
    assert rows_needed(wild) is None
    assert rows_needed(difference([True, False], [False, True])) is None


@pytest.mark.parametrize(("rows", "alpha"), [(1, 0.05), (100, 0.0), (100, 1.0)])
def test_what_makes_no_sense_is_refused(rows: int, alpha: float) -> None:
    with pytest.raises(ConfigError, match="power needs"):
        power(0.1, row_variance=0.1, rows=rows, alpha=alpha)


KNOWN = [
    # accuracies, rows, seeds, spread, the rows' share
    ((0.85, 0.80), 200, (1, 1), 0.0, 0.5),
    ((0.84, 0.80), 400, (3, 3), 0.05, 0.5),
    ((0.84, 0.80), 1000, (3, 3), 0.1, 0.8),
    ((0.90, 0.80), 100, (3, 3), 0.0, 0.5),
    ((0.83, 0.80), 1000, (5, 5), 0.05, 0.3),
    ((0.86, 0.80), 400, (2, 2), 0.05, 0.5),
]


@pytest.mark.parametrize(("accuracies", "rows", "seeds", "spread", "shared"), KNOWN)
def test_a_known_difference_is_shown_as_often_as_computed(
    accuracies: tuple[float, float], rows: int, seeds: tuple[int, int], spread: float, shared: float
) -> None:
    random = numpy.random.default_rng(rows)
    shown = 0
    for _ in range(400):
        ease = random.standard_normal(rows)
        a, b = (
            answers(accuracy, n, rows, random, spread=spread, shared=shared, ease=ease)
            for accuracy, n in zip(accuracies, seeds, strict=True)
        )
        found = difference(a, b)
        shown += found.p < 0.05 and found.difference > 0
    known = effects(accuracies, seeds, spread=spread, shared=shared)
    computed = power(accuracies[0] - accuracies[1], rows=rows, **known)
    assert 0.15 < computed < 0.95  # a setting in which something could go wrong
    assert shown / 400 == pytest.approx(computed, abs=0.1)
