"""Running text of a made-up vocabulary, and ways to ask objectives of it.

Shapes: B rows, T tokens.
"""

import numpy
import torch
from torch import Tensor

from contract.families import VOCABULARY
from sightline.model.model import Model
from sightline.objectives.objective import Batch, Objective
from sightline.objectives.text import TextObjective, TextRows
from sightline.text.corpus import Documents, documents_of
from sightline.text.words import Words

PAD, MASK, END = 0, 1, 2
STILL = {"dropout": 0.0, "attention_dropout": 0.0}


def toy_words(vocabulary: int = VOCABULARY, mask_id: int | None = MASK) -> Words:
    """Ids 0, 1 and 2 are no text; of the others every third goes on with a word."""
    ids = torch.arange(vocabulary)
    return Words(begins=(ids < 3) | (ids % 3 > 0), special=ids < 3, mask_id=mask_id)


def documents(count: int, *, longest: int = 30, vocabulary: int = VOCABULARY, seed: int = 0) -> Documents:
    """Documents of 1 to `longest` tokens of text, each between END and END."""
    random = numpy.random.default_rng(seed)
    lengths = random.integers(1, longest + 1, count)
    return documents_of([[END, *random.integers(3, vocabulary, length).tolist(), END] for length in lengths])


def text_rows(rows: int = 4, tokens: int = 24, *, vocabulary: int = VOCABULARY, seed: int = 0) -> TextRows:
    """Rows of several documents each, the first of which may begin in a row before."""
    random, size = numpy.random.default_rng(seed), rows * tokens + 8
    ends = (random.integers(1, tokens + 1, size) + 2).cumsum()  # each with END on either side
    number = numpy.searchsorted(ends, numpy.arange(size), side="right")
    stream = random.integers(3, vocabulary, size)
    borders = ends[ends < size]
    stream[borders] = stream[borders - 1] = END
    places = (7 + tokens * numpy.arange(rows))[:, None] + numpy.arange(tokens + 1)
    ids, of = stream[places], number[places]
    return TextRows(
        ids=torch.from_numpy(ids), documents=torch.from_numpy(of - of[:, :1]), numbers=tuple(range(1, rows + 1))
    )


def plain_rows(ids: Tensor) -> TextRows:
    """Rows (B, T + 1) of one document each."""
    return TextRows(ids=ids, documents=torch.zeros_like(ids), numbers=tuple(range(1, len(ids) + 1)))


def batches_of(
    objective: TextObjective, rows: TextRows, *, seed: int = 0, done: float = 0.0, words: Words | None = None
) -> list[Batch]:
    """What the objective asks of these rows, drawn by a seed."""
    return objective.batches(rows, words or toy_words(), numpy.random.default_rng(seed), done)


def only(batches: list[Batch]) -> Batch:
    (batch,) = batches
    return batch


def loss_of(objective: Objective, model: Model, *batches: Batch) -> Tensor:
    """Σ weight · sum / count over all batches, each asked for as much as it said beforehand."""
    counts: dict[str, float] = {}
    for batch in batches:
        for name, count in objective.counts(batch).items():
            counts[name] = counts.get(name, 0.0) + count
    total = torch.zeros((), dtype=torch.float64)
    for batch in batches:
        terms = objective.terms(model, batch)
        assert {name: term.count for name, term in terms.items()} == objective.counts(batch)
        total = total + sum(term.weight * term.sum / counts[name] for name, term in terms.items() if counts[name])
    return total
