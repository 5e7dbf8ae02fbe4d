"""Two contenders on the same rows: SciPy's tests, Holm by hand, and simulated contenders whose truth is known."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from comparison.truth import answers
from sightline.comparison.bootstrap import correlation_bootstrap, paired_bootstrap
from sightline.comparison.paired import correlation_difference, difference, holm, majority, mcnemar
from sightline.errors import InputError


@given(st.integers(1, 60), st.integers(0, 10**6))
def test_mcnemar_is_a_binomial_test_of_the_discordant_rows(rows: int, seed: int) -> None:
    a, b = numpy.random.default_rng(seed).random((2, rows)) < [[0.8], [0.6]]
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    want = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert mcnemar(a, b) == pytest.approx(want, abs=1e-12)
    assert mcnemar(b, a) == pytest.approx(want, abs=1e-12)


def test_majorities_decide_and_even_splits_go_by_the_first() -> None:
    assert majority([[1, 1, 0], [1, 0, 0], [0, 0, 1]]).tolist() == [True, False, False]
    assert majority([[1, 0], [0, 1]]).tolist() == [True, False]


@given(st.integers(2, 60), st.integers(1, 4), st.integers(1, 4), st.integers(0, 10**6))
def test_a_difference_turns_with_its_sides(rows: int, seeds_a: int, seeds_b: int, seed: int) -> None:
    random = numpy.random.default_rng(seed)
    a, b = random.random((seeds_a, rows)) < 0.8, random.random((seeds_b, rows)) < 0.6
    found, turned = difference(a, b), difference(b, a)
    assert found.difference == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)
    assert turned.p == pytest.approx(found.p, abs=1e-12)
    assert -1 <= found.low < found.high <= 1
    # One test, read in two ways: p below 5 % where the 95 % interval leaves 0 out.
    assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_many_rows_of_one_seed_give_the_paired_t_test() -> None:
    random = numpy.random.default_rng(0)
    a, b = random.random((2, 20_000)) < [[0.80], [0.79]]
    found, want = difference(a, b), stats.ttest_rel(a.astype(float), b.astype(float))
    assert found.p == pytest.approx(want.pvalue, abs=2e-3)
    bounds = want.confidence_interval()
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), abs=1e-4)


def test_two_that_never_disagreed_are_not_proven_equal() -> None:
    found = difference([True] * 20, [True] * 20)
    assert found.difference == 0
    assert found.low < -0.05
    assert found.high > 0.05
    assert found.p == 1.0


def test_seeds_that_differ_widen_a_difference() -> None:
    row = numpy.arange(300) % 10
    other = row > 3
    alike, apart = difference([row > 1] * 3, other), difference([row > 0, row > 1, row > 2], other)
    assert apart.difference == pytest.approx(alike.difference)
    assert apart.half > 1.5 * alike.half
    assert alike.p < 0.001 < apart.p


DIFFERENCES = [
    # rows, seeds of a, seeds of b, spread, the rows' share
    (100, 1, 1, 0.0, 0.5),
    (400, 3, 3, 0.05, 0.5),
    (1000, 3, 3, 0.1, 0.8),
    (400, 3, 1, 0.05, 0.5),
    (200, 5, 5, 0.05, 0.2),
    (50, 3, 3, 0.0, 0.8),
]


@pytest.mark.parametrize(("rows", "seeds_a", "seeds_b", "spread", "shared"), DIFFERENCES)
def test_bounds_of_a_difference_hold_the_truth(
    rows: int, seeds_a: int, seeds_b: int, spread: float, shared: float
) -> None:
    random = numpy.random.default_rng(rows + seeds_a)
    held = 0
    for _ in range(400):
        own, ease = random.standard_normal((2, rows))
        a = answers(0.85, seeds_a, rows, random, spread=spread, shared=shared, ease=0.8 * ease + 0.6 * own)
        b = answers(0.80, seeds_b, rows, random, spread=spread if seeds_b > 1 else 0, shared=shared, ease=ease)
        found = difference(a, b)
        held += found.low <= 0.05 <= found.high
    assert 360 <= held <= 396


def test_the_bootstrap_agrees_with_scipys() -> None:
    random = numpy.random.default_rng(3)
    a, b = random.random((2, 150)) < [[0.85], [0.75]]
    found = paired_bootstrap(a, b, draws=20_000)
    want = stats.bootstrap(
        (a.astype(float) - b.astype(float),), numpy.mean, n_resamples=20_000, method="percentile", rng=random
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((want.low, want.high), abs=0.01)
    swapped = stats.permutation_test(
        (a.astype(float), b.astype(float)),
        lambda x, y: (x - y).mean(),
        permutation_type="samples",
        n_resamples=5_000,
        rng=random,
    )
    assert found.p == pytest.approx(swapped.pvalue, abs=0.03)


def test_the_bootstrap_agrees_with_the_t_interval_where_there_are_many_seeds() -> None:
    random = numpy.random.default_rng(4)
    ease = random.standard_normal(500)
    a, b = (answers(accuracy, 8, 500, random, spread=0.1, ease=ease) for accuracy in (0.85, 0.8))
    found, drawn = difference(a, b), paired_bootstrap(a, b, draws=4_000)
    assert drawn.high - drawn.low == pytest.approx(found.high - found.low, rel=0.2)


def test_the_bootstrap_repeats_itself() -> None:
    random = numpy.random.default_rng(5)
    a, b = random.random((2, 3, 50)) < 0.7
    assert paired_bootstrap(a, b, seed=1, draws=500) == paired_bootstrap(a, b, seed=1, draws=500)
    assert paired_bootstrap(a, b, seed=1, draws=500) != paired_bootstrap(a, b, seed=2, draws=500)
    assert paired_bootstrap(a, a, draws=200).p == 1.0


def test_correlations_differ_as_the_bootstrap_says() -> None:
    random = numpy.random.default_rng(6)
    truth = random.normal(size=400)
    a, b = truth + random.normal(size=(1, 400)), truth + 1.2 * random.normal(size=(1, 400))
    found, drawn = correlation_difference(truth, a, b), correlation_bootstrap(truth, a, b)
    assert found.difference == pytest.approx(
        stats.pearsonr(truth, a[0]).statistic - stats.pearsonr(truth, b[0]).statistic, abs=1e-12
    )
    assert (drawn.low, drawn.high) == pytest.approx((found.low, found.high), abs=0.015)
    assert drawn.p == pytest.approx(found.p, abs=0.03)


def test_equal_correlations_are_rarely_called_different() -> None:
    random = numpy.random.default_rng(7)
    different = 0
    for _ in range(400):
        truth = random.normal(size=150)
        a, b = truth + random.normal(size=(2, 3, 150)) + random.normal(size=(2, 1, 150)) / 2
        different += correlation_difference(truth, a, b).p < 0.05
    assert different <= 36


def test_constant_predictions_can_be_compared() -> None:
    random = numpy.random.default_rng(8)
    truth = random.normal(size=100)
    found = correlation_difference(truth, truth + random.normal(size=(3, 100)), numpy.zeros((1, 100)))
    assert found.p < 1e-6
    assert found.low > 0.4
    same = correlation_difference(truth, numpy.ones(100), numpy.zeros(100))
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    drawn = correlation_bootstrap(truth, numpy.ones(100), numpy.zeros(100), draws=50)
    assert (drawn.low, drawn.high, drawn.p) == (0, 0, 1)


@pytest.mark.parametrize(
    ("given_p", "want"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 0.01 · 3, then 0.03 · 2; 0.04 · 1 is less than that
        ([0.5, 0.9, 0.5], [1.0, 1.0, 1.0]),
        ([0.02, 0.001, 0.02, 0.02], [0.06, 0.004, 0.06, 0.06]),
    ],
)
def test_holm_by_hand(given_p: list[float], want: list[float]) -> None:
    assert holm(given_p) == pytest.approx(want)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_plain_p_and_bonferronis(p: list[float]) -> None:
    for plain, adjusted in zip(p, holm(p), strict=True):
        assert plain <= adjusted <= min(1, len(p) * plain) + 1e-12
    assert sorted(range(len(p)), key=lambda i: (holm(p)[i], p[i])) == sorted(range(len(p)), key=lambda i: (p[i],))


@pytest.mark.parametrize("compare", [difference, mcnemar, paired_bootstrap])
def test_rows_must_be_the_same(compare: object) -> None:
    with pytest.raises(InputError, match="a has 2 rows and b 3"):
        compare([True, False], [True, False, True])  # type: ignore[operator]
