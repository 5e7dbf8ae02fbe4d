"""Pooling: the hidden states of a row's tokens become one vector; and when that would mean nothing.

    Reimers and Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", section 3: the mean
    over tokens, their maximum, or the first one's hidden state. A causal network's counterpart of it is the last.

Shapes: B batch, T tokens, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask
from sightline.core.reach import Token, check_informed
from sightline.errors import ConfigError, UnsupportedError
from sightline.networks.heads import mean, pick
from sightline.text.tokenizer import Tokenizer

POOLINGS = ("mean", "cls", "last", "max")
_OF_ONE_TOKEN: dict[str, Token] = {"cls": "first", "last": "last"}


def check_pooling(pooling: str, mask: Mask, positions: int) -> None:
    """Refuse what is no pooling (ConfigError), and a pooling that this mask makes meaningless (UnsupportedError).

    "cls" means nothing where the first token does not see the text, "last" where the last one does not.
    """
    if pooling not in POOLINGS:
        raise ConfigError(f"pooling={pooling!r} is none; choose one of {', '.join(POOLINGS)}")
    check_informed(pooling, _OF_ONE_TOKEN, mask, positions)


def cls_is_last(tokenizer: Tokenizer) -> bool:
    """Whether the CLS token stands behind a text (XLNet), where "cls", the first token's vector, is not its own."""
    return tokenizer.special.cls_id is not None and tokenizer.special.cls_id in tokenizer.closing


def check_cls(pooling: str, tokenizer: Tokenizer) -> None:
    """Refuse (UnsupportedError) "cls" for a tokenizer whose CLS token is not the first."""
    if pooling == "cls" and cls_is_last(tokenizer):
        raise UnsupportedError(
            f"pooling 'cls' takes the first token, and this tokenizer's {tokenizer.special.cls} stands behind the text;"
            " choose 'last'"
        )


def pool(hidden: Tensor, at: Coordinates, pooling: str) -> Tensor:
    """One vector a row, from its real tokens: (B, T, W) → (B, W), in float32, or in float64 where hidden is.

    "mean" and "max" count the tokens that the tokenizer adds ([CLS], [SEP]), as sentence-transformers does.
    """
    hidden = hidden if hidden.dtype == torch.float64 else hidden.float()
    if pooling in _OF_ONE_TOKEN:
        return pick(hidden, at, _OF_ONE_TOKEN[pooling])
    if pooling == "mean":
        return mean(hidden, at)
    return (hidden if at.real is None else torch.where(at.real[..., None], hidden, -torch.inf)).amax(1)
