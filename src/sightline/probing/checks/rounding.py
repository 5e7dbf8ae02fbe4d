"""Where rounding ends and dependence begins, found on the model itself.

A difference is rounding where it is no larger than what a last digit changed in every input could do; it is real where
it is many times that. Between the two nobody can tell, and the audit says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sightline.probing.subject import Subject

TRIALS = 5  # of changed last digits
DIGITS = 16  # roundings in a row that are still taken for one
GAP = 32  # how many times that a difference must be to be real

Verdict = Literal["same", "different", "unclear"]


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """What rounding can do to one subject's outputs, in their own unit.

    nothing    differences up to here are rounding
    something  differences from here on are real
    digits     the coarsest type in which anything was computed
    repeats    by how much two runs on the same input differed
    """

    nothing: float
    something: float
    digits: torch.dtype
    repeats: float

    def tell(self, difference: float) -> Verdict:
        """What a difference is; one that is no number is real."""
        if difference <= self.nothing:
            return "same"
        return "unclear" if difference < self.something else "different"


class _Coarsest(TorchFunctionMode):
    """Which floating types results have while the block runs: a copy in float64 may still round to float32 inside."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.is_floating_point() and made.numel() > 1:
            self.seen.add(made.dtype)
        return made


def difference(one: Tensor, other: Tensor) -> Tensor:
    """How far two outputs are apart, each number; infinite where either is none and the other is not."""
    apart = (one - other).abs()
    same = (one == other) | (one.isnan() & other.isnan())
    return torch.where(same, torch.zeros_like(apart), apart.nan_to_num(nan=torch.inf, posinf=torch.inf))


def find_rounding(subject: Subject, ids: Tensor, inputs: Mapping[str, Tensor]) -> Rounding:
    """What rounding can do, found on one row of ids (1, T)."""
    with torch.no_grad():
        with _Coarsest() as types:
            first = subject.call(ids, inputs)
        again = [subject.call(ids, inputs) for _ in range(2)]
        repeats = max(float(difference(first, each).max()) for each in again)
        moved = _moved(subject, ids, inputs)
    coarsest = max({*types.seen, first.dtype}, key=lambda kind: torch.finfo(kind).eps)
    size = float(first.nan_to_num(0.0, 0.0, 0.0).abs().max())
    nothing = DIGITS * torch.finfo(coarsest).eps * max(size, moved, 1e-30)
    return Rounding(nothing=nothing, something=GAP * nothing, digits=coarsest, repeats=repeats)


def _moved(subject: Subject, ids: Tensor, inputs: Mapping[str, Tensor]) -> float:
    """How much outputs move for each part by which all inputs move at once; 0 where vectors cannot be given."""
    if subject.vectors is None:
        return 0.0
    vectors = subject.vectors(ids)
    step = max(1e-6, 256 * torch.finfo(vectors.dtype).eps)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(TRIALS, *vectors.shape[1:], generator=generator, dtype=torch.float64).to(vectors)
    held = {**inputs, "input_ids": ids}
    plain = subject.call(vectors, held)
    moved = subject.call(vectors * (1 + step * drawn), held) - plain
    median = float(moved.flatten(1).abs().amax(-1).median()) / step
    return median if median < float("inf") else 0.0  # NaN and infinity compare false
