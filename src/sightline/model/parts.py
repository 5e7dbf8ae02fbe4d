"""A network and its heads before they are a model: shapes without memory, and what type and place their weights get."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from sightline.errors import ConfigError
from sightline.model.initialize import WithoutDrawing
from sightline.text.tokenizer import Tokenizer
from sightline.weights.layout import Layout
from sightline.weights.read import FLOATS, build_heads


class Parts(nn.Module):
    """A network and its heads without memory yet: shapes only."""

    def __init__(self, layout: Layout, config: Any, heads: frozenset[str], labels: Mapping[str, int]) -> None:
        super().__init__()
        with torch.device("meta"), WithoutDrawing():
            self.network = layout.network(config)
            self.heads = build_heads(layout, config, self.network, heads, labels)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype


def wanted_dtype(dtype: torch.dtype | str) -> torch.dtype:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found not in FLOATS:
        raise ConfigError(f"dtype={dtype!r} is no type for weights; choose float32, bfloat16, float16 or float64")
    return found


def place_of(device: torch.device | str | None) -> torch.device:
    """The device asked for, or else PyTorch's default; raises ConfigError for one that cannot be used here."""
    try:
        place = torch.get_default_device() if device is None else torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        if reason.startswith("Expected one of"):  # all that PyTorch was ever made for
            reason = "there is no such device; cpu, cuda and mps are some"
        raise ConfigError(f"device={str(device)!r} cannot be used here ({reason}); 'cpu' always can") from error
    return place


def readable(tokenizer: Tokenizer, config: Any) -> Tokenizer:
    """The tokenizer, or one like it that makes no token types, where the network has none and could not read them."""
    types: int = getattr(config, "token_types", 0)
    if types or not tokenizer.makes_types:
        return tokenizer
    own = copy.copy(tokenizer)  # the caller's goes on making them
    own.makes_types = False
    return own
