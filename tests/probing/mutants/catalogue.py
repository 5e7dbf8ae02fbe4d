"""The mutants: small broken models, each with its bug class and a healthy twin that differs in one part.

Shapes: B rows, Q those that ask, K those that answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from probing.mutants.mixers import (
    BatchNormalize,
    Convolution,
    Counter,
    Dropout,
    Experts,
    Mean,
    Normalize,
    Scale,
    Shift,
)
from probing.mutants.network import At, Parts, Remembered, Tiny, by_text, causal, one_after_another, random_size
from sightline.probing import causes

ROOM = 12  # of the cache that forgets
HEALTHY = Parts()


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A bug.

    cause    what the audit must say
    twin     the healthy model that it is compared with
    expect   who should see whom
    steps    whether the model can read piece by piece
    layers   how many it takes at least until the bug shows
    depth    how many layers the audit is told of; None: none
    single   whether it shows in float32 only
    """

    name: str
    cause: str
    parts: Parts
    twin: Parts = HEALTHY
    expect: str = "causal"
    steps: bool = True
    layers: int = 1
    depth: int | None = None
    single: bool = False

    def build(self, seed: int, *, healthy: bool = False) -> Tiny:
        size = random_size(seed, self.layers)
        size = size if self.depth is None else replace(size, layers=self.depth)
        return Tiny(size, self.twin if healthy else self.parts, seed).eval()


# Who sees whom


def one_too_many(query: At, key: At, layer: int) -> Tensor:
    nearer = (key.index[:, None] <= query.index[:, :, None] + 1) & key.real[:, None]
    return nearer & (query.document[:, :, None] == key.document[:, None])


def inverted(query: At, key: At, layer: int) -> Tensor:
    return ~causal(query, key, layer)


def everyone(query: At, key: At, layer: int) -> Tensor:
    return causal(key, key, layer).any(1, keepdim=True).expand(-1, query.index.shape[1], -1)


def itself(query: At, key: At, layer: int) -> Tensor:
    return causal(query, key, layer) & (key.index[:, None] == query.index[:, :, None])


def from_the_top_left(query: At, key: At, layer: int) -> Tensor:
    rows, columns = torch.arange(query.index.shape[1]), torch.arange(key.index.shape[1])
    return causal(query, key, layer) & (columns <= rows[:, None])


def padding_too(query: At, key: At, layer: int) -> Tensor:
    return causal(query, key._replace(real=torch.ones_like(key.real)), layer)


def other_documents_too(query: At, key: At, layer: int) -> Tensor:
    return causal(query._replace(document=query.document * 0), key._replace(document=key.document * 0), layer)


def one_cell(query: At, key: At, layer: int) -> Tensor:
    cell = (query.index[:, :, None] == 3) & (key.index[:, None] == 5)
    return causal(query, key, layer) | (cell if layer == 0 else cell & False)


def beyond_the_table(query: At, key: At, layer: int) -> Tensor:
    return causal(query, key, layer) | (key.index[:, None] >= 32) & key.real[:, None]


def causal_unless_padded(query: At, key: At, layer: int) -> Tensor:
    if bool(key.real.all()):
        return causal(query, key, layer)
    return key.real[:, None].expand(-1, query.index.shape[1], -1)


def causal_unless_remembered(query: At, key: At, layer: int) -> Tensor:
    if query.index.shape == key.index.shape:
        return causal(query, key, layer)
    return key.real[:, None].expand(-1, query.index.shape[1], -1)


def prefix(query: At, key: At, layer: int) -> Tensor:
    same = query.document[:, :, None] == key.document[:, None]
    return causal(query, key, layer) | (key.position[:, None] < 4) & key.real[:, None] & same


def near(query: At, key: At, layer: int) -> Tensor:
    return causal(query, key, layer) & (query.index[:, :, None] - key.index[:, None] < ROOM)


# Where tokens stand


def padding_counted(given: Tensor | None, at: At, before: At | None) -> Tensor:
    return by_text(given, at._replace(real=at.real | True), before and before._replace(real=before.real | True))


def never_as_given(given: Tensor | None, at: At, before: At | None) -> Tensor:
    return by_text(None, at, before)


def from_zero_each_time(given: Tensor | None, at: At, before: At | None) -> Tensor:
    return by_text(given, at, None)


# What is remembered


def padding_forgotten(past: Remembered | None, new: Remembered) -> tuple[Remembered, Remembered]:
    known = past and past._replace(at=past.at._replace(real=torch.ones_like(past.at.real)))
    return one_after_another(known, new)


def normalised(past: Remembered | None, new: Remembered) -> tuple[Remembered, Remembered]:
    """Keys are brought to one size over all that are remembered, again at every call."""
    whole, _ = one_after_another(past, new)
    if past is None:
        return whole, whole
    return whole._replace(key=whole.key / (0.1 + whole.key.square().mean(2, keepdim=True).sqrt())), whole


def newest_first(past: Remembered | None, new: Remembered) -> tuple[Remembered, Remembered]:
    """Segments are remembered in reverse, and read as if they were not."""
    whole, _ = one_after_another(past, new)
    if past is None:
        return whole, whole
    kept = new.then(past)
    return whole, kept._replace(at=whole.at)


def window(past: Remembered | None, new: Remembered) -> tuple[Remembered, Remembered]:
    whole, _ = one_after_another(past, new)
    return whole, _latest(whole)


def overwritten(past: Remembered | None, new: Remembered) -> tuple[Remembered, Remembered]:
    """New tokens take the places of the oldest before those that ask have read them."""
    whole, _ = one_after_another(past, new)
    if past is None:
        return whole, _latest(whole)
    return _latest(whole), _latest(whole)


