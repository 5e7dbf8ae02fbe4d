"""Blocks that PyTorch compiles: what they compute one after another becomes a few kernels made for this shape."""

from __future__ import annotations

from sightline.model.model import Model


def compile_blocks(model: Model) -> None:
    """Let every block be compiled at its first step; the model stays the same in all else, and is saved as ever.

    Blocks are alike, so what is compiled for one serves all. A shape of rows that is new is compiled anew.
    """
    for block in model.network.get_submodule("stack.blocks").children():
        block.compile(dynamic=False)
