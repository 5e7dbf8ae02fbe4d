"""Prefix language modelling: the beginning of a text is seen from both sides, and what follows is asked token by token.

    Liu et al. 2018, "Generating Wikipedia by Summarizing Long Sequences", and Raffel et al. 2020, "Exploring the Limits
    of Transfer Learning with a Unified Text-to-Text Transformer", section 3.2.1.

Asks the head "lm" under the mask `Permuted()`: the prefix has rank 0, later tokens 1, 2 …, so that each text has a
prefix of its own. Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy
import torch
from torch import Tensor

from sightline.core.mask import Causal, Mask, Permuted
from sightline.model.model import Model
from sightline.objectives.language import asked_counts, check_z_loss, language_terms
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import NOT_ASKED, TextRows
from sightline.text.words import Words


def prefix_ranks(positions: Tensor, random: numpy.random.Generator) -> Tensor:
    """Ranks (B, T) of rows whose texts begin at position 0: of n tokens the first 1 to n − 1 are its prefix, each
    length as likely, and have rank 0; where there is one token, it is that.

    >>> prefix_ranks(torch.tensor([[0, 1, 0]]), numpy.random.default_rng(0))
    tensor([[0, 1, 0]])
    """
    begins = positions.numpy().ravel() == 0
    text = begins.cumsum() - 1  # the number of each token's text
    lengths = numpy.bincount(text)
    prefix = 1 + (random.random(len(lengths)) * numpy.maximum(lengths - 1, 1)).astype(numpy.int64)
    ranks = (positions.numpy().ravel() - prefix[text] + 1).clip(min=0)
    return torch.from_numpy(ranks).view(positions.shape)


@dataclass(frozen=True, kw_only=True)
class PrefixLM:
    """Cross-entropy of the tokens behind a prefix of random length, each given the prefix and those before it.

    z_loss  weight of the term `loss_z`, log² Σ exp of the logits; 0: there is none

    Every document of a row has a prefix; what a row holds of a document counts as its whole. A model that has learned
    this looks back; through `Permuted()` it takes a prompt for a prefix, as it was taught.
    """

    z_loss: float = 0.0
    heads: ClassVar[tuple[str, ...]] = ("lm",)
    masks: ClassVar[tuple[Mask, ...]] = (Causal(),)
    shifted: ClassVar[bool] = False
    likelihood: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        check_z_loss(self.z_loss)

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many tokens stand behind a prefix."""
        return asked_counts(batch.targets, z_loss=self.z_loss)

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """The rows and their ranks; the targets (B, T) are next tokens, from a prefix's last token on."""
        ranks = prefix_ranks(rows.inputs["position_ids"], random)
        # Within a prefix the next token is seen. Its last token sees no further, and is the first that may be asked.
        inside = torch.zeros_like(ranks, dtype=torch.bool)
        inside[:, :-1] = (ranks[:, 1:] == 0) & (rows.inputs["position_ids"][:, 1:] > 0)
        targets = rows.following.masked_fill(inside, NOT_ASKED)
        inputs = {**rows.inputs, "ranks": ranks}
        return [Batch(inputs=inputs, targets=targets, rows=rows.numbers, tokens=rows.tokens)]

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The term `loss`, in nats, and `loss_z`, where there is a z-loss."""
        return language_terms(model.with_mask(Permuted()), batch, z_loss=self.z_loss)
