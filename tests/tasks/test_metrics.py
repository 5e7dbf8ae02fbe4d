"""Metrics: each against scikit-learn's or SciPy's, and what must hold whatever the numbers."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from sightline.errors import InputError
from sightline.tasks.metrics import (
    accuracy,
    calibration,
    calibration_error,
    confusion,
    correct,
    goodness,
    in_words,
    log_loss,
    macro_f1,
    pearson,
    r2,
    scores,
    spearman,
)

shapes = st.tuples(st.integers(1, 60), st.integers(2, 6), st.integers(0, 10**6))


def draw(rows: int, labels: int, seed: int, sharp: float = 1.0) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Targets and probabilities that know something of them."""
    random = numpy.random.default_rng(seed)
    targets = random.integers(labels, size=rows)
    raised = numpy.exp(sharp * (random.normal(size=(rows, labels)) + numpy.eye(labels)[targets]))
    return targets, raised / raised.sum(1, keepdims=True)


@given(shapes)
def test_classes_agree_with_scikit_learn(shape: tuple[int, int, int]) -> None:
    targets, probabilities = draw(*shape)
    labels, guess = shape[1], probabilities.argmax(1)
    want = {
        "accuracy": sklearn_metrics.accuracy_score(targets, guess),
        "macro_f1": sklearn_metrics.f1_score(targets, guess, average="macro", zero_division=0.0),
        "log_loss": sklearn_metrics.log_loss(targets, probabilities, labels=range(labels)),
    }
    found = scores(targets, probabilities)
    assert {name: found[name] for name in want} == pytest.approx(want, abs=1e-12)
    table = sklearn_metrics.confusion_matrix(targets, guess, labels=range(labels))
    assert (confusion(targets, guess, labels) == table).all()


@given(st.integers(2, 60), st.integers(0, 10**6), st.integers(1, 8))
def test_numbers_agree_with_scipy_and_scikit_learn(rows: int, seed: int, kinds: int) -> None:
    random = numpy.random.default_rng(seed)
    targets = numpy.concatenate([[0.0, 1.0], random.normal(size=rows)])
    guess = numpy.concatenate([[0.0, 1.0], random.integers(kinds + 1, size=rows)])  # many ties
    want = {
        "pearson": stats.pearsonr(targets, guess).statistic,
        "spearman": stats.spearmanr(targets, guess).statistic,
        "rmse": sklearn_metrics.root_mean_squared_error(targets, guess),
        "mae": sklearn_metrics.mean_absolute_error(targets, guess),
        "r2": sklearn_metrics.r2_score(targets, guess),
    }
    assert scores(targets, guess) == pytest.approx(want, abs=1e-12)


@given(shapes)
def test_calibration_follows_its_definition(shape: tuple[int, int, int]) -> None:
    """Guo et al. 2017, equations 1 to 3, written out row by row."""
    targets, probabilities = draw(*shape, sharp=3.0)
    bins: dict[int, list[tuple[float, bool]]] = {}
    for target, row in zip(targets, probabilities, strict=True):
        m = next(m for m in range(15) if m / 15 < row.max() <= (m + 1) / 15 or m == 14)
        bins.setdefault(m, []).append((row.max(), row.argmax() == target))
    want = 0.0
    for held in bins.values():
        confidence = sum(top for top, _ in held) / len(held)
        want += len(held) / len(targets) * abs(confidence - sum(right for _, right in held) / len(held))
    assert calibration_error(targets, probabilities) == pytest.approx(want, abs=1e-12)
    found = calibration(targets, probabilities)
    assert [round(each["low"] * 15) for each in found] == sorted(bins)
    assert sum(each["rows"] for each in found) == len(targets)


