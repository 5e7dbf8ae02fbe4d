"""Gradient: how each output's numbers change with the vectors that stand for the tokens.

One backward pass for each output and projection: the numbers of an output are added up with random weights, several
times, since any one sum may cancel. Several outputs go together, each in a copy of the row of its own.

Shapes: R copies of the row at once, T tokens, O outputs, N outputs that are asked, W width of vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sightline.errors import UnsupportedError
from sightline.probing.scene import Scene, quiet
from sightline.probing.subject import ERRORS, Subject, in_a_line


def by_gradient(subject: Subject, scene: Scene, asked: Tensor, projections: int, rows: int) -> Tensor:
    """How much output i moves with token j's vector, float64 (N, T): the largest of all projections.

    asked  which of the outputs, int64 (N,): their rows

    In units of the output, for a change of the vector by its own size. NaN where a gradient is none. Raises
    UnsupportedError where nothing connects outputs with vectors, or a kernel has no backward pass.
    """
    if subject.vectors is None:
        raise UnsupportedError("no embedding was found that reads the ids, so there is nothing to differentiate by")
    plain = subject.vectors(scene.ids).detach()
    size = plain.cpu().double().square().sum(-1).mean().sqrt()
    generator = torch.Generator().manual_seed(scene.seed)
    found = []
    with quiet(subject), torch.enable_grad():
        for some in asked.split(rows):
            vectors = plain.repeat(len(some), 1, 1).requires_grad_()
            outputs = _outputs(subject, scene, vectors)[torch.arange(len(some)), some]  # (R, V)
            best = torch.zeros(len(some), scene.tokens, dtype=torch.float64)
            for number in range(projections):
                weights = torch.randn(outputs.shape[1], generator=generator).to(outputs)
                total = (outputs * (weights / weights.norm())).sum()
                last = number == projections - 1
                best = torch.maximum(best, _sizes(total, vectors, last))
            found.append(best * float(size))
    return torch.cat(found)


def _outputs(subject: Subject, scene: Scene, vectors: Tensor) -> Tensor:
    try:
        outputs = scene.run(subject, vectors)
    except ERRORS as error:
        raise UnsupportedError(f"its forward pass has no gradient: {in_a_line(error)}") from error
    if not outputs.requires_grad:
        raise UnsupportedError("nothing connects its outputs with the vectors of its tokens: the path is detached")
    return outputs


def _sizes(total: Tensor, vectors: Tensor, last: bool) -> Tensor:
    """The length of the gradient to each token's vector, float64 (R, T)."""
    try:
        (gradient,) = torch.autograd.grad(total, vectors, retain_graph=not last, allow_unused=True)
    except ERRORS as error:
        raise UnsupportedError(f"a kernel of it has no backward pass: {in_a_line(error)}") from error
    if gradient is None:
        raise UnsupportedError("nothing connects its outputs with the vectors of its tokens: the path is detached")
    return gradient.cpu().double().norm(dim=-1)
