"""Classification: a class with its probability for each text or pair of texts; or, by a regression head, a number.

Rows are sorted by length and batched by tokens, so that little padding is computed; what comes back is in the order of
what came in. A text longer than the model reads is cut, or read in windows: then its log-probabilities (or its number)
are the mean of theirs, each weighted by the tokens that no earlier window had.

Shapes: N texts, R rows (texts, or windows of long ones), L classes.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy
import torch

from sightline.errors import InputError, NotFoundError, UnsupportedError
from sightline.model.load import load
from sightline.model.model import Model, tokenizer_of
from sightline.tasks.answers import Numbers, answers, check_classifier, labels_of
from sightline.tasks.encode import Long, check_texts, cut_in_words, encode, longest

TEXTS_AT_ONCE = 1024  # sorted and batched together


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a classifier says of N rows.

    labels         names of the classes (L), or None where it gives numbers
    probabilities  (N, L) of each class, or None
    values         (N,) the numbers, or None
    cut            how many texts were longer than the model reads, and lost their end
    """

    labels: tuple[str, ...] | None
    probabilities: Numbers | None = None
    values: Numbers | None = None
    cut: int = 0

    def __len__(self) -> int:
        return len(self.array)

    @property
    def array(self) -> Numbers:
        """(N, L) probabilities, or (N,) values."""
        return self.values if self.probabilities is None else self.probabilities  # type: ignore[return-value]

    @property
    def best(self) -> list[str]:
        """The likeliest class of each row; UnsupportedError for numbers."""
        if self.labels is None or self.probabilities is None:
            raise UnsupportedError("these predictions are numbers and have no classes; read .values")
        return [self.labels[place] for place in self.probabilities.argmax(1)]


def _classify_some(
    model: Model,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    numbers: Sequence[int],
    long: Long | None,
    max_length: int | None,
    batch_tokens: int | None,
) -> Predictions:
    long = long or model.long
    encoded = encode(
        tokenizer_of(model),
        texts,
        pairs,
        limit=longest(model, max_length),
        long="cut" if long == "windows" and pairs is not None else long,
        numbers=numbers,
    )
    found = answers(model, encoded, batch_tokens)
    labels, cut = labels_of(model), encoded.long if len(encoded.rows) == len(texts) else 0
    if labels is None:
        return Predictions(labels=None, values=found, cut=cut)
    return Predictions(labels=labels, probabilities=found, cut=cut)


def classify_batches(
    model: Model,
    texts: Iterable[str],
    pairs: Iterable[str] | None = None,
    *,
    long: Long | None = None,
    max_length: int | None = None,
    batch_tokens: int | None = None,
) -> Iterator[Predictions]:
    """`classify` for more texts than fit the memory: answers for at most 1024 rows each, in the order of the texts.

    for predictions in classify_batches(model, read_texts("reviews.csv", "text")): ...
    """
    check_classifier(model)
    parts = _stream(model, texts, pairs, long, max_length, batch_tokens)
    return _counted(parts, longest(model, max_length))


def _stream(
    model: Model,
    texts: Iterable[str],
    pairs: Iterable[str] | None,
    long: Long | None = None,
    max_length: int | None = None,
    batch_tokens: int | None = None,
) -> Iterator[Predictions]:
    source, second = iter(texts), None if pairs is None else iter(pairs)
    before = 0
    while some := list(itertools.islice(source, TEXTS_AT_ONCE)):
        others = None if second is None else list(itertools.islice(second, len(some)))
        numbers = range(before + 1, before + len(some) + 1)
        yield _classify_some(model, some, others, numbers, long, max_length, batch_tokens)
        before += len(some)


def _counted(parts: Iterable[Predictions], limit: int) -> Iterator[Predictions]:
    rows = cut = 0
    for part in parts:
        rows, cut = rows + len(part), cut + part.cut
        yield part
    if cut:
        warnings.warn(cut_in_words(cut, rows, limit), stacklevel=3)


