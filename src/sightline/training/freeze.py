"""Freezing by depth: which parts of a model do not learn.

A frozen part stays in eval mode while the rest trains: dropout keeps layers that learn from leaning on single numbers,
and a part that does not learn would only pass on noise that it never sees again in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from torch import nn

from sightline.errors import ConfigError
from sightline.model.model import Model


def frozen_parts(model: Model, frozen_layers: int | Literal["all"]) -> list[nn.Module]:
    """The modules that do not learn: none for 0, else embeddings and the first blocks; "all": the whole network."""
    if frozen_layers == 0:
        return []
    blocks = list(model.network.get_submodule("stack.blocks").children())
    if frozen_layers == "all" or frozen_layers == len(blocks):
        return [model.network]
    if frozen_layers > len(blocks):
        there = f"{len(blocks)} block{'s' * (len(blocks) != 1)}"
        raise ConfigError(f"frozen_layers={frozen_layers} is too many: the model has {there}; choose at most that")
    return [model.network.get_submodule("embeddings"), *blocks[:frozen_layers]]


def freeze(model: Model, frozen: list[nn.Module]) -> None:
    """Let everything learn but the frozen parts."""
    model.requires_grad_(True)
    for part in frozen:
        part.requires_grad_(False)


def learning(model: Model) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and parameters of what learns."""
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
