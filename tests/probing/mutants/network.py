"""A tiny transformer whose parts are values: a mutant is a healthy model with one part swapped for a broken one.

Written for these tests in plain torch, so that nothing of the package judges itself.

Shapes: B rows, T new tokens, K all that answer, Q those that ask, W width, H heads, D head width, V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FAR = 24  # distances beyond share one bias


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes of a tiny model, drawn at random by `random_size`."""

    vocabulary: int
    heads: int
    head_width: int
    layers: int
    positions: int = 96

    @property
    def width(self) -> int:
        return self.heads * self.head_width


def random_size(seed: int, layers: int = 1) -> Size:
    """Sizes of a model of so many layers or more."""
    drawn = random.Random(seed)
    return Size(
        vocabulary=drawn.randint(17, 40),
        heads=drawn.choice([1, 2, 3]),
        head_width=drawn.choice([4, 6, 8]),
        layers=max(layers, drawn.choice([1, 2, 3])),
    )


class At(NamedTuple):
    """Where tokens stand, each (B, T): place in the row, place in the text, not padding, which packed document."""

    index: Tensor
    position: Tensor
    real: Tensor
    document: Tensor

    def then(self, later: At) -> At:
        return At(*(torch.cat(pair, 1) for pair in zip(self, later, strict=True)))

    def slots(self, index: slice | Tensor) -> At:
        return At(*(each[:, index] for each in self))


class Remembered(NamedTuple):
    """What a layer remembers: keys and values (B, H, K, D) and where they stand."""

    key: Tensor
    value: Tensor
    at: At

    def then(self, later: Remembered) -> Remembered:
        key, value = torch.cat([self.key, later.key], 2), torch.cat([self.value, later.value], 2)
        return Remembered(key, value, self.at.then(later.at))


def causal(query: At, key: At, layer: int) -> Tensor:
    """Who sees whom, bool (B, Q, K)."""
    past = key.index[:, None] <= query.index[:, :, None]
    return past & key.real[:, None] & (query.document[:, :, None] == key.document[:, None])


def by_text(given: Tensor | None, at: At, before: At | None) -> Tensor:
    """Each token's position: its place among the real tokens of its document, unless positions are given."""
    whole = at if before is None else before.then(at)
    same = (whole.document[:, :, None] == whole.document[:, None]) & whole.real[:, None]
    place = (same & (whole.index[:, None] < whole.index[:, :, None])).sum(-1)[:, -at.index.shape[1] :]
    return place if given is None else given


def one_after_another(past: Remembered | None, new: Remembered) -> tuple[Remembered, Remembered]:
    """What answers now, and what is remembered for the next call."""
    whole = new if past is None else past.then(new)
    return whole, whole


class Nothing(nn.Module):
    """A mixer that does not mix."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, at: At) -> Tensor:
        return x


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a mutant may swap. Every default is healthy.

    kernel_sees  who sees whom on the second kernel, where that is another than on the first
    mixer        what stands before the feed-forward layer
    shift        how far labels stand behind the outputs that are compared with them
    tied         whether the head is the embedding itself, a copy of it, or a matrix of its own
    """

    sees: Callable[[At, At, int], Tensor] = causal
    kernel_sees: Callable[[At, At, int], Tensor] | None = None
    position: Callable[[Tensor | None, At, At | None], Tensor] = by_text
    remember: Callable[[Remembered | None, Remembered], tuple[Remembered, Remembered]] = one_after_another
    mixer: Callable[[int], nn.Module] = Nothing
    shift: int = 1
    tied: str = "itself"
    listed: bool = True  # whether the layers' list is one that torch knows
    reads_types: bool = True
    empty_rows_are_zero: bool = True


