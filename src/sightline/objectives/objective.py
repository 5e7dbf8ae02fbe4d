"""Objective: what a model is asked in training, as a value that the training loop consumes.

A loss is a set of named terms, each a sum over what was asked, how much was asked (its count) and a weight. The loss of
an optimizer step is Σ weight · sum / count, where sum and count go over *all* micro-batches (and ranks) of the step. So
cutting a step into micro-batches changes nothing but rounding, however unequal they are; averaging the averages of
micro-batches would give their rows unequal weights.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sightline.core.cache_protocol import StackCache
from sightline.model.model import Model


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Rows that go through the model at once. Its tensors are on the host, where they can be looked at.

    inputs   what the model is called with: input_ids, attention_mask …, each (B, T)
    targets  what is asked of them; the objective knows its shape, and moves it to the model's device
    rows     each row's number in the user's file, or that of a corpus's document which it begins in: for messages
    tokens   how many of the tokens are real: for progress
    memory   what these rows remember of earlier batches, where they go on from them; the model reads it and adds to it
    kind     which of several things is asked, for an objective that asks more than one
    weight   how much that weighs, for an objective whose weights change in the course of a training
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor
    rows: tuple[int, ...]
    tokens: int
    memory: StackCache | None = None
    kind: str = ""
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Term:
    """One part of a loss.

    sum     () the sum over all that was asked of this batch, with its graph
    count   what the sum is divided by, were this batch alone; the same number that `counts` gives
    weight  how much this term weighs among the others
    """

    sum: Tensor
    count: float
    weight: float = 1.0


class Objective(Protocol):
    """Anything with these two methods can be trained on. Objectives are frozen dataclasses: their `repr` says all."""

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How much each term asks of this batch: known on the host, before any forward pass."""
        ...

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The forward pass: every term that `counts` names."""
        ...
