"""Resizing a vocabulary: rows of the token embedding, and of a head that has its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sightline.core.check import whole
from sightline.errors import InputError
from sightline.networks.adaptive import AdaptiveEmbedding, AdaptiveSoftmax
from sightline.networks.embedding import TokenEmbedding
from sightline.networks.heads import LMHead

if TYPE_CHECKING:
    from sightline.model.model import Model


def _resized(rows: Tensor, count: int) -> nn.Parameter:
    """The first `count` rows; further ones are the mean of those there were (Hewitt 2021, "Initializing New Word
    Embeddings for Pretrained Language Models"), so that no new token is likelier than an average old one."""
    kept = rows.detach()[:count]
    mean = rows.detach().mean(0, keepdim=True)
    new = mean.expand(count - len(kept), *mean.shape[1:])
    return nn.Parameter(torch.cat([kept, new]), requires_grad=rows.requires_grad)


def resize_vocabulary(model: Model, vocabulary: int) -> None:
    """Give `model` that many tokens, in place. Raises InputError where its tokenizer has more."""
    whole("vocabulary", vocabulary)
    if model.tokenizer is not None and len(model.tokenizer) > vocabulary:
        raise InputError(
            f"the tokenizer has {len(model.tokenizer)} tokens, more than the {vocabulary} asked for; their ids would"
            " have no embedding"
        )
    for part in (model.network.get_submodule("embeddings.tokens"), dict(model.heads.items()).get("lm")):
        if isinstance(part, TokenEmbedding | AdaptiveEmbedding | LMHead | AdaptiveSoftmax):
            part.resize(vocabulary, _resized)
    model.network.config = replace(model.config, vocabulary=vocabulary)
