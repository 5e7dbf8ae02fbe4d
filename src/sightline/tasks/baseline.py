"""Baselines: what any network has to beat. The commonest class, and a linear model of which words a text holds.

    Spärck Jones 1972, "A statistical interpretation of term specificity and its application in retrieval".
    Joachims 1998, "Text Categorization with Support Vector Machines": linear models of weighted words.

Both have `fit(examples)`, `predict(texts, pairs)`, `labels`, `parameters` and `save(folder)`; `load_baseline(folder)`
reads either. scikit-learn splits texts, chooses terms and learns; predictions are a product of sparse matrices, the
same before and after saving, bit for bit.

Shapes: N rows, L labels, F features.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from sightline.core.check import whole
from sightline.errors import ConfigError, InputError
from sightline.tasks.baseline_files import Stored, read_baseline, write_baseline
from sightline.tasks.terms import Reader, Terms, features
from sightline.text.labelled import Examples

Floats = NDArray[numpy.float64]

MOST_WEIGHTS = 5_000_000  # L · F: the optimizer holds about twenty copies, 800 MB in all
ITERATIONS = 1_000


def _check_rows(examples: Examples) -> None:
    if not len(examples):
        raise InputError("there are no rows to learn from; give at least one")


def _pairs_given(texts: Sequence[str], pairs: Sequence[str] | None, wanted: bool) -> None:
    """InputError unless there is a second text for each text where the baseline learned from pairs, and none else."""
    if (pairs is not None) != wanted:
        learned, given = ("pairs of texts", "single texts") if wanted else ("single texts", "pairs")
        raise InputError(f"this baseline learned from {learned} and got {given}; give the columns it learned from")
    if pairs is not None and len(pairs) != len(texts):
        raise InputError(f"{len(texts)} texts and {len(pairs)} second texts; give one second text for each")


@dataclass(frozen=True, kw_only=True, eq=False)
class Majority:
    """The same answer whatever the text: how frequent each class is, or the mean of the numbers.

    labels   the names of the classes (L), or None for numbers
    answer   (L,) shares, or (1,) the mean
    paired   whether rows are pairs of texts
    """

    labels: tuple[str, ...] | None
    answer: Floats
    paired: bool

    @classmethod
    def fit(cls, examples: Examples) -> Majority:
        """Count, or average. Raises `InputError` without rows.

        Majority.fit(examples).predict(["any text"])      # [[0.7, 0.3]] where 70 % are of the first class
        """
        _check_rows(examples)
        if examples.labels is None:
            answer = numpy.array([examples.targets.mean()], dtype=numpy.float64)
        else:
            answer = numpy.bincount(examples.targets, minlength=len(examples.labels)) / len(examples)
        return cls(labels=examples.labels, answer=answer, paired=examples.pairs is not None)

    @property
    def parameters(self) -> int:
        """How many numbers were learned."""
        return self.answer.size

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Floats:
        """Probabilities (N, L), or values (N,)."""
        _pairs_given(texts, pairs, self.paired)
        rows = numpy.tile(self.answer, (len(texts), 1))
        return rows[:, 0] if self.labels is None else rows

    def save(self, folder: str | Path) -> None:
        """Write into `folder` (made if need be), whole or not at all; `load_baseline` reads it."""
        about = {"labels": self.labels, "paired": self.paired}
        write_baseline(folder, Stored("majority", about, {"answer": self.answer}))


def _softmax(scores: Floats) -> Floats:
    raised = numpy.exp(scores - scores.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def _logistic(rows: Any, targets: NDArray[numpy.int64], labels: int, strength: float) -> tuple[Floats, Floats, bool]:
    """Weights (F, L), biases (L,) of a softmax over labels, and whether the optimizer came to its end.

    A label that no row has gets the bias -inf: its probability is 0.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    met = numpy.unique(targets)
    if len(met) < 2:
        raise InputError("all rows have one label, so there is nothing to tell apart; give rows of two labels or more")
    model = LogisticRegression(C=strength, max_iter=ITERATIONS)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(rows, targets)
    weights, biases = numpy.zeros((rows.shape[1], labels)), numpy.full(labels, -numpy.inf)
    # For two classes scikit-learn learns the second one's score alone; the first one's is 0.
    places = met if len(met) > 2 else met[1:]
    biases[met] = 0.0
    weights[:, places], biases[places] = model.coef_.T, model.intercept_
    return weights, biases, not any(issubclass(each.category, ConvergenceWarning) for each in said)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tfidf:
    """TF-IDF and a linear model: logistic regression over classes, ridge regression of numbers.

    labels      the names of the classes (L), or None for numbers
    terms       which words are counted, and how they weigh
    weights     (F, L), or (F, 1) for numbers; of pairs (3 F + 1, …)
    biases      (L,), or (1,)
    paired      whether rows are pairs of texts
    settings    what it was fitted with
    converged   whether the optimizer came to its end
    """

    labels: tuple[str, ...] | None
    terms: Terms
    weights: Floats
    biases: Floats
    paired: bool
    settings: dict[str, Any]
    converged: bool
    _reader: Reader

    @classmethod
    def fit(
        cls,
        examples: Examples,
        *,
        C: float = 10.0,
        ngrams: int = 2,
        analyzer: str = "word",
        max_features: int = 100_000,
    ) -> Tfidf:
        """Learn terms and weights from the rows.

        C               the weight of the rows against small weights; ridge regression's alpha is 1 / C
        ngrams          the longest run of words (analyzer "word") or characters ("char")
        max_features    the most terms that are counted, the most frequent ones; fewer where there are many labels

        Raises `ConfigError` for settings that cannot work, `InputError` where no text holds a word or all rows have
        one label.

        Tfidf.fit(examples, C=1.0).predict(["a fine place", "never again"])      # (2, L)
        """
        _check_rows(examples)
        if analyzer not in ("word", "char"):
            raise ConfigError(f"analyzer={analyzer!r} is neither 'word' nor 'char'")
        whole("ngrams", ngrams)
        whole("max_features", max_features)
        if not 0 < C < float("inf"):
            raise ConfigError(f"C={C!r} must be a number above 0")
        paired = examples.pairs is not None
        outputs = 1 if examples.labels is None else len(examples.labels)
        most = max(1, min(max_features, MOST_WEIGHTS // outputs // (3 if paired else 1)))
        texts = [*examples.texts, *(examples.pairs or ())]
        terms = Terms.learn(texts, analyzer=analyzer, ngrams=ngrams, most=most)
        reader = terms.reader()
        rows = features(reader, examples.texts, examples.pairs)
        if examples.labels is not None:
            weights, biases, converged = _logistic(rows, examples.targets, outputs, C)
        else:
            from sklearn.linear_model import Ridge

            model = Ridge(alpha=1 / C, solver="sparse_cg", tol=1e-8).fit(rows, examples.targets)
            weights, biases, converged = model.coef_[:, None], numpy.array([float(model.intercept_)]), True
        return cls(
            labels=examples.labels,
            terms=terms,
            weights=numpy.ascontiguousarray(weights, dtype=numpy.float64),
            biases=biases,
            paired=paired,
            settings={"C": C, "ngrams": ngrams, "analyzer": analyzer, "max_features": max_features},
            converged=converged,
            _reader=reader,
        )

    @property
    def parameters(self) -> int:
        """How many numbers were learned: weights, biases and rarities."""
        learned = self.weights.size + self.biases.size
        if self.labels is not None and len(self.labels) == 2:
            learned //= 2  # the first of two classes has none of its own
        return learned + self.terms.rarity.size

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Floats:
        """Probabilities (N, L), or values (N,). A text without any known word gets the biases' answer."""
        _pairs_given(texts, pairs, self.paired)
        if not len(texts):
            return numpy.zeros(0 if self.labels is None else (0, len(self.labels)))
        scores = features(self._reader, texts, pairs) @ self.weights + self.biases
        return scores[:, 0] if self.labels is None else _softmax(scores)

    def save(self, folder: str | Path) -> None:
        """Write into `folder` (made if need be), whole or not at all; `load_baseline` reads it."""
        about = {
            "labels": self.labels,
            "paired": self.paired,
            "settings": self.settings,
            "converged": self.converged,
            "terms": self.terms.names,
        }
        tensors = {"rarity": self.terms.rarity, "weights": self.weights, "biases": self.biases}
        write_baseline(folder, Stored("tfidf", about, tensors))


def load_baseline(folder: str | Path) -> Majority | Tfidf:
    """The baseline that `save` wrote into `folder`. Raises `CheckpointError` where a file is missing or damaged.

    load_baseline("rows-compare/winner").predict(["a fine place"])
    """
    stored = read_baseline(folder)
    about, tensors = stored.about, stored.tensors
    labels = None if about["labels"] is None else tuple(about["labels"])
    if stored.kind == "majority":
        return Majority(labels=labels, answer=tensors["answer"], paired=about["paired"])
    settings = about["settings"]
    terms = Terms(
        analyzer=settings["analyzer"],
        ngrams=settings["ngrams"],
        names=tuple(about["terms"]),
        rarity=tensors["rarity"],
    )
    return Tfidf(
        labels=labels,
        terms=terms,
        weights=tensors["weights"],
        biases=tensors["biases"],
        paired=about["paired"],
        settings=settings,
        converged=about["converged"],
        _reader=terms.reader(),
    )
