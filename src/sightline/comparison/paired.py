"""Two contenders on the same rows: by how much they differ, how surely, and three ways to ask.

    Agresti and Min 2005, "Simple Improved Confidence Intervals for Comparing Matched Proportions", Statistics in
    Medicine 24: half a row for each of the four outcomes.
    McNemar 1947, "Note on the Sampling Error of the Difference between Correlated Proportions", Psychometrika 12.
    Owen 2007, "The Pigeonhole Bootstrap", Annals of Applied Statistics 1: rows and seeds resampled independently.
    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6.

Shapes: S seeds (each contender has its own), N rows (the same ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike, NDArray

from sightline.comparison.crossed import Floats, Spread, critical, seeds_by_rows, spread, together
from sightline.comparison.intervals import correlations
from sightline.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The score of a minus that of b, its interval, and the chance of one as large if there were none.

    row_variance    between rows, of the difference of the seeds' means: what more rows help against
    of_a, of_b      how each contender's seeds spread: what only more seeds help against
    """

    difference: float
    low: float
    high: float
    p: float
    rows: int
    row_variance: float
    of_a: Spread
    of_b: Spread

    @property
    def half(self) -> float:
        """Half of the interval's width, the y of "x ± y"."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two contenders on test; the fields of "comparisons" in results.json.

    p            of the t test that counts rows and seeds (`difference`)
    holm_p       the same, adjusted for the number of pairs; `different` where it is below 1 - level
    rows_needed  test rows that would show this difference with 80 % chance; None where no number would
    """

    a: str
    b: str
    difference: float
    low: float
    high: float
    mcnemar_p: float | None
    bootstrap_p: float
    p: float
    holm_p: float
    different: bool
    rows_needed: int | None

    def seen_from(self, name: str) -> Comparison:
        """The same pair with `name` first."""
        if name == self.a:
            return self
        if name != self.b:
            raise InputError(f"{name} is not of the pair {self.a}, {self.b}")
        turned = {"a": self.b, "b": self.a, "difference": -self.difference, "low": -self.high, "high": -self.low}
        return Comparison(**{**vars(self), **turned})


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = seeds_by_rows(a), seeds_by_rows(b)
    if first.shape[1] != second.shape[1]:
        raise InputError(f"a has {first.shape[1]} rows and b {second.shape[1]}; both must be judged on the same rows")
    return first, second


def alike(averaged: float, single: float) -> float:
    """How far a contender's seeds answer alike, 1 for entirely: the squared differences of two contenders, summed over
    rows, of their means over seeds and of single seeds. Half a row is added on both sides: without any difference the
    seeds count as alike."""
    return (averaged + 0.5) / (single + 0.5)


def padded(row_variance: float, rows: int, difference: float, extra: float) -> tuple[float, float]:
    """The variance and the mean of a difference over `rows`, with 2 · extra rows added: half of them without a
    difference, a quarter each fully for one and for the other."""
    whole = rows + 2 * extra
    middle = difference * rows / whole
    squares = row_variance * max(rows - 1, 1) + rows * difference**2 + extra
    return (squares - whole * middle**2) / whole / max(whole - 1, 1), middle


def _difference(a: Floats, b: Floats, level: float, extra: float) -> Difference:
    from scipy import special

    by_row = a.mean(0) - b.mean(0)
    n_rows = len(by_row)
    found = float(by_row.mean())
    row_variance = float(by_row.var()) * n_rows / max(n_rows - 1, 1)
    of_rows, middle = padded(row_variance, n_rows, found, extra)
    of_a, of_b = spread(a), spread(b)
    parts = [(each.seeds, each.rest, each.n_seeds) for each in (of_a, of_b)]
    variance, degrees = together(of_rows, parts, max(n_rows - 1, 1))
    deviation = float(numpy.sqrt(variance))
    half = float(critical(level, degrees)) * deviation
    # Without any spread a difference is certain, and none is none.
    away = abs(middle) / deviation if deviation > 0 else numpy.inf if middle else 0.0
    return Difference(
        difference=found,
        low=max(middle - half, -1.0 if extra else -2.0),
        high=min(middle + half, 1.0 if extra else 2.0),
        p=min(float(2 * special.stdtr(degrees, -away)), 1.0),
        rows=n_rows,
        row_variance=row_variance,
        of_a=of_a,
        of_b=of_b,
    )


def difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Difference:
    """Accuracy of a minus accuracy of b, from which answers were right: (S, N) each, or (N,) for one seed.

    A t interval and test. The rows are shared, so their part comes from the differences within rows; seeds are taken
    as independent between a and b even where both used the same numbers: what a seed does to one network says little
    about another, and if it did say something, the two would move together and this would only be too careful. The
    parts are put together as in `crossed.together`. Half a row is added for each of the four outcomes (Agresti and
    Min 2005), so that two contenders that never disagreed on 20 rows are not taken for equal on all others; where seeds
    answer differently, by which errors average out, it is as much less as they are less alike. With one seed the bounds
    and p speak of these two trained models, not of how they were trained.

        difference([True, True, False], [True, False, False]).difference      # 0.333…
    """
    first, second = _pair(a, b)
    by_row = first.mean(0), second.mean(0)
    averaged = float(((by_row[0] - by_row[1]) ** 2).sum())
    single = float(((first**2).mean(0) + (second**2).mean(0) - 2 * by_row[0] * by_row[1]).sum())
    return _difference(first, second, level, alike(averaged, single))


def correlation_difference(truth: ArrayLike, a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Difference:
    """Pearson's correlation of a minus that of b: truth (N,), predictions (S, N) each, or (N,) for one seed.

    As `difference`, on what each row adds to a correlation (the infinitesimal jackknife, `intervals.correlations`).
    """
    first, second = _pair(a, b)
    (r_a, parts_a), (r_b, parts_b) = correlations(truth, first), correlations(truth, second)
    return _difference(r_a[:, None] + parts_a, r_b[:, None] + parts_b, level, extra=0)


def majority(correct: ArrayLike) -> NDArray[numpy.bool_]:
    """(N,): what most seeds made of each row; where they split evenly, what the first did."""
    values = seeds_by_rows(correct)
    share = values.mean(0)
    return numpy.where(share == 0.5, values[0] > 0.5, share > 0.5)


def mcnemar(a: ArrayLike, b: ArrayLike) -> float:
    """McNemar's exact p: are rows that only a's majority gets right as frequent as those that only b's does?

    A two-sided binomial test on the discordant rows alone; 1.0 where there are none. It speaks of these majorities,
    so it does not see how far seeds differ.

        mcnemar([True] * 9 + [False], [False] * 9 + [True])      # 0.021…
    """
    from scipy import special

    first, second = _pair(a, b)
    only_a, only_b = majority(first) & ~majority(second), majority(second) & ~majority(first)
    fewer, discordant = min(only_a.sum(), only_b.sum()), only_a.sum() + only_b.sum()
    return min(1.0, 2 * float(special.bdtr(fewer, discordant, 0.5)))


def holm(p: Sequence[float]) -> list[float]:
    """Each p, adjusted for how many there are: the k-th smallest of m counts m - k + 1 times, and none less than a
    smaller one. Below a level, the difference stands while all such statements together err with that chance at most.

        holm([0.01, 0.04, 0.03])     # [0.03, 0.06, 0.06]
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda each: p[each])):
        highest = max(highest, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = highest
    return adjusted