def one_further(query: At, key: At, layer: int) -> Tensor:
    return causal(query, key, layer) & (query.index[:, :, None] - key.index[:, None] < ROOM + 1)


def _latest(whole: Remembered) -> Remembered:
    return Remembered(whole.key[:, :, -ROOM:], whole.value[:, :, -ROOM:], whole.at.slots(slice(-ROOM, None)))


WINDOW = Parts(sees=near, remember=window)


def mixing(name: str, cause: str, mixer: Callable[..., nn.Module], **values: tuple[object, object]) -> Mutant:
    """A mutant whose mixer is given the first of the values, and its twin's the second."""
    broken, healthy = (partial(mixer, **{key: pair[each] for key, pair in values.items()}) for each in (0, 1))
    return Mutant(name=name, cause=cause, parts=Parts(mixer=broken), twin=Parts(mixer=healthy), steps=False)


MUTANTS = (
    Mutant(name="mask off by one", cause=causes.OFF_BY_ONE, parts=Parts(sees=one_too_many)),
    Mutant(name="inverted polarity", cause=causes.INVERTED, parts=Parts(sees=inverted)),
    Mutant(name="no mask", cause=causes.NO_MASK, parts=Parts(sees=everyone)),
    Mutant(name="sees only itself", cause=causes.NO_PAST, parts=Parts(sees=itself)),
    Mutant(name="top left with a cache", cause=causes.TOP_LEFT, parts=Parts(sees=from_the_top_left)),
    Mutant(name="padding attended", cause=causes.PADDING_ATTENDED, parts=Parts(sees=padding_too)),
    Mutant(name="packed documents visible", cause=causes.DOCUMENTS_VISIBLE, parts=Parts(sees=other_documents_too)),
    Mutant(name="one token at one layer", cause=causes.ONE_CELL, parts=Parts(sees=one_cell)),
    Mutant(name="beyond 32 tokens", cause=causes.BEYOND_LENGTH, parts=Parts(sees=beyond_the_table)),
    Mutant(name="when a row-mate is padded", cause=causes.WHEN_PADDED, parts=Parts(sees=causal_unless_padded)),
    Mutant(name="on one kernel", cause=causes.ONE_KERNEL, parts=Parts(kernel_sees=everyone)),
    Mutant(name="with a cache", cause=causes.WITH_CACHE, parts=Parts(sees=causal_unless_remembered)),
    Mutant(
        name="prefix hidden",
        cause=causes.FUTURE_HIDDEN,
        parts=Parts(),
        twin=Parts(sees=prefix),
        expect="prefix(4) | causal",
        steps=False,
    ),
    Mutant(name="padding is NaN", cause=causes.NOT_A_NUMBER, parts=Parts(empty_rows_are_zero=False), layers=2),
    Mutant(name="positions count padding", cause=causes.POSITIONS_COUNT_PADDING, parts=Parts(position=padding_counted)),
    Mutant(name="positions ignored", cause=causes.POSITIONS_IGNORED, parts=Parts(position=never_as_given)),
    Mutant(name="token types ignored", cause=causes.TYPES_IGNORED, parts=Parts(reads_types=False)),
    Mutant(name="positions begin again", cause=causes.CACHE_POSITIONS, parts=Parts(position=from_zero_each_time)),
    Mutant(name="cache forgets padding", cause=causes.CACHE_FORGETS_PADDING, parts=Parts(remember=padding_forgotten)),
    Mutant(name="cached keys normalised", cause=causes.CACHE_WRONG, parts=Parts(remember=normalised)),
    Mutant(name="segments reversed", cause=causes.SEGMENTS_REVERSED, parts=Parts(remember=newest_first)),
    Mutant(
        name="ring buffer overwritten",
        cause=causes.OVERWRITTEN,
        parts=replace(WINDOW, remember=overwritten),
        twin=WINDOW,
        expect=f"causal & sliding_window({ROOM})",
    ),
    Mutant(
        name="window too wide",
        cause=causes.TOO_WIDE,
        parts=Parts(sees=one_further),
        twin=Parts(sees=near),
        expect=f"causal & sliding_window({ROOM})",
        depth=2,
    ),
    mixing("convolution padded on both sides", causes.BOTH_SIDES, Convolution, ahead=(1, 0)),
    mixing("shift in the wrong direction", causes.WRONG_DIRECTION, Shift, by=(-1, 1)),
    mixing("normalised over time", causes.OVER_TIME, Normalize, over=(1, 2)),
    mixing("batch statistics", causes.BATCH_STATISTICS, BatchNormalize, kept=(False, True)),
    mixing("experts choose", causes.ROUTING, Experts, experts_choose=(True, False)),
    mixing("scaled by length", causes.LENGTH, Scale, by_length=(True, False)),
    mixing("counts its calls", causes.KEPT, Counter, counts=(True, False)),
    replace(
        mixing("on one type", causes.ONE_TYPE, Mean, in_type=(torch.float32, torch.int64)),
        single=True,
    ),
    mixing("dropout left on", causes.DROPOUT, Dropout, always=(True, False)),
    Mutant(name="labels shifted twice", cause=causes.LABELS_TWICE, parts=Parts(shift=2)),
    Mutant(name="tie broken", cause=causes.NOT_TIED, parts=Parts(tied="copied")),
    Mutant(name="layers in a plain list", cause=causes.NOT_SAVED, parts=Parts(listed=False)),
)
