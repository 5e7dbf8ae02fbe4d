"""Embedded: which modules turn ids into vectors, found by what they do, and other vectors in their place.

A module is an embedding of the ids if it is an `nn.Embedding` that is called with exactly them. Most models have one;
where several read the ids (values of their own for each layer), their vectors stand side by side.

Shapes: B batch, T tokens, W width of all that read the ids, together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Reader:
    """An embedding that reads the ids.

    swapped  whether it is given (T, B), as networks with time first do
    """

    module: nn.Embedding
    swapped: bool

    @property
    def width(self) -> int:
        """How many numbers it makes of an id."""
        return self.module.embedding_dim


def _are(given: tuple[Any, ...], ids: Tensor, swapped: bool) -> bool:
    """Whether an embedding was given exactly these ids."""
    told = given[0] if given and isinstance(given[0], Tensor) else None
    if told is None or told.numel() != ids.numel():
        return False
    return torch.equal(told.reshape(-1), (ids.T if swapped else ids).reshape(-1))


def _told_by_ids(made: Tensor, ids: Tensor, swapped: bool) -> bool:
    """Whether vectors are those of ids (B, T): one for each, and alike where the ids are.

    Embeddings of positions are not, though some are given the ids, for their shape.
    """
    if made.dim() < 2 or made.shape[:-1].numel() != ids.numel():
        return False
    own = (ids.T if swapped else ids).reshape(-1)
    vectors = made.reshape(len(own), -1)
    first = (own[:, None] == own[None]).int().argmax(1)  # where each id stands for the first time
    return torch.equal(vectors, vectors[first])


def find_readers(module: nn.Module, ids: Tensor, run: Callable[[Tensor], object]) -> tuple[Reader, ...]:
    """The embeddings that `run(ids)` calls with the ids (B, T), in the order of their calls.

    ids  such as nothing else in the model looks like: neither positions nor all the same; some stand in several places
    """
    found: dict[int, Reader] = {}

    def look(embedding: nn.Module, given: tuple[Any, ...], made: object) -> None:
        if isinstance(embedding, nn.Embedding) and isinstance(made, Tensor):
            for swapped in (False, True):
                if _are(given, ids, swapped) and _told_by_ids(made, ids, swapped):
                    found.setdefault(id(embedding), Reader(embedding, swapped=swapped))

    handles = [each.register_forward_hook(look) for each in module.modules() if isinstance(each, nn.Embedding)]
    try:
        with torch.no_grad():
            run(ids)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found.values())


@contextmanager
def _hooked(readers: Sequence[Reader], hook_for: Callable[[int, Reader], Any]) -> Iterator[None]:
    handles = [reader.module.register_forward_hook(hook_for(index, reader)) for index, reader in enumerate(readers)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def vectors_of(readers: Sequence[Reader], ids: Tensor, run: Callable[[Tensor], object]) -> Tensor:
    """What the embeddings make of ids (B, T) while `run(ids)`: (B, T, W), detached."""
    seen: dict[int, Tensor] = {}

    def hook_for(index: int, reader: Reader) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def keep(module: nn.Module, given: tuple[Any, ...], made: Tensor) -> None:
            if index not in seen and _are(given, ids, reader.swapped):
                rows, tokens = ids.shape
                shape = (tokens, rows, -1) if reader.swapped else (rows, tokens, -1)
                own = made.detach().reshape(shape)
                seen[index] = own.transpose(0, 1) if reader.swapped else own

        return keep

    with _hooked(readers, hook_for), torch.no_grad():
        run(ids)
    return torch.cat([seen[index] for index in sorted(seen)], -1)


@contextmanager
def instead(readers: Sequence[Reader], ids: Tensor, vectors: Tensor) -> Iterator[None]:
    """Wherever the embeddings read these ids (B, T), they give the vectors (B, T, W)."""
    parts = vectors.split([reader.width for reader in readers], -1)

    def hook_for(index: int, reader: Reader) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor | None]:
        def replace(module: nn.Module, given: tuple[Any, ...], made: Tensor) -> Tensor | None:
            if not _are(given, ids, reader.swapped):
                return None
            own = parts[index].transpose(0, 1) if reader.swapped else parts[index]
            return own.reshape(made.shape).to(made.dtype).clone()  # some models go on to change it in place

        return replace

    with _hooked(readers, hook_for):
        yield
