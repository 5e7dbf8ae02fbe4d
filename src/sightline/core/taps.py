"""Taps: named intermediate results, read without changing a model.

A tap's name is the path of a module and what is read there:

    stack.blocks.3.input                 the hidden states that the block is given, (B, T, W)
    stack.blocks.3.output                those that it gives on; of both, zeros for padding that no block computed
    stack.blocks.3.attention.query       (B, H, Q, D); likewise key, value (B, H, K, D)
    stack.blocks.3.attention.weights     (B, H, Q, K): by the definition, from the queries and keys that the kernel was
                                         given, whichever kernel that was; before dropout
    stack.blocks.3.attention.context     (B, H, Q, D): what the kernel gave back

Shapes: B batch, T tokens, W model width, H heads, Q queries, K keys, D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from threading import get_ident
from typing import Any

from torch import Tensor, nn

from sightline.core.attention import Attention, Kernel, attention_weights
from sightline.core.block import Block
from sightline.core.packing import IN_ROWS, Packing
from sightline.errors import InputError

Named = dict[str, Any]
Reader = Callable[[Any, tuple[Any, ...], Named, Tensor], Tensor]  # a module, what it was given and by name, its result


def _in_rows(named: Named, x: Tensor) -> Tensor:
    packing: Packing = named.get("packing", IN_ROWS)
    return packing.unpack(x)


def _weights(kernel: Kernel, given: tuple[Any, ...], named: Named, context: Tensor) -> Tensor:
    query, key, _, sight, scores = given
    return attention_weights(query, key, sight, scores=scores, scale=kernel.scale)


_OF_BLOCK: dict[str, Reader] = {
    "input": lambda block, given, named, result: _in_rows(named, given[0]),
    "output": lambda block, given, named, result: _in_rows(named, result),
}
_OF_KERNEL: dict[str, Reader] = {
    "query": lambda kernel, given, named, context: given[0],
    "key": lambda kernel, given, named, context: given[1],
    "value": lambda kernel, given, named, context: given[2],
    "weights": _weights,
    "context": lambda kernel, given, named, context: context,
}


def _taps(model: nn.Module) -> dict[str, tuple[nn.Module, Reader]]:
    """Of every tap, which module it hooks and how it reads."""
    found: dict[str, tuple[nn.Module, Reader]] = {}
    for path, module in model.named_modules():
        if isinstance(module, Block):
            found |= {f"{path}.{what}".lstrip("."): (module, read) for what, read in _OF_BLOCK.items()}
        elif isinstance(module, Attention):
            found |= {f"{path}.{what}".lstrip("."): (module.kernel, read) for what, read in _OF_KERNEL.items()}
    return found


def names(model: nn.Module) -> list[str]:
    """Every tap that the model has, in the order of its modules."""
    return list(_taps(model))


@contextmanager
def record(model: nn.Module, *patterns: str) -> Iterator[dict[str, Tensor]]:
    """Record the taps whose names match any of the patterns (`*` and `?` as in file names) while the block runs.

    Raises InputError for a pattern that matches nothing. A tap that is passed several times keeps the last result. What
    other threads ask the model meanwhile is not recorded.

        with record(model, "*.attention.weights") as seen:
            model(**inputs)
        seen["network.stack.blocks.0.attention.weights"]
    """
    present = _taps(model)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in present):
            raise InputError(f"no tap is named {pattern!r}; this model has {len(present)}, such as {list(present)[:3]}")
    seen: dict[str, Tensor] = {}
    thread = get_ident()

    def keep(name: str, read: Reader) -> Callable[[Any, tuple[Any, ...], Named, Tensor], None]:
        def hook(module: Any, given: tuple[Any, ...], named: Named, result: Tensor) -> None:
            if get_ident() == thread:
                seen[name] = read(module, given, named, result)

        return hook

    handles = [
        module.register_forward_hook(keep(name, read), with_kwargs=True)
        for name, (module, read) in present.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
