"""Contenders whose true accuracy is known, so that statistics can be checked against it."""

import numpy
from scipy import special


def answers(
    accuracy: float,
    seeds: int,
    rows: int,
    random: numpy.random.Generator,
    *,
    spread: float = 0.0,
    shared: float = 0.5,
    ease: numpy.ndarray | None = None,
) -> numpy.ndarray:
    """Which answers are right, (seeds, rows): on average over rows and seeds a share of exactly `accuracy`.

    An answer is right where its row's ease, its seed's skill and chance add up to more than a threshold (a probit
    model). `shared` is the row's part of the variance within a seed, `spread` the standard deviation of seeds' skill:
    0.05 makes the true accuracy of seeds around 0.8 differ by about 1.4 points.
    """
    ease = random.standard_normal(rows) if ease is None else ease
    skill = spread * random.standard_normal((seeds, 1))
    chance = numpy.sqrt(1 - shared) * random.standard_normal((seeds, rows))
    threshold = special.ndtri(1 - accuracy) * numpy.sqrt(1 + spread**2)
    return numpy.sqrt(shared) * ease + skill + chance > threshold


def effects(
    accuracies: tuple[float, float], seeds: tuple[int, int], *, spread: float = 0.0, shared: float = 0.5
) -> dict[str, object]:
    """What `power` needs to know of two contenders of `answers` to whom each row is equally easy, by quadrature."""
    nodes, weights = numpy.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    by_row, seed_variance, rest_variance = [], [], []
    for accuracy in accuracies:
        threshold = special.ndtri(1 - accuracy) * numpy.sqrt(1 + spread**2)
        given = numpy.sqrt(shared) * nodes[:, None] + spread * nodes - threshold  # (ease, skill)
        right = special.ndtr(given / numpy.sqrt(1 - shared))
        by_row.append(right @ weights)
        of_rows = weights @ (right @ weights - accuracy) ** 2
        seed_variance.append(float(weights @ (weights @ right - accuracy) ** 2))
        rest_variance.append(float(accuracy * (1 - accuracy) - of_rows - seed_variance[-1]))
    gap = accuracies[0] - accuracies[1]
    of_difference = weights @ (by_row[0] - by_row[1] - gap) ** 2
    averaged = sum(rest / n for rest, n in zip(rest_variance, seeds, strict=True))
    return {
        "row_variance": float(of_difference + averaged),
        "seeds": seeds,
        "seed_variance": tuple(seed_variance),
        "rest_variance": tuple(rest_variance),
    }
