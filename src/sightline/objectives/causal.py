"""Causal language modelling: at each token, the one that comes after it.

    Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section 3.1, equation 1.

Asks the head "lm". Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy

from sightline.core.mask import Causal, Mask
from sightline.model.model import Model
from sightline.objectives.language import asked_counts, check_z_loss, language_terms
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import TextRows
from sightline.text.words import Words


@dataclass(frozen=True, kw_only=True)
class CausalLM:
    """Cross-entropy of the next tokens; targets are their ids, int64 (B, T), NOT_ASKED where there is none.

    z_loss  weight of the term `loss_z`, log² Σ exp of the logits; 0: there is none

    That nobody looks ahead is the model's mask, and no business of the objective.

    >>> CausalLM().counts(batch)  # doctest: +SKIP
    {'loss': 2048.0}
    """

    z_loss: float = 0.0
    heads: ClassVar[tuple[str, ...]] = ("lm",)
    masks: ClassVar[tuple[Mask, ...]] = (Causal(),)
    shifted: ClassVar[bool] = False
    likelihood: ClassVar[str | None] = "loss"

    def __post_init__(self) -> None:
        check_z_loss(self.z_loss)

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many targets are asked."""
        return asked_counts(batch.targets, z_loss=self.z_loss)

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """The rows as they are, each token followed by the next of its document."""
        return [Batch(inputs=rows.inputs, targets=rows.following, rows=rows.numbers, tokens=rows.tokens)]

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The term `loss`, in nats, and `loss_z`, where there is a z-loss."""
        return language_terms(model, batch, z_loss=self.z_loss)
