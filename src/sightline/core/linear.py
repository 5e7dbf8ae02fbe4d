"""Linear: the one place where dense layers compute, so that a faster engine is swapped in once.

oneDNN makes better use of an x86 core when a weight was packed beforehand than PyTorch does with one in plain rows. So
a weight that is used without gradients on a CPU is packed at its first use, and again after it was changed
(`docs/performance.md` has the measurements).
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook


@cache
def _packable_types() -> frozenset[torch.dtype]:
    """What oneDNN packs on this machine; nothing where the build or the processor has none."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return frozenset()
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return frozenset({torch.float32, torch.bfloat16})
    return frozenset({torch.float32})


class _Steps:
    """How many steps all optimizers have taken."""

    taken = 0


def _count_step(*step: object) -> None:
    _Steps.taken += 1


register_optimizer_step_post_hook(_count_step)


class PackedWeight:
    """A weight's packed copy, made when first wanted and made anew when the weight is another or was written to.

    PyTorch's version counter tells of writes, but not of those by fused optimizers and those through `weight.data`. So
    any optimizer's step outdates every copy, and a pass with gradients, which needs none, gives it up. What stays
    unseen is a write through `weight.data` between two passes without gradients.
    """

    def __init__(self) -> None:
        # One value, replaced as a whole: another thread may ask for the copy while this one gives it up.
        self.held: tuple[Tensor, tuple[int, int], Tensor] | None = None  # the weight, its state, the copy

    def forget(self) -> None:
        """Give the copy up; the next use makes it anew."""
        self.held = None

    def of(self, weight: Tensor) -> Tensor:
        """The packed form of `weight` (out, in)."""
        held, state = self.held, (weight._version, _Steps.taken)
        if held is None or held[1] != state or not held[0].is_set_to(weight):
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
            # The weight is held too, so that its memory cannot become another's.
            held = self.held = weight.detach(), state, packed
        return held[2]

    def __deepcopy__(self, memo: dict[int, object]) -> PackedWeight:
        return PackedWeight()

    def __reduce__(self) -> tuple[type[PackedWeight], tuple[()]]:
        return PackedWeight, ()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, packed: PackedWeight) -> Tensor:
    """x (…, in) · weight (out, in) transposed + bias (out), by the packed weight where that is possible."""
    learning = torch.is_grad_enabled()
    if learning:
        packed.forget()
    plain = (
        learning
        or torch.compiler.is_compiling()
        or weight.device.type != "cpu"
        or weight.dtype not in _packable_types()
        or weight.is_inference()
        or x.dtype != weight.dtype
        or torch.is_autocast_enabled("cpu")
        or x.numel() == 0
    )
    if plain:
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, packed.of(weight), bias, "none", [], "")


class Linear(nn.Linear):
    """A dense layer, (…, in) → (…, out). Parameters `weight` (out, in) and `bias` (out), as in PyTorch."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.packed = PackedWeight()

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias, self.packed)
