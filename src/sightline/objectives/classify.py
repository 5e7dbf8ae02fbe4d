"""Classification and regression of whole rows: one class, or one number, for each text or pair of texts.

    Devlin et al. 2019, "BERT", section 4.1; Radford et al. 2018, "Improving Language Understanding by Generative
    Pre-Training", section 3.2. Label smoothing: Szegedy et al. 2016, "Rethinking the Inception
    Architecture for Computer Vision", section 7.

Both ask the head "classifier". Shapes: B rows, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.errors import ConfigError, InputError
from sightline.model.heads import sequence_head
from sightline.model.model import Model
from sightline.objectives.objective import Batch, Term

HEAD = "classifier"


def row_logits(model: Model, batch: Batch) -> Tensor:
    """What the classifier says of each row: (B, L), in float32 at least."""
    head = sequence_head(model.head(HEAD))
    output = model(**batch.inputs, only=head.reads)
    logits = head(output.last_hidden_state, output.coordinates)
    return logits if logits.dtype == torch.float64 else logits.float()


def _check_targets(targets: Tensor, labels: int, whose: str) -> None:
    if targets.is_floating_point():
        raise InputError(f"targets are of {targets.dtype}; Classify needs class ids, and Regress takes numbers")
    low, high = (int(bound) for bound in targets.aminmax())
    if low < 0 or high >= labels:
        wrong = low if low < 0 else high
        raise InputError(f"a target is class {wrong}, and {whose} {labels} classes, counted from 0")


@dataclass(frozen=True, kw_only=True)
class Classify:
    """Cross-entropy of each row's class; targets are class ids, int64 (B,).

    class_weights    one weight a class: a row counts as much as its class weighs; None: all alike
    label_smoothing  share of the probability that is spread evenly over all classes

    As in `torch.nn.functional.cross_entropy`, the sum is divided by the weights of the rows' classes.

    >>> Classify(class_weights=(1.0, 3.0)).counts(batch)  # doctest: +SKIP
    {'loss': 5.0}
    """

    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing < 1.0:
            raise ConfigError(f"label_smoothing={self.label_smoothing} is a share; choose 0 or more and less than 1")
        if self.class_weights is not None and not all(0.0 < weight < float("inf") for weight in self.class_weights):
            raise ConfigError(f"class_weights={self.class_weights} must all be finite and above 0")

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many rows, each as heavy as its class. InputError for a class that has no weight."""
        if self.class_weights is None:
            return {"loss": float(len(batch.rows))}
        _check_targets(batch.targets, len(self.class_weights), "class_weights are for")
        return {"loss": sum(self.class_weights[target] for target in batch.targets.tolist())}

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The one term, `loss`, in nats."""
        logits = row_logits(model, batch)
        labels = logits.shape[-1]
        _check_targets(batch.targets, labels, "the classifier has")
        if self.class_weights is not None and len(self.class_weights) != labels:
            raise ConfigError(f"there are {len(self.class_weights)} class_weights for {labels} classes; give each one")
        targets = batch.targets.to(logits.device, non_blocking=True)
        weights = None if self.class_weights is None else logits.new_tensor(self.class_weights)
        total = F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.label_smoothing, reduction="sum")
        return {"loss": Term(sum=total, count=self.counts(batch)["loss"])}


@dataclass(frozen=True, kw_only=True)
class Regress:
    """Squared error of each row's number; targets are floating-point (B,), the classifier has one output."""

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many rows."""
        return {"loss": float(len(batch.rows))}

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The one term, `loss`: squared errors."""
        logits = row_logits(model, batch)
        if logits.shape[-1] != 1:
            raise ConfigError(f"the classifier has {logits.shape[-1]} outputs; a regression needs one with labels=1")
        total = F.mse_loss(logits[:, 0], batch.targets.to(logits), reduction="sum")
        return {"loss": Term(sum=total, count=float(len(batch.rows)))}
