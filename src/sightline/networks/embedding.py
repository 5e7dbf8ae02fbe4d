"""Token embeddings: ids in, vectors out; or vectors in, for whoever studies a network by changing them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Resized = Callable[[Tensor, int], nn.Parameter]
"""How a tensor with a row for each word becomes one with another number of rows."""


class TokenEmbedding(nn.Embedding):
    """(B, T) ids → (B, T, W) vectors; (B, T, W) vectors stay what they are."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens if tokens.is_floating_point() else super().forward(tokens)

    def resize(self, vocabulary: int, resized: Resized) -> None:
        """Give it so many rows, in place."""
        self.weight, self.num_embeddings = resized(self.weight, vocabulary), vocabulary


def token_embedding(network: nn.Module) -> TokenEmbedding:
    """The token embedding of a network, wherever the family; heads are tied to it."""
    found = network.get_submodule("embeddings.tokens")
    if not isinstance(found, TokenEmbedding):
        raise TypeError(f"a network's embeddings.tokens must be a TokenEmbedding, not {type(found).__name__}")
    return found
