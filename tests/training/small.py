"""Tiny models and rows to train them on."""

import numpy
import torch

from contract.families import VOCABULARY, tiny
from sightline.model.model import Model
from sightline.text.windows import Row
from sightline.training.steps import LabelledSteps

LABELS = 3


def small(family: str = "bert", *, dtype: torch.dtype = torch.float32, layers: int = 2, **settings: object) -> Model:
    """A random classifier of three classes, of 2 layers."""
    return tiny(family, heads=("classifier",), dtype=dtype, layers=layers, **settings)


def still(family: str = "bert", **settings: object) -> Model:
    """The same without dropout."""
    rates = ["dropout", "attention_dropout", "classifier_dropout"] + ["embedding_dropout"] * (family == "gpt2")
    return small(family, **dict.fromkeys(rates, 0.0), **settings)


def rows(count: int, *, longest: int = 9, seed: int = 0, types: bool = False) -> list[Row]:
    """Rows of 1 to `longest` random ids."""
    random = numpy.random.default_rng(seed)
    drawn = [random.integers(3, VOCABULARY, random.integers(1, longest + 1)).tolist() for _ in range(count)]
    return [Row(ids=ids, types=[i % 2 for i in ids] if types else None, front=0, back=0, new=len(ids)) for ids in drawn]


def labelled(
    count: int = 24, *, batch_rows: int = 8, passes: int = 2, batch_tokens: int | None = None, seed: int = 0
) -> LabelledSteps:
    """Steps over random rows with random classes."""
    targets = numpy.random.default_rng(1).integers(0, LABELS, count)
    return LabelledSteps(
        rows(count), targets, filler=0, batch_rows=batch_rows, passes=passes, seed=seed, batch_tokens=batch_tokens
    )


def weights(model: Model) -> dict[str, torch.Tensor]:
    """A copy of every weight."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
