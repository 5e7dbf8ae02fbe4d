"""Random numbers of a training step: from (seed, step), and nobody else's are touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy
import torch


def step_seed(seed: int, step: int) -> int:
    """A number of 63 bits that differs for every seed and step.

    Through a hash: seed + step would let the second step of seed 0 repeat the first of seed 1.
    """
    return int(numpy.random.SeedSequence((seed, step)).generate_state(1, numpy.uint64)[0] >> 1)


@contextmanager
def randomness(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """Within, torch's generators of the CPU and of `device` count from (seed, step); after it they are as before."""
    devices = [device] if device.type != "cpu" else []
    kind = device.type if devices else "cuda"
    with torch.random.fork_rng(devices, device_type=kind):
        torch.manual_seed(step_seed(seed, step))
        yield
