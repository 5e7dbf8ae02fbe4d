"""Heads: what is asked of a network's hidden states.

A head is called with hidden states (B, T, W) and the coordinates of their tokens, and gives logits.

Shapes: B batch, T tokens, W model width, V vocabulary, L labels.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sightline.core.activation import activation
from sightline.core.coordinates import Coordinates
from sightline.core.dropout import Dropout
from sightline.core.linear import Linear, PackedWeight, linear
from sightline.networks.embedding import Resized, TokenEmbedding
from sightline.networks.picked import picked

Pick = Literal["first", "last"]
Pooling = Literal["first", "last", "mean"]
POOLINGS: tuple[Pooling, ...] = ("first", "last", "mean")


class Transform(nn.Module):
    """Dense, nonlinearity, norm: what BERT puts before its vocabulary (Devlin et al. 2019, appendix A.2)."""

    def __init__(
        self, width: int, nonlinearity: str, norm_eps: float, *, bias: bool = True, norm_bias: bool = True
    ) -> None:
        super().__init__()
        self.dense = Linear(width, width, bias)
        self.activation = activation(nonlinearity)
        self.norm = nn.LayerNorm(width, norm_eps, bias=norm_bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.norm(self.activation(self.dense(hidden)))


class LMHead(nn.Module):
    """Hidden states to logits over the vocabulary, (B, T, W) → (B, T, V).

    tied       the embedding whose matrix is used (Press and Wolf 2017); None gives the head a matrix of its own
    transform  what comes before it, if anything
    """

    def __init__(
        self, width: int, vocabulary: int, *, tied: TokenEmbedding | None, transform: Transform | None, bias: bool
    ) -> None:
        super().__init__()
        self.tied = (tied,)  # in a tuple: the embedding belongs to the network, not to the head
        self.weight = nn.Parameter(torch.empty(vocabulary, width)) if tied is None else None
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if bias else None
        self.transform = transform
        self.packed = PackedWeight()

    @property
    def matrix(self) -> Tensor:
        """(V, W)."""
        (tied,) = self.tied
        return tied.weight if tied is not None else self.get_parameter("weight")

    def forward(self, hidden: Tensor, at: Coordinates | None = None) -> Tensor:
        hidden = hidden if self.transform is None else self.transform(hidden)
        return linear(hidden, self.matrix, self.bias, self.packed)

    def resize(self, vocabulary: int, resized: Resized) -> None:
        """Give it so many rows, in place; an embedding that it is tied to is not its own to resize."""
        self.weight = None if self.weight is None else resized(self.weight, vocabulary)
        self.bias = None if self.bias is None else resized(self.bias, vocabulary)

    def log_prob(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target: hidden (…, W), targets (…) → (…), in nats."""
        return self.log_prob_and_normalizer(hidden, targets)[0]

    def log_prob_and_normalizer(self, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability of each target, and the log Σ exp of all logits: both (…), in nats, in float32 at least."""
        found, normalizer = picked(self(hidden).flatten(0, -2), targets.flatten())
        return found.view(targets.shape), normalizer.view(targets.shape)


def place(at: Coordinates, which: Pick) -> Tensor:
    """The index of each row's first or last real token: (B,), or (1,) where nothing is padded."""
    if at.real is None:
        return torch.full((1,), 0 if which == "first" else at.tokens - 1, device=at.position.device)
    index = torch.arange(at.tokens, device=at.real.device)
    far = at.tokens if which == "first" else -1
    places = torch.where(at.real, index, far)
    found = places.min(-1).values if which == "first" else places.max(-1).values
    return found.clamp(0, at.tokens - 1)


def pick(hidden: Tensor, at: Coordinates, which: Pick) -> Tensor:
    """The hidden state of each row's first or last real token: (B, T, W) → (B, W)."""
    if at.real is None:
        return hidden[:, 0 if which == "first" else -1]
    return hidden[torch.arange(len(hidden), device=hidden.device), place(at, which)]


def mean(hidden: Tensor, at: Coordinates) -> Tensor:
    """The mean hidden state of each row's real tokens, (B, T, W) → (B, W); zeros where a row has none."""
    if at.real is None:
        return hidden.mean(1)
    real = at.real[..., None]  # (B, T, 1)
    return torch.where(real, hidden, 0.0).sum(1) / real.sum(1).clamp(min=1)


def pooled(hidden: Tensor, at: Coordinates, pooling: Pooling) -> Tensor:
    """One vector a row, (B, T, W) → (B, W), of hidden's type; a mean of short numbers is taken in float32."""
    if pooling != "mean":
        return pick(hidden, at, pooling)
    wide = hidden if hidden.dtype == torch.float64 else hidden.float()
    return mean(wide, at).to(hidden.dtype)


class Pooler(nn.Module):
    """One vector a row, (B, T, W) → (B, W): what `pooled` gives, through a dense layer, if any, a nonlinearity and a
    norm, if any."""

    def __init__(
        self,
        width: int,
        nonlinearity: str = "tanh",
        *,
        dense: bool = True,
        bias: bool = True,
        norm: nn.LayerNorm | None = None,
    ) -> None:
        super().__init__()
        self.dense = Linear(width, width, bias) if dense else nn.Identity()
        self.activation = activation(nonlinearity)
        self.norm = nn.Identity() if norm is None else norm

    def forward(self, hidden: Tensor, at: Coordinates, pooling: Pooling = "first") -> Tensor:
        return self.norm(self.activation(self.dense(pooled(hidden, at, pooling))))


class SequenceHead(nn.Module):
    """Logits for the whole row, (B, T, W) → (B, L): a classifier of texts, or of pairs, or next-sentence prediction.

    pooler         what the row's vector goes through first, if anything
    pooling        which vector that is: the "first" token's, the "last" one's, or the "mean" of all real ones; default:
                   the usual one
    usual_pooling  what transformers does for such a head; default: the first token's under a pooler (BERT), the last
                   one's without (GPT-2)
    """

    def __init__(
        self,
        width: int,
        labels: int,
        *,
        pooler: Pooler | None,
        pooling: Pooling | None = None,
        usual_pooling: Pooling | None = None,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.pooler = pooler
        self.usual_pooling: Pooling = usual_pooling or ("last" if pooler is None else "first")
        self.pooling: Pooling = pooling or self.usual_pooling
        self.dropout = Dropout(dropout)
        self.output = Linear(width, labels, bias)

    @property
    def reads(self) -> Pick | None:
        """The one token of a row whose state is all that this head reads; None: it reads them all."""
        return None if self.pooling == "mean" else self.pooling

    def forward(self, hidden: Tensor, at: Coordinates) -> Tensor:
        vector = pooled(hidden, at, self.pooling) if self.pooler is None else self.pooler(hidden, at, self.pooling)
        return self.output(self.dropout(vector))


class TokenHead(nn.Module):
    """Logits for every token, (B, T, W) → (B, T, L): tags, or with two labels a span's start and end.

    transform  what comes before, if anything
    """

    def __init__(self, width: int, labels: int, dropout: float = 0.0, *, transform: Transform | None = None) -> None:
        super().__init__()
        self.transform = nn.Identity() if transform is None else transform
        self.dropout = Dropout(dropout)
        self.output = Linear(width, labels)

    def forward(self, hidden: Tensor, at: Coordinates | None = None) -> Tensor:
        return self.output(self.dropout(self.transform(hidden)))
