"""A comparison on its way: reading, timing, planning, each contender's runs, and what comes of them.

What a contender does wrong is its own failure, and the others go on; a folder that cannot be written ends the whole.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sightline.comparison.contend import Contest, contend
from sightline.comparison.contenders import Contender, parse_all
from sightline.comparison.entries import collect
from sightline.comparison.figures import roughly
from sightline.comparison.learners import Learner
from sightline.comparison.networks import Tokenizers, learner_of
from sightline.comparison.pace import Pace
from sightline.comparison.plan import Cost, Plan, decide
from sightline.comparison.question import Event, Question, What, minutes
from sightline.comparison.results import assemble, write_results
from sightline.comparison.rows import Rows
from sightline.comparison.store import Store, StoreError
from sightline.errors import ConfigError, SightlineError
from sightline.weights.alone import alone

Learners = dict[str, Learner]
LEAST_WORK = 0.01  # seconds that any run is taken to need


class Comparison:
    """A comparison on its way: an iterator of events, once. `results()` runs what is left of it.

    rows_read  how many rows of the first file are read so far
    """

    def __init__(self, question: Question, folder: Path, command: str) -> None:
        self.question, self.folder, self.command = question, folder, command
        self.contenders = parse_all(question.contenders)
        self.rows_read = 0
        self._events = self._run()
        self._results: dict[str, Any] | None = None
        self._failed: dict[str, str] = {}
        self._began, self._spent, self._pace = time.perf_counter(), 0.0, Pace(0.0)

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def results(self) -> dict[str, Any]:
        """What results.json holds."""
        for _ in self._events:
            pass
        if self._results is None:
            raise ConfigError("this comparison was stopped before its end; start it again, and it goes on")
        return self._results

    def kept(self) -> str:
        """What a start that is stopped now leaves, and how to go on."""
        runs = Store.count(self.folder)
        if not runs:
            return "Nothing was finished yet; the same command begins again."
        return f"{_tries(runs)} finished and kept in {self.folder}; the same command goes on from there."

    def _event(
        self, what: What, text: str, contender: str | None = None, record: dict[str, Any] | None = None
    ) -> Event:
        return Event(what=what, text=text, contender=contender, record=record or {})

    def _news(
        self, what: What, text: str, contender: str, record: dict[str, Any] | None = None, under_way: float = 0.0
    ) -> Event:
        """An event from where contenders learn, with how much is done."""
        share, left = self._pace.share(under_way), self._pace.left(under_way)
        return Event(what=what, text=text, contender=contender, record=record or {}, share=share, left=left)

    def _fail(self, contender: Contender, error: Exception, store: Store) -> Event:
        """A contender that failed is out; what is no SightlineError leaves its traceback beside the runs."""
        reason = str(error)
        if not isinstance(error, SightlineError):
            reason = f"{type(error).__name__}: {error}"
            if kept := store.keep_error(contender.name, "".join(traceback.format_exception(error))):
                reason += f" (more in {kept})"
        self._failed[contender.name] = reason
        return self._news("failed", f"{contender.name} failed: {reason}", contender.name)

    def _learners(self, rows: Rows, store: Store) -> Generator[Event, None, Learners]:
        learners: Learners = {}
        tokenizers = Tokenizers(rows)
        for contender in self.contenders:
            if contender.name not in self._failed:
                yield self._event("preparing", f"Preparing {contender.name}", contender.name)
                try:
                    learner = learner_of(contender, rows, self.question.size, tokenizers, self.question.place)
                    str(learner.method)  # what cannot be loaded fails here, not after hours
                    learners[contender.name] = learner
                except Exception as error:
                    yield self._fail(contender, error, store)
        return learners

    def _time(self, learners: Learners, store: Store) -> Generator[Event, None, dict[str, Cost]]:
        """What everyone's learning costs; those that an earlier start has timed are not timed again."""
        costs = {name: Cost(**cost) for name, cost in store.plan.get("costs", {}).items()}
        for contender in self.contenders:
            if contender.name in learners and contender.name not in costs:
                yield self._event("timing", f"Timing {contender.name}", contender.name)
                try:
                    costs[contender.name] = learners[contender.name].cost(self.question.seeds)
                except Exception as error:
                    del learners[contender.name]
                    yield self._fail(contender, error, store)
        return costs

    def _plan(self, learners: Learners, rows: Rows, store: Store) -> Generator[Event, None, Plan]:
        """The plan: the one that an earlier start began with, or a new one from a first timing."""
        costs = yield from self._time(learners, store)
        if "plan" not in store.plan:
            asked, gone = self.question, time.perf_counter() - self._began
            plan = decide(
                costs, train=len(rows.train), dev=len(rows.dev), test=len(rows.test), seeds=asked.seeds,
                passes=asked.passes, budget=None if asked.budget is None else 60 * asked.budget - gone,
            )  # fmt: skip
            store.keep_plan(plan=plan.as_dict(), started=datetime.now(UTC).isoformat(timespec="seconds"))
        store.keep_plan(costs={name: asdict(cost) for name, cost in costs.items()})
        return Plan.from_dict(store.plan["plan"])

    def _prepare(self, rows: Rows, store: Store) -> Generator[Event, None, tuple[Learners, Plan, Rows]]:
        """Learners, a plan for them, and the rows, of which the budget may allow but a part."""
        learners = yield from self._learners(rows, store)
        plan = yield from self._plan(learners, rows, store)
        if plan.rows < len(rows.train):
            because = f"the budget of {minutes(self.question.budget or 0.0)} allows no more"
            rows = rows.sampled(plan.rows, self.question.seed, because)
            yield self._event("assumed", rows.assumed[-1])
            again = yield from self._learners(rows, store)
            learners = {name: learner for name, learner in again.items() if name in learners}
        notes = [note for learner in learners.values() for note in learner.notes()]
        for note in notes:
            yield self._event("assumed", note)
        return learners, plan, replace(rows, assumed=(*rows.assumed, *notes))

    def _contend(self, contest: Contest, weight: float) -> Generator[Event, None, None]:
        name = contest.name
        try:
            for what, text, share, record in contend(contest):
                work = share * weight
                if what == "learning":
                    yield self._news("learning", text, name, under_way=work)
                    continue
                if what == "known":
                    self._pace.known(work)
                    self._spent += record.get("spent", 0.0)
                else:
                    self._pace.done(work)
                yield self._news(what, f"{name}, {text}", name, record)
        except StoreError:
            raise
        except Exception as error:
            yield self._fail(contest.contender, error, contest.store)

    def _learn(self, learners: Learners, rows: Rows, plan: Plan, store: Store) -> Generator[Event, None, None]:
        """Every contender's tries and seeds."""
        weights, total = {}, 0.0
        for name, learner in learners.items():
            cost = Cost(**store.plan["costs"].get(name, {}))
            weights[name] = max(cost.run(plan.passes, plan.rows, len(rows.dev)), LEAST_WORK)
            total += weights[name] * (len(learner.grid(plan)) + (plan.seeds - 1) * learner.seeded)
        self._pace = Pace(total)
        for contender in self.contenders:
            if contender.name in learners:
                learner, asked = learners[contender.name], self.question
                contest = Contest(contender, learner, rows, plan, store, asked.seed, asked.place)
                yield from self._contend(contest, weights[contender.name])

    def _count(self, rows: int) -> None:
        self.rows_read = rows

    def _run(self) -> Iterator[Event]:
        asked, self._began = self.question, time.perf_counter()
        Store.check(self.folder)
        yield self._event("reading", f"Reading {asked.path}")
        rows = asked.rows(self._count)
        with alone(self.folder, "comparing"):
            store = Store.open(self.folder, asked.fingerprint(rows))
            known = store.results()
            if known is not None and _answers(known, self.contenders):
                self._results = known
                yield self._event("resumed", f"This comparison is finished; this is the answer in {self.folder}.")
                yield self._event("finished", known["verdict"])
                return
            for sentence in rows.assumed:
                yield self._event("assumed", sentence)
            yield from self._compare(rows, store)

    def _compare(self, rows: Rows, store: Store) -> Iterator[Event]:
        """Everything from the rows to the answer."""
        asked, kept = self.question, Store.count(self.folder)
        learners, plan, rows = yield from self._prepare(rows, store)
        if learners:
            networks = any(one.kind == "network" and one.name in learners for one in self.contenders)
            yield self._event("planned", _planned(plan, networks, asked.budget if asked.passes is None else None))
        if kept:
            yield self._event("resumed", f"Going on: {_tries(kept)} finished already.")
        yield from self._learn(learners, rows, plan, store)
        finished = [
            collect(one, learners[one.name], plan, store)
            for one in self.contenders
            if one.name in learners and one.name not in self._failed
        ]
        self._results = assemble(
            command=self.command, finished=finished, failed=self._failed, contenders=self.contenders, rows=rows,
            plan=plan, store=store, seconds=self._spent + time.perf_counter() - self._began, budget=asked.budget,
            seed=asked.seed, device=asked.place,
        )  # fmt: skip
        write_results(self._results, finished, rows, store)
        yield self._event("finished", self._results["verdict"])


def _answers(known: dict[str, Any], contenders: list[Contender]) -> bool:
    """Whether these results are of all that are compared, and none of them failed."""
    told = {each.get("name") for each in known.get("contenders", ()) if not each.get("error")}
    return told == {one.name for one in contenders}


def _tries(count: int) -> str:
    return "one training run is" if count == 1 else f"{count} training runs are"


def _planned(plan: Plan, networks: bool, budget: float | None) -> str:
    passes = f"{plan.passes} pass{'es' if plan.passes > 1 else ''} over {plan.rows:,} rows, " if networks else ""
    tries = f"{len(plan.learning_rates)} tries and {plan.seeds} seed{'s' if plan.seeds > 1 else ''}"
    who, least = "network" if networks else "contender", ""
    if budget is not None and plan.seconds > 60 * budget:
        least = f", more than the budget of {minutes(budget)}: less would tell nothing"
    return f"Every {who}: {passes}{tries}. About {roughly(plan.seconds)} in all{least}."
