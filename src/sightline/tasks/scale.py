"""The scale of numbers that are learned: a network learns them with mean 0 and deviation 1, and answers in their own.

Afterwards mean and deviation are folded into the weights, so that whoever opens the model, transformers too, needs to
know nothing of this.

Shapes: N rows, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import torch
from numpy.typing import NDArray
from torch import nn

from sightline.errors import UnsupportedError
from sightline.model.heads import sequence_head
from sightline.model.model import Model
from sightline.text.labelled import Examples


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of the targets; 0 and 1 of classes, which stay as they are."""

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, examples: Examples) -> Scale:
        """That of these rows."""
        if examples.labels is not None:
            return cls()
        deviation = float(examples.targets.std())
        return cls(float(examples.targets.mean()), deviation if deviation > 0 else 1.0)

    def standard(self, targets: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
        """Targets with mean 0 and deviation 1 (N,)."""
        return targets if self == Scale() else (targets - self.mean) / self.deviation

    def own(self, values: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
        """Answers in the targets' own numbers (N,)."""
        return values * self.deviation + self.mean


def _last_norm(model: Model) -> nn.LayerNorm:
    norms = [module for module in model.network.children() if isinstance(module, nn.LayerNorm)]
    if not norms:
        raise UnsupportedError("a regression head without a bias needs a network that ends in a norm")
    return norms[-1]


@torch.no_grad()
def fold_in(model: Model, scale: Scale) -> None:
    """Let a model that answers on the standard scale answer on the targets' own, in place."""
    if scale == Scale():
        return
    head = sequence_head(model.heads["classifier"])
    weight, bias = head.output.weight, dict(head.output.named_parameters()).get("bias")  # (1, W), (1)
    weight.mul_(scale.deviation)
    if bias is not None:
        bias.mul_(scale.deviation).add_(scale.mean)
        return
    # GPT-2's head has no bias. What the head reads is the network's last norm, or a mean of it, and that has one: along
    # the head's own weights it moves every answer by the same.
    exact = weight[0].cpu().double()
    shift = scale.mean / exact.square().sum().clamp(min=1e-30) * exact
    _last_norm(model).bias.add_(shift.to(weight))
