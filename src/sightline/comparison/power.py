"""Power: how likely a difference of a given size is shown, and how many rows would show it.

    Cohen 1988, "Statistical Power Analysis for the Behavioral Sciences": 80 % is the customary aim.

The test is that of `paired.difference`. Its chance of success is computed, not simulated: given how far each
contender's seeds happen to spread, the difference is normal, and the spread follows a chi-squared distribution, which
is integrated over at its quantiles.

Shapes: K quantiles.
"""

from __future__ import annotations

import numpy

from sightline.comparison.crossed import Floats, critical, together
from sightline.comparison.paired import Difference, alike, padded
from sightline.errors import ConfigError

Two = tuple[float, float]
QUANTILES = 16
MOST_ROWS = 10**12


def _shares(seeds: int) -> Floats:
    """(K,) equally likely values of mean square / its expectation."""
    from scipy import special

    if seeds == 1:
        return numpy.zeros(1)
    middles = (numpy.arange(QUANTILES) + 0.5) / QUANTILES
    return 2 * special.gammaincinv((seeds - 1) / 2, middles) / (seeds - 1)


def power(
    difference: float,
    *,
    row_variance: float,
    rows: int,
    seeds: tuple[int, int] = (1, 1),
    seed_variance: Two = (0.0, 0.0),
    rest_variance: Two = (0.0, 0.0),
    alpha: float = 0.05,
    shares: bool = True,
) -> float:
    """The chance that a true `difference` of a over b is shown, in its own direction, at the level `alpha`.

    row_variance    between rows, of the difference of the means over seeds: for one seed each, the share of rows on
                    which exactly one is right, minus difference²
    seeds           of a and of b
    seed_variance   between the true scores of one contender's seeds, of a and of b
    rest_variance   of a single answer beyond its row and its seed, of a and of b; a part of row_variance already
    shares          whether accuracies differ, to whose rows the test adds some, or correlations

        power(0.03, row_variance=0.1, rows=1000)      # 0.85: a tenth of 1,000 rows decides
    """
    from scipy import special

    if rows < 2 or not 0 < alpha < 1:
        raise ConfigError(f"rows={rows} and alpha={alpha}: power needs 2 rows or more and a level between 0 and 1")
    rests = [rest / n / rows for rest, n in zip(rest_variance, seeds, strict=True)]
    expected = [
        (spread / n + rest) if n > 1 else 0.0 for spread, rest, n in zip(seed_variance, rests, seeds, strict=True)
    ]
    of_a, of_b = (each.ravel() for each in numpy.meshgrid(_shares(seeds[0]), _shares(seeds[1])))
    parts = [
        (share * mean, rest if n > 1 else 0.0, n)
        for share, mean, rest, n in zip((of_a, of_b), expected, rests, seeds, strict=True)
    ]
    single = row_variance + sum(rest * (1 - 1 / n) for rest, n in zip(rest_variance, seeds, strict=True))
    squares = [rows * (each + difference**2) for each in (row_variance, single)]
    extra = alike(*squares) if shares else 0.0
    of_rows, middle = padded(row_variance, rows, abs(difference), extra)
    variance, degrees = together(of_rows, parts, rows - 1)
    threshold = critical(1 - alpha, degrees) * numpy.sqrt(variance)
    shrunk = rows / (rows + 2 * extra)
    truth = row_variance / rows + sum(spread / n for spread, n in zip(seed_variance, seeds, strict=True))
    if truth == 0:
        return float(numpy.mean(middle > threshold))
    return float(special.ndtr((middle - threshold) / (shrunk * numpy.sqrt(truth))).mean())


def rows_needed(found: Difference, *, alpha: float = 0.05, aim: float = 0.8, shares: bool = True) -> int | None:
    """The fewest rows on which the difference that was found, if it is the true one, is shown with chance `aim`.

    None where no number of rows does: the difference is 0, or the seeds' share alone, which rows do not lessen, is too
    large for it, and more seeds are needed.
    """

    def enough(rows: int) -> bool:
        reached = power(
            found.difference,
            row_variance=found.row_variance,
            rows=rows,
            seeds=(found.of_a.n_seeds, found.of_b.n_seeds),
            seed_variance=(found.of_a.of_seeds, found.of_b.of_seeds),
            rest_variance=tuple(each.rest * each.n_seeds * found.rows for each in (found.of_a, found.of_b)),  # type: ignore[arg-type]
            alpha=alpha,
            shares=shares,
        )
        return reached >= aim

    if found.difference == 0 or not enough(MOST_ROWS):
        return None
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
