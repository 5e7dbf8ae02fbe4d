"""How good predictions are: few numbers, for choosing the best weights and for telling people.

Shapes: N rows, L classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy
from numpy.typing import NDArray

Numbers = NDArray[numpy.float64]


def class_scores(targets: NDArray[numpy.int64], probabilities: Numbers) -> dict[str, float]:
    """accuracy, macro_f1 (over classes that are true or predicted anywhere) and log_loss, in nats a row.

    targets (N,) · probabilities (N, L)
    """
    predicted = probabilities.argmax(1)
    f1 = []
    for label in numpy.union1d(targets, predicted):
        hits = ((predicted == label) & (targets == label)).sum()
        f1.append(2 * hits / ((predicted == label).sum() + (targets == label).sum()))
    of_truth = probabilities[numpy.arange(len(targets)), targets]
    return {
        "accuracy": float((predicted == targets).mean()),
        "macro_f1": float(numpy.mean(f1)),
        "log_loss": float(-numpy.log(of_truth.clip(min=1e-15)).mean()),
    }


def ranks(values: Numbers) -> Numbers:
    """The place of each value among all, from 1; equal values share the mean of theirs. (N,)"""
    _, inverse, counts = numpy.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    return (last - (counts - 1) / 2)[inverse]


def _correlation(one: Numbers, other: Numbers) -> float:
    """Pearson's r; 0 where either side is all the same."""
    a, b = one - one.mean(), other - other.mean()
    size = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


def number_scores(targets: Numbers, values: Numbers) -> dict[str, float]:
    """pearson, spearman, rmse and mae. targets (N,) · values (N,)"""
    errors = values - targets
    return {
        "pearson": _correlation(targets, values),
        "spearman": _correlation(ranks(targets), ranks(values)),
        "rmse": float(numpy.sqrt((errors**2).mean())),
        "mae": float(numpy.abs(errors).mean()),
    }


def goodness(scores: Mapping[str, float]) -> tuple[float, float]:
    """What scores are compared by, larger is better: accuracy or Pearson first, then log-loss or error."""
    if "accuracy" in scores:
        return scores["accuracy"], -scores["log_loss"]
    return scores["pearson"], -scores["rmse"]


def in_words(scores: Mapping[str, float]) -> str:
    """Scores for people: "accuracy 91.2 %, macro-F1 0.910, log-loss 0.240"."""
    if "accuracy" in scores:
        return (
            f"accuracy {100 * scores['accuracy']:.1f} %, macro-F1 {scores['macro_f1']:.3f},"
            f" log-loss {scores['log_loss']:.3f}"
        )
    return (
        f"Pearson {scores['pearson']:.3f}, Spearman {scores['spearman']:.3f}, error {scores['rmse']:.4g} (root mean"
        " square)"
    )
