"""Who may see whom in one text: in one layer, and through all of them, expected and measured.

Shapes: T tokens, all of them outputs and inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from sightline.core.block import Block
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask
from sightline.model.model import Model
from sightline.probing.draw import Matrix
from sightline.probing.expected import reach
from sightline.probing.probe import probe

Titled = tuple[str, Matrix]


def _limits(model: Model) -> list[Mask | None]:
    """What each layer and-s to the mask, from the first; None where it takes the mask as it is."""
    return [block.limit for block in model.network.modules() if isinstance(block, Block)]


def _table(model: Model, limit: Mask | None, tokens: int) -> Tensor:
    """Whom a token may attend to in a layer with that limit, bool (T, T)."""
    at = Coordinates.consecutive(tokens)
    return (model.mask if limit is None else model.mask & limit).table(at, at)[0]


def in_one_layer(model: Model, texts: Sequence[str]) -> list[Titled]:
    """Whom a token may attend to, once for every kind of layer, with how many are of it."""
    kinds = Counter(_limits(model))
    found = []
    for limit, count in kinds.items():
        mask = model.mask if limit is None else model.mask & limit
        layers = "in every layer" if len(kinds) == 1 else f"in {count} of {kinds.total()} layers"
        table = _table(model, limit, len(texts))
        found.append((f"{layers}: {mask}", Matrix(outputs=texts, inputs=texts, expected=table)))
    return found


def through_all_layers(model: Model, ids: Tensor, texts: Sequence[str], *, measure: bool, seed: int) -> Titled:
    """Of whom each of the ids (1, T) may know when it comes out of the last layer; if measured, of whom it does."""
    if measure:
        return "through all layers: measured, beside what the mask allows", probe(model, ids, seed=seed).matrix()
    tables = [_table(model, limit, len(texts)) for limit in _limits(model)]
    known = reach(tables, torch.eye(len(texts), dtype=torch.bool))
    return "through all layers: what the mask allows", Matrix(outputs=texts, inputs=texts, expected=known)
