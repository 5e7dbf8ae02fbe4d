"""Linear: the one place where dense layers compute, so that a faster engine is swapped in once.

PyTorch's float32 matrix product reaches two fifths of what an x86 core can do when the weight lies in plain rows;
oneDNN reaches nine tenths when the weight was packed beforehand. So a weight that is used without gradients on a CPU is
packed at its first use, and again after it was changed (`docs/performance.md` has the measurements).
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@cache
def _packable_types() -> frozenset[torch.dtype]:
    """What oneDNN packs on this machine; nothing where the build or the processor has none."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return frozenset()
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return frozenset({torch.float32, torch.bfloat16})
    return frozenset({torch.float32})


class PackedWeight:
    """A weight's packed copy, made when first wanted and made anew when the weight is another or was written to.

    PyTorch's version counter tells of writes; it is blind to writes through `weight.data`, which PyTorch discourages.
    """

    def __init__(self) -> None:
        self.source: Tensor | None = None  # held so that its memory cannot become another weight's
        self.version = -1
        self.packed: Tensor | None = None

    def of(self, weight: Tensor) -> Tensor:
        """The packed form of `weight` (out, in)."""
        source = self.source
        if source is None or not source.is_set_to(weight) or self.version != weight._version:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
            self.source, self.version = weight.detach(), weight._version
        return self.packed  # type: ignore[return-value]

    def __deepcopy__(self, memo: dict[int, object]) -> PackedWeight:
        return PackedWeight()

    def __reduce__(self) -> tuple[type[PackedWeight], tuple[()]]:
        return PackedWeight, ()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, packed: PackedWeight) -> Tensor:
    """x (…, in) · weight (out, in) transposed + bias (out), by the packed weight where that is possible."""
    plain = (
        torch.is_grad_enabled()
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
