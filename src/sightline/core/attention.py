"""Attention: the only place where attention is computed.

    Vaswani et al. 2017, "Attention Is All You Need", section 3.2: softmax(q kᵀ · scale + scores) v over those whom the
    query may see. A query that may see nobody gives zeros, never NaN, on every route.

Shapes: B batch, Q queries, K keys, H heads, D head width, W model width.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sightline.core.cache_protocol import FORGETFUL, KeyValue, LayerCache
from sightline.core.dropout import dropout as dropped
from sightline.core.linear import Linear
from sightline.core.packing import IN_ROWS, Packing
from sightline.core.sight import Sight
from sightline.errors import ConfigError, UnsupportedError

FLEX_FROM = 4096  # queries; below, compiling costs more than the sparse kernel saves (docs/performance.md)


def attention_weights(
    query: Tensor, key: Tensor, sight: Sight, *, scores: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """How much each query takes from each key: (B, H, Q, K), rows sum to one, or to zero where nobody may be seen.

    query (B, H, Q, D), key (B, H, K, D); scores, (B or 1, H or 1, Q, K), are added before the softmax.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    total = query @ key.transpose(-1, -2) * scale
    if scores is not None:
        total = total + scores
    if sight.sees_all:
        return total.softmax(-1)
    hidden = ~sight.table[:, None]  # (B, 1, Q, K)
    weights = total.masked_fill(hidden, -torch.inf).softmax(-1)
    return weights.masked_fill(hidden.all(-1, keepdim=True), 0.0)


def _reference(query: Tensor, key: Tensor, value: Tensor, sight: Sight, call: _Call) -> Tensor:
    """The definition, written out; every other route is tested against it."""
    weights = attention_weights(query, key, sight, scores=call.scores, scale=call.scale)
    return dropped(weights, call.dropout) @ value


def _sdpa(query: Tensor, key: Tensor, value: Tensor, sight: Sight, call: _Call) -> Tensor:
    """PyTorch's fused kernel: nothing to mask, its own causal order, or a table."""
    bias, causal = call.scores, False
    if sight.plain_causal and bias is None:
        causal = True
    elif not sight.sees_all:
        table = sight.table[:, None]
        bias = table if bias is None else bias.masked_fill(~table, -torch.inf)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=call.dropout, is_causal=causal, scale=call.scale
    )


def _flex(query: Tensor, key: Tensor, value: Tensor, sight: Sight, call: _Call) -> Tensor:
    """FlexAttention: the mask's own rule compiled into the kernel, which skips blocks that nobody may see."""
    if call.scores is not None or call.dropout > 0 or sight.allowed is not None:
        raise UnsupportedError('the "flex" kernel takes no additive scores, no dropout and no `allowed`; use "sdpa"')
    if not flex_is_available(query.device.type):
        raise UnsupportedError(
            'the "flex" kernel needs a C++ compiler (Triton on a GPU) that can work here; use "sdpa"'
        )
    output = _compiled_flex()(query, key, value, block_mask=sight.block_mask, scale=call.scale)
    return output


@cache
def flex_is_available(device: str) -> bool:
    """Whether this machine can compile FlexAttention for `device`."""
    if device == "cpu":
        # PyTorch hands its own folder to the C++ compiler unquoted, so a space in it breaks the command.
        return shutil.which(os.environ.get("CXX", "g++")) is not None and len(torch.__file__.split()) == 1
    from torch.utils._triton import has_triton

    return device == "cuda" and has_triton()


@cache
def _compiled_flex() -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)


@dataclass(frozen=True, kw_only=True)
class _Call:
    """What else one call of the kernel is given."""

    scores: Tensor | None
    scale: float | None
    dropout: float


_ROUTES = {"reference": _reference, "sdpa": _sdpa, "flex": _flex}


def _fastest(query: Tensor, sight: Sight, call: _Call) -> str:
    if call.dropout > 0 and query.device.type == "cpu":
        return "reference"  # no fused kernel drops there, and what PyTorch does instead takes three times as long
    sparse = not (sight.sees_all or sight.plain_causal)
    trains_on_cpu = torch.is_grad_enabled() and query.requires_grad and query.device.type == "cpu"
    plain = call.scores is None and call.dropout == 0 and sight.allowed is None
    long = query.shape[-2] >= FLEX_FROM
    return (
        "flex" if long and sparse and plain and not trains_on_cpu and flex_is_available(query.device.type) else "sdpa"
    )


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    sight: Sight,
    *,
    scores: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """What each query gathers from those it sees: (B, H, Q, D).

    query (B, H, Q, D), key and value (B, H, K, D); scores (B or 1, H or 1, Q, K) are added to query · key · scale;
    scale is 1/√D where not given; dropout is a probability, applied to the weights.

    >>> from sightline.core.coordinates import Coordinates
    >>> from sightline.core.mask import Causal
    >>> ones = torch.ones(1, 1, 2, 4)
    >>> attend(ones, ones, ones, Sight(Causal(), Coordinates.consecutive(2))).shape
    torch.Size([1, 1, 2, 4])
    """
    call = _Call(scores=scores, scale=scale, dropout=dropout)
    route = _fastest(query, sight, call) if sight.kernel == "auto" else sight.kernel
    return _ROUTES[route](query, key, value, sight, call)


