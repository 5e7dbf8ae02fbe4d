"""Ranks: several processes that take each optimizer step together, each with a part of its micro-batches.

    Li et al. 2020, "PyTorch Distributed: Experiences on Accelerating Data Parallel Training".

A step's loss is Σ weight · sum / count over all its micro-batches, wherever they are computed. So each process divides
by the counts of all, and their gradients are added up: how many they are changes nothing but rounding.

`fit` does so wherever the caller has made a process group; who saves and who reports is the caller's business. What
goes from process to process lies on the model's device, since NCCL knows no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Item = TypeVar("Item")


def world() -> int:
    """How many processes train together: 1 unless a process group was made, as by torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if world() > 1 else 0


def own_part(batches: Sequence[Item]) -> list[Item]:
    """Those of a step's micro-batches that this process computes; it may be none."""
    return list(batches[rank() :: world()])


def total(numbers: Mapping[str, Tensor], names: Iterable[str], device: torch.device) -> dict[str, Tensor]:
    """Each named () tensor, added up over all processes; those that have none of a name add nothing."""
    if world() == 1:
        return dict(numbers)
    names, like = list(names), next(iter(numbers.values()), torch.zeros((), device=device))
    held = torch.stack([numbers.get(name, torch.zeros_like(like)).detach().double() for name in names])
    dist.all_reduce(held)
    return {name: value.to(like.dtype) for name, value in zip(names, held, strict=True)}


def agreed(numbers: Mapping[str, float], names: Iterable[str], device: torch.device) -> dict[str, float]:
    """Each named number, as every process that has it has it."""
    if world() == 1:
        return dict(numbers)
    names = list(names)
    held = torch.tensor([numbers.get(name, -torch.inf) for name in names], dtype=torch.float64, device=device)
    dist.all_reduce(held, op=dist.ReduceOp.MAX)
    return dict(zip(names, held.tolist(), strict=True))


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up every parameter's gradient over all processes; one that has none in any of them goes on having none."""
    if world() == 1:
        return
    parameters = list(parameters)
    has = torch.tensor([each.grad is not None for each in parameters], dtype=torch.int32, device=parameters[0].device)
    dist.all_reduce(has)
    for parameter, count in zip(parameters, has.tolist(), strict=True):
        if count:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            dist.all_reduce(parameter.grad)
