"""GPT-2: pre-norm blocks that see the past, and a norm at the end.

    Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.

Shapes: B batch, T tokens, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from sightline.core.attention import AttentionConfig
from sightline.core.block import Block, BlockConfig, Stack
from sightline.core.cache_protocol import FORGETFUL, StackCache
from sightline.core.coordinates import Coordinates
from sightline.core.dropout import Dropout
from sightline.core.position import LearnedPositions
from sightline.core.sight import Sight
from sightline.networks.check import check_config
from sightline.networks.embedding import TokenEmbedding


@dataclass(frozen=True, kw_only=True)
class Gpt2Config:
    """Sizes and choices of a GPT-2; the defaults are those of the 124M model.

    scaled            whether scores are divided by the root of the head width
    scaled_by_layer   whether layer i (from 1) divides them by i as well
    tied              whether the LM head uses the token embedding
    """

    vocabulary: int = 50257
    width: int = 768
    layers: int = 12
    attention_heads: int = 12
    inner: int = 3072
    positions: int = 1024
    activation: str = "gelu_new"
    norm_eps: float = 1e-5
    dropout: float = 0.1
    embedding_dropout: float = 0.1
    attention_dropout: float = 0.1
    classifier_dropout: float = 0.1
    scaled: bool = True
    scaled_by_layer: bool = False
    tied: bool = True
    init_std: float = 0.02

    def __post_init__(self) -> None:
        check_config(
            self,
            probabilities=("dropout", "embedding_dropout", "attention_dropout", "classifier_dropout"),
            flags=("scaled", "scaled_by_layer", "tied"),
        )

    def block(self, layer: int) -> BlockConfig:
        """The configuration of block `layer`, from 0."""
        scale = (self.width // self.attention_heads) ** -0.5 if self.scaled else 1.0
        attention = AttentionConfig(
            width=self.width,
            heads=self.attention_heads,
            scale=scale / (layer + 1) if self.scaled_by_layer else scale,
            dropout=self.attention_dropout,
        )
        return BlockConfig(
            attention=attention,
            inner=self.inner,
            activation=self.activation,
            norm="pre",
            norm_eps=self.norm_eps,
            dropout=self.dropout,
        )


class Gpt2Embeddings(nn.Module):
    """What each token is and where it stands, summed: (B, T) → (B, T, W)."""

    def __init__(self, config: Gpt2Config) -> None:
        super().__init__()
        self.tokens = TokenEmbedding(config.vocabulary, config.width)
        self.positions = LearnedPositions(config.positions, config.width)
        self.dropout = Dropout(config.embedding_dropout)

    def forward(self, tokens: Tensor, at: Coordinates) -> Tensor:
        return self.dropout(self.tokens(tokens) + self.positions(at))


class Gpt2(nn.Module):
    """Embeddings, blocks with the norm before each layer, and a last norm."""

    def __init__(self, config: Gpt2Config) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Gpt2Embeddings(config)
        self.stack = Stack([Block(config.block(layer)) for layer in range(config.layers)])
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, tokens: Tensor, sight: Sight, cache: StackCache = FORGETFUL) -> Tensor:
        """tokens: ids (B, T), or embeddings (B, T, W) in their place. Returns hidden states (B, T, W)."""
        return self.stack(self.embeddings(tokens, sight.queries), sight, cache, norm=self.norm)
