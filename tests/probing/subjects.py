"""Models to probe: tiny ones of transformers, and modules and functions that are nobody's.

Shapes: B batch, T tokens, W width.
"""

from typing import Any

import torch
import transformers
from torch import Tensor, nn

VOCABULARY = 41


def gpt2(**settings: Any) -> Any:
    """A GPT-2 with a language-model head, in eval mode."""
    sizes = {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    return _made(transformers.GPT2LMHeadModel, transformers.GPT2Config(**{**sizes, **settings}))


def bert(**settings: Any) -> Any:
    """A BERT without a head, in eval mode."""
    return _made(transformers.BertModel, bert_config(**settings))


def bert_config(**settings: Any) -> Any:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return transformers.BertConfig(**{**sizes, "intermediate_size": 24, "max_position_embeddings": 64, **settings})


def _made(kind: Any, config: Any) -> Any:
    torch.manual_seed(0)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.2)  # as large as trained ones: what depends is seen
    return model


class Averaging(nn.Module):
    """Each token's vector and the mean of all up to it, or of all; nothing else reads the order."""

    def __init__(self, causal: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens = nn.Embedding(VOCABULARY, 6)
        self.mix = nn.Linear(6, 6)
        self.dropout = nn.Dropout(dropout)
        self.causal = causal
        self.eval()

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids)
        count = torch.arange(1, ids.shape[1] + 1, dtype=x.dtype)[:, None]
        past = x.cumsum(1) / count if self.causal else x.mean(1, keepdim=True).expand_as(x)
        return self.dropout(x + torch.tanh(self.mix(past)))
