"""Token embeddings: ids in, vectors out; or vectors in, for whoever studies a network by changing them."""

from __future__ import annotations

from torch import Tensor, nn


class TokenEmbedding(nn.Embedding):
    """(B, T) ids → (B, T, W) vectors; (B, T, W) vectors stay what they are."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens if tokens.is_floating_point() else super().forward(tokens)
