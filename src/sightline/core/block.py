"""Block: self-attention, optional cross-attention, feed-forward; and Stack, blocks one after another.

    Vaswani et al. 2017, "Attention Is All You Need", section 3.1 (post-norm); Radford et al. 2019, "Language Models are
    Unsupervised Multitask Learners", section 2.3 (pre-norm).

Shapes: B batch, T tokens, K keys, S source tokens, W model width, I inner width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn

from sightline.core.activation import activation
from sightline.core.attention import Attention, AttentionConfig, Rotation
from sightline.core.cache_protocol import FORGETFUL, LayerCache, StackCache
from sightline.core.dropout import Dropout
from sightline.core.linear import Linear
from sightline.core.mask import Mask
from sightline.core.packing import IN_ROWS, Packing, packing_for
from sightline.core.sight import Sight
from sightline.errors import ConfigError

NormPlacement = Literal["pre", "post"]


@dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """Sizes and choices of one block.

    attention        the self-attention
    cross_attention  a second attention whose keys are another text's; None where there is none
    inner            width between the two dense layers of the feed-forward
    activation       its nonlinearity, by the name that checkpoints use
    norm             "pre" (GPT-2) or "post" (BERT)
    gated            whether the feed-forward's first layer makes a gate beside each number
    bias             whether the feed-forward's dense layers have one; norm_bias: whether the norms do
    attention_norm   whether the self-attention has a norm (ModernBERT's first block has none)
    dropout          of what each layer adds, in training; inner_dropout: of what the nonlinearity gives;
                     feed_forward_dropout: of what the feed-forward adds, where that is another
    limit            a mask that is and-ed to whatever the block is told, such as a local layer's window
    """

    attention: AttentionConfig
    inner: int
    activation: str
    norm: NormPlacement
    cross_attention: AttentionConfig | None = None
    norm_eps: float = 1e-5
    gated: bool = False
    bias: bool = True
    norm_bias: bool = True
    attention_norm: bool = True
    dropout: float = 0.0
    inner_dropout: float = 0.0
    feed_forward_dropout: float | None = None
    limit: Mask | None = None

    def __post_init__(self) -> None:
        if self.norm not in ("pre", "post"):
            raise ConfigError(f'norm={self.norm!r} is neither "pre" nor "post"')
        if self.inner < 1:
            raise ConfigError(f"inner={self.inner} must be 1 or more")


class FeedForward(nn.Module):
    """Two dense layers with a nonlinearity between: (B, T, W) → (B, T, W)."""

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        width = config.attention.width
        self.inner = Linear(width, config.inner, config.bias)
        self.activation = activation(config.activation)
        self.dropout = Dropout(config.inner_dropout)
        self.output = Linear(config.inner, width, config.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.dropout(self.activation(self.inner(x))))


class GatedFeedForward(nn.Module):
    """The first layer makes two of each number, and one of them, through the nonlinearity, gates the other.

    Shazeer 2020, "GLU Variants Improve Transformer", equation 6. (B, T, W) → (B, T, W).
    """

    def __init__(self, config: BlockConfig) -> None:
        super().__init__()
        width = config.attention.width
        self.inner = Linear(width, 2 * config.inner, config.bias)
        self.activation = activation(config.activation)
        self.dropout = Dropout(config.inner_dropout)
        self.output = Linear(config.inner, width, config.bias)

    def forward(self, x: Tensor) -> Tensor:
        opening, passing = self.inner(x).chunk(2, dim=-1)
        # In 16 bits oneDNN's GELU, three times as fast as PyTorch's own, takes only what lies in one piece.
        return self.output(self.dropout(self.activation(opening.contiguous()) * passing))


class Residual(nn.Module):
    """x plus what a layer makes of it, with the norm before the layer (pre) or after the sum (post).

    normed: whether there is a norm at all; dropout: where that is another than each layer's.
    """

    def __init__(self, config: BlockConfig, *, normed: bool = True, dropout: float | None = None) -> None:
        super().__init__()
        width = config.attention.width
        self.norm = nn.LayerNorm(width, config.norm_eps, bias=config.norm_bias) if normed else nn.Identity()
        self.dropout = Dropout(config.dropout if dropout is None else dropout)
        self.norm_first = config.norm == "pre"

    def forward(self, x: Tensor, layer: Callable[[Tensor], Tensor]) -> Tensor:
        if self.norm_first:
            return x + self.dropout(layer(self.norm(x)))
        return self.norm(x + self.dropout(layer(x)))

    def given(self, x: Tensor) -> Tensor:
        """What the layer is given where x is what comes in."""
        return self.norm(x) if self.norm_first else x


@dataclass(frozen=True)
class Source:
    """What cross-attention looks at: hidden states (B, S, W), and who sees them."""

    hidden: Tensor
    sight: Sight


class Block(nn.Module):
    """One layer of every network here. What it becomes is decided by the Sight that it is given."""

    def __init__(self, config: BlockConfig, scores: nn.Module | None = None, rotary: Rotation | None = None) -> None:
        super().__init__()
        cross = config.cross_attention
        self.limit = config.limit
        self.attention = Attention(config.attention, scores, rotary)
        self.attention_residual = Residual(config, normed=config.attention_norm)
        self.cross_attention = None if cross is None else Attention(cross)
        self.cross_residual = None if cross is None else Residual(config)
        self.feed_forward = GatedFeedForward(config) if config.gated else FeedForward(config)
        self.feed_forward_residual = Residual(config, dropout=config.feed_forward_dropout)

    def forward(
        self,
        x: Tensor,
        sight: Sight,
        *,
        keys: Tensor | None = None,
        cache: LayerCache = FORGETFUL,
        source: Source | None = None,
        source_cache: LayerCache = FORGETFUL,
        packing: Packing = IN_ROWS,
    ) -> Tensor:
        """x (B, T, W) → (B, T, W), or packed, (N, W) → (N, W).

        `keys` (B, K, W) or (N, W) answer instead of x where given; `source` feeds cross-attention.
        """
        own = sight.limited(self.limit)
        recalled = cache.recall(x if keys is None else keys)  # before the norm, so that it learns from the past too
        answering = None if recalled is x else self.attention_residual.given(recalled)
        among = partial(self.attention, sight=own, keys=answering, cache=cache, packing=packing)
        x = self.attention_residual(x, among)
        if self.cross_attention is not None and self.cross_residual is not None and source is not None:
            across = partial(
                self.cross_attention, sight=source.sight, keys=source.hidden, cache=source_cache, packing=packing
            )
            x = self.cross_residual(x, across)
        return self.feed_forward_residual(x, self.feed_forward)


class Stack(nn.Module):
    """Blocks one after another, each with its own part of the cache."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(
        self,
        x: Tensor,
        sight: Sight,
        cache: StackCache = FORGETFUL,
        *,
        answering: int | None = None,
        norm: nn.Module | None = None,
    ) -> Tensor:
        """x (B, T, W) → (B, T, W); or (B, N, W), where the sight says that only N tokens are wanted.

        Nobody sees what becomes of the others in the last block, so there they answer and do not ask. Where much is
        padded, only real tokens go through, and padding comes out as zeros.

        answering  how many of x, from the first, are keys for all of them; None: all
        norm       what each token goes through at the end
        """
        last, norm = len(self.blocks) - 1, nn.Identity() if norm is None else norm
        answering = None if answering == x.shape[1] else answering
        in_rows = cache.recalls_the_past or answering is not None  # a memory keeps the states of each row
        packing = IN_ROWS if in_rows else packing_for(x, sight)
        x = packing.pack(x)
        for layer, block in enumerate(self.blocks):
            keys = x if answering is None else x[:, :answering]
            if layer == last and sight.wanted is not None:
                asking = packing.spread(x).gather(1, sight.wanted[..., None].expand(-1, -1, x.shape[-1]))
                return norm(block(asking, sight.last, keys=keys, cache=cache.layer(layer), packing=packing))
            own = None if keys is x else keys
            x = block(x, sight, keys=own, cache=cache.layer(layer), packing=packing)
        return packing.unpack(norm(x))
