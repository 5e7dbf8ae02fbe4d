"""The verdict: who was chosen on dev, whether test confirms it, and the sentences that say so.

The rule, fixed before test is looked at: the best on dev is the candidate, and it wins where it is better on test than
every other contender, each difference standing after Holm's correction over all pairs. Nobody wins for being best on
test alone: the largest of several scores owes part of its lead to luck, and dev, which had no part in it, does not.

Shapes: S seeds (each contender has its own), N test rows (the same ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from numpy.typing import ArrayLike, NDArray

from sightline.comparison.bootstrap import correlation_bootstrap, paired_bootstrap
from sightline.comparison.crossed import seeds_by_rows
from sightline.comparison.intervals import correlation_interval, interval
from sightline.comparison.paired import Comparison, Difference, correlation_difference, difference, holm, mcnemar
from sightline.comparison.power import rows_needed
from sightline.comparison.wording import Words, judgement
from sightline.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One contender that finished.

    dev         the main metric on dev, the mean over seeds: accuracy, or Pearson's correlation
    dev_loss    log-loss (or RMSE) on dev, the mean over seeds: it decides between equal `dev`
    parameters  the cheaper of two equals goes first
    test        (S, N): which answers were right, or, for numbers, the predictions
    seeded      whether another seed gives another model; without, one seed says all
    """

    name: str
    dev: float
    dev_loss: float
    parameters: int
    test: NDArray  # type: ignore[type-arg]
    seeded: bool = True


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Who is best on dev, who second, who wins (None: nobody that these rows can show), and why, in words.

    intervals    name → (low, high) of its score on test
    comparisons  every pair, best on dev first in it
    """

    best: str | None
    runner_up: str | None
    winner: str | None
    text: str
    intervals: dict[str, tuple[float, float]]
    comparisons: tuple[Comparison, ...]


def ranked(entries: Sequence[Entry]) -> list[Entry]:
    """Best on dev first: by score, then the lower loss, then the fewer parameters, then the name."""
    return sorted(entries, key=lambda each: (-each.dev, each.dev_loss, each.parameters, each.name))


def _levels_left(p: Sequence[float], alpha: float) -> list[float]:
    """The level at which Holm's procedure judges each p."""
    order = sorted(range(len(p)), key=lambda each: p[each])
    return [alpha / (len(p) - order.index(each)) for each in range(len(p))]


def _pairs(
    entries: Sequence[Entry], truth: ArrayLike | None, level: float, seed: int, draws: int
) -> tuple[Comparison, ...]:
    """Every pair, compared on test."""
    pairs = list(combinations(entries, 2))
    found: list[Difference] = [
        difference(a.test, b.test, level) if truth is None else correlation_difference(truth, a.test, b.test, level)
        for a, b in pairs
    ]
    p = [each.p for each in found]
    levels = _levels_left(p, 1 - level)
    compared = []
    for (a, b), each, adjusted, alpha in zip(pairs, found, holm(p), levels, strict=True):
        if truth is None:
            of_rows = mcnemar(a.test, b.test)
            drawn = paired_bootstrap(a.test, b.test, draws=draws, seed=seed, level=level)
        else:
            of_rows = None
            drawn = correlation_bootstrap(truth, a.test, b.test, draws=draws, seed=seed, level=level)
        compared.append(
            Comparison(
                a=a.name,
                b=b.name,
                difference=each.difference,
                low=each.low,
                high=each.high,
                mcnemar_p=of_rows,
                bootstrap_p=drawn.p,
                p=each.p,
                holm_p=adjusted,
                different=adjusted < 1 - level,
                rows_needed=rows_needed(each, alpha=alpha, shares=truth is None),
            )
        )
    return tuple(compared)


def judge(
    entries: Sequence[Entry],
    truth: ArrayLike | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 2_000,
) -> Verdict:
    """Judge the contenders that finished, in any order; leave out those that failed.

    truth    (N,) for numbers, where `test` holds predictions; None for classes, where it holds what was right
    level    of the intervals; 1 - level is the chance of calling anyone different where nobody is
    seed     of the bootstrap, and `draws` how often it draws

    Raises `InputError` where two contenders share a name or were judged on different rows.

        judge([encoder, tfidf]).text      # "encoder beats tfidf by 3.1 ± 1.9 points of accuracy on 400 test rows …"
    """
    if len({each.name for each in entries}) < len(entries):
        raise InputError(f"two contenders have one name: {', '.join(sorted(each.name for each in entries))}")
    if not entries:
        return Verdict(
            best=None,
            runner_up=None,
            winner=None,
            text="No contender finished, so there is nothing to compare.",
            intervals={},
            comparisons=(),
        )
    order = ranked(entries)
    tests = {each.name: seeds_by_rows(each.test) for each in order}
    rows = {values.shape[1] for values in tests.values()}
    if len(rows) > 1:
        raise InputError(f"contenders were judged on {sorted(rows)} rows; all must be judged on the same ones")
    bounds = {
        name: interval(values, level) if truth is None else correlation_interval(truth, values, level)
        for name, values in tests.items()
    }
    comparisons = _pairs(order, truth, level, seed, draws)
    best = order[0].name
    own = [each for each in comparisons if each.a == best]
    words = Words(
        rows=rows.pop(),
        seeds={each.name: len(tests[each.name]) if each.seeded else None for each in order},
        level=level,
        points=truth is None,
    )
    return Verdict(
        best=best,
        runner_up=order[1].name if len(order) > 1 else None,
        winner=best if own and all(each.different and each.difference > 0 for each in own) else None,
        text=judgement(words, best, bounds[best], own, len(comparisons)),
        intervals={name: (each.low, each.high) for name, each in bounds.items()},
        comparisons=comparisons,
    )
