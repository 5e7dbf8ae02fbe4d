"""One contender's way through a comparison: its tries, then its seeds.

The model that is judged is the one on the disk: saved, opened again, and asked once for the test rows.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import numpy
import torch

from sightline.comparison.contenders import Contender
from sightline.comparison.learners import Learner, Settings, timed_rows
from sightline.comparison.measure import forget_peak, peak_memory, row_times
from sightline.comparison.plan import Plan
from sightline.comparison.rows import Rows
from sightline.comparison.store import Store
from sightline.errors import CheckpointError
from sightline.tasks.classify import Classifier, open_classifier
from sightline.tasks.metrics import goodness, scores
from sightline.training.fit import DivergedError

CHECKED = 32  # dev rows that a saved model is asked again
Record = dict[str, Any]
News = tuple[Literal["learning", "tried", "judged", "known"], str, float, Record]
"""What happened, one line for people, how much of this run is done, and what came of it. "known" is a run that an
earlier start finished."""


@dataclass(frozen=True)
class Contest:
    """One contender in a comparison. `seed` is the first of the seeds that it is trained with, `device` where."""

    contender: Contender
    learner: Learner
    rows: Rows
    plan: Plan
    store: Store
    seed: int
    device: torch.device

    @property
    def name(self) -> str:
        """The contender's."""
        return self.contender.name


def _main(dev: dict[str, float]) -> str:
    return f"accuracy {dev['accuracy']:.1%}" if "accuracy" in dev else f"Pearson {dev['pearson']:.3f}"


def _best(records: dict[str, Record]) -> str | None:
    good = [run for run, record in records.items() if "dev" in record]
    return max(good, key=lambda run: goodness(records[run]["dev"])) if good else None


def _train(
    contest: Contest, run: str, settings: Settings, seed: int, what: str
) -> Generator[News, None, tuple[Record, Any]]:
    """One training run, its model saved; gives its record and its predictions on dev."""
    forget_peak(contest.device)
    started, before = time.perf_counter(), contest.learner.prepared
    learning = contest.learner.learn(settings, seed, contest.plan)
    try:
        while True:
            yield "learning", what, next(learning), {}
    except StopIteration as end:
        classifier = end.value
    record = {"settings": settings, "seed": seed, "seconds": before + time.perf_counter() - started}
    record["peak_memory_mb"] = peak_memory(contest.device)
    record["parameters"] = classifier.parameters
    dev = classifier.predict(contest.rows.dev.texts, contest.rows.dev.pairs)
    record["dev"] = scores(contest.rows.dev.targets, dev)
    contest.store.keep_model(contest.name, run, classifier.save)
    return record, dev


def _try_all(contest: Contest) -> Generator[News, None, dict[str, Record]]:
    """Every setting once, with the first seed; the best one's model stays on the disk."""
    records: dict[str, Record] = {}
    grid, store = contest.learner.grid(contest.plan), contest.store
    for number, settings in enumerate(grid, start=1):
        run, what, started = f"try-{number}", f"try {number} of {len(grid)}", time.perf_counter()
        known = store.finished(contest.name, run)
        if known is not None:
            records[run] = known
            yield "known", _said(what, known), 1.0, known
            continue
        try:
            record, dev = yield from _train(contest, run, settings, contest.seed, what)
            predictions = {"dev": dev}
        except DivergedError as error:  # too high a learning rate is no failure of the contender's
            record, predictions = {"settings": settings, "error": str(error)}, {}
        record["spent"] = time.perf_counter() - started
        store.keep(contest.name, run, record, predictions)
        records[run] = record
        store.forget_models(contest.name, but=_best(records))
        yield "tried", _said(what, record), 1.0, record
    if _best(records) is None:
        raise DivergedError(f"all {len(grid)} tries failed; the last: {records[run]['error']}")
    return records


def _said(what: str, record: Record) -> str:
    """`try 3 of 4 (learning_rate 0.0003): dev accuracy 81.2%`"""
    given = record["settings"].items()
    settings = ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in given
    )
    whole = f"{what} ({settings})" if settings else what
    return f"{whole} failed: {record['error']}" if "error" in record else f"{whole}: dev {_main(record['dev'])}"


def _check_kept(contest: Contest, classifier: Classifier, dev: Any) -> None:
    """CheckpointError where the model on the disk answers otherwise than the one that learned: dev would have chosen
    another model than test judges."""
    some = contest.rows.dev.take(range(min(CHECKED, len(contest.rows.dev))))
    again, before = classifier.predict(some.texts, some.pairs), dev[: len(some)]
    if not numpy.allclose(again, before, rtol=1e-3, atol=1e-3 * max(1.0, float(numpy.std(dev)))):
        raise CheckpointError(f"the saved model of {contest.name} answers otherwise than before it was saved")


def _judge(contest: Contest, run: str, record: Record, dev: Any, started: float) -> Record:
    """Ask the model on the disk for the test rows, once. What its answers cost is timed on training rows."""
    classifier = open_classifier(contest.store.model(contest.name, run), device=contest.device)
    test = contest.rows.test
    _check_kept(contest, classifier, dev)
    predictions = classifier.predict(test.texts, test.pairs)
    record = {**record, "test": scores(test.targets, predictions)}
    if run == seed_run(0):
        some = timed_rows(contest.rows, 1000)
        record.update(row_times(classifier.predict, some.texts, some.pairs))
    record["spent"] = time.perf_counter() - started
    contest.store.keep(contest.name, run, record, {"dev": dev, "test": predictions})
    return record


def contend(contest: Contest) -> Generator[News, None, None]:
    """All of a contender's runs, but those that an earlier start finished."""
    store, name = contest.store, contest.name
    records = yield from _try_all(contest)
    best = _best(records) or ""
    settings = records[best]["settings"]
    seeds = contest.plan.seeds if contest.learner.seeded else 1
    judged: dict[str, Record] = {}
    for number in range(seeds):
        run, what, started = seed_run(number), f"seed {number + 1} of {seeds}", time.perf_counter()
        known = store.finished(name, run)
        if known is not None:
            judged[run] = known
            yield "known", _said(what, known), float(number > 0), known
            continue
        if number == 0:
            store.rename_model(name, best, run)
        if number == 0 and store.model(name, run).is_dir():
            record, dev = records[best], store.predictions(name, best)["dev"]
        else:  # another seed, or a best try whose model is gone
            record, dev = yield from _train(contest, run, settings, contest.seed + number, what)
        judged[run] = _judge(contest, run, record, dev, started)
        store.forget_models(name, but=_best(judged))
        yield "judged", _said(what, judged[run]), float(number > 0), judged[run]


def seed_run(number: int) -> str:
    """What the run with this seed, from 0, is called in the store."""
    return f"seed-{number}"
