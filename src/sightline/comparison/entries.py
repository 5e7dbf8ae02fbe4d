"""Entries: what results.json says of one contender that finished.

Scores are means over the seeds, on the test rows. A contender's answer for a row is what most of its seeds say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from sightline.comparison.contend import seed_run
from sightline.comparison.contenders import Contender
from sightline.comparison.learners import Learner
from sightline.comparison.plan import Plan
from sightline.comparison.rows import Rows
from sightline.comparison.store import Store
from sightline.tasks.metrics import calibration, confusion

POINTS = 2000  # of a scatter plot
LARGEST_CONFUSION = 200  # classes


@dataclass(frozen=True)
class Finished:
    """A contender that went all its way: its records, tries and seeds, and its predictions on test."""

    contender: Contender
    learner: Learner
    tries: list[dict[str, Any]]
    seeds: list[dict[str, Any]]
    test: list[NDArray[numpy.float64]]

    def mean(self) -> NDArray[numpy.float64]:
        """The seeds' mean: probabilities (N, L), or numbers (N,)."""
        return numpy.mean(self.test, axis=0)

    def answers(self) -> NDArray[numpy.int64]:
        """(N,): the class that most seeds give each row; of equally many the one with the higher mean probability."""
        labels = self.test[0].shape[1]
        votes = sum(numpy.eye(labels)[each.argmax(1)] for each in self.test)
        return (votes + self.mean() / 2).argmax(1)  # probabilities decide ties, and no more: they are below 1


def collect(contender: Contender, learner: Learner, plan: Plan, store: Store) -> Finished:
    """What a contender left in the store."""
    name, seeds = contender.name, plan.seeds if learner.seeded else 1
    tries = [store.finished(name, f"try-{number + 1}") for number in range(len(learner.grid(plan)))]
    judged = [store.finished(name, seed_run(number)) for number in range(seeds)]
    test = [store.predictions(name, seed_run(number))["test"] for number in range(seeds)]
    return Finished(contender, learner, [one for one in tries if one], [one for one in judged if one], test)


def means(records: list[dict[str, Any]], part: str) -> dict[str, float]:
    return {key: float(numpy.mean([record[part][key] for record in records])) for key in records[0][part]}


def entry(done: Finished, rows: Rows, interval: tuple[float, float]) -> dict[str, Any]:
    """One of "contenders"."""
    first, name = done.seeds[0], done.contender.name
    main = "pearson" if rows.labels is None else "accuracy"
    low, high = interval
    scored = means(done.seeds, "test")
    written: dict[str, Any] = {
        "name": name,
        "method": done.learner.method,
        "kind": done.contender.kind,
        "labels": len(rows.train),
        "status": "ok",
        "error": None,
        "mask": done.learner.mask,
        "random": done.contender.random,
        main: scored.pop(main),
        f"{main}_low": low,
        f"{main}_high": high,
        **scored,
        "dev": means(done.seeds, "dev"),
        "train_seconds": float(numpy.mean([record["seconds"] for record in done.seeds])),
        "rows_per_second": first["rows_per_second"],
        "ms_per_row": first["ms_per_row"],
        "ms_per_row_p95": first["ms_per_row_p95"],
        "parameters": first["parameters"],
        "peak_memory_mb": max((record["peak_memory_mb"] or 0.0 for record in done.seeds), default=0.0) or None,
        "settings": first["settings"],
        "tries": [
            {
                "settings": one["settings"],
                "dev": one.get("dev"),
                "seconds": one.get("seconds"),
                "error": one.get("error"),
            }
            for one in done.tries
        ],
        "seeds": [{"seed": one["seed"], **one["test"], "train_seconds": one["seconds"]} for one in done.seeds],
        "confusion": None,
        "calibration": None,
        "scatter": None,
    }
    if rows.labels is None:
        written["scatter"] = numpy.stack([rows.test.targets, done.mean()], 1)[:POINTS].round(6).tolist()
        return written
    written["calibration"] = calibration(
        numpy.concatenate([rows.test.targets] * len(done.test)), numpy.concatenate(done.test)
    )
    if len(rows.labels) <= LARGEST_CONFUSION:
        written["confusion"] = confusion(rows.test.targets, done.answers(), len(rows.labels)).tolist()
    return written
