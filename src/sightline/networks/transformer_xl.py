"""Transformer-XL: post-norm blocks that see the past, and hidden states of what was read before, by distance alone.

    Dai et al. 2019, "Transformer-XL: Attentive Language Models Beyond a Fixed-Length Context".

A text is read in segments; a `Memory` gives each layer the states that the layer before it had for earlier segments
(section 3.2). Nothing here asks for it: remembered tokens are keys like others, and positions count only relative to
each other (section 3.3), so that a token may be far behind and no text is too long.

Shapes: B batch, T tokens, Q queries, K keys, H heads, D head width, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightline.core.attention import AttentionConfig
from sightline.core.block import Block, BlockConfig, NormPlacement, Stack
from sightline.core.cache_protocol import FORGETFUL, StackCache
from sightline.core.check import whole
from sightline.core.dropout import Dropout
from sightline.core.mask import Causal, Mask, SlidingWindow
from sightline.core.position import ENDLESS
from sightline.core.relative import RelativePositions
from sightline.core.sight import Sight
from sightline.errors import ConfigError
from sightline.networks.adaptive import AdaptiveEmbedding, Clusters
from sightline.networks.check import check_config


@dataclass(frozen=True, kw_only=True)
class TransformerXLConfig:
    """Sizes and choices of a Transformer-XL; the defaults are those of transfo-xl-wt103.

    head_width        of each head; None: width / attention_heads
    memory_length     how many tokens of earlier segments its makers let it remember: `Memory(length=…)`
    same_length       whether each token sees as many others as the memory is long, itself included, and no more: the
                      model's mask is then causal & sliding_window(memory_length)
    clamp_length      distances beyond it count as it; None: each counts as it is
    untied_biases     whether each layer has u and v of its own, in place of one pair for all
    norm              "post", as published, or "pre"
    cutoffs           where the vocabulary, sorted by frequency, is cut into clusters; none: the plain softmax
    divisor           each further cluster's vectors are narrower by it
    embedding_width   of the first cluster's vectors; None: width
    tied              whether the LM head uses the embedding's vectors
    tied_projections  for each cluster, whether the head uses the embedding's projection; None: for all but the first
    """

    vocabulary: int = 267735
    width: int = 1024
    layers: int = 18
    attention_heads: int = 16
    head_width: int | None = None
    inner: int = 4096
    memory_length: int = 1600
    same_length: bool = True
    clamp_length: int | None = 1000
    untied_biases: bool = True
    norm: NormPlacement = "post"
    activation: str = "relu"
    norm_eps: float = 1e-5
    cutoffs: tuple[int, ...] = (20000, 40000, 200000)
    divisor: int = 4
    embedding_width: int | None = None
    dropout: float = 0.1
    attention_dropout: float = 0.0
    tied: bool = True
    tied_projections: tuple[bool, ...] | None = None
    init_std: float = 0.02

    def __post_init__(self) -> None:
        check_config(
            self,
            from_zero=("memory_length",),
            probabilities=("dropout", "attention_dropout"),
            flags=("same_length", "untied_biases", "tied"),
            divided=self.head_width is None,
        )
        for name in ("head_width", "clamp_length", "embedding_width"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))
        if self.same_length and not self.memory_length:
            raise ConfigError("same_length=True counts by memory_length, and that is 0: give one of 1 or more")
        many = len(self.clusters.sizes)  # raises for a vocabulary that cannot be cut so
        if self.tied_projections is not None and len(self.tied_projections) != many:
            raise ConfigError(
                f"tied_projections={self.tied_projections!r} must say yes or no for each of {many} clusters"
            )

    @property
    def positions(self) -> int:
        """There is no last one."""
        return ENDLESS

    @property
    def mask(self) -> Mask:
        """Who may attend to whom."""
        return Causal() & SlidingWindow(self.memory_length) if self.same_length else Causal()

    @property
    def clusters(self) -> Clusters:
        """How the vocabulary is cut."""
        width = self.width if self.embedding_width is None else self.embedding_width
        return Clusters(vocabulary=self.vocabulary, cutoffs=self.cutoffs, width=width, divisor=self.divisor)

    @property
    def each_head(self) -> int:
        """How wide each head is."""
        return self.width // self.attention_heads if self.head_width is None else self.head_width

    def block(self) -> BlockConfig:
        """The configuration that all blocks share."""
        attention = AttentionConfig(
            width=self.width,
            heads=self.attention_heads,
            head_width=self.head_width,
            bias=False,
            dropout=self.attention_dropout,
        )
        return BlockConfig(
            attention=attention,
            inner=self.inner,
            activation=self.activation,
            norm=self.norm,
            norm_eps=self.norm_eps,
            dropout=self.dropout,
            inner_dropout=self.dropout,
        )


class Biases(nn.Module):
    """u and v, (H, D) each: what all queries ask of a key's content and of its distance, whatever they are."""

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        self.content = nn.Parameter(torch.empty(heads, head_width))
        self.position = nn.Parameter(torch.empty(heads, head_width))


class RelativeScores(nn.Module):
    """The four terms of a score (section 3.3): of query q and key k at distance r, (q + u) · k + (q + v) · W_R R(r).

    shared: u and v of all layers; None: this layer has its own
    """

    def __init__(self, config: TransformerXLConfig, shared: Biases | None) -> None:
        super().__init__()
        heads, width = config.attention_heads, config.each_head
        self.positions = RelativePositions(
            config.width, heads=heads, head_width=width, clamp=config.clamp_length, dropout=config.dropout
        )
        self.own: Biases | None = None
        if shared is None:
            shared = self.own = Biases(heads, width)
        self.used = (shared,)  # in a tuple: what is shared belongs to the network, not to the layer
        self.scale = width**-0.5

    @property
    def biases(self) -> Biases:
        """u and v."""
        return self.used[0]

    def forward(self, query: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
        """query (B, H, Q, D) → the query that meets the keys' content, alike, and scores (B, H, Q, K)."""
        content, position = self.biases.content[:, None], self.biases.position[:, None]  # (H, 1, D)
        return query + content, self.positions((query + position) * self.scale, sight)


class TransformerXLEmbeddings(nn.Module):
    """What each token is, and nothing else: (B, T) → (B, T, W)."""

    def __init__(self, config: TransformerXLConfig) -> None:
        super().__init__()
        self.tokens = AdaptiveEmbedding(config.clusters, config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.tokens(tokens))


class TransformerXL(nn.Module):
    """Embeddings, then blocks whose scores depend on content and distance."""

    def __init__(self, config: TransformerXLConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = TransformerXLEmbeddings(config)
        self.biases = None if config.untied_biases else Biases(config.attention_heads, config.each_head)
        scores = [RelativeScores(config, self.biases) for _ in range(config.layers)]
        self.stack = Stack([Block(config.block(), of_layer) for of_layer in scores])
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, sight: Sight, cache: StackCache = FORGETFUL) -> Tensor:
        """tokens: ids (B, T), or embeddings (B, T, W) in their place. Returns hidden states (B, T, W)."""
        return self.dropout(self.stack(self.embeddings(tokens), sight, cache))
