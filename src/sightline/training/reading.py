"""The steps of an objective over a corpus: packed rows of running text, or pairs of texts where it asks for these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sightline.objectives.next_sentence import NextSentence
from sightline.objectives.objective import Batch
from sightline.text.corpus import Documents
from sightline.text.tokenizer import Tokenizer
from sightline.text.words import words_of
from sightline.training.packed import PackedSteps, Stage
from sightline.training.pairs import PairSteps
from sightline.training.recipe import Recipe


class TextSteps(Protocol):
    """Steps that can be asked at any share of a training."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, index: int, /) -> list[Batch]:
        """The micro-batches of one step."""
        ...

    def asked(self, step: int, done: float) -> list[Batch]:
        """What a step asks when the share `done` of the training is over."""
        ...


def steps_of(
    recipe: Recipe, documents: Documents, tokenizer: Tokenizer, stages: Sequence[Stage], *, seed: int
) -> TextSteps:
    """What the recipe's objective asks of these documents, step by step."""
    objective, micro = recipe.objective, recipe.batches.micro_rows
    if isinstance(objective, NextSentence):
        return PairSteps(documents, objective, tokenizer, stages=stages, seed=seed, micro_rows=micro)
    words = words_of(tokenizer)
    return PackedSteps(documents, objective, words, stages=stages, seed=seed, micro_rows=micro)
