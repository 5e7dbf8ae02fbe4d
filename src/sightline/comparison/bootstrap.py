"""The paired bootstrap: how the difference of two contenders moves when rows and seeds are drawn anew.

    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentile intervals).
    Owen 2007, "The Pigeonhole Bootstrap", Annals of Applied Statistics 1: rows and seeds drawn independently.

It assumes less than the t interval of `paired.difference` and stands beside it as a check. Few seeds drawn anew vary
too little (by (S - 1) / S), so where seeds differ much the t interval is the one to trust.

Shapes: S seeds (each contender has its own), N rows (the same ones), B draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike

from sightline.comparison.crossed import Floats, seeds_by_rows
from sightline.errors import InputError

AT_ONCE = 4_000_000  # numbers of one block of draws: 32 MB
MOST = 40_000_000  # rows of all draws for correlations, a few seconds' worth


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """The percentile interval of a minus b, and the two-sided chance that the sign is an accident."""

    low: float
    high: float
    p: float


def _drawn(counts: Floats, draws: int, random: numpy.random.Generator) -> Iterator[Floats]:
    """How often each kind of row is drawn, in blocks (some of B, kinds): kind k stands for counts[k] rows."""
    rows = int(counts.sum())
    block = max(1, AT_ONCE // len(counts))
    for begin in range(0, draws, block):
        yield random.multinomial(rows, counts / rows, size=min(block, draws - begin)).astype(numpy.float64)


def _of_seeds(seeds: int, draws: int, random: numpy.random.Generator) -> Floats:
    """(B, S) shares of the seeds drawn anew."""
    return random.multinomial(seeds, [1 / seeds] * seeds, size=draws) / seeds


def _summary(differences: Floats, level: float) -> Bootstrap:
    low, high = numpy.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    return Bootstrap(low=float(low), high=float(high), p=min(1.0, 2 * (int(tail) + 1) / (len(differences) + 1)))


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, *, draws: int = 2_000, seed: int = 0, level: float = 0.95
) -> Bootstrap:
    """The difference of accuracies, from which answers were right: (S, N) each, or (N,) for one seed.

    Rows are drawn together for both, seeds for each on its own. Rows that all seeds answered alike are drawn as one
    kind with its count, which is the same and does not grow with N.

        paired_bootstrap(a_correct, b_correct).p
    """
    first, second = seeds_by_rows(a), seeds_by_rows(b)
    if first.shape[1] != second.shape[1]:
        raise InputError(f"a has {first.shape[1]} rows and b {second.shape[1]}; both must be judged on the same rows")
    kinds, counts = numpy.unique(numpy.concatenate([first, second]), axis=1, return_counts=True)
    random = numpy.random.default_rng(seed)
    found = []
    for drawn in _drawn(counts.astype(numpy.float64), draws, random):
        means = drawn @ kinds.T / first.shape[1]  # (some of B, S of a + S of b)
        of_a = (means[:, : len(first)] * _of_seeds(len(first), len(means), random)).sum(1)
        of_b = (means[:, len(first) :] * _of_seeds(len(second), len(means), random)).sum(1)
        found.append(of_a - of_b)
    return _summary(numpy.concatenate(found), level)


def correlation_bootstrap(
    truth: ArrayLike, a: ArrayLike, b: ArrayLike, *, draws: int = 2_000, seed: int = 0, level: float = 0.95
) -> Bootstrap:
    """The difference of Pearson's correlations: truth (N,), predictions (S, N) each, or (N,) for one seed.

    A draw's correlations come from weighted sums, so a draw costs N times a few multiplications; beyond 20,000 rows
    there are fewer draws, 200 at least.
    """
    wanted, first, second = (seeds_by_rows(values) for values in (truth, a, b))
    if not wanted.shape[1] == first.shape[1] == second.shape[1]:
        rows = f"{wanted.shape[1]}, {first.shape[1]} and {second.shape[1]}"
        raise InputError(f"truth, a and b have {rows} rows; all must be the same rows")
    true = wanted[0] - wanted.mean()
    given = numpy.concatenate([first, second])
    given = given - given.mean(1, keepdims=True)
    seeds = len(given)
    columns = numpy.concatenate([true[None], true[None] ** 2, given, given**2, given * true]).T  # (N, 2 + 3 seeds)
    random = numpy.random.default_rng(seed)
    found = []
    for drawn in _drawn(numpy.ones(len(true)), min(draws, max(200, MOST // len(true))), random):
        means = drawn @ columns / len(true)
        mean, square = means[:, :1], means[:, 1:2]
        own, own_square, product = numpy.split(means[:, 2:], [seeds, 2 * seeds], axis=1)
        spreads = (square - mean**2) * (own_square - own**2)
        together = product - mean * own
        r = numpy.divide(together, numpy.sqrt(numpy.maximum(spreads, 0)), out=numpy.zeros_like(own), where=spreads > 0)
        of_a = (r[:, : len(first)] * _of_seeds(len(first), len(r), random)).sum(1)
        of_b = (r[:, len(first) :] * _of_seeds(len(second), len(r), random)).sum(1)
        found.append(of_a - of_b)
    return _summary(numpy.concatenate(found), level)
