"""A device that there is not: tensors that may meet no others and have no float64, as on an Apple GPU, without one.

    far = carried(model)
    with Elsewhere():
        far(ids)

They compute on the CPU and say that their device is `meta`, the only one besides the CPU that every PyTorch knows. Two
things of PyTorch's pass them by, so that not every verb can be run on them: `tolist`, and `torch.tensor(…, device=…)`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from sightline.model.model import Model

aten = torch.ops.aten
COPIES = {aten._to_copy.default, aten.copy_.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}


def _numbers(dtype: torch.dtype) -> torch.dtype:
    if dtype == torch.float64:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
    return dtype


class Far(Tensor):
    """A tensor on that device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Far":
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]  # its stubs lack it
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=_numbers(inner.dtype),
            device="meta",
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


def _check(func: Any, args: Sequence[Any], tensors: list[Tensor]) -> None:
    """Raise where tensors of two places meet; single numbers, empty ones and indices from the CPU may."""
    near = any(not isinstance(each, Far) and each.dim() and each.numel() for each in tensors)
    if func in COPIES or not near or (func in INDEXED and isinstance(args[0], Far)):
        return
    if any(isinstance(each, Far) for each in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device, but found two at {func}")


def _run(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    _check(func, args, tensors)
    held = {id(each.inner): each for each in tensors if isinstance(each, Far)}
    far = isinstance(args[0], Far) if func is aten.copy_.default else bool(held)
    if kwargs.get("device") is not None:
        far, kwargs["device"] = torch.device(kwargs["device"]).type == "meta", torch.device("cpu")
    given, named = tree_map(lambda each: each.inner if isinstance(each, Far) else each, (args, kwargs))
    made = func(*given, **named)

    def placed(each: Any) -> Any:
        return held.get(id(each), Far(each)) if far and isinstance(each, Tensor) else each

    return tree_map(placed, made)


class Elsewhere(TorchDispatchMode):
    """Within, tensors can be sent there and made there."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, dict(kwargs or {}))


def carried(model: Model) -> Model:
    """The model itself, its weights and buffers on that device, in float32."""
    for each in model.float().modules():
        for name, weight in each._parameters.items():
            if weight is not None:
                each._parameters[name] = nn.Parameter(Far(weight.detach()), requires_grad=weight.requires_grad)
        each._buffers.update({name: Far(own) for name, own in each._buffers.items() if own is not None})
    return model
