"""Attention heads: how much each token takes from each other, head by head, of one text.

Shapes: L layers, H heads, T tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sightline.model.model import Model


def head_weights(model: Model, ids: Tensor) -> Tensor:
    """The attention weights of every head for ids (1, T): floats (L, H, T, T), on the host.

    Each row is a token that asks, and sums to one over those that answer; a row that may see nobody is zero.
    """
    with torch.no_grad():
        weights = model(ids, attentions=True).attentions or ()
    return torch.stack([layer[0].float().cpu() for layer in weights])


def surest(weights: Tensor) -> tuple[int, int]:
    """Layer and head whose tokens on average give the most to a single one: the head to look at first.

    The first token under a causal mask sees nobody else, so that its row says nothing.
    """
    rows = weights[..., 1:, :] if weights.shape[-1] > 1 else weights
    layer, head = divmod(int(rows.amax(-1).mean(-1).argmax()), weights.shape[1])
    return layer, head
