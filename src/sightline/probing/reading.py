"""Reading what a model gives back: one tensor of floats (batch, tokens, …), whatever it comes wrapped in.

Shapes: B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor

from sightline.errors import InputError

FIRST = ("logits", "last_hidden_state")  # what is read before all else, where it is there


def parts_of(output: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Every tensor within, by its name: `logits`, `0`, `hidden_states.1`."""
    if isinstance(output, Tensor):
        yield path, output
    elif depth > 2 or isinstance(output, str | bytes):
        return
    elif isinstance(output, Mapping):
        for name, part in output.items():
            yield from parts_of(part, f"{path}.{name}".lstrip("."), depth + 1)
    elif is_dataclass(output) and not isinstance(output, type):
        for field in fields(output):
            yield from parts_of(getattr(output, field.name), f"{path}.{field.name}".lstrip("."), depth + 1)
    elif isinstance(output, Sequence):
        for index, part in enumerate(output):
            yield from parts_of(part, f"{path}.{index}".lstrip("."), depth + 1)


def _fits(tensor: Tensor, rows: int, tokens: int) -> bool:
    return tensor.is_floating_point() and tensor.dim() >= 2 and tuple(tensor.shape[:2]) == (rows, tokens)


def _listed(parts: Mapping[str, Tensor]) -> str:
    said = [f"{name or 'a tensor'} {tuple(part.shape)} of {part.dtype}" for name, part in list(parts.items())[:4]]
    return ", ".join(said) or "no tensor at all"


def read(output: object, rows: int, tokens: int, wanted: str = "auto") -> Tensor:
    """The floats (B, T, …) in what a model gave back.

    wanted  "auto": logits, else last_hidden_state, else the first that fits; or a name, such as `hidden_states.0`

    Raises InputError that lists what there was, where nothing fits.
    """
    parts = dict(parts_of(output))
    if wanted != "auto":
        chosen = parts.get(wanted)
        if chosen is None or not _fits(chosen, rows, tokens):
            raise InputError(
                f"output={wanted!r} names no floats ({rows}, {tokens}, …) among {_listed(parts)};"
                ' pass output="auto" or the name of one that has a row of numbers for each token'
            )
        return chosen
    for name in [*(name for name in FIRST if name in parts), *parts]:
        if _fits(parts[name], rows, tokens):
            return parts[name]
    raise InputError(
        f"the model gave {_listed(parts)} for ids ({rows}, {tokens}); to be probed it must give floats (batch,"
        " tokens, …): one row of numbers for each token; wrap it in a function that returns those"
    )


def finite(outputs: Tensor) -> bool:
    """Whether no number is infinite or none at all."""
    return bool(torch.isfinite(outputs).all())
