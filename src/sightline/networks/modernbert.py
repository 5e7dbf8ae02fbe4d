"""ModernBERT: BERT with rotary positions, gated feed-forwards, norms before the layers, and local layers between.

    Warner et al. 2024, "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder", section 2.1. Its decoder twin
    (Weller et al. 2025, "Seq vs Seq: An Open Suite of Paired Encoders and Decoders") is the same under a causal mask.

Shapes: B batch, T tokens, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from sightline.core.activation import activation
from sightline.core.attention import AttentionConfig
from sightline.core.block import Block, BlockConfig, Stack
from sightline.core.cache_protocol import FORGETFUL, StackCache
from sightline.core.check import whole
from sightline.core.dropout import Dropout
from sightline.core.mask import SlidingWindow
from sightline.core.position import Rotary
from sightline.core.sight import Sight
from sightline.errors import ConfigError
from sightline.networks.check import check_config
from sightline.networks.embedding import TokenEmbedding

EVERY = 3  # layers, of which the first is global, where the configuration does not say which are


@dataclass(frozen=True, kw_only=True)
class ModernBertConfig:
    """Sizes and choices of a ModernBERT; the defaults are ModernBERT-base's.

    positions             the most that a text may have; nothing is learned for each
    window                a local layer sees what is nearer than this: |query − key| < window
    global_layers         which layers, from 0, see everything; None: 0, 3, 6, …
    global_base           of the rotary positions of global layers; local_base: of local ones
    dropout               of the feed-forward's inner states
    attention_dropout     of the attention weights, and of what attention adds
    attention_bias        whether its projections have one; inner_bias, norm_bias and output_bias: likewise the
                          feed-forward, the norms and the vocabulary
    classifier_bias       whether the dense layer before heads has one; classifier_activation: its nonlinearity
    classifier_pooling    which vector of a row its classifier reads
    """

    vocabulary: int = 50368
    width: int = 768
    layers: int = 22
    attention_heads: int = 12
    inner: int = 1152
    positions: int = 8192
    window: int = 65
    global_layers: tuple[int, ...] | None = None
    global_base: float = 160_000.0
    local_base: float = 10_000.0
    activation: str = "gelu"
    norm_eps: float = 1e-5
    dropout: float = 0.0
    embedding_dropout: float = 0.0
    attention_dropout: float = 0.0
    classifier_dropout: float = 0.0
    attention_bias: bool = False
    inner_bias: bool = False
    norm_bias: bool = False
    output_bias: bool = True
    classifier_bias: bool = False
    classifier_activation: str = "gelu"
    classifier_pooling: Literal["first", "last", "mean"] = "first"
    tied: bool = True
    init_std: float = 0.02

    def __post_init__(self) -> None:
        check_config(
            self,
            probabilities=("dropout", "embedding_dropout", "attention_dropout", "classifier_dropout"),
            flags=("attention_bias", "inner_bias", "norm_bias", "output_bias", "classifier_bias", "tied"),
        )
        whole("window", self.window)
        if self.classifier_pooling not in ("first", "last", "mean"):
            raise ConfigError(f'classifier_pooling={self.classifier_pooling!r} is none of "first", "last", "mean"')
        activation(self.classifier_activation)
        for base in (self.global_base, self.local_base):
            Rotary(self.width // self.attention_heads, base)  # which says what cannot be

    def is_global(self, layer: int) -> bool:
        """Whether layer `layer`, from 0, sees as far as the mask lets it."""
        return layer % EVERY == 0 if self.global_layers is None else layer in self.global_layers

    def block(self, layer: int) -> BlockConfig:
        """The configuration of block `layer`, from 0."""
        attention = AttentionConfig(
            width=self.width,
            heads=self.attention_heads,
            bias=self.attention_bias,
            dropout=self.attention_dropout,
        )
        return BlockConfig(
            attention=attention,
            inner=self.inner,
            activation=self.activation,
            gated=True,
            bias=self.inner_bias,
            norm="pre",
            norm_eps=self.norm_eps,
            norm_bias=self.norm_bias,
            attention_norm=layer > 0,  # what comes out of the embeddings is normed
            dropout=self.attention_dropout,
            inner_dropout=self.dropout,
            feed_forward_dropout=0.0,
            limit=None if self.is_global(layer) else SlidingWindow(self.window),
        )

    def rotary(self, layer: int) -> Rotary:
        """The positions of block `layer`, from 0."""
        base = self.global_base if self.is_global(layer) else self.local_base
        return Rotary(self.width // self.attention_heads, base)


class ModernBertEmbeddings(nn.Module):
    """What each token is, normed; where it stands, attention is told: (B, T) → (B, T, W)."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.tokens = TokenEmbedding(config.vocabulary, config.width)
        self.norm = nn.LayerNorm(config.width, config.norm_eps, bias=config.norm_bias)
        self.dropout = Dropout(config.embedding_dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.norm(self.tokens(tokens)))


class ModernBert(nn.Module):
    """Embeddings, blocks with the norm before each layer, every third one global, and a last norm."""

    def __init__(self, config: ModernBertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = ModernBertEmbeddings(config)
        layers = range(config.layers)
        self.stack = Stack([Block(config.block(layer), rotary=config.rotary(layer)) for layer in layers])
        self.norm = nn.LayerNorm(config.width, config.norm_eps, bias=config.norm_bias)

    def forward(self, tokens: Tensor, sight: Sight, cache: StackCache = FORGETFUL) -> Tensor:
        """tokens: ids (B, T), or embeddings (B, T, W) in their place. Returns hidden states (B, T, W)."""
        return self.stack(self.embeddings(tokens), sight, cache, norm=self.norm)
