"""Next-sentence prediction: two texts in a row, and whether the second follows the first, beside masked language
modelling in the same rows.

    Devlin et al. 2019, "BERT", section 3.1 and appendix A.2.

Asks the heads "lm" and "next_sentence". Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.core.mask import Bidirectional, Mask
from sightline.errors import ConfigError
from sightline.model.heads import sequence_head
from sightline.model.model import Model
from sightline.objectives.language import asked_alone, asked_counts, asked_terms
from sightline.objectives.masked import Masked
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import NOT_ASKED
from sightline.text.words import Words

FOLLOWS, ANOTHER = 0, 1
"""The classes: the second text follows the first, or is of another document. In BERT's order."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Rows `[CLS] A [SEP] B [SEP]`, filled up on the right.

    ids      int64 (B, T)
    types    int64 (B, T): 0 up to the first [SEP], then 1
    lengths  int64 (B,): how many tokens of a row are real
    follows  int64 (B,): FOLLOWS where B follows A, else ANOTHER
    numbers  of each row, the number of the document that it begins in, from 1: for messages
    """

    ids: Tensor
    types: Tensor
    lengths: Tensor
    follows: Tensor
    numbers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class NextSentence:
    """Cross-entropy of hidden tokens, and of whether B follows A, each a term of its own: `masked`, `next_sentence`.

    masking  what is hidden; not shifted. With a z_loss there is a term `masked_z` too

    Its rows are pairs, which `training.pairs.PairSteps` makes of documents. Targets are int64 (B, 1 + T): whether B
    follows A, then the hidden tokens.
    """

    masking: Masked = field(default_factory=Masked)
    heads: ClassVar[tuple[str, ...]] = ("lm", "next_sentence")
    masks: ClassVar[tuple[Mask, ...]] = (Bidirectional(),)
    shifted: ClassVar[bool] = False
    likelihood: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        if self.masking.shifted:
            raise ConfigError("masking.shifted is True: rows of two texts are read from both sides; set it to False")

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many tokens are hidden, and how many pairs there are."""
        hidden = asked_counts(batch.targets[:, 1:], "masked", self.masking.z_loss)
        return {**hidden, "next_sentence": float(len(batch.targets))}

    def batches(self, pairs: Pairs, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """The pairs with tokens hidden; what fills rows up is not attended to."""
        index = torch.arange(pairs.ids.shape[1])
        real = index < pairs.lengths[:, None]
        begins = torch.zeros_like(real)
        begins[:, 1:] = pairs.types[:, 1:] != pairs.types[:, :-1]
        given, hidden = self.masking.hide(pairs.ids, real & ~words.special[pairs.ids], begins, words, random, done)
        targets = torch.cat([pairs.follows[:, None], torch.where(hidden, pairs.ids, NOT_ASKED)], 1)
        inputs = {"input_ids": given, "attention_mask": real.long(), "token_type_ids": pairs.types}
        return [Batch(inputs=inputs, targets=targets, rows=pairs.numbers, tokens=int(pairs.lengths.sum()))]

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The two terms, in nats, and `masked_z`, where there is a z-loss."""
        follows, targets = batch.targets[:, 0], batch.targets[:, 1:]
        read = targets != NOT_ASKED
        read[:, 0] = True  # by the head
        alone = asked_alone(targets, read)
        index, targets = (None, targets) if alone is None else alone
        output = model(**batch.inputs, only=index)
        hidden = output.last_hidden_state
        logits = sequence_head(model.head("next_sentence"))(hidden, output.coordinates)
        logits = logits if logits.dtype == torch.float64 else logits.float()
        follow = F.cross_entropy(logits, follows.to(logits.device, non_blocking=True), reduction="sum")
        return {
            **asked_terms(model, hidden, targets, "masked", z_loss=self.masking.z_loss),
            "next_sentence": Term(sum=follow, count=float(len(logits))),
        }
