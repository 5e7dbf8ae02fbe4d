"""Taps: named intermediate results, read without changing a model.

A tap's name is the path of a module and what is read there:

    stack.blocks.3                       the hidden states that the block gives on, (B, T, W)
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
from typing import Any

from torch import Tensor, nn

from sightline.core.attention import Attention, Kernel, attention_weights
from sightline.core.block import Block
from sightline.errors import InputError

Reader = Callable[[Kernel, tuple[Any, ...], Tensor], Tensor]


def _weights(kernel: Kernel, given: tuple[Any, ...], context: Tensor) -> Tensor:
    query, key, _, sight, scores = given
    return attention_weights(query, key, sight, scores=scores, scale=kernel.scale)


_OF_KERNEL: dict[str, Reader] = {
    "query": lambda kernel, given, context: given[0],
    "key": lambda kernel, given, context: given[1],
    "value": lambda kernel, given, context: given[2],
    "weights": _weights,
    "context": lambda kernel, given, context: context,
}


def names(model: nn.Module) -> list[str]:
    """Every tap that the model has, in the order of its modules."""
    found = []
    for path, module in model.named_modules():
        if isinstance(module, Block):
            found.append(path)
        elif isinstance(module, Attention):
            found.extend(f"{path}.{what}" for what in _OF_KERNEL)
    return found


@contextmanager
def record(model: nn.Module, *patterns: str) -> Iterator[dict[str, Tensor]]:
    """Record the taps whose names match any of the patterns (`*` and `?` as in file names) while the block runs.

    Raises InputError for a pattern that matches nothing. A tap that is passed several times keeps the last result.

        with record(model, "*.attention.weights") as seen:
            model(**inputs)
        seen["network.stack.blocks.0.attention.weights"]
    """
    present = names(model)
    wanted = [name for name in present if any(fnmatchcase(name, pattern) for pattern in patterns)]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in present):
            raise InputError(f"no tap is named {pattern!r}; the first of this model's {len(present)} are {present[:3]}")
    modules, seen, handles = dict(model.named_modules()), dict[str, Tensor](), []

    def keep(name: str, read: Reader | None) -> Callable[..., None]:
        def hook(module: Any, given: tuple[Any, ...], result: Tensor) -> None:
            seen[name] = result if read is None else read(module, given, result)

        return hook

    for name in wanted:
        if name in modules:
            handles.append(modules[name].register_forward_hook(keep(name, None)))
        else:
            path, _, what = name.rpartition(".")
            handles.append(modules[f"{path}.kernel"].register_forward_hook(keep(name, _OF_KERNEL[what])))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
