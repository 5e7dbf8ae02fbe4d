"""The hybrid: one set of weights that is a masked model under one mask and a causal model under another.

    Charpentier and Samuel 2024, "GPT or BERT: why not both?", section 2; the weights of the two losses at a given
    number of passes: Samuel and Charpentier 2025, "Dual-objective language models".

Both kinds of rows go through the same head "lm" in the same alignment: the output at a token is the prediction of the
next one. Masked rows are seen from both sides and ask for hidden tokens; causal rows are seen from the left and ask for
all. Shapes: B rows, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy
import torch
from torch import Tensor

from sightline.core.mask import Bidirectional, Causal, Mask
from sightline.errors import ConfigError, InputError
from sightline.model.model import Model
from sightline.objectives.causal import CausalLM
from sightline.objectives.language import asked_counts, language_terms
from sightline.objectives.masked import Masked
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import TextRows
from sightline.text.words import Words

_MASKS: Mapping[str, Mask] = {"masked": Bidirectional(), "causal": Causal()}
"""Kind of row → who sees whom."""


def _some(rows: TextRows, index: Tensor) -> TextRows:
    numbers = tuple(rows.numbers[i] for i in index.tolist())
    return TextRows(ids=rows.ids[index], documents=rows.documents[index], numbers=numbers)


@dataclass(frozen=True, kw_only=True)
class Hybrid:
    """r · mean over hidden tokens + (1 − r) · mean over next tokens, in the terms `masked` and `causal`.

    masked        r, both the share of the rows that are masked and the weight of their loss
    final_masked  what r has become, in a straight line, when the training ends; None: it stays
    masking       of the masked rows; shifted, since one head serves both
    next_token    of the causal rows

    The weight is exact whatever the number of rows; the share is rounded, and each kind gets a row at least unless its
    weight is 0. The two terms are named "masked" and "causal", and with a z-loss "masked_z" and "causal_z".

    >>> Hybrid(masked=0.75).ratio_at(0.5)
    0.75
    """

    masked: float = 0.5
    final_masked: float | None = None
    masking: Masked = field(default_factory=lambda: Masked(rate=0.3, final_rate=0.15, unit="spans", shifted=True))
    next_token: CausalLM = field(default_factory=CausalLM)
    heads: ClassVar[tuple[str, ...]] = ("lm",)
    masks: ClassVar[tuple[Mask, ...]] = tuple(_MASKS.values())
    shifted: ClassVar[bool] = True
    likelihood: ClassVar[str | None] = "causal"

    def __post_init__(self) -> None:
        for name, ratio in (("masked", self.masked), ("final_masked", self.final_masked)):
            if ratio is not None and not 0 <= ratio <= 1:
                raise ConfigError(f"{name}={ratio} is a share of the rows and a weight; choose 0 to 1")
        if not self.masking.shifted:
            raise ConfigError("masking.shifted is False: one head for both asks one token earlier; set it to True")

    def ratio_at(self, done: float) -> float:
        """r when the share `done` of the training is over."""
        return self.masked if self.final_masked is None else self.masked + (self.final_masked - self.masked) * done

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How much the batch's own kind asks."""
        return asked_counts(batch.targets, batch.kind, self._z_loss(batch))

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """Two batches, one of each kind; one where the other weighs nothing. Which rows become which is drawn."""
        ratio, count = self.ratio_at(done), len(rows.ids)
        if 0 < ratio < 1 and count < 2:
            raise InputError(f"a step of {count} row cannot be both masked and causal; give it two rows or more")
        share = min(max(math.floor(ratio * count + 0.5), int(ratio > 0)), count - int(ratio < 1))
        order = torch.from_numpy(random.permutation(count))
        made = []
        for kind, index, weight in (("masked", order[:share], ratio), ("causal", order[share:], 1 - ratio)):
            if weight > 0:
                objective = self.masking if kind == "masked" else self.next_token
                (batch,) = objective.batches(_some(rows, index.sort().values), words, random, done)
                made.append(replace(batch, kind=kind, weight=weight))
        return made

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The term that is named as the batch's kind, in nats, and its z-loss, where there is one."""
        view = model.with_mask(_MASKS[batch.kind])
        few = batch.kind == "masked"
        return language_terms(view, batch, batch.kind, weight=batch.weight, z_loss=self._z_loss(batch), few=few)

    def _z_loss(self, batch: Batch) -> float:
        return (self.masking if batch.kind == "masked" else self.next_token).z_loss
