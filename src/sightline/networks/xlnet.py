"""XLNet: post-norm blocks that may look through any order, and ask for a token without knowing it.

    Yang et al. 2019, "XLNet: Generalized Autoregressive Pretraining for Language Understanding".

Two streams share all weights (section 2.3). The content stream is what every network here has: a state for each token,
which knows the token itself. The query stream asks what stands at a place: it starts from one learned vector, the
blank, and is blind for its own place. Both look at the content's states and at nothing else, so both are one call of
the same block, with more queries than keys. Positions and segments count only relative to each other, so no text is
too long and no two segments are special.

Shapes: B batch, T tokens, N targets, Q queries, K keys, R distances, H heads, D head width, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightline.core.activation import activation
from sightline.core.attention import AttentionConfig
from sightline.core.block import Block, BlockConfig, Stack
from sightline.core.cache_protocol import FORGETFUL, StackCache
from sightline.core.check import whole
from sightline.core.dropout import Dropout
from sightline.core.position import ENDLESS
from sightline.core.relative import RelativePositions
from sightline.core.sight import Sight
from sightline.errors import ConfigError
from sightline.networks.check import check_config
from sightline.networks.embedding import TokenEmbedding
from sightline.networks.heads import POOLINGS, Pooling


@dataclass(frozen=True, kw_only=True)
class XlnetConfig:
    """Sizes and choices of an XLNet; the defaults are xlnet-large-cased's.

    clamp_length        distances beyond it count as it; None: each counts as it is
    memory_length       how many tokens of earlier segments its makers let it remember; None: all of them
    reuse_length        how many of each segment's first tokens are remembered; None: all of them. Both are for
                        `Memory(length=…, reuse=…)`
    summary             which vector of a row a classifier reads: the "last" one (of the CLS at the end), the "first"
                        or the "mean"
    summary_dense       whether that goes through a dense layer
    summary_activation  what it goes through then; "linear" for nothing
    classifier_dropout  of what comes out
    tied                whether the LM head uses the token embedding
    """

    vocabulary: int = 32000
    width: int = 1024
    layers: int = 24
    attention_heads: int = 16
    inner: int = 4096
    activation: str = "gelu"
    norm_eps: float = 1e-12
    clamp_length: int | None = None
    memory_length: int | None = None
    reuse_length: int | None = None
    dropout: float = 0.1
    summary: Pooling = "last"
    summary_dense: bool = True
    summary_activation: str = "tanh"
    classifier_dropout: float = 0.1
    tied: bool = True
    init_std: float = 0.02

    def __post_init__(self) -> None:
        check_config(self, probabilities=("dropout", "classifier_dropout"), flags=("summary_dense", "tied"))
        for name in ("clamp_length", "memory_length", "reuse_length"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))
        if self.summary not in POOLINGS:
            raise ConfigError(f"summary={self.summary!r} is no pooling; choose one of {', '.join(POOLINGS)}")
        activation(self.summary_activation)

    @property
    def positions(self) -> int:
        """There is no last one."""
        return ENDLESS

    @property
    def token_types(self) -> int:
        """As many as its tokenizer tells apart: two texts, the CLS, padding. Only whether two differ counts."""
        return 4

    def block(self) -> BlockConfig:
        """The configuration that all blocks share."""
        attention = AttentionConfig(width=self.width, heads=self.attention_heads, bias=False, dropout=self.dropout)
        return BlockConfig(
            attention=attention,
            inner=self.inner,
            activation=self.activation,
            norm="post",
            norm_eps=self.norm_eps,
            dropout=self.dropout,
            inner_dropout=self.dropout,
        )


class XlnetScores(nn.Module):
    """What distances and segments add to the scores (sections 2.4 and 2.5), each layer's own.

    Of query q and a key at distance r: (q + u) · k + (q + v) · W_R sinusoid(r) + (q + b) · s, where s is one vector
    for a key of the same segment and another for one of a different segment; u, v, b and both s of each head's own.
    What all keys of a query share changes no softmax, so of the last term only (q + b) · (s₊ − s₋) is added, to keys of
    the same segment; and nothing where no segments are told apart.
    """

    def __init__(self, config: XlnetConfig) -> None:
        super().__init__()
        heads, width = config.attention_heads, config.width // config.attention_heads
        self.scale = width**-0.5
        self.positions = RelativePositions(
            config.width, heads=heads, head_width=width, clamp=config.clamp_length, dropout=config.dropout
        )
        self.content_bias = nn.Parameter(torch.empty(heads, width))  # u
        self.position_bias = nn.Parameter(torch.empty(heads, width))  # v
        self.segment_bias = nn.Parameter(torch.empty(heads, width))  # b
        self.segments = nn.Parameter(torch.empty(2, heads, width))  # s of the same, s of another

    def forward(self, query: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
        """query (B, H, Q, D) → the query that meets the keys' content, alike, and scores (B, H, Q, K)."""
        scores = self.positions((query + self.position_bias[:, None]) * self.scale, sight)
        same = sight.shared(("same segment", query.dtype), lambda: _same_segment(sight, query.dtype))
        if same is not None:
            told = (query + self.segment_bias[:, None]) @ (self.segments[0] - self.segments[1])[..., None]
            scores = torch.addcmul(scores, same, told * self.scale)  # told: (B, H, Q, 1)
        return query + self.content_bias[:, None], scores


def _same_segment(sight: Sight, dtype: torch.dtype) -> Tensor | None:
    """1 where query and key are of one segment, else 0: (B or 1, 1, Q, K); None where nobody told segments apart."""
    queries, keys = sight.queries.token_type, sight.keys.token_type
    return None if queries is None or keys is None else (queries[:, None, :, None] == keys[:, None, None]).to(dtype)


class XlnetEmbeddings(nn.Module):
    """What each token is, and after the tokens a blank for each target: (B, T) → (B, T + N, W)."""

    def __init__(self, config: XlnetConfig) -> None:
        super().__init__()
        self.tokens = TokenEmbedding(config.vocabulary, config.width)
        self.blank = nn.Parameter(torch.empty(1, config.width))
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, targets: int) -> Tensor:
        content = self.tokens(tokens)
        blanks = self.blank.expand(len(tokens), targets, -1)
        return self.dropout(torch.cat([content, blanks], 1) if targets else content)


class Xlnet(nn.Module):
    """Embeddings, then blocks with the norm after each sum, in which the tokens answer and tokens and targets ask."""

    def __init__(self, config: XlnetConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = XlnetEmbeddings(config)
        self.stack = Stack([Block(config.block(), XlnetScores(config)) for _ in range(config.layers)])
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, sight: Sight, cache: StackCache = FORGETFUL) -> Tensor:
        """tokens: ids (B, T), or embeddings (B, T, W) in their place. Returns hidden states (B, T, W).

        Queries of the sight beyond the T tokens are targets, whose states follow theirs, (B, T + N, W); of all these
        only those are made in the last block that the sight says are wanted.
        """
        told = tokens.shape[1]
        x = self.embeddings(tokens, sight.queries.tokens - told)
        return self.dropout(self.stack(x, sight, cache, answering=told))
