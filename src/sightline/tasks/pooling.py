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
from sightline.errors import ConfigError, UnsupportedError
from sightline.networks.heads import Pick, pick
from sightline.tasks.abilities import informed

POOLINGS = ("mean", "cls", "last", "max")
_OF_ONE_TOKEN: dict[str, Pick] = {"cls": "first", "last": "last"}


def check_pooling(pooling: str, mask: Mask, positions: int) -> None:
    """Refuse what is no pooling (ConfigError), and a pooling that this mask makes meaningless (UnsupportedError).

    "cls" means nothing where the first token does not see the text: under a causal mask it sees only itself, and texts
    that begin alike all get the same vector. Likewise "last" where the last token does not. A mask that reads more of a
    token than its place cannot be embedded under at all.
    """
    if pooling not in POOLINGS:
        raise ConfigError(f"pooling is {pooling!r}; choose one of {', '.join(POOLINGS)}")
    for leaf in mask.leaves():
        if leaf.reads:
            raise UnsupportedError(
                f"the mask {leaf} reads tokens' {leaf.reads}s, which a text has not; embed under another"
            )
    token = _OF_ONE_TOKEN.get(pooling)
    if token is not None:
        sees = informed(mask, positions)
        if not sees[token]:
            others = [name for name, which in _OF_ONE_TOKEN.items() if sees[which]]
            raise UnsupportedError(
                f"pooling {pooling!r} means nothing here: under the mask {mask} the {token} token does not see the"
                f" whole text; choose {' or '.join(map(repr, [*others, 'mean']))}"
            )


def pool(hidden: Tensor, at: Coordinates, pooling: str) -> Tensor:
    """One vector a row, from its real tokens: (B, T, W) → (B, W), in float32, or in float64 where hidden is.

    "mean" and "max" count the tokens that the tokenizer adds ([CLS], [SEP]), as sentence-transformers does.
    """
    hidden = hidden if hidden.dtype == torch.float64 else hidden.float()
    if pooling in _OF_ONE_TOKEN:
        return pick(hidden, at, _OF_ONE_TOKEN[pooling])
    if at.real is None:
        return hidden.mean(1) if pooling == "mean" else hidden.amax(1)
    real = at.real[..., None]  # (B, T, 1)
    if pooling == "mean":
        return torch.where(real, hidden, 0.0).sum(1) / real.sum(1)
    return torch.where(real, hidden, -torch.inf).amax(1)
