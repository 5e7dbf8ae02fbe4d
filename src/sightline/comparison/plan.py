"""The plan: how often everyone reads how many training rows, so that the whole ends within the budget.

Every network gets the same passes over the same rows, and as many tries of the same learning rates: nobody is tuned
harder than another. Only the clock of this computer decides how much that is; `passes` and `rows` in the results say
what it came to, and asking for them repeats a comparison anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LEARNING_RATES = (3e-5, 1e-4, 3e-4, 1e-3)
"""From what suits a pretrained network (Devlin et al. 2019, appendix A.3) to what suits a small new one."""

BATCH_ROWS = 32
FEWEST_PASSES, MOST_PASSES = 3, 10
WANTED_UPDATES = 600  # a small new network on few rows still gains until about there
READING = 1 / 3  # of a training step's time: a forward pass alone
MEASURING = 1.0  # seconds that timing a contender's answers takes (measure.row_times)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a contender's learning costs, in seconds, from a first timing.

    a_run     of each run: opening and saving
    a_row     of each run: to learn from one row once
    repeated  whether rows are read in as many passes as the plan says, or once
    runs      how many there are: tries, and seeds after the first, which the best try is
    """

    a_run: float = 0.0
    a_row: float = 0.0
    repeated: bool = True
    runs: int = 1

    def run(self, passes: int, rows: int, dev: int) -> float:
        """Seconds of one run, the looks at dev included."""
        return self.a_run + self.a_row * (passes if self.repeated else 1) * (rows + READING * dev)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every network gets.

    passes    how often the training rows are read
    rows      how many training rows, drawn by the seed where that is fewer than there are
    seconds   how long everything should take from here, as far as a first timing tells
    """

    passes: int
    rows: int
    seeds: int
    batch_rows: int
    learning_rates: tuple[float, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "learning_rates": list(self.learning_rates)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Plan:
        """What `as_dict` gave."""
        return cls(**{**stored, "learning_rates": tuple(stored["learning_rates"])})


def wanted_passes(rows: int) -> int:
    """Passes that nobody would call too few: more of them over few rows.

    >>> wanted_passes(800), wanted_passes(100_000)
    (10, 3)
    """
    return min(max(math.ceil(WANTED_UPDATES * BATCH_ROWS / rows), FEWEST_PASSES), MOST_PASSES)


def decide(
    costs: Mapping[str, Cost],
    *,
    train: int,
    dev: int,
    test: int,
    seeds: int,
    budget: float | None,
    passes: int | None,
    learning_rates: tuple[float, ...] = LEARNING_RATES,
) -> Plan:
    """The plan for contenders that cost so much.

    budget  seconds that are left for everything; None: no limit
    passes  as asked for: then the budget changes nothing
    """
    judging = seeds * READING * test * sum(cost.a_row for cost in costs.values()) + len(costs) * MEASURING

    def seconds(passes: int, rows: int) -> float:
        return judging + sum(cost.runs * cost.run(passes, rows, dev) for cost in costs.values())

    rows, chosen = train, passes if passes is not None else wanted_passes(train)
    if passes is None and budget is not None:
        while chosen > FEWEST_PASSES and seconds(chosen, rows) > budget:
            chosen -= 1
        while rows > 8 * BATCH_ROWS and seconds(chosen, rows) > budget:
            rows = max(int(rows * 0.9), 8 * BATCH_ROWS)
    return Plan(
        passes=chosen,
        rows=rows,
        seeds=seeds,
        batch_rows=BATCH_ROWS,
        learning_rates=learning_rates,
        seconds=seconds(chosen, rows),
    )
