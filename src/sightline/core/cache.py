"""What a stack remembers between calls: KeyValueCache, after projection, and Memory, hidden states before it.

Both give back coordinates, never slot numbers; so masks and positions work on them as on anything else, and no network
asks whether there is a cache.

Shapes: B batch, T new tokens, K all that answer, H heads, D head width, W model width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal
from weakref import ref

import torch
from torch import Tensor

from sightline.core.cache_protocol import KeyValue, LayerCache
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask
from sightline.core.store import Store
from sightline.errors import ConfigError, InputError, UnsupportedError

_BROKEN = "an earlier pass with this cache broke off and left a part of it behind; make a new cache"


class _KeyValueLayer:
    """Appends projected keys and values in place."""

    def __init__(self, store: Store, keep: int, taken: int, blank: int) -> None:
        self.store, self.keep = store, keep  # the rest is a memory's

    def recall(self, hidden: Tensor) -> Tensor:
        return hidden

    def extend(self, project: Callable[[], KeyValue]) -> KeyValue:
        key, value = project()
        if torch.is_grad_enabled() and (key.requires_grad or value.requires_grad):
            raise UnsupportedError("a KeyValueCache is for inference; call the model under torch.no_grad()")
        keys, values = self.store.append((key, value))
        self.store.drop_oldest(self.keep)
        return keys, values


class _MemoryLayer:
    """Puts remembered hidden states, detached, before the new ones; projections of both get gradients.

    blank: how many zeros come in their place, in the first pass.
    """

    def __init__(self, store: Store, keep: int, taken: int, blank: int) -> None:
        self.store, self.keep, self.taken, self.blank = store, keep, taken, blank

    def recall(self, hidden: Tensor) -> Tensor:
        self.store.check(hidden)
        blank = hidden.new_zeros(len(hidden), self.blank, hidden.shape[-1])
        joined = torch.cat([*self.store.kept(), blank, hidden], dim=1)
        self.store.append((torch.cat([blank, hidden[:, : self.taken].detach()], dim=1),))
        self.store.drop_oldest(self.keep)
        return joined

    def extend(self, project: Callable[[], KeyValue]) -> KeyValue:
        return project()


def _latest(at: Coordinates, count: int) -> Coordinates:
    """The last `count` tokens; where rows are padded, as many as hold each row's last `count`, older ones made padding.

    So padding after a text takes no place from it, and a row keeps in a batch what it keeps alone.
    """
    if at.real is None or at.tokens <= count:
        return at.slice(max(0, at.tokens - count), at.tokens)
    later = at.real.flip(-1).cumsum(-1).flip(-1)  # real tokens from each to the end of its row
    keep = int((later < later[:, :1].clamp(max=count)).sum(-1).max()) + 1
    return replace(at, real=at.real & (later <= count)).slice(max(0, at.tokens - keep), at.tokens)


def _earliest(at: Coordinates, count: int) -> Coordinates:
    """The first `count` tokens; where rows are padded, as many as hold each row's first `count`."""
    if at.real is None or at.tokens <= count:
        return at.slice(0, min(count, at.tokens))
    earlier = at.real.cumsum(-1)  # real tokens from the beginning of its row to each
    keep = int((earlier < earlier[:, -1:].clamp(max=count)).sum(-1).max()) + 1
    return replace(at, real=at.real & (earlier <= count)).slice(0, keep)


