"""The verdict in words: plain sentences that claim what the numbers bear, and no more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightline.comparison.intervals import Interval
from sightline.comparison.paired import Comparison


@dataclass(frozen=True, kw_only=True)
class Words:
    """How numbers are said.

    rows    test rows
    seeds   name → how many seeds; None where seeds make no difference
    level   of the intervals
    points  accuracies, in points of a hundred; else correlations, as they are
    """

    rows: int
    seeds: Mapping[str, int | None]
    level: float
    points: bool

    def score(self, value: float) -> str:
        """`81.2%`, or `0.812`."""
        return f"{100 * value:.1f}%" if self.points else f"{value:.3f}"

    def size(self, value: float) -> str:
        """A difference without its sign: `3.1`, or `0.031`."""
        return f"{100 * abs(value):.1f}" if self.points else f"{abs(value):.3f}"

    def signed(self, value: float) -> str:
        """A difference with its sign; what rounds to 0 has none."""
        size = self.size(value)
        return size if not float(size) else f"{'+' if value > 0 else '-'}{size}"

    @property
    def unit(self) -> str:
        return "points of accuracy" if self.points else "in Pearson's correlation"

    def interval(self, low: float, high: float) -> str:
        return f"{100 * self.level:g}% interval {self.signed(low)} to {self.signed(high)}"

    def evidence(self, *names: str) -> str:
        """`400 test rows (3 seeds)`."""
        counts = [count for name in names if (count := self.seeds[name]) is not None]
        rows = f"{self.rows:,} test row{'s' * (self.rows != 1)}"
        if not counts:
            return rows
        least, most = min(counts), max(counts)
        seeds = f"{most} seed{'s' * (most != 1)}" if least == most else f"{least} and {most} seeds"
        return f"{rows} ({seeds})"


def about(rows: int) -> str:
    """Two digits are all that such an estimate bears: `1,900`."""
    unit = 10 ** max(0, math.floor(math.log10(rows)) - 1)
    return f"{math.ceil(rows / unit) * unit:,}"


def _better(words: Words, better: str, worse: str, each: Comparison) -> str:
    """`encoder beats tfidf by 3.1 ± 1.9 points of accuracy`"""
    half = words.size((each.high - each.low) / 2)
    return f"{better} beats {worse} by {words.size(each.difference)} ± {half} {words.unit}"


def _open(words: Words, each: Comparison, pairs: int) -> str:
    """One sentence or two on a pair that these rows do not tell apart."""
    unit = " points" if words.points else ""
    bounds = f"{words.signed(each.difference)}{unit} ({words.interval(each.low, each.high)})"
    if each.p < 1 - words.level:
        bounds += f", but p = {each.holm_p:.2f} among {pairs} comparisons"
    who = f"between {each.a} and {each.b}"
    said = f"No difference that these {words.rows:,} rows can show {who}. Measured: {bounds}"
    if each.rows_needed is not None:
        return f"{said}; about {about(max(each.rows_needed, words.rows + 1))} test rows would be needed."
    if each.difference == 0:
        return f"{said}; both are right equally often." if words.points else f"{said}; both do equally well."
    return f"{said}; more rows would not show it either, because training runs differ too much: more seeds are needed."


def _unseen(words: Words, names: Sequence[str]) -> str:
    """The caveat of a single seed."""
    alone = [name for name in names if words.seeds[name] == 1]
    if not alone:
        return ""
    return f" One seed of {' and '.join(alone)}: how much another training run would differ is not counted in this."


def judgement(words: Words, best: str, bounds: Interval, own: Sequence[Comparison], pairs: int) -> str:
    """The verdict's sentences. `own` compares the best on dev (its a) with each other, in the order of dev."""
    if not own:
        score = f"{words.score(bounds.estimate)} {'accuracy' if words.points else 'correlation'}"
        edges = f"{words.score(bounds.low)} to {words.score(bounds.high)}"
        alone = f"{best} has {score} ({100 * words.level:g}% interval {edges}) on {words.evidence(best)}"
        return f"{alone}; there is no other contender to compare it with.{_unseen(words, [best])}"
    worse_than = [each for each in own if each.different and each.difference < 0]
    if worse_than:
        most = min(worse_than, key=lambda each: each.difference)
        better = _better(words, most.b, best, most)
        return (
            f"{best} was best on the dev rows, but on {words.evidence(best, most.b)} {better}: no winner, because the"
            f" choice was made before the test rows were seen.{_unseen(words, [best, most.b])}"
        )
    beaten = [each for each in own if each.different]
    close = [each for each in own if not each.different]
    if not close:
        first = own[0]
        said = f"{_better(words, best, first.b, first)} on {words.evidence(best, first.b)}."
        return f"{said}{_unseen(words, [best, first.b])}"
    # The one that comes nearest on test is the one that stands between the best and a win.
    nearest = own[0] if own[0] in close else min(close, key=lambda each: each.difference)
    said = _open(words, nearest, pairs)
    if nearest is not own[0] and own[0] in beaten:
        said = f"{_better(words, best, own[0].b, own[0])} on {words.evidence(best, own[0].b)}. {said}"
    return f"{said}{_unseen(words, [best, nearest.b])}"
