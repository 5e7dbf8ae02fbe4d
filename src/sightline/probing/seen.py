"""Who may see whom in one text: in one layer, and through all of them.

Shapes: T tokens, all of them outputs and inputs.
"""

from __future__ import annotations

from collections import Counter

import torch
from torch import Tensor

from sightline.core.block import Block
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Mask
from sightline.model.model import Model
from sightline.probing.draw import Matrix


def limits(model: Model) -> list[Mask | None]:
    """What each layer and-s to the mask, from the first; None where it takes the mask as it is."""
    return [block.limit for block in model.network.modules() if isinstance(block, Block)]


def direct(model: Model, tokens: int) -> list[tuple[str, Tensor]]:
    """Whom a token may attend to in one layer, bool (T, T), once for every kind of layer, with how many are of it."""
    at = Coordinates.consecutive(tokens)
    kinds = Counter(limits(model))
    found = []
    for limit, count in kinds.items():
        mask = model.mask if limit is None else model.mask & limit
        layers = "in a layer" if len(kinds) == 1 else f"in {count} of {kinds.total()} layers"
        found.append((f"{layers}: {mask}", mask.table(at, at)[0]))
    return found


def reach(model: Model, tokens: int) -> Tensor:
    """Of whom a token may know when it comes out of the last layer, bool (T, T): in each it sees whom the mask allows,
    and itself by the residual."""
    at, itself = Coordinates.consecutive(tokens), torch.eye(tokens, dtype=torch.bool)
    allowed = model.mask.table(at, at)[0]
    reached = itself.float()
    for limit in limits(model):
        sees = allowed & (Bidirectional() if limit is None else limit).table(at, at)[0] | itself
        reached = (sees.float() @ reached > 0).float()
    return reached.bool()


def matrices(model: Model, texts: tuple[str, ...]) -> list[tuple[str, Matrix]]:
    """What is expected, as pictures: each kind of layer, then all layers together."""
    tokens = len(texts)
    found = [(title, Matrix(outputs=texts, inputs=texts, expected=table)) for title, table in direct(model, tokens)]
    whole = Matrix(outputs=texts, inputs=texts, expected=reach(model, tokens))
    return [*found, ("through all layers", whole)]
