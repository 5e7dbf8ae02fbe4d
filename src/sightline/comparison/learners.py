"""Learners: how each kind of contender learns from rows, and what comes of it.

A learner is made once for each contender. `learn` is called once for each try and seed; it is a generator that yields
how much of it is done and returns a classifier (for numbers: a regressor), which predicts and can be saved.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from functools import cached_property
from typing import Any, Protocol

import numpy
import torch

from sightline.comparison.contenders import Contender
from sightline.comparison.plan import Cost, Plan
from sightline.comparison.rows import Rows
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.baseline import Majority, Tfidf
from sightline.tasks.classify import Classifier
from sightline.tasks.frozen import Features, Frozen, features
from sightline.text.labelled import Examples

Settings = dict[str, Any]

TFIDF_GRID: tuple[Settings, ...] = (
    {"analyzer": "word", "ngrams": 1, "C": 1.0},
    {"analyzer": "word", "ngrams": 2, "C": 10.0},
    {"analyzer": "char", "ngrams": 5, "C": 1.0},
    {"analyzer": "char", "ngrams": 5, "C": 10.0},
)
TIMED_ROWS = 2000  # of a first timing of what takes no passes
FROZEN_GRID: tuple[Settings, ...] = ({"C": 0.001}, {"C": 0.01}, {"C": 0.1}, {"C": 1.0})


Learning = Generator[float, None, Classifier]


class Learner(Protocol):
    """How one contender learns."""

    @property
    def method(self) -> str:
        """One line for people: what this is."""

    @property
    def mask(self) -> str | None:
        """Who may attend to whom, as text; None without a network."""

    @property
    def seeded(self) -> bool:
        """Whether another seed gives another classifier."""

    @property
    def prepared(self) -> float:
        """Seconds of what is done once and every run needs, such as embedding all rows."""

    def notes(self) -> list[str]:
        """A sentence for each thing about it that people should know and did not ask for."""

    def cost(self, seeds: int) -> Cost:
        """What learning costs, from a first timing, where it is seen with so many seeds."""

    def grid(self, plan: Plan) -> list[Settings]:
        """The settings that are tried."""

    def learn(self, settings: Settings, seed: int, plan: Plan) -> Learning:
        """Learn from the training rows; dev may be looked at, test never."""


def timed_rows(rows: Rows, number: int) -> Examples:
    """So many training rows for a first timing, from all over them: files are often sorted."""
    return rows.train.take(numpy.random.default_rng(0).permutation(len(rows.train))[:number])


class MajorityLearner:
    """The commonest class, or the mean, whatever the text: what every other contender has to beat."""

    method, mask, seeded, prepared = "the commonest class, whatever the text", None, False, 0.0

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        if rows.labels is None:
            self.method = "the mean of the training rows, whatever the text"

    def notes(self) -> list[str]:
        return []

    def cost(self, seeds: int) -> Cost:
        return Cost()

    def grid(self, plan: Plan) -> list[Settings]:
        return [{}]

    def learn(self, settings: Settings, seed: int, plan: Plan) -> Learning:
        yield 0.0
        return Majority.fit(self.rows.train)


class TfidfLearner:
    """Weighted words and word pairs under a linear model."""

    mask, seeded, prepared = None, False, 0.0

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.method = f"TF-IDF and {'ridge' if rows.labels is None else 'logistic'} regression"

    def notes(self) -> list[str]:
        return []

    def cost(self, seeds: int) -> Cost:
        some = timed_rows(self.rows, TIMED_ROWS)
        import sklearn.feature_extraction.text
        import sklearn.linear_model  # noqa: F401  # which takes longer than few rows do

        started = time.perf_counter()
        Tfidf.fit(some, **TFIDF_GRID[-1])
        a_row = (time.perf_counter() - started) / len(some)
        return Cost(a_row=a_row, repeated=False, runs=len(TFIDF_GRID))

    def grid(self, plan: Plan) -> list[Settings]:
        return list(TFIDF_GRID)

    def learn(self, settings: Settings, seed: int, plan: Plan) -> Learning:
        yield 0.0
        return Tfidf.fit(self.rows.train, **settings)


class FrozenLearner:
    """A checkpoint's embeddings as they are, under a linear model."""

    seeded, prepared = False, 0.0

    def __init__(self, rows: Rows, contender: Contender, device: torch.device) -> None:
        self.rows, self.contender, self.device = rows, contender, device
        kind = "ridge" if rows.labels is None else "logistic"
        self.method = f"embeddings of {contender.name.removesuffix('#frozen')} as they are, and {kind} regression"

    @cached_property
    def _model(self) -> Model:
        model = load(str(self.contender.source), device=self.device)
        return model if self.contender.mask is None else model.with_mask(self.contender.mask)

    @cached_property
    def _seen(self) -> Features:
        model, started = self._model, time.perf_counter()
        seen = features(model, self.rows.train.texts, self.rows.train.pairs)
        self.prepared = time.perf_counter() - started
        return seen

    @property
    def mask(self) -> str:
        return str(self._model.mask)

    def notes(self) -> list[str]:
        return []

    def cost(self, seeds: int) -> Cost:
        some = timed_rows(self.rows, TIMED_ROWS // 10)
        pairs = some.pairs
        features(self._model, some.texts[:8], None if pairs is None else pairs[:8])  # the first call is no row's cost
        started = time.perf_counter()
        features(self._model, some.texts, pairs)
        a_row = (time.perf_counter() - started) / len(some)
        # Training rows are embedded once, those of dev for each try: as much as a run that reads a part of them.
        return Cost(a_row=a_row / len(FROZEN_GRID), repeated=False, runs=len(FROZEN_GRID))

    def grid(self, plan: Plan) -> list[Settings]:
        return list(FROZEN_GRID)

    def learn(self, settings: Settings, seed: int, plan: Plan) -> Learning:
        yield 0.0
        return Frozen.fit(self._model, self.rows.train, self._seen, **settings)
