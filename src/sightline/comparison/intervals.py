"""Intervals: between which bounds a score lies in truth, for other rows of the same kind and other seeds.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22.
    Franco, Little, Louis and Slud 2019, "Comparative Study of Confidence Intervals for Proportions in Complex Sample
    Surveys", Journal of Survey Statistics and Methodology 7: Wilson's interval with the effective number of rows.
    Fisher 1921, "On the 'Probable Error' of a Coefficient of Correlation deduced from a Small Sample", Metron 1.
    Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", section 6.3: the infinitesimal jackknife.

Shapes: S seeds, N rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike

from sightline.comparison.crossed import Floats, critical, seeds_by_rows, spread, together
from sightline.errors import InputError
from sightline.tasks.metrics import centred


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A score and the bounds that hold the truth with the level asked for."""

    estimate: float
    low: float
    high: float


def interval(correct: ArrayLike, level: float = 0.95) -> Interval:
    """Accuracy and its interval, from which answers were right: (S, N), or (N,) for one seed.

    Wilson's interval for a share p, with two numbers replaced. The rows are the effective ones, p (1 - p) / variance,
    where the variance of p counts rows and seeds as crossed effects (`crossed.together`); the quantile is Student's t
    with Satterthwaite's degrees of freedom, of which seeds give S - 1. One seed, or seeds that all answer alike, leave
    Wilson's own interval over N rows: how far seeds differ cannot be seen there.

    Few wrong answers tell little about how alike seeds answer: half an answer is added for their answering all alike,
    so that no wrong answer at all still leaves Wilson's interval over N rows, not one of no width. Two seeds tell
    little about their own spread: where it matters most, a 95 % interval of theirs holds the truth in 88 %.

        interval([True] * 90 + [False] * 10)     # 0.900, 0.826 to 0.945
    """
    values = seeds_by_rows(correct)
    n_seeds, n_rows = values.shape
    share = float(values.mean())
    if share in (0.0, 1.0):
        effective, quantile = float(n_rows), float(critical(level, numpy.inf))
    else:
        alike = share * (1 - share) / n_rows  # the variance if every seed answered each row alike
        seen = values.size * min(share, 1 - share)
        of_rows = (seen * values.mean(0).var() / n_rows + alike / 2) / (seen + 1 / 2)
        own = spread(values)
        variance, degrees = together(of_rows, [(own.seeds, own.rest, n_seeds)], numpy.inf)
        effective, quantile = share * (1 - share) / float(variance), float(critical(level, degrees))
    widening = quantile**2 / effective
    middle = (share + widening / 2) / (1 + widening)
    half = quantile / (1 + widening) * numpy.sqrt(share * (1 - share) / effective + widening / effective / 4)
    return Interval(
        estimate=share,
        low=0.0 if share == 0 else max(float(middle - half), 0.0),
        high=1.0 if share == 1 else min(float(middle + half), 1.0),
    )


def correlations(truth: ArrayLike, predictions: ArrayLike) -> tuple[Floats, Floats]:
    """Each seed's Pearson correlation with the truth, (S,), and what each row adds to it, (S, N), adding up to 0.

    A row's part is the influence function z·w - r (z² + w²) / 2 of its standardized truth z and prediction w: the
    infinitesimal jackknife, by which a correlation varies over rows as the mean of `r + part` does. Constant
    predictions have correlation 0 and no parts.
    """
    given = seeds_by_rows(predictions)
    wanted = numpy.asarray(truth, dtype=numpy.float64)
    if wanted.shape != given.shape[1:]:
        raise InputError(f"truth {wanted.shape} and predictions {given.shape}: give (rows,) and (seeds, rows)")
    away = [centred(values) for values in (wanted, given)]
    lengths = [numpy.linalg.norm(each, axis=-1, keepdims=True) for each in away]
    root = numpy.sqrt(len(wanted))
    true, guess = (
        numpy.divide(each * root, length, out=numpy.zeros_like(each), where=length > 0)
        for each, length in zip(away, lengths, strict=True)
    )
    products = true * guess
    found = numpy.clip(products.mean(1), -1.0, 1.0)
    parts = products - found[:, None] * (true**2 + guess**2) / 2
    return found, parts


def correlation_interval(truth: ArrayLike, predictions: ArrayLike, level: float = 0.95) -> Interval:
    """Pearson's correlation (the mean over seeds) and its interval: truth (N,), predictions (S, N) or (N,).

    On Fisher's scale, atanh(r), on which a correlation is about normal: the mean over seeds, plus and minus Student's
    t times its standard deviation, where rows (through the infinitesimal jackknife, so without assuming that the
    numbers are normal) and seeds count as crossed effects; then back by tanh. Constant predictions give 0, 0, 0.

        correlation_interval([1.0, 2.0, 3.0, 4.0, 5.0], [1.2, 1.8, 3.5, 3.6, 5.1])
    """
    found, parts = correlations(truth, predictions)
    inside = numpy.clip(found, -1 + 1e-12, 1 - 1e-12)
    values = numpy.arctanh(inside)[:, None] + parts / (1 - inside[:, None] ** 2)
    n_seeds, n_rows = values.shape
    freedom = max(n_rows - 1, 1)
    own = spread(values)
    of_rows = values.mean(0).var() / freedom
    variance, degrees = together(of_rows, [(own.seeds, own.rest, n_seeds)], freedom)
    middle = float(values.mean())
    half = float(critical(level, degrees) * numpy.sqrt(variance))
    return Interval(
        estimate=float(found.mean()), low=float(numpy.tanh(middle - half)), high=float(numpy.tanh(middle + half))
    )
