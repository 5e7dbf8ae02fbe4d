"""Metrics: how well predictions meet their targets, as plain numbers.

    Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks", section 2: bins of the top
    probability, and the expected calibration error.

Shapes: N rows, L labels. Classes: targets (N,) whole numbers below L, probabilities (N, L). Numbers: targets (N,) and
predictions (N,), both real.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

from sightline.errors import InputError

Floats = NDArray[numpy.float64]
Whole = NDArray[numpy.int64]

BINS = 15  # Guo et al. 2017, table 1
SMALLEST = 1e-15  # a probability of 0 for what happened costs -log of this, about 34.5, not infinity


def _classes(targets: ArrayLike, probabilities: ArrayLike) -> tuple[Whole, Floats]:
    """Both as arrays; InputError where they do not belong together."""
    truth, given = numpy.asarray(targets), numpy.asarray(probabilities, dtype=numpy.float64)
    if given.ndim != 2 or truth.shape != given.shape[:1] or not len(truth):
        raise InputError(
            f"targets {truth.shape} and probabilities {given.shape}: give (N,) and (N, L), at least one row"
        )
    if not numpy.isfinite(given).all():
        raise InputError("probabilities hold NaN or infinity; the model that gave them has diverged")
    if truth.dtype.kind not in "iu" or truth.min() < 0 or truth.max() >= given.shape[1]:
        raise InputError(f"targets must be whole numbers from 0 to {given.shape[1] - 1}, one for each column")
    return truth.astype(numpy.int64), given


def _numbers(targets: ArrayLike, predictions: ArrayLike) -> tuple[Floats, Floats]:
    """Both as arrays; InputError where they do not belong together."""
    truth, given = (numpy.asarray(values, dtype=numpy.float64) for values in (targets, predictions))
    if truth.ndim != 1 or truth.shape != given.shape or not len(truth):
        raise InputError(f"targets {truth.shape} and predictions {given.shape}: give both as (N,), at least one row")
    if not (numpy.isfinite(truth).all() and numpy.isfinite(given).all()):
        raise InputError("targets or predictions hold NaN or infinity; the model that gave them has diverged")
    return truth, given


def correct(targets: ArrayLike, probabilities: ArrayLike) -> NDArray[numpy.bool_]:
    """(N,): whether each row's most probable label is the true one; of equal probabilities the first counts."""
    truth, given = _classes(targets, probabilities)
    return given.argmax(1) == truth