def test_a_calibrated_model_has_almost_no_calibration_error() -> None:
    random = numpy.random.default_rng(0)
    probabilities = random.dirichlet([1, 1, 1], size=40_000)
    targets = (probabilities.cumsum(1) < random.random((40_000, 1))).sum(1)
    assert calibration_error(targets, probabilities) < 0.01
    sure = numpy.eye(3)[probabilities.argmax(1)]
    assert calibration_error(targets, sure) == pytest.approx(1 - accuracy(targets, sure))


@given(shapes)
def test_the_order_of_rows_means_nothing(shape: tuple[int, int, int]) -> None:
    targets, probabilities = draw(*shape)
    order = numpy.random.default_rng(1).permutation(len(targets))
    assert scores(targets[order], probabilities[order]) == pytest.approx(scores(targets, probabilities), abs=1e-12)


def test_constant_predictions_have_no_correlation() -> None:
    truth = [1.0, 2.0, 4.0, 3.0]
    for constant in (0.0, 0.1, 1 / 3, -1e9):
        assert pearson(truth, [constant] * 4) == spearman(truth, [constant] * 4) == 0.0
    assert pearson([2.0] * 4, truth) == 0.0
    almost = [0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2]  # the same number but for rounding
    assert pearson(truth, almost) == 0.0
    assert pearson(truth, numpy.multiply(truth, 1e-100)) == pytest.approx(1.0)
    assert r2([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert r2([2.0, 2.0], [2.0, 1.0]) == 0.0


def test_impossible_answers_cost_much_and_not_everything() -> None:
    assert log_loss([0], [[0.0, 1.0]]) == pytest.approx(-numpy.log(1e-15))
    assert log_loss([1], [[0.0, 1.0]]) == 0.0


def test_of_equal_probabilities_the_first_counts() -> None:
    assert correct([0, 1], [[0.5, 0.5], [0.5, 0.5]]).tolist() == [True, False]


def test_macro_f1_leaves_out_what_never_occurs() -> None:
    assert macro_f1([0, 0, 1], [[0.9, 0.1, 0, 0], [0.9, 0.1, 0, 0], [0.1, 0.9, 0, 0]]) == 1.0
    assert macro_f1([0], [[0.1, 0.9]]) == 0.0


def test_goodness_prefers_the_main_metric_and_then_the_finer_one() -> None:
    targets, probabilities = draw(400, 3, 0)
    sure = scores(targets, 0.9 * numpy.eye(3)[targets] + 0.1 / 3)
    unsure = scores(targets, 0.4 * numpy.eye(3)[targets] + 0.6 / 3)
    assert goodness(sure) > goodness(unsure) > goodness(scores(targets, probabilities))
    assert goodness(scores([1.0, 2.0, 4.0], [1.0, 2.0, 5.0])) > goodness(scores([1.0, 2.0, 4.0], [2.0, 1.0, 3.0]))
    assert goodness({"pearson": 0.5, "rmse": 1.0}) > goodness({"pearson": 0.5, "rmse": 2.0})


def test_scores_are_said_in_words() -> None:
    assert in_words(scores([0, 1], [[0.9, 0.1], [0.2, 0.8]])) == "accuracy 100.0%, macro-F1 1.000, log-loss 0.164"
    said = in_words(scores([1.0, 2.0, 4.0], [1.5, 2.5, 3.0]))
    assert said == "Pearson 0.929, Spearman 1.000, error 0.7071 (root mean square)"


@pytest.mark.parametrize(
    ("targets", "predictions", "said"),
    [
        ([0, 1], [[0.5, 0.5]], r"targets \(2,\) and probabilities \(1, 2\)"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "whole numbers from 0 to 1"),
        ([0.0], [[0.5, 0.5]], "whole numbers"),
        ([0], [[numpy.nan, 0.5]], "diverged"),
        ([1.0, 2.0], [1.0], r"predictions \(1,\)"),
        ([1.0], [numpy.inf], "diverged"),
        ([], [], "N at least 1|at least one row"),
    ],
)
def test_what_does_not_fit_is_refused(targets: list[float], predictions: list[float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        scores(targets, predictions)