class Kernel(nn.Module):
    """`attend` as a module without parameters, so that taps can read its queries, keys and weights."""

    def __init__(self, *, scale: float | None, dropout: float) -> None:
        super().__init__()
        self.scale, self.dropout = scale, dropout

    def forward(self, query: Tensor, key: Tensor, value: Tensor, sight: Sight, scores: Tensor | None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return attend(query, key, value, sight, scores=scores, scale=self.scale, dropout=dropout)


class Scores(Protocol):
    """Something that adds to the scores what content and coordinates say together, such as relative positions."""

    def __call__(self, query: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
        """query (B, H, Q, D) → the query that meets the keys' content, alike, and scores (B or 1, H or 1, Q, K).

        The scores are added as they are: what of them wants scaling is scaled already.
        """


class Rotation(Protocol):
    """Something that turns queries and keys by their coordinates, such as rotary positions."""

    def query(self, query: Tensor, sight: Sight) -> Tensor:
        """(B, H, Q, D), of the sight's queries."""

    def key(self, key: Tensor, sight: Sight) -> Tensor:
        """(B, H, S, D), of the last S of the sight's keys: those that are projected now."""


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Sizes of one attention layer.

    width       of what asks and of what comes out
    heads       must divide width, unless head_width is given
    head_width  of each head's queries, keys and values; None is width/heads
    bias        whether the four projections have one
    scale       of query · key; None is 1/√head_width
    dropout     of the attention weights, in training
    """

    width: int
    heads: int
    head_width: int | None = None
    bias: bool = True
    scale: float | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.heads < 1 or (self.head_width is None and self.width % self.heads):
            raise ConfigError(f"heads={self.heads} does not divide width={self.width}; choose a divisor")
        if self.head_width is not None and self.head_width < 1:
            raise ConfigError(f"head_width={self.head_width} must be 1 or more")

    @property
    def inner(self) -> int:
        """Of all heads together."""
        return self.width if self.head_width is None else self.heads * self.head_width


class Attention(nn.Module):
    """Multi-head attention: who asks, who answers, who sees whom.

    BERT, GPT-2, cross-attention, Transformer-XL and both XLNet streams are this one call with other arguments.
    """

    def __init__(
        self, config: AttentionConfig, scores: nn.Module | None = None, rotary: Rotation | None = None
    ) -> None:
        super().__init__()
        self.heads = config.heads
        self.query = Linear(config.width, config.inner, config.bias)
        self.key = Linear(config.width, config.inner, config.bias)
        self.value = Linear(config.width, config.inner, config.bias)
        self.output = Linear(config.inner, config.width, config.bias)
        self.scores, self.rotary = scores, rotary
        self.kernel = Kernel(scale=config.scale, dropout=config.dropout)

    def forward(
        self,
        x: Tensor,
        sight: Sight,
        *,
        keys: Tensor | None = None,
        cache: LayerCache = FORGETFUL,
        packing: Packing = IN_ROWS,
    ) -> Tensor:
        """x (B, Q, W) asks; keys (B, K, W), by default x itself, answer; the cache may remember earlier ones' answers.

        The Sight's keys describe all that answer, remembered ones first. Either may come packed, (N, W), and what asks
        packed is answered packed. Returns (B, Q, W) or (N, W).
        """
        source = x if keys is None else keys
        key, value = cache.extend(lambda: self._answers(source, sight, packing))
        query = self._split(packing.spread(self.query(x)))
        query = query if self.rotary is None else self.rotary.query(query, sight)
        query, scores = (query, None) if self.scores is None else self.scores(query, sight)
        context = self.kernel(query, key, value, sight, scores).transpose(1, 2).flatten(2)
        return self.output(packing.pack(context) if x.dim() == 2 else context)

    def _answers(self, source: Tensor, sight: Sight, packing: Packing) -> KeyValue:
        """Keys and values (B, H, K, D) of source (B, K, W) or (N, W)."""
        key, value = (self._split(packing.spread(project(source))) for project in (self.key, self.value))
        return key if self.rotary is None else self.rotary.key(key, sight), value

    def _split(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        return x.view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)  # (B, H, T, D)
