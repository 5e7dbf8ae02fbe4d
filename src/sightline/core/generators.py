"""Generators: where PyTorch's random numbers come from when nobody says from where, on every device in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generators() -> list[torch.Generator]:
    """The default generators of the CPU and of each GPU that this process could draw on."""
    found = [torch.default_generator]
    if torch.cuda.is_initialized():  # asking would initialize it, which takes seconds and memory
        found += torch.cuda.default_generators
    if torch.backends.mps.is_available():
        found.append(torch.mps._get_default_mps_generator())
    return found


@contextmanager
def set_back() -> Iterator[list[torch.Generator]]:
    """Give the generators; afterwards they go on from where they were.

    >>> with set_back() as held:
    ...     first = torch.rand(1)
    >>> bool(torch.rand(1) == first)
    True
    """
    held = generators()
    states = [generator.get_state() for generator in held]
    try:
        yield held
    finally:
        for generator, state in zip(held, states, strict=True):
            generator.set_state(state)