class Cache:
    """What a stack of layers remembers of the tokens seen so far. Made by `KeyValueCache` or `Memory`."""

    def __init__(
        self,
        kind: type[_KeyValueLayer] | type[_MemoryLayer],
        *,
        capacity: int,
        window: int | None,
        reuse: int | None = None,
        blank: int = 0,
    ) -> None:
        if capacity < 1 or (window is not None and window < 1):
            raise ConfigError(f"capacity={capacity} and window={window} must be 1 or more (window may be None)")
        if reuse is not None and reuse < 1:
            raise ConfigError(f"reuse={reuse} must be 1 or more, or None to remember every token of a call")
        self.kind, self.capacity, self.window, self.reuse, self.blank = kind, capacity, window, reuse, blank
        self.coordinates: Coordinates | None = None
        self.stores: dict[int, Store] = {}
        self.passes = 0  # announced; a layer that has seen fewer was left out by a pass that broke off
        self.taken = 0  # how many of the tokens that were announced last are to be remembered
        self.reader: ref[object] | None = None  # the network whose states these are
        self.mask: Mask | None = None  # through which it read them

    @property
    def length(self) -> int:
        """How many tokens are remembered."""
        return 0 if self.coordinates is None else self.coordinates.tokens

    @property
    def ahead(self) -> int:
        """How many tokens answer before the new ones: remembered ones, or the zeros that a memory starts with."""
        return self.blank if self.coordinates is None else self.length

    @property
    def recalls_the_past(self) -> bool:
        """True of a Memory; keys and values are remembered to spare computing what would come out again."""
        return self.kind is _MemoryLayer

    @property
    def rows(self) -> int | None:
        """How many rows are remembered; None before the first pass."""
        held = next((store.buffers[0] for store in self.stores.values() if store.buffers), None)
        return None if held is None else held.shape[0]

    def announce(self, new: Coordinates, reader: object | None = None, mask: Mask | None = None) -> Coordinates:
        """Say which tokens come, which network reads them and through which mask; returns the coordinates of all that
        will answer them, remembered ones first.

        Raises InputError where an earlier pass broke off, and some layers remember what others do not, and where what
        is remembered was read by another network, or, unless it recalls the past, through another mask.
        """
        if self.reader is not None and reader is not None and self.reader() is not reader:
            raise InputError("this cache remembers what another model read; make a new one for each model")
        if self.mask is not None and mask is not None and self.mask != mask and not self.recalls_the_past:
            raise InputError(
                f"this cache remembers what was read through the mask {self.mask}, and {mask} is another: its keys"
                " would be others; make a new cache, or a Memory, which keeps what there was"
            )
        self.reader = self.reader if reader is None else ref(reader)
        self.mask = self.mask if mask is None else mask
        if any(store.passes < self.passes for store in self.stores.values()):
            raise InputError(_BROKEN)
        past = new.before(self.blank) if self.coordinates is None and self.blank else self.coordinates
        answering = new if past is None else past.then(new)
        taken = new if self.reuse is None else _earliest(new, self.reuse)
        known = taken if past is None else past.then(taken)
        self.coordinates = known if self.window is None else _latest(known, self.window)
        self.taken = taken.tokens
        self.passes += 1
        return answering

    def layer(self, index: int) -> LayerCache:
        """The part of layer `index`, told how many tokens to keep: those that `announce` kept."""
        if index not in self.stores:
            if self.passes > 1:
                raise InputError(_BROKEN)
            self.stores[index] = self._store()
        return self.kind(self.stores[index], self.length, self.taken, self.blank if self.passes == 1 else 0)

    def _store(self) -> Store:
        room = self.capacity if self.window is None else max(self.capacity, 2 * self.window)
        return Store(room, axis=2 if self.kind is _KeyValueLayer else 1)

    def held(self) -> list[tuple[Tensor, ...]]:
        """What each layer remembers: hidden states (B, K, W), or keys and values (B, H, K, D)."""
        return [self.stores[index].kept() for index in sorted(self.stores)]

    def refill(self, at: Coordinates, held: Sequence[tuple[Tensor, ...]]) -> None:
        """Remember these tokens in place of all others: `held` as another cache of this kind gave it."""
        self.coordinates, self.passes = at, 1
        self.stores = {index: self._store() for index in range(len(held))}
        for index, tensors in enumerate(held):
            self.stores[index].append(tensors)

    def reorder(self, rows: Tensor) -> None:
        """Keep the rows named by `rows` (int64), in that order; a row may be named more than once (beam search)."""
        if self.coordinates is not None:
            self.coordinates = self.coordinates.rows(rows)
        for store in self.stores.values():
            store.rows(rows)

    def expand(self, times: int) -> None:
        """Repeat every row `times` times, copies side by side: one prompt, several continuations."""
        for store in self.stores.values():
            for buffer in store.buffers[:1]:
                rows = torch.arange(buffer.shape[0], device=buffer.device).repeat_interleave(times)
                store.rows(rows)
        if self.coordinates is not None:
            self.coordinates = self.coordinates.repeated(times)

    def crop(self, length: int) -> None:
        """Forget all but the first `length` of the tokens that are remembered."""
        if length < 0:
            raise InputError(f"cannot crop a cache to {length} tokens; give 0 or more")
        if self.coordinates is None or length >= self.length:
            return
        self.coordinates = self.coordinates.slice(0, length)
        for store in self.stores.values():
            store.crop(length)

    def fork(self) -> Cache:
        """An independent copy: two continuations of one past."""
        twin = Cache(self.kind, capacity=self.capacity, window=self.window, reuse=self.reuse, blank=self.blank)
        twin.coordinates, twin.passes = self.coordinates, self.passes
        twin.reader, twin.mask = self.reader, self.mask
        twin.stores = {index: store.copy() for index, store in self.stores.items()}
        return twin


def KeyValueCache(*, capacity: int = 256, window: int | None = None) -> Cache:
    """Projected keys and values, for inference.

    capacity  tokens for which room is made at once; beyond, the buffers grow by copying
    window    how many of the latest tokens are kept between calls; None keeps all. Under a mask where nobody looks back
              further than `window` positions, eviction changes no result.

    >>> cache = KeyValueCache(capacity=8)
    >>> cache.announce(Coordinates.consecutive(3)).tokens  # then every layer extends cache.layer(i)
    3
    """
    return Cache(_KeyValueLayer, capacity=capacity, window=window)


def Memory(*, length: int | None, reuse: int | None = None, start: Literal["empty", "zeros"] = "empty") -> Cache:
    """Hidden states before projection, detached (Dai et al. 2019, "Transformer-XL", section 3.2).

    length  how many of the latest tokens are kept between calls; None keeps all
    reuse   of each call only so many first tokens are remembered, and the next call goes on behind them: XLNet's
            segments overlap (Yang et al. 2019, `reuse_len`); None: all
    start   "empty", as in the paper; or "zeros": `length` tokens whose states are zeros answer the first ones as if
            they had come before them, as in transformers' Transformer-XL

        memory = Memory(length=512)
        for segment in input_ids.split(128, dim=1):
            model(segment, cache=memory)  # sees this segment and the 512 tokens before it
    """
    if start not in ("empty", "zeros"):
        raise ConfigError(f'start={start!r} is neither "empty" nor "zeros"')
    if length is not None and length < 1:
        raise ConfigError(f"length={length} must be 1 or more, or None to keep all; without a memory, pass no cache")
    if start == "zeros" and length is None:
        raise ConfigError('start="zeros" fills the memory, and length=None has no end; give it a length')
    blank = length if start == "zeros" and length is not None else 0
    return Cache(_MemoryLayer, capacity=256 if length is None else length, window=length, reuse=reuse, blank=blank)
