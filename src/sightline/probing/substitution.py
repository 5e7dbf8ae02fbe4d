"""Substitution: put something else in one place at a time and see which outputs change.

Two kinds of something else: other tokens, and other vectors than the embedding's, of several sizes. Every changed row
is compared with the unchanged row at the same place of a batch of the same shape, so that what does not depend comes
out bit for bit alike wherever kernels work row by row.

Shapes: R rows at once, T tokens, C columns: the places that are changed, O outputs, V numbers of each, W width of
vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.probing.scene import Scene
from sightline.probing.subject import Subject

SIZES = (1.0, 8.0)  # of the noise that is added to a vector, in its own size; the first alone where draws are few
Bases = dict[int, Tensor]  # outputs of the unchanged rows, of ids (2 dimensions) and of vectors (3)
LONG = 32  # numbers of an output from which on two of its changes do not look alike by chance


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One way of putting something else in every place: a token where size is None, else a vector."""

    seed: int
    size: float | None = None


def draws_for(subject: Subject, substitutes: int, seed: int) -> tuple[Draw, ...]:
    """So many draws: tokens, and one of vectors where the model takes them."""
    vectors = 0 if subject.vectors is None or substitutes < 2 else 1 + (substitutes > 4)
    tokens = [Draw(seed=seed + number) for number in range(substitutes - vectors)]
    return (*tokens, *(Draw(seed=seed + 1000 + number, size=SIZES[number]) for number in range(vectors)))


def others(subject: Subject, own: Tensor, seed: int) -> Tensor:
    """For each id (T,) another one, drawn among those allowed: int64 (T,)."""
    allowed = subject.allowed_ids()
    generator = torch.Generator().manual_seed(seed)
    drawn = allowed[torch.randint(len(allowed), own.shape, generator=generator)]
    after = allowed[(torch.searchsorted(allowed, own.contiguous()) + 1) % len(allowed)]
    return torch.where(drawn == own, after, drawn)


def _replacements(subject: Subject, scene: Scene, draw: Draw) -> tuple[Tensor, Tensor]:
    """The row as it is (1, T) or (1, T, W), and what stands in each place instead, (T,) or (T, W)."""
    if draw.size is None or subject.vectors is None:
        return scene.ids, others(subject, scene.ids[0].cpu(), draw.seed).to(scene.ids.device)
    plain = subject.vectors(scene.ids)
    generator = torch.Generator().manual_seed(draw.seed)
    noise = torch.randn(plain.shape[1:], generator=generator, dtype=torch.float64).to(plain)
    size = plain[0].cpu().double().square().mean().sqrt().clamp(min=1e-6).to(plain)
    return plain, plain[0] + noise * size * draw.size


def _changes(subject: Subject, scene: Scene, columns: Tensor, draw: Draw, rows: int, bases: Bases) -> Iterator[Tensor]:
    """By how much each number of each output moves: (C', O, V), a block of columns at a time."""
    plain, instead = _replacements(subject, scene, draw)
    unchanged = plain.repeat(rows, *[1] * (plain.dim() - 1))
    if plain.dim() not in bases:
        bases[plain.dim()] = scene.run(subject, unchanged)
    base = bases[plain.dim()]
    for some in columns.split(rows):
        changed = unchanged.clone()
        changed[torch.arange(len(some)), some] = instead[some]
        outputs = scene.run(subject, changed)
        yield torch.where(_same(outputs, base), 0.0, outputs - base)[: len(some)]


def _same(one: Tensor, other: Tensor) -> Tensor:
    return (one == other) | (one.isnan() & other.isnan())


@torch.no_grad()
def substitute(subject: Subject, scene: Scene, columns: Tensor, draws: tuple[Draw, ...], rows: int) -> Tensor:
    """By how much each output moves when one place is changed: the largest change of any of its numbers in any draw,
    float64 (O, C). Infinite where a number appears or vanishes."""
    bases: Bases = {}
    found = []
    for draw in draws:
        changes = _changes(subject, scene, columns, draw, rows, bases)
        found.append(torch.cat([_largest(each) for each in changes]).T.cpu().double())
    return torch.stack(found).amax(0)


def _largest(changes: Tensor) -> Tensor:
    """Of (C', O, V), the largest number of each output, (C', O)."""
    return changes.abs().nan_to_num(nan=torch.inf, posinf=torch.inf).amax(-1)


@torch.no_grad()
def compare(
    one: Subject, other: Subject, scene: Scene, columns: Tensor, draws: tuple[Draw, ...], rows: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same changes made to two subjects: by how much each one's outputs move, float64 (O, C) twice, and the cosine
    between both changes, (O, C): the highest of all draws, 0 where one of them does not move or an output is short."""
    ours: Bases = {}
    theirs: Bases = {}
    found: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for draw in draws:
        pairs = zip(
            _changes(one, scene, columns, draw, rows, ours),
            _changes(other, scene, columns, draw, rows, theirs),
            strict=True,
        )
        parts = zip(*((_largest(own), _largest(finer), _cosine(own, finer)) for own, finer in pairs), strict=True)
        for kept, part in zip(found, parts, strict=True):
            kept.append(torch.cat(part).T.cpu().double())
    before, moved, alike = (torch.stack(each).amax(0) for each in found)
    return before, moved, alike


def _cosine(one: Tensor, other: Tensor) -> Tensor:
    """Between changes (C', O, V), float64 (C', O)."""
    if one.shape[-1] < LONG:
        return torch.zeros(one.shape[:2], dtype=torch.float64)
    one, other = one.cpu().double(), other.cpu().double()
    return ((one * other).sum(-1) / (one.norm(dim=-1) * other.norm(dim=-1)).clamp(min=1e-300)).nan_to_num(nan=0.0)
