"""Untouched: a model may be run in any way inside, and afterwards nothing of it has changed.

Training modes, what requires gradients, buffers (a BatchNorm's running mean, a ring of remembered keys), random numbers
and the default type are as they were before, also where something raised.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch
from torch import nn

from sightline.core.generators import set_back


class _Held:
    """What of a module could change."""

    def __init__(self, module: nn.Module) -> None:
        self.training = [(each, each.training) for each in module.modules()]
        self.wanted = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
        self.buffers = [(each, dict(each._buffers)) for each in module.modules() if each._buffers]
        held = {id(buffer): buffer for _, own in self.buffers for buffer in own.values() if buffer is not None}
        self.values = [(buffer, buffer.detach().clone()) for buffer in held.values()]

    def restore(self) -> None:
        for module, training in self.training:
            module.training = training
        for parameter, wanted in self.wanted:
            if parameter.requires_grad != wanted:
                parameter.requires_grad_(wanted)
        for module, own in self.buffers:
            module._buffers.update(own)  # the tensors themselves, where a forward pass put others in their place
        with torch.no_grad():
            for buffer, value in self.values:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


@contextmanager
def untouched(module: nn.Module | None, *, seed: int | None = None) -> Iterator[None]:
    """Run what is inside, then set everything back. With a seed, PyTorch's random numbers begin there.

    module  None where there is only a function: then random numbers and the default type are all there is

    >>> with untouched(None, seed=0):
    ...     first = torch.rand(1)
    >>> with untouched(None, seed=0):
    ...     bool(torch.rand(1) == first)
    True
    """
    held = None if module is None else _Held(module)
    kind, python, numbers = torch.get_default_dtype(), random.getstate(), numpy.random.get_state()
    with set_back():
        try:
            if seed is not None:
                seed_everything(seed)
            yield
        finally:
            torch.set_default_dtype(kind)
            random.setstate(python)
            numpy.random.set_state(numbers)
            if held is not None:
                held.restore()


def seed_everything(seed: int) -> None:
    """Let all that draws at random begin at `seed`: PyTorch on every device, Python and NumPy."""
    torch.manual_seed(seed)
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
