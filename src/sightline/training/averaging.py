"""The mean of the weights over the last steps of a training.

    Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization"; Hägele et al. 2024,
    "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", section 4.

The steps of a high learning rate go to and fro about a valley's floor; their mean lies nearer to it than any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_PREFIX = "mean/"


class Averaging:
    """The running mean of parameters, each as it was after every step that was added.

    >>> averaging = Averaging({"weight": weight})  # doctest: +SKIP
    >>> averaging.add()
    >>> with averaging.in_place(): model(ids)
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters = parameters
        self.means: dict[str, Tensor] = {}
        self.steps = 0

    @torch.no_grad()
    def add(self) -> None:
        """Count the weights as they are now."""
        self.steps += 1
        for name, parameter in self.parameters.items():
            if name in self.means:
                self.means[name].lerp_(parameter.detach(), 1 / self.steps)
            else:
                self.means[name] = parameter.detach().clone()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within, the parameters have their means, where there are any; after it, their own values again."""
        own = {name: self.parameters[name].detach().clone() for name in self.means}
        self.take()
        try:
            yield
        finally:
            self._set(own)

    def take(self) -> None:
        """Let the parameters have their means, where there are any, for good."""
        self._set(self.means)

    @torch.no_grad()
    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.parameters[name].copy_(value)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint has to hold beside `steps`."""
        return {_PREFIX + name: mean for name, mean in self.means.items()}

    def restore(self, steps: int, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        self.steps = steps
        self.means = {
            name: tensors[_PREFIX + name].to(parameter.device, copy=True)
            for name, parameter in self.parameters.items()
            if _PREFIX + name in tensors
        }