def classify(
    model: Model,
    texts: str | Sequence[str],
    pairs: str | Sequence[str] | None = None,
    *,
    long: Long | None = None,
    max_length: int | None = None,
    batch_tokens: int | None = None,
) -> Predictions:
    """The class of each text, or its number, in the order of the texts.

    pairs         a second text for each, where the model was taught on pairs
    long          what becomes of a text with more than `max_length` tokens: "cut" (its end is lost; a warning counts
                  such texts) or "windows" (all of it is read, in parts that overlap, whose answers are averaged);
                  default: as the model was taught, else "cut"
    max_length    of a text or window, in tokens; default: what the tokenizer states and the model's positions allow
    batch_tokens  how many tokens to compute at once, padding included; it changes the speed, not the answers

    Raises InputError for an empty text, naming its row (the first is row 1), and UnsupportedError for a model without
    such a head, or one whose mask makes the head's pooling meaningless.

        predictions = classify(load("folder"), ["The soup was hot.", "Never again."])
        predictions.best, predictions.probabilities
    """
    check_classifier(model)
    texts = [texts] if isinstance(texts, str) else list(texts)
    pairs = [pairs] if isinstance(pairs, str) else pairs if pairs is None else list(pairs)
    if not texts:
        raise InputError("no texts: the list is empty; give at least one text")
    if pairs is not None and len(pairs) != len(texts):
        raise InputError(f"{len(texts)} texts but {len(pairs)} pairs; give one second text for each first")
    parts = list(_counted(_stream(model, texts, pairs, long, max_length, batch_tokens), longest(model, max_length)))
    whole, cut = numpy.concatenate([part.array for part in parts]), sum(part.cut for part in parts)
    labels = parts[0].labels
    if labels is None:
        return Predictions(labels=None, values=whole, cut=cut)
    return Predictions(labels=labels, probabilities=whole, cut=cut)


class Classifier(Protocol):
    """What `open_classifier` gives."""

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes; None for numbers."""

    @property
    def parameters(self) -> int:
        """How many numbers it has."""

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Numbers:
        """(N, L) probabilities, or (N,) values."""

    def save(self, folder: str | Path) -> object:
        """Write it so that `open_classifier` opens it."""


class ModelClassifier:
    """A model with a head for rows, in the form that baselines have too.

    >>> ModelClassifier(model).predict(["a text"])  # (1, L)  # doctest: +SKIP
    """

    def __init__(self, model: Model) -> None:
        check_classifier(model)
        self.model = model

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the classes; None for numbers."""
        return labels_of(self.model)

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Numbers:
        """(N, L) probabilities, or (N,) values."""
        check_classifier(self.model)
        return numpy.concatenate([part.array for part in _stream(self.model, texts, pairs)])

    def predictions(self, texts: Sequence[str], pairs: Sequence[str] | None, numbers: Sequence[int]) -> Predictions:
        """The same of at most a few thousand rows, which have these numbers in messages."""
        return _classify_some(self.model, texts, pairs, numbers, None, None, None)

    def save(self, folder: str | Path) -> Path:
        """Write the model in the Hugging Face layout."""
        return self.model.save(folder)


def open_classifier(
    name: str | Path, *, device: torch.device | str | None = None, revision: str | None = None
) -> Classifier:
    """The classifier of that name: a folder that `tune` or `compare` wrote (a model, frozen embeddings, a baseline), or
    a model with a classification head from the hub."""
    folder = Path(name)
    if (folder / "baseline.json").is_file():
        from sightline.tasks.baseline import load_baseline

        return load_baseline(folder)
    if (folder / "frozen.json").is_file():
        from sightline.tasks.frozen import Frozen

        return Frozen.load(folder, device=device)
    inside = sorted(path.parent for path in folder.glob("*/baseline.json"))
    if inside and not (folder / "config.json").is_file():
        raise NotFoundError(f"{folder} is no classifier; did you mean {str(inside[-1])!r}?")
    return ModelClassifier(load(name, device=device, revision=revision))


def predictions(
    classifier: Classifier, texts: Sequence[str], pairs: Sequence[str] | None, numbers: Sequence[int]
) -> Predictions:
    """What any classifier says of some rows of a stream, which have these numbers in it: messages name a wrong row by
    its own."""
    if isinstance(classifier, ModelClassifier):
        return classifier.predictions(texts, pairs, numbers)
    check_texts(texts, numbers)
    check_texts(pairs or (), numbers[: len(pairs or ())])
    found = classifier.predict(texts, pairs)
    if classifier.labels is None:
        return Predictions(labels=None, values=found)
    return Predictions(labels=classifier.labels, probabilities=found)