def accuracy(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """The share of rows whose most probable label is the true one."""
    return float(correct(targets, probabilities).mean())


def confusion(targets: ArrayLike, predicted: ArrayLike, labels: int) -> Whole:
    """(L, L) counts of rows: the true label down, the predicted one across."""
    pairs = numpy.asarray(targets, dtype=numpy.int64) * labels + numpy.asarray(predicted, dtype=numpy.int64)
    return numpy.bincount(pairs, minlength=labels * labels).reshape(labels, labels).astype(numpy.int64)


def macro_f1(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """The plain mean of F1 over the classes that occur, as truth or as prediction.

    A class that occurs has at least one row in 2 · true positives + false positives + false negatives, so no F1
    divides by 0; one that is never met is 0.
    """
    truth, given = _classes(targets, probabilities)
    table = confusion(truth, given.argmax(1), given.shape[1])
    met, rows = table.diagonal(), table.sum(0) + table.sum(1)
    occurs = rows > 0
    return float((2 * met[occurs] / rows[occurs]).mean())


def log_loss(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """The mean of -log(probability of the true label), in nats; probabilities below 1e-15 count as that."""
    truth, given = _classes(targets, probabilities)
    return float(-numpy.log(numpy.clip(given[numpy.arange(len(truth)), truth], SMALLEST, 1.0)).mean())


def calibration(targets: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> list[dict[str, Any]]:
    """Rows gathered by their top probability into `bins` of equal width, as many as hold rows.

    Each bin ((m - 1) / bins, m / bins] gives `low`, `high`, `rows`, `confidence` (the mean top probability) and
    `correct` (the share that was right). A calibrated model has confidence = correct in every bin.
    """
    truth, given = _classes(targets, probabilities)
    top, right = given.max(1), given.argmax(1) == truth
    place = numpy.clip(numpy.ceil(top * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for each in range(bins):
        inside = place == each
        if inside.any():
            shares = {"confidence": float(top[inside].mean()), "correct": float(right[inside].mean())}
            found.append({"low": each / bins, "high": (each + 1) / bins, "rows": int(inside.sum()), **shares})
    return found


def calibration_error(targets: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: the mean over rows of |confidence - correct| of their bin (Guo et al., eq. 3)."""
    found = calibration(targets, probabilities, bins)
    rows = sum(each["rows"] for each in found)
    return float(sum(each["rows"] * abs(each["confidence"] - each["correct"]) for each in found) / rows)


def centred(values: Floats) -> Floats:
    """Values minus their mean, over the last axis; exactly 0 where they are constant but for rounding."""
    mean = values.mean(-1, keepdims=True)
    away = values - mean
    rounding = 1e-13 * numpy.abs(mean) * numpy.sqrt(values.shape[-1])
    return numpy.where(numpy.linalg.norm(away, axis=-1, keepdims=True) <= rounding, 0.0, away)


def pearson(targets: ArrayLike, predictions: ArrayLike) -> float:
    """Pearson's correlation, -1 to 1.

    Constant predictions (or targets) give 0: they tell nothing about which rows lie higher, which is what 0 means for
    the others; NaN would not compare with anything.
    """
    truth, given = (centred(values) for values in _numbers(targets, predictions))
    # Lengths before the product: squares of tiny deviations would vanish.
    lengths = numpy.linalg.norm(truth), numpy.linalg.norm(given)
    if not all(lengths):
        return 0.0
    return float(numpy.clip((truth / lengths[0]) @ (given / lengths[1]), -1.0, 1.0))


def ranks(values: Floats) -> Floats:
    """(N,) ranks from 1; equal values share the mean of theirs."""
    _, place, count = numpy.unique(values, return_inverse=True, return_counts=True)
    last = count.cumsum()
    return (last - (count - 1) / 2)[place]


def spearman(targets: ArrayLike, predictions: ArrayLike) -> float:
    """Spearman's correlation: Pearson's of the ranks, and like it 0 for constant predictions."""
    truth, given = _numbers(targets, predictions)
    return pearson(ranks(truth), ranks(given))


def rmse(targets: ArrayLike, predictions: ArrayLike) -> float:
    """The root of the mean squared error, in the targets' unit."""
    truth, given = _numbers(targets, predictions)
    return float(numpy.sqrt(((truth - given) ** 2).mean()))


def mae(targets: ArrayLike, predictions: ArrayLike) -> float:
    """The mean absolute error, in the targets' unit."""
    truth, given = _numbers(targets, predictions)
    return float(numpy.abs(truth - given).mean())


def r2(targets: ArrayLike, predictions: ArrayLike) -> float:
    """The share of the targets' variance that predictions explain: 1 at best, 0 for their mean, below 0 for worse.

    Constant targets have no variance: 1 where they are met exactly, 0 elsewhere.
    """
    truth, given = _numbers(targets, predictions)
    left, whole = ((truth - given) ** 2).sum(), (centred(truth) ** 2).sum()
    if whole == 0:
        return float(left == 0)
    return float(1 - left / whole)


def scores(targets: ArrayLike, predictions: ArrayLike) -> dict[str, float]:
    """Every metric of one set of predictions: probabilities (N, L) or numbers (N,).

    Raises `InputError` where shapes do not fit or a prediction is not finite.

        scores([0, 1], [[0.9, 0.1], [0.2, 0.8]])["accuracy"]     # 1.0
        scores([1.0, 2.0, 4.0], [1.5, 2.5, 3.0])["pearson"]      # 0.928…
    """
    measures: tuple[Callable[[ArrayLike, ArrayLike], float], ...] = (pearson, spearman, rmse, mae, r2)
    if numpy.ndim(predictions) == 2:
        measures = (accuracy, macro_f1, log_loss, calibration_error)
    return {measure.__name__: measure(targets, predictions) for measure in measures}


def goodness(scores: Mapping[str, float]) -> tuple[float, float]:
    """What scores are compared by, larger is better: accuracy or Pearson first, then log-loss or error."""
    if "accuracy" in scores:
        return scores["accuracy"], -scores["log_loss"]
    return scores["pearson"], -scores["rmse"]


def in_words(scores: Mapping[str, float]) -> str:
    """Scores for people: "accuracy 91.2%, macro-F1 0.910, log-loss 0.240"."""
    if "accuracy" in scores:
        accuracy, f1, loss = (scores[name] for name in ("accuracy", "macro_f1", "log_loss"))
        return f"accuracy {accuracy:.1%}, macro-F1 {f1:.3f}, log-loss {loss:.3f}"
    r, rho, error = (scores[name] for name in ("pearson", "spearman", "rmse"))
    return f"Pearson {r:.3f}, Spearman {rho:.3f}, error {error:.4g} (root mean square)"
