"""Random numbers of a training step: they come from (seed, step), and the caller's generators stay as they were.

So a step's dropout does not depend on what ran before it: a training that goes on from a checkpoint draws the same
numbers as one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy

from sightline.core.generators import set_back


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """A number of 63 bits for each seed, step and process.

    Through a hash: by seed + step, the second step of seed 0 would repeat the first of seed 1.
    """
    of = (seed, step, rank) if rank else (seed, step)
    return int(numpy.random.SeedSequence(of).generate_state(1, numpy.uint64)[0] >> 1)


@contextmanager
def randomness(seed: int, step: int, rank: int = 0) -> Iterator[None]:
    """Within, torch's default generators count from (seed, step), each of several processes from a place of its own;
    after it, from where they were."""
    with set_back() as generators:
        for generator in generators:
            generator.manual_seed(step_seed(seed, step, rank))
        yield
