"""Activations, by the names that checkpoints use. Hendrycks and Gimpel 2016, "Gaussian Error Linear Units (GELUs)"."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.errors import ConfigError


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _gelu_10(x: Tensor) -> Tensor:
    return F.gelu(x).clamp(-10.0, 10.0)


def _quick_gelu(x: Tensor) -> Tensor:
    return x * (1.702 * x).sigmoid()


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _sqrt_softplus(x: Tensor) -> Tensor:
    return F.softplus(x).sqrt()


def _identity(x: Tensor) -> Tensor:
    return x


def _laplace(x: Tensor) -> Tensor:
    """Ma et al. 2022, "Mega", section 3.3."""
    return 0.5 * (1.0 + ((x - 0.707107) / (0.282095 * math.sqrt(2.0))).erf())


# Named functions, no lambdas: a process that a model is sent to looks them up by name.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "gelu_10": _gelu_10,
    "gelu_new": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_accurate": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_python_tanh": _gelu_tanh,
    "quick_gelu": _quick_gelu,
    "relu": F.relu,
    "relu2": _relu_squared,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "hardswish": F.hardswish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "laplace": _laplace,
    "sqrtsoftplus": _sqrt_softplus,
    "linear": _identity,
}


def activation(name: object) -> Callable[[Tensor], Tensor]:
    """The elementwise function of that name; raises ConfigError where there is none."""
    if not isinstance(name, str):
        raise ConfigError(f"activation={name!r} must be a name, such as 'gelu'")
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation={name!r} is not known; choose one of {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[name]
