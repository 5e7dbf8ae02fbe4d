"""Blocks whose inner results are not kept for the way back but computed again: less memory for a third more work.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sightline.model.model import Model


def _again(forward: Callable[..., Tensor], *given: Any, **named: Any) -> Tensor:
    result: Tensor = checkpoint(forward, *given, use_reentrant=False, **named)
    return result


@contextmanager
def recomputing(model: Model, wanted: bool = True) -> Iterator[None]:
    """Within, each block of the model but the first and the last keeps what it is given and no more, where that is
    `wanted`.

    The numbers are the same: what was drawn at random is drawn again. The first block keeps all, because some of what
    it draws is for all of them (`Sight.shared`) and would not be drawn a second time; so does the last, which may look
    by a sight of its own.
    """
    blocks = list(model.network.get_submodule("stack.blocks").children())[1:-1] if wanted else []
    for block in blocks:
        block.forward = partial(_again, block.forward)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
