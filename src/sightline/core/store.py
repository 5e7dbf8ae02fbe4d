"""Store: tensors that grow along an axis of tokens, in memory that is allocated once: what each layer of a cache has.

Shapes: as the tensors that are put in; all have as many rows and tokens.
"""

from __future__ import annotations

from torch import Tensor

from sightline.errors import InputError


class Store:
    """One layer's tensors, along an axis of tokens, in a buffer that is allocated once and grows only if it must.

    capacity  tokens for which room is made at once; passes: how often something was put in

    What is kept always lies in one piece, begin … end − 1; where a window slides, it is moved to the front when the
    buffer is full, so a slide costs one copy in many steps and no order ever has to be undone.
    """

    def __init__(self, capacity: int, axis: int) -> None:
        self.capacity, self.axis = capacity, axis
        self.buffers: list[Tensor] = []
        self.begin = self.end = 0
        self.passes = 0

    def append(self, new: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Put tensors behind those that are kept, and return all; InputError for what does not fit them."""
        count = new[0].shape[self.axis]
        self.check(new[0])
        self._make_room(new, count)
        for buffer, part in zip(self.buffers, new, strict=True):
            buffer.narrow(self.axis, self.end, count).copy_(part)
        self.end += count
        self.passes += 1
        return self.kept()

    def check(self, new: Tensor) -> None:
        """Refuse what `copy_` and `cat` would take, and quietly make something else of."""
        held = self.buffers[0] if self.buffers else new
        if held.shape[0] != new.shape[0]:
            raise InputError(
                f"the cache holds {held.shape[0]} rows and {new.shape[0]} came; expand or reorder it first, or make a"
                " new one"
            )
        if (held.dtype, held.device) != (new.dtype, new.device):
            raise InputError(
                f"the cache holds {held.dtype} on {held.device} and {new.dtype} on {new.device} came; make a new one"
                " when a model's type or place has changed"
            )

    def kept(self) -> tuple[Tensor, ...]:
        """What is kept, as views; nothing before the first."""
        return tuple(buffer.narrow(self.axis, self.begin, self.end - self.begin) for buffer in self.buffers)

    def _make_room(self, like: tuple[Tensor, ...], count: int) -> None:
        held = self.end - self.begin
        if self.buffers and self.end + count <= self.buffers[0].shape[self.axis]:
            return
        kept = self.kept()
        size = self.capacity if held + count <= self.capacity else 2 * (held + count)
        fits = bool(self.buffers) and self.buffers[0].shape[self.axis] >= held + count
        if fits and self.begin >= held:  # source and target do not overlap
            for buffer, part in zip(self.buffers, kept, strict=True):
                buffer.narrow(self.axis, 0, held).copy_(part)
        else:
            shapes = [[size if axis == self.axis else n for axis, n in enumerate(part.shape)] for part in like]
            fresh = [part.new_empty(shape) for part, shape in zip(like, shapes, strict=True)]
            for buffer, part in zip(fresh, kept, strict=False):
                buffer.narrow(self.axis, 0, held).copy_(part)
            self.buffers = fresh
        self.begin, self.end = 0, held

    def drop_oldest(self, keep: int) -> None:
        """Keep the last `keep` tokens."""
        self.begin = max(self.begin, self.end - keep)

    def crop(self, length: int) -> None:
        """Keep the first `length` tokens."""
        self.end = min(self.end, self.begin + length)

    def rows(self, index: Tensor) -> None:
        """Keep the rows named by `index`, in that order."""
        self.buffers = [buffer.index_select(0, index) for buffer in self.buffers]

    def copy(self) -> Store:
        """An independent one that holds the same."""
        twin = Store(self.capacity, self.axis)
        twin.buffers, twin.begin, twin.end = [b.clone() for b in self.buffers], self.begin, self.end
        twin.passes = self.passes
        return twin
