"""What language modelling reads: rows of running text, and objectives that hide parts of them and ask for these.

Shapes: B rows, T tokens of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy
import torch
from torch import Tensor

from sightline.core.mask import Mask
from sightline.objectives.objective import Batch, Objective
from sightline.text.words import Words

NOT_ASKED = -100
"""The target of a token at which nothing is asked."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextRows:
    """Rows of whole and broken documents, packed without padding; each row goes on for one token behind its last.

    ids        int64 (B, T + 1); the last token is nobody's input, it is what the last input is followed by
    documents  int64 (B, T + 1): which document of its row a token belongs to, from 0 upwards
    numbers    of each row, the number of the document that it begins in, from 1: for messages

    >>> rows = TextRows(ids=torch.tensor([[5, 6, 7, 8]]), documents=torch.tensor([[0, 0, 1, 1]]), numbers=(1,))
    >>> rows.inputs["position_ids"], rows.following
    (tensor([[0, 1, 0]]), tensor([[   6, -100,    8]]))
    """

    ids: Tensor
    documents: Tensor
    numbers: tuple[int, ...]

    @cached_property
    def inputs(self) -> Mapping[str, Tensor]:
        """What a model is called with, each (B, T): tokens, the documents they are of, and their places in them."""
        documents = self.documents[:, :-1]
        index = torch.arange(documents.shape[1]).expand_as(documents)
        begins = torch.ones_like(documents, dtype=torch.bool)
        begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
        positions = index - torch.where(begins, index, 0).cummax(-1).values
        inputs = {"input_ids": self.ids[:, :-1], "position_ids": positions}
        return inputs if not bool(documents.any()) else {**inputs, "documents": documents}

    @cached_property
    def following(self) -> Tensor:
        """The next token of the same document, int64 (B, T); NOT_ASKED at a document's last."""
        same = self.documents[:, 1:] == self.documents[:, :-1]
        return torch.where(same, self.ids[:, 1:], NOT_ASKED)

    @property
    def tokens(self) -> int:
        """How many tokens are read."""
        return self.ids[:, :-1].numel()


class Pretext(Objective, Protocol):
    """An objective that needs no labels, and what a model that learned by it is afterwards."""

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that it asks."""
        ...

    @property
    def masks(self) -> tuple[Mask, ...]:
        """Through which masks the model learns to look; the one that it has afterwards comes first."""
        ...

    @property
    def shifted(self) -> bool:
        """Whether the model answers a blank at the token before it."""
        ...

    @property
    def likelihood(self) -> str | None:
        """The term that is the likelihood of whole texts, token by token; None where none is."""
        ...


class TextObjective(Pretext, Protocol):
    """An objective that makes its own questions of running text."""

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """What is asked of these rows: one batch, or one of each kind. `random` is of this step alone, and decides all
        that is drawn; `done` is the share of the training that is over, 0 to 1, for what changes with it.
        """
        ...