class Layer(nn.Module):
    """Attention, mixer, feed-forward."""

    def __init__(self, size: Size, parts: Parts, index: int) -> None:
        super().__init__()
        self.size, self.parts, self.index = size, parts, index
        self.kernel = "eager"
        self.before, self.after = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.project = nn.Linear(size.width, 3 * size.width)
        self.distances = nn.Parameter(torch.zeros(size.heads, FAR))
        self.out = nn.Linear(size.width, size.width)
        self.mixer = parts.mixer(size.width)
        self.inner, self.outer = nn.Linear(size.width, 2 * size.width), nn.Linear(2 * size.width, size.width)

    def forward(self, x: Tensor, at: At, past: Remembered | None) -> tuple[Tensor, Remembered]:
        attended, kept = self.attend(self.before(x), at, past)
        x = x + attended
        return x + self.outer(F.gelu(self.inner(self.mixer(self.after(x), at)))), kept

    def attend(self, x: Tensor, at: At, past: Remembered | None) -> tuple[Tensor, Remembered]:
        heads = (len(x), -1, self.size.heads, self.size.head_width)
        query, key, value = (each.reshape(heads).transpose(1, 2) for each in self.project(x).chunk(3, -1))
        answering, kept = self.parts.remember(past, Remembered(key, value, at))
        sees = self.parts.sees
        if self.kernel == "sdpa" and self.parts.kernel_sees is not None:
            sees = self.parts.kernel_sees
        seen = sees(at, answering.at, self.index)[:, None]  # (B, 1, Q, K)
        apart = (at.index[:, :, None] - answering.at.index[:, None]).clamp(0, FAR - 1)
        bias = self.distances[:, apart].transpose(0, 1)  # (B, H, Q, K)
        if self.kernel == "sdpa":
            bias = bias.masked_fill(~seen, -torch.inf)
            found = F.scaled_dot_product_attention(query, answering.key, answering.value, attn_mask=bias)
        else:
            scores = query @ answering.key.transpose(2, 3) * self.size.head_width**-0.5 + bias
            weights = scores.masked_fill(~seen, -torch.inf).softmax(-1)
            if self.parts.empty_rows_are_zero:
                weights = weights.masked_fill(~seen.any(-1, keepdim=True), 0.0)
            found = weights @ answering.value
        return self.out(found.transpose(1, 2).flatten(2)), kept


@dataclass(frozen=True)
class Answer:
    """What a forward pass gives back."""

    logits: Tensor
    loss: Tensor | None = None


@dataclass
class Past:
    """What a model remembers between calls."""

    at: At
    layers: list[Remembered] = field(default_factory=list)


class Tiny(nn.Module):
    """A causal language model of a few hundred weights."""

    def __init__(self, size: Size, parts: Parts, seed: int = 0) -> None:
        super().__init__()
        self.size, self.parts = size, parts
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.positions = nn.Embedding(size.positions, size.width)
        self.types = nn.Embedding(2, size.width)
        layers = [Layer(size, parts, index) for index in range(size.layers)]
        self.layers = nn.ModuleList(layers) if parts.listed else layers
        self.norm = nn.LayerNorm(size.width)
        self.head = nn.Linear(size.width, size.vocabulary, bias=False)
        self.draw(seed)
        if parts.tied == "itself":
            self.head.weight = self.tokens.weight
        elif parts.tied == "copied":
            self.head.weight = nn.Parameter(self.tokens.weight.detach().clone())

    def draw(self, seed: int) -> None:
        """Weights large enough that each shows in the result."""
        generator = torch.Generator().manual_seed(seed)
        for module in (self, *self.layers):
            for name, weight in module.named_parameters():
                drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64) * 0.25
                is_scale = weight.dim() == 1 and name.endswith("weight")
                weight.data.copy_(1 + drawn if is_scale else drawn)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        documents: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Answer:
        at = self.at(input_ids, attention_mask, documents, None)
        logits, _ = self.read(input_ids, at, None, position_ids, token_type_ids)
        return Answer(logits, None if labels is None else self.loss(logits, labels))

    def at(self, ids: Tensor, real: Tensor | None, documents: Tensor | None, past: Past | None) -> At:
        before = 0 if past is None else past.at.index.shape[1]
        index = torch.arange(before, before + ids.shape[1]).expand_as(ids)
        real = torch.ones_like(ids) if real is None else real
        return At(index, index, real.bool(), torch.zeros_like(ids) if documents is None else documents)

    def read(
        self, ids: Tensor, at: At, past: Past | None, positions: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Past]:
        at = at._replace(position=self.parts.position(positions, at, None if past is None else past.at))
        x = self.tokens(ids) + self.positions(at.position)
        if types is not None and self.parts.reads_types:
            x = x + self.types(types) - self.types.weight[0]  # no type given means type 0
        kept = []
        for layer, before in zip(self.layers, [None] * len(self.layers) if past is None else past.layers, strict=True):
            x, remembered = layer(x, at, before)
            kept.append(remembered)
        return self.head(self.norm(x)), Past(at if past is None else past.at.then(at), kept)

    def step(self, ids: Tensor, past: Past | None, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Past]:
        """The next tokens of each row; an attention mask is of remembered and new tokens."""
        real = inputs["attention_mask"][:, -ids.shape[1] :] if "attention_mask" in inputs else None
        return self.read(ids, self.at(ids, real, None, past), past, inputs.get("position_ids"), None)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        shift = self.parts.shift
        said, wanted = logits[:, : logits.shape[1] - shift], labels[:, shift:]
        return F.cross_entropy(said.flatten(0, 1), wanted.flatten(), ignore_index=-100)

    def use_kernel(self, name: str) -> None:
        for layer in self.layers:
            layer.kernel = name
