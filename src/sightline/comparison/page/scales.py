"""From values to places on an axis, with round numbers as its ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

MANTISSAS = (1.0, 2.0, 5.0)
SMALLEST = 1e-6  # span of an axis, as a share of its values


@dataclass(frozen=True, kw_only=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value stands: 0 at the low end, 1 at the high one; what lies outside stands at the nearer end."""
        low, high, place = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, place = math.log(low), math.log(high), math.log(place)
        return (place - low) / (high - low)


def _step(span: float, steps: int) -> float:
    """A round step, at most so many of which make up the span."""
    rough = span / steps
    power = 10.0 ** math.floor(math.log10(rough))
    return next(size * power for size in (*MANTISSAS, 10.0) if size * power >= rough * 0.999)


def linear(values: Iterable[float], *, within: tuple[float, float] = (-math.inf, math.inf), steps: int = 5) -> Scale:
    """An axis around the values with about so many steps that does not leave `within`; 0 to 1 where there are none."""
    given = sorted(values) or [0.0, 1.0]
    low, high = given[0], given[-1]
    step = _step(max(high - low, SMALLEST * max(1.0, abs(high))), steps)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    ticks = [round(place * step, 12) for place in range(first, last + 1)]
    kept = tuple(tick for tick in ticks if within[0] <= tick <= within[1])
    return Scale(low=max(ticks[0], within[0]), high=min(ticks[-1], within[1]), ticks=kept)


def tight(values: Iterable[float], *, steps: int = 4) -> Scale:
    """An axis no longer than the values need, which need not begin and end at a tick; 0 to 1 where there are none."""
    given = sorted(values) or [0.0, 1.0]
    span = max(given[-1] - given[0], SMALLEST * max(1.0, abs(given[-1])))
    low, high, step = given[0] - 0.04 * span, given[-1] + 0.04 * span, _step(span, steps)
    ticks = tuple(round(place * step, 12) for place in range(math.ceil(low / step), math.floor(high / step) + 1))
    return Scale(low=low, high=high, ticks=ticks)


def logarithmic(values: Iterable[float]) -> Scale:
    """An axis around positive values, in steps of 1, 2, 5 or, where it is long, of ten."""
    given = sorted(values) or [1.0, 10.0]
    steps = [size * 10.0**power for power in range(-12, 16) for size in MANTISSAS]
    low = max((step for step in steps if step <= given[0] * 0.9), default=steps[0])
    high = min((step for step in steps if step >= given[-1] * 1.1), default=steps[-1])
    ticks = [step for step in steps if low * 0.999 <= step <= high * 1.001]
    if len(ticks) > 8:
        tens = [tick for tick in ticks if abs(math.log10(tick) - round(math.log10(tick))) < 1e-9]
        ticks = tens[:: 1 + len(tens) // 7]
    return Scale(low=low, high=high, ticks=tuple(ticks), logarithmic=True)
