"""The comparison: every contender learns from the same rows under one protocol, and is judged once.

    for event in compare("reviews.csv", budget=5): print(event.text)
    compare("reviews.csv", budget=5).results()["verdict"]

1. Rows are divided: to learn from, to choose settings on (dev), to judge on (test).
2. A first timing tells how often everyone can read them within the budget.
3. Each contender tries the same number of settings; dev chooses among them.
4. The chosen settings are trained once for each seed, and each of these predicts the test rows, once.
5. The best on dev is judged on test against the others.

What is finished is kept in a folder, so that a comparison that was stopped goes on where it was.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sightline.comparison.contend import Contest, contend
from sightline.comparison.contenders import DEFAULT, Contender, parse_all
from sightline.comparison.learners import Learner
from sightline.comparison.networks import learner_of
from sightline.comparison.plan import Plan, decide
from sightline.comparison.results import assemble, collect, write_results
from sightline.comparison.rows import Rows, read_rows
from sightline.comparison.store import Store
from sightline.errors import ConfigError, SightlineError
from sightline.text.labelled import Kind

What = Literal["reading", "assumed", "timing", "planned", "learning", "tried", "judged", "failed", "finished"]
UNTRAINED_SECONDS = 2.0  # what a contender without passes is taken to need, for the time left


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a comparison does, as it does it.

    text    one line for people
    share   how much of all the work is done, 0 to 1
    left    seconds that the rest will take, where that can be told
    record  what came of a try or of a seed
    """

    what: What
    text: str
    contender: str | None = None
    share: float = 0.0
    left: float | None = None
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is compared on which rows; `compare` says what each field means."""

    path: str
    text: tuple[str, ...] | None = None
    label: str | None = None
    kind: Kind = "auto"
    header: bool = True
    dev: str | None = None
    test: str | None = None
    contenders: tuple[str, ...] = DEFAULT
    budget: float | None = 10.0
    passes: int | None = None
    seeds: int = 3
    size: str = "mini"
    most: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.budget is not None and not 0 < self.budget < math.inf:
            raise ConfigError(f"the budget is {self.budget} minutes; give more than 0, or None for no limit")
        if self.passes is not None and self.passes < 1:
            raise ConfigError(f"passes is {self.passes}; the rows are read at least once")
        if self.seeds < 1:
            raise ConfigError(f"seeds is {self.seeds}; at least 1, and 3 tell how much luck there is in training")
        if self.most < 1:
            raise ConfigError(f"rows is {self.most}; it is the most rows to read")

    def rows(self) -> Rows:
        """Its rows, read and divided."""
        return read_rows(
            self.path, text=self.text, label=self.label, kind=self.kind, header=self.header, dev=self.dev,
            test=self.test, most=self.most, seed=self.seed,
        )  # fmt: skip

    def fingerprint(self, rows: Rows) -> dict[str, Any]:
        """What must be the same for a stopped comparison to go on."""
        own = {name: value for name, value in asdict(self).items() if name not in ("path", "dev", "test")}
        return {**own, "contenders": list(self.contenders), "rows": rows.fingerprint(), "labels": rows.labels}


class Comparison:
    """A comparison on its way: an iterator of events, once. `results()` runs what is left of it."""

    def __init__(self, question: Question, folder: Path, command: str) -> None:
        self.question, self.folder, self.command = question, folder, command
        self.contenders = parse_all(question.contenders)
        self._events = self._run()
        self._results: dict[str, Any] | None = None
        self._failed: dict[str, str] = {}
        self._done, self._total, self._started = 0.0, 1.0, time.perf_counter()

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def results(self) -> dict[str, Any]:
        """What results.json holds."""
        for _ in self._events:
            pass
        if self._results is None:
            raise ConfigError("this comparison was stopped before its end; start it again, and it goes on")
        return self._results

    def _event(self, what: What, text: str, contender: str | None = None, **record: Any) -> Event:
        elapsed = time.perf_counter() - self._started
        left = None if self._done <= 0 else (self._total - self._done) * elapsed / self._done
        return Event(
            what=what,
            text=text,
            contender=contender,
            share=min(self._done / self._total, 1.0),
            left=left,
            record=record,
        )

    def _fail(self, contender: Contender, error: Exception, store: Store) -> Event:
        """A contender that failed is out; what is no SightlineError leaves its traceback beside the runs."""
        reason = str(error) if isinstance(error, SightlineError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, SightlineError):
            place = store.place(contender.name)
            place.mkdir(parents=True, exist_ok=True)
            (place / "error.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        self._failed[contender.name] = reason
        return self._event("failed", f"{contender.name} failed: {reason}", contender.name)

    def _learners(self, rows: Rows, store: Store) -> Generator[Event, None, dict[str, Learner]]:
        learners: dict[str, Learner] = {}
        for contender in self.contenders:
            if contender.name not in self._failed:
                try:
                    learners[contender.name] = learner_of(contender, rows, self.question.size)
                    str(learners[contender.name].method)  # what cannot be loaded fails here, not after hours
                except Exception as error:
                    learners.pop(contender.name, None)
                    yield self._fail(contender, error, store)
        return learners

    def _plan(self, learners: dict[str, Learner], rows: Rows, store: Store) -> Generator[Event, None, Plan]:
        """The plan: the one that a stopped comparison began with, or a new one from a first timing."""
        if "plan" not in store.plan:
            costs: dict[str, float] = {}
            for contender in self.contenders:
                if contender.name in learners:
                    yield self._event("timing", f"Timing {contender.name}", contender.name)
                    try:
                        costs[contender.name] = learners[contender.name].cost()
                    except Exception as error:
                        del learners[contender.name]
                        yield self._fail(contender, error, store)
            asked = self.question
            plan = decide(
                {name: cost for name, cost in costs.items() if cost}, train=len(rows.train), dev=len(rows.dev),
                test=len(rows.test), seeds=asked.seeds, passes=asked.passes,
                budget=None if asked.budget is None else 60 * asked.budget,
            )  # fmt: skip
            store.keep_plan(plan=plan.as_dict(), costs=costs, started=datetime.now(UTC).isoformat(timespec="seconds"))
        return Plan.from_dict(store.plan["plan"])

    def _weigh(self, plan: Plan, costs: dict[str, float], learners: dict[str, Learner]) -> dict[str, float]:
        """Of each contender, the share of the work that one run is."""
        expected = {name: costs.get(name, 0.0) for name in learners}
        whole = sum(expected.values()) or 1.0
        weights = {}
        for name, learner in learners.items():
            runs = len(learner.grid(plan)) + (plan.seeds - 1) * learner.seeded
            seconds = plan.seconds * expected[name] / whole if expected[name] else UNTRAINED_SECONDS
            weights[name] = seconds / runs
        self._total = sum(
            weights[name] * (len(learner.grid(plan)) + (plan.seeds - 1) * learner.seeded)
            for name, learner in learners.items()
        )
        self._started = time.perf_counter()
        return weights

    def _contend(self, contest: Contest, weight: float) -> Generator[Event, None, None]:
        name = contest.contender.name
        try:
            for what, text, share, record in contend(contest):
                if what == "learning":
                    before, self._done = self._done, self._done + share * weight
                    yield self._event("learning", text, name)
                    self._done = before
                else:
                    self._done += share * weight
                    yield self._event(what, f"{name}: {text}", name, **record)
        except Exception as error:
            yield self._fail(contest.contender, error, contest.store)

    def _finished(self, contender: Contender) -> bool:
        return contender.name not in self._failed

    def _run(self) -> Iterator[Event]:
        asked, started = self.question, time.perf_counter()
        yield self._event("reading", f"Reading {asked.path}")
        rows = asked.rows()
        store = Store.open(self.folder, asked.fingerprint(rows))
        for sentence in rows.assumed:
            yield self._event("assumed", sentence)
        learners = yield from self._learners(rows, store)
        plan = yield from self._plan(learners, rows, store)
        if plan.rows < len(rows.train):
            rows = rows.sampled(plan.rows, asked.seed, f"the budget of {asked.budget:g} minutes allows no more")
            yield self._event("assumed", rows.assumed[-1])
            learners = yield from self._learners(rows, store)
        weights = self._weigh(plan, store.plan["costs"], learners)
        yield self._event("planned", _planned(plan, learners, sum(weights.values())))
        for contender in self.contenders:
            if contender.name in learners:
                contest = Contest(contender, learners[contender.name], rows, plan, store, asked.seed)
                yield from self._contend(contest, weights[contender.name])
        seconds = store.plan.get("seconds", 0.0) + time.perf_counter() - started
        finished = [collect(one, learners[one.name], plan, store) for one in self.contenders if self._finished(one)]
        self._results = assemble(
            command=self.command, finished=finished, failed=self._failed, contenders=self.contenders, rows=rows,
            plan=plan, store=store, seconds=seconds, budget=asked.budget, seed=asked.seed,
        )  # fmt: skip
        write_results(self._results, finished, rows, store)
        self._done = self._total
        yield self._event("finished", self._results["verdict"])


def _planned(plan: Plan, learners: dict[str, Learner], seconds: float) -> str:
    passes = f"{plan.passes} pass{'es' if plan.passes > 1 else ''} over {plan.rows:,} rows"
    tries = f"{len(plan.learning_rates)} tries and {plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
    return f"Every network: {passes}, {tries}. About {duration(seconds)} in all."


def duration(seconds: float) -> str:
    """Seconds for people: "40 seconds", "3 minutes", "1.5 hours"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} second{'' if round(seconds) == 1 else 's'}"
    return f"{round(seconds / 60)} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


