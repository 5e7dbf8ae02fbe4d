"""Random weights, as the papers draw them: normal with a small deviation, norms 1, biases 0.

GPT-2's projections back into the residual stream are drawn smaller by √(2 · layers) (Radford et al. 2019, section 2.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from sightline.core.block import Block


class WithoutDrawing(TorchFunctionMode):
    """PyTorch's layers draw random weights when they are made; without memory there is nothing to draw.

    Trying all the same would import PyTorch's compiler, a second of every cold start.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def initialize(
    model: nn.Module, names: Iterable[str], config: Any, seed: int, device: torch.device | str = "cpu"
) -> None:
    """Fill the named parameters of `model`, wherever they are still without data, by `seed`."""
    generator = torch.Generator().manual_seed(seed)
    small = _residual_projections(model)
    for name in names:
        path, _, leaf = name.rpartition(".")
        module = model.get_submodule(path)
        old = getattr(module, leaf)
        if isinstance(module, nn.LayerNorm) and leaf == "weight":
            tensor = torch.ones(old.shape)
        elif leaf == "bias":
            tensor = torch.zeros(old.shape)
        else:
            std = config.init_std / (2 * config.layers) ** 0.5 if path in small else config.init_std
            tensor = torch.empty(old.shape).normal_(0.0, std, generator=generator)
        module.register_parameter(leaf, nn.Parameter(tensor.to(device, old.dtype)))


def _residual_projections(model: nn.Module) -> set[str]:
    """Paths of the dense layers whose outputs a pre-norm block adds to its residual stream."""
    found = set()
    for path, module in model.named_modules():
        if isinstance(module, Block) and module.attention_residual.norm_first:
            found |= {f"{path}.attention.output", f"{path}.feed_forward.output"}
    return found
