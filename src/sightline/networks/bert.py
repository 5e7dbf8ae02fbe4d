"""BERT: post-norm blocks that see both sides.

    Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding". RoBERTa
    (Liu et al. 2019) is this network with positions that start at 2, DistilBERT (Sanh et al. 2019) without token types.

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
class BertConfig:
    """Sizes and choices of a BERT; the defaults are bert-base-uncased's.

    position_offset  rows at the top of the position table that no token reads
    token_types      0 for a network without them
    tied             whether the masked-LM head uses the token embedding
    """

    vocabulary: int = 30522
    width: int = 768
    layers: int = 12
    attention_heads: int = 12
    inner: int = 3072
    positions: int = 512
    position_offset: int = 0
    token_types: int = 2
    activation: str = "gelu"
    norm_eps: float = 1e-12
    dropout: float = 0.1
    attention_dropout: float = 0.1
    classifier_dropout: float = 0.1
    tied: bool = True
    init_std: float = 0.02

    def __post_init__(self) -> None:
        check_config(
            self,
            from_zero=("position_offset", "token_types"),
            probabilities=("dropout", "attention_dropout", "classifier_dropout"),
            flags=("tied",),
        )

    def block(self) -> BlockConfig:
        """The configuration that all blocks share."""
        attention = AttentionConfig(width=self.width, heads=self.attention_heads, dropout=self.attention_dropout)
        return BlockConfig(
            attention=attention,
            inner=self.inner,
            activation=self.activation,
            norm="post",
            norm_eps=self.norm_eps,
            dropout=self.dropout,
        )


class BertEmbeddings(nn.Module):
    """What each token is, where it stands and which segment it belongs to, summed and normed: (B, T) → (B, T, W)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.tokens = TokenEmbedding(config.vocabulary, config.width)
        self.positions = LearnedPositions(config.positions, config.width, config.position_offset)
        self.token_types = nn.Embedding(config.token_types, config.width) if config.token_types else None
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tensor, at: Coordinates) -> Tensor:
        x = self.tokens(tokens)
        if self.token_types is not None:
            x = x + (self.token_types.weight[0] if at.token_type is None else self.token_types(at.token_type))
        return self.dropout(self.norm(x + self.positions(at)))


class Bert(nn.Module):
    """Embeddings, then blocks with the norm after each sum."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.stack = Stack([Block(config.block()) for _ in range(config.layers)])

    def forward(self, tokens: Tensor, sight: Sight, cache: StackCache = FORGETFUL) -> Tensor:
        """tokens: ids (B, T), or embeddings (B, T, W) in their place. Returns hidden states (B, T, W)."""
        return self.stack(self.embeddings(tokens, sight.queries), sight, cache)