def compare(
    path: str | Path,
    *,
    text: Sequence[str] | str | None = None,
    label: str | None = None,
    kind: Kind = "auto",
    header: bool = True,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    contenders: Sequence[str] = DEFAULT,
    budget: float | None = 10.0,
    passes: int | None = None,
    seeds: int = 3,
    size: str = "mini",
    rows: int = 100_000,
    seed: int = 0,
    out: str | Path | None = None,
    command: str = "",
) -> Comparison:
    """Which kind of model serves these rows best, by how much, how surely, at what cost.

    path        a table of texts and labels: .csv, .tsv, .jsonl, .parquet, or an hf:// path of one
    text        the column of texts, or two columns of pairs; default: the obvious one
    label       the column of classes or numbers; kind says which ("classes", "numbers"), where that is not obvious
    dev, test   files to choose settings on and to judge on; what is not given is set apart of the first file
    contenders  "majority", "tfidf", "encoder", "decoder", "bert", "gpt2", a folder or hub id, NAME@MASK, NAME#frozen
    budget      minutes for everything; None: no limit
    passes      how often networks read the rows; default: as often as the budget allows
    seeds       how often the chosen settings are trained
    size        of new networks: "tiny", "mini" (4 layers, 256 wide), "small", "medium", "base"
    rows        at most so many rows are read, drawn by the seed
    out         the folder for results.json, report.html, predictions.parquet and the winner; default: NAME-compare

    Gives an iterator of events; `.results()` runs to the end and gives what results.json holds.
    Raises InputError for rows that cannot be compared on, ConfigError for wrong settings, at the first event.

        results = compare("reviews.csv", text="review", label="stars", budget=5).results()
    """
    question = Question(
        path=str(path),
        text=None if text is None else (text,) if isinstance(text, str) else tuple(text),
        label=label,
        kind=kind,
        header=header,
        dev=None if dev is None else str(dev),
        test=None if test is None else str(test),
        contenders=tuple(contenders),
        budget=budget,
        passes=passes,
        seeds=seeds,
        size=size,
        most=rows,
        seed=seed,
    )
    folder = Path(f"{Path(str(path)).stem}-compare") if out is None else Path(out)
    return Comparison(question, folder, command)
