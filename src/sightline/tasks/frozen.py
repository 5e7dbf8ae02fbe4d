"""Frozen: a model's embeddings, as they are, under a linear classifier. The cheapest way to use a pretrained network.

    Conneau et al. 2017, "Supervised Learning of Universal Sentence Representations", section 3.3: of a pair of texts
    with vectors u and v the classifier gets (u, v, |u − v|, u ∗ v).

Shapes: N texts, W width of a vector, F features: W, or 4 W of a pair; L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy.typing import NDArray

from sightline.core.files import replace_files
from sightline.errors import CheckpointError, InputError
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.embed import embed
from sightline.text.labelled import Examples
from sightline.weights.files import json_writer, read_json

Features = NDArray[numpy.float64]
FILE = "frozen"


def features(model: Model, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Features:
    """What the linear part sees: (N, F), float64."""
    first = embed(model, list(texts)).astype(numpy.float64)
    if pairs is None:
        return first
    second = embed(model, list(pairs)).astype(numpy.float64)
    return numpy.concatenate([first, second, numpy.abs(first - second), first * second], axis=1)


class Frozen:
    """A model that stays as it is, and logistic regression over its vectors; over numbers, ridge regression.

    weight (L, F) and bias (L,) are of the standardised features' own scale folded back, so they apply to `features`.

        classifier = Frozen.fit(model, examples, features(model, examples.texts), C=1.0)
        classifier.predict(["a text"])          # (1, L) probabilities
    """

    def __init__(self, model: Model, weight: Features, bias: Features, labels: tuple[str, ...] | None) -> None:
        self.model, self.weight, self.bias, self.labels = model, weight, bias, labels

    @property
    def parameters(self) -> int:
        """How many numbers the whole has, the model's own included."""
        return sum(weight.numel() for weight in self.model.parameters()) + self.weight.size + self.bias.size

    @classmethod
    def fit(cls, model: Model, examples: Examples, seen: Features, C: float = 1.0) -> Frozen:
        """Learn the linear part. `seen` are the examples' features; C is the inverse strength of the penalty."""
        from sklearn.linear_model import LogisticRegression, Ridge

        centre, scale = seen.mean(0), seen.std(0).clip(min=1e-9)
        standard = (seen - centre) / scale
        if examples.labels is None:
            found: Any = Ridge(alpha=1 / C).fit(standard, examples.targets)
            weight, bias = numpy.atleast_2d(found.coef_), numpy.atleast_1d(found.intercept_)
        else:
            found = LogisticRegression(C=C, max_iter=5000).fit(standard, examples.targets)
            weight, bias = found.coef_, found.intercept_
            if len(weight) == 1:  # two classes: one number, whose logistic is the second's probability
                weight, bias = numpy.concatenate([-weight / 2, weight / 2]), numpy.concatenate([-bias / 2, bias / 2])
            weight, bias = _every_class(weight, bias, found.classes_, len(examples.labels))
        weight = weight / scale
        return cls(model, weight, bias - weight @ centre, examples.labels)

    def predict_features(self, seen: Features) -> Features:
        """`predict` where the features are at hand: (N, F) → (N, L) probabilities, or (N,) values."""
        if seen.shape[1] != self.weight.shape[1]:
            pairs = self.weight.shape[1] == 4 * self.model.config.width
            raise InputError(f"this classifier learned from {'pairs of texts' if pairs else 'single texts'}; give such")
        scores = seen @ self.weight.T + self.bias
        if self.labels is None:
            return scores[:, 0]
        odds = numpy.exp(scores - scores.max(1, keepdims=True))
        return odds / odds.sum(1, keepdims=True)

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Features:
        """Probabilities of the classes (N, L), or values (N,)."""
        return self.predict_features(features(self.model, texts, pairs))

    def save(self, folder: str | Path) -> Path:
        """The model in the Hugging Face layout, and the linear part beside it.

        Raises CheckpointError where a file cannot be written.
        """
        from safetensors.numpy import save_file

        folder = self.model.save(folder)
        # Of three classes and more scikit-learn gives columns one after another, which would be written as if rows.
        tensors = {"weight": numpy.ascontiguousarray(self.weight), "bias": numpy.ascontiguousarray(self.bias)}
        about = {"labels": self.labels if self.labels is None else list(self.labels)}
        replace_files(folder, {f"{FILE}.safetensors": partial(save_file, tensors), f"{FILE}.json": json_writer(about)})
        return folder

    @classmethod
    def load(cls, folder: str | Path, *, device: torch.device | str | None = None) -> Frozen:
        """What `save` wrote; CheckpointError where it is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        folder = Path(folder)
        try:
            tensors = load_file(folder / f"{FILE}.safetensors")
            weight, bias = tensors["weight"], tensors["bias"]
        except (OSError, KeyError, SafetensorError) as error:
            raise CheckpointError(f"{folder / FILE}.safetensors cannot be read ({error}); save it again") from None
        about, model = read_json(folder / f"{FILE}.json"), load(folder, device=device)
        labels = about.get("labels", ())
        named = isinstance(labels, list) and all(isinstance(each, str) for each in labels)
        outputs = 1 if labels is None else len(set(labels)) if named else 0
        shapes = [(outputs, times * model.config.width) for times in (1, 4)]
        whole = numpy.isfinite(weight).all() and numpy.isfinite(bias).all()
        if not outputs or weight.shape not in shapes or bias.shape != (outputs,) or not whole:
            raise CheckpointError(
                f"{folder / FILE}.json and .safetensors do not belong together: {labels!r:.80} and weights"
                f" {weight.shape}; save it again"
            )
        return cls(model, weight, bias, None if labels is None else tuple(labels))


def _every_class(weight: Features, bias: Features, seen: Any, labels: int) -> tuple[Features, Features]:
    """Rows for classes that no training row has: as unlikely as can be."""
    if len(seen) == labels:
        return weight, bias
    whole, whole_bias = numpy.zeros((labels, weight.shape[1])), numpy.full(labels, -1e9)
    whole[seen], whole_bias[seen] = weight, bias
    return whole, whole_bias
