"""How far a mean over seeds and rows can lie from the truth, when every seed is judged on the same rows.

The value of seed s on row n (1 where the answer is right, 0 where it is wrong) is taken as a sum of independent
effects: y = mean + row + seed + rest. The mean over all then varies by

    rows / N  +  seeds / S  +  rest / (N · S)         (variances of one row, one seed, one answer)

and the mean squares of the two-way analysis of variance estimate each of them:

    Searle, Casella and McCulloch 1992, "Variance Components", section 4.3 (two-way crossed, one value a cell).
    Satterthwaite 1946, "An Approximate Distribution of Estimates of Variance Components", Biometrics Bulletin 2.

Shapes: S seeds, N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike, NDArray

from sightline.errors import InputError

Floats = NDArray[numpy.float64]


def seeds_by_rows(values: ArrayLike) -> Floats:
    """The values as (S, N); a single row of values is one seed's. InputError for anything else."""
    table = numpy.atleast_2d(numpy.asarray(values, dtype=numpy.float64))
    if table.ndim != 2 or not table.size or not numpy.isfinite(table).all():
        raise InputError(
            f"values of shape {numpy.shape(values)}: give finite ones as (seeds, rows), at least one of each"
        )
    return table


@dataclass(frozen=True, kw_only=True)
class Spread:
    """What one contender's mean varies by, each part as it enters the variance of the mean over all.

    n_seeds    seeds
    seeds      mean square of seeds / (S · N): estimates seeds / S + rest / (S · N); 0 for one seed, which shows none
    rest       mean square of the rest / (S · N): estimates rest / (S · N)
    """

    n_seeds: int
    seeds: float
    rest: float

    @property
    def of_seeds(self) -> float:
        """The variance between seeds' true scores, by how much training runs differ; 0 where the rest explains it."""
        return self.n_seeds * max(self.seeds - self.rest, 0.0)


def spread(values: Floats) -> Spread:
    """The parts of (S, N) values that belong to one contender alone; rows are shared, and counted by the caller."""
    n_seeds, n_rows = values.shape
    if n_seeds == 1:
        return Spread(n_seeds=1, seeds=0.0, rest=0.0)
    by_row, by_seed = values.mean(0), values.mean(1)
    seeds = float(((by_seed - by_seed.mean()) ** 2).sum()) / (n_seeds - 1) / n_seeds
    left = values - by_row - by_seed[:, None] + values.mean()
    rest = float((left**2).sum()) / max((n_rows - 1) * (n_seeds - 1), 1) / values.size
    # Identical seeds leave rounding, and rounding is no spread.
    return Spread(n_seeds=n_seeds, seeds=seeds if seeds > 1e-24 else 0.0, rest=rest if rest > 1e-24 else 0.0)


def together(
    rows: float | Floats, parts: Sequence[tuple[float | Floats, float, int]], freedom: float
) -> tuple[Floats, Floats]:
    """The variance of a mean (or of a difference of means) and its degrees of freedom, after Satterthwaite.

    rows     mean square of rows / (S · N): rows / N + rest / (S · N), estimated with `freedom` degrees of freedom
    parts    for each contender (seeds, rest, n_seeds) as in `Spread`; arrays are taken element by element

    The estimate rows + Σ (seeds - rest) has no bias, but can fall below what is possible: never under `rows` (as if
    seeds did not differ) nor under Σ seeds (as if rows did not), so the largest of the three is taken.
    """
    of_rows = numpy.asarray(rows, dtype=numpy.float64)
    of_seeds = sum((numpy.asarray(seeds, dtype=numpy.float64) for seeds, _, _ in parts), numpy.zeros(()))
    of_rest = sum(rest for _, rest, _ in parts)
    variance = numpy.maximum(numpy.maximum(of_rows + of_seeds - of_rest, of_rows), of_seeds)
    squares = of_rows**2 / freedom
    for seeds, rest, n_seeds in parts:
        if n_seeds > 1:
            squares = squares + (numpy.asarray(seeds) ** 2 + rest**2 / freedom) / (n_seeds - 1)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        degrees = numpy.where(squares > 0, variance**2 / squares, freedom)
    return variance, degrees


def critical(level: float, degrees: Floats | float) -> Floats:
    """The two-sided quantile of Student's t: the normal one where the degrees of freedom are endless."""
    from scipy import special

    upper = (1 + level) / 2
    return numpy.where(numpy.isinf(degrees), special.ndtri(upper), special.stdtrit(numpy.minimum(degrees, 1e9), upper))
