"""The pace of a comparison: how much is done, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable

TRUST = 0.1  # the plan's own estimate weighs as much as this share of the work, done at the pace that it expects


class Pace:
    """Work is counted in the seconds that the plan expects of it. What an earlier start did says nothing of the pace.

    pace = Pace(100.0)
    pace.done(10.0); pace.left()        # 90 seconds, or what these 10 turned out to take, times 9
    """

    def __init__(self, total: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.total, self._clock = max(total, 1e-9), clock
        self._before, self._now, self._started = 0.0, 0.0, clock()

    def done(self, work: float) -> None:
        """So much more is done, by this start."""
        self._now += work

    def known(self, work: float) -> None:
        """So much more was done by an earlier start."""
        self._before += work

    def share(self, under_way: float = 0.0) -> float:
        """How much of all is done, 0 to 1; `under_way` is the part of a run that is not finished."""
        return min((self._before + self._now + under_way) / self.total, 1.0)

    def left(self, under_way: float = 0.0) -> float:
        """Seconds that the rest will take."""
        trust, here = TRUST * self.total, self._now + under_way
        pace = (self._clock() - self._started + trust) / (here + trust)
        return max(self.total - self._before - here, 0.0) * pace
