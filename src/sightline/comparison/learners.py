"""Learners: how each kind of contender learns from rows, and what comes of it.

A learner is made once for each contender. `learn` is called once for each try and seed; it is a generator that yields
how much of it is done and returns a classifier (for numbers: a regressor), which predicts and can be saved.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from functools import cached_property
from typing import Any, Protocol

from sightline.comparison.contenders import Contender
from sightline.comparison.plan import Plan
from sightline.comparison.rows import Rows
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.baseline import Majority, Tfidf
from sightline.tasks.classify import Classifier
from sightline.tasks.frozen import Features, Frozen, features

Settings = dict[str, Any]

TFIDF_GRID: tuple[Settings, ...] = (
    {"C": 1.0, "ngrams": 1},
    {"C": 1.0, "ngrams": 2},
    {"C": 10.0, "ngrams": 1},
    {"C": 10.0, "ngrams": 2},
)
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

    def cost(self) -> float:
        """Seconds to learn from one row once, from a first timing; 0 for what takes no passes."""

    def grid(self, plan: Plan) -> list[Settings]:
        """The settings that are tried."""

    def learn(self, settings: Settings, seed: int, plan: Plan) -> Learning:
        """Learn from the training rows; dev may be looked at, test never."""


class MajorityLearner:
    """The commonest class, or the mean, whatever the text: what every other contender has to beat."""

    method, mask, seeded, prepared = "the commonest class, whatever the text", None, False, 0.0

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        if rows.labels is None:
            self.method = "the mean of the training rows, whatever the text"

    def cost(self) -> float:
        return 0.0

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

    def cost(self) -> float:
        return 0.0

    def grid(self, plan: Plan) -> list[Settings]:
        return list(TFIDF_GRID)

    def learn(self, settings: Settings, seed: int, plan: Plan) -> Learning:
        yield 0.0
        return Tfidf.fit(self.rows.train, **settings)


class FrozenLearner:
    """A checkpoint's embeddings as they are, under a linear model."""

    seeded, prepared = False, 0.0

    def __init__(self, rows: Rows, contender: Contender) -> None:
        self.rows, self.contender = rows, contender
        kind = "ridge" if rows.labels is None else "logistic"
        self.method = f"embeddings of {contender.name.removesuffix('#frozen')} as they are, and {kind} regression"

    @cached_property
    def _model(self) -> Model:
        model = load(str(self.contender.source))
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

    def cost(self) -> float:
        return 0.0

    def grid(self, plan: Plan) -> list[Settings]:
        return list(FROZEN_GRID)

    def learn(self, settings: Settings, seed: int, plan: Plan) -> Learning:
        yield 0.0
        return Frozen.fit(self._model, self.rows.train, self._seen, **settings)
