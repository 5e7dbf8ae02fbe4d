"""Conditions: what must be known of a model before a difference between two of its outputs means anything.

Does the same input give the same output? If not, who draws at random? Do rows of one batch know of each other? What can
rounding do? All of it is found by running the model, none of it by looking at its code.

Shapes: R rows at once, T tokens, O outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import InputError, SightlineError
from sightline.probing.checks.rounding import DIGITS, GAP, Rounding, difference, find_rounding
from sightline.probing.scene import Scene
from sightline.probing.subject import ERRORS, Subject, in_a_line
from sightline.probing.untouched import untouched

LISTED = 3  # modules that a sentence names
NUMBERS = 2**24  # of outputs that are held at once
TOKENS = 512  # that are read at once: as many as matrix products are fast with


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """What was found.

    deterministic  whether the same input gave the same output, random numbers being left to themselves
    seeded         whether it did where random numbers begin alike, as they do in all that is measured
    cause          of an output that changes: in a sentence; empty where none does
    rows           how many rows are read at once: one where rows of a batch change each other's outputs
    mates          by how much a row changed where only others of its batch did
    batch          by how much a row alone differs from the same row in a batch
    noise          what a difference must exceed by far: runs and places in a batch that should agree and do not
    rounding       what rounding can do
    spread         the standard deviation of the outputs: the unit of all strengths
    broken         bool (O,): outputs that hold what is no number
    """

    deterministic: bool
    seeded: bool
    cause: str
    rows: int
    mates: float
    batch: float
    noise: float
    rounding: Rounding
    spread: float
    broken: Tensor


def rows_for(tokens: int, numbers: int) -> int:
    """How many rows of so many tokens and outputs are read at once."""
    return max(1, min(TOKENS // tokens, NUMBERS // max(1, numbers), 32))


def _apart(one: Tensor, other: Tensor) -> float:
    return float(difference(one, other).max())


def _draws(module: nn.Module, scene: Scene, subject: Subject) -> list[str]:
    """The names of the innermost modules in which PyTorch's random numbers went on."""
    before: list[tuple[str, Tensor]] = []
    found: list[str] = []

    def enter(name: str) -> Any:
        return lambda module, given: before.append((name, torch.get_rng_state()))

    def leave(module: nn.Module, given: object, made: object) -> None:
        name, state = before.pop()
        inner = any(each.startswith(f"{name}.") for each in found) or (not name and bool(found))
        if not inner and not torch.equal(state, torch.get_rng_state()):
            found.append(name)

    handles: list[Any] = []
    for name, each in module.named_modules():
        handles += [each.register_forward_pre_hook(enter(name)), each.register_forward_hook(leave)]
    try:
        scene.run(subject, scene.ids)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(found))


def _cause(subject: Subject, scene: Scene, seeded: bool) -> str:
    """Why two runs differ, in a sentence."""
    if not seeded or subject.module is None:
        return "the same input gives different outputs, and not because of PyTorch's random numbers alone"
    training = any(each.training for each in subject.module.modules())
    names = [name or type(subject.module).__name__ for name in _draws(subject.module, scene, subject)]
    listed = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
    where = f" (drawn in {listed})" if names else ""
    with untouched(subject.module):
        subject.module.eval()
        settled = _apart(scene.run(subject, scene.ids), scene.run(subject, scene.ids, seeded=False)) == 0
    if training and settled:
        return f"the model is in training mode, and drops at random{where}: call model.eval()"
    return f"the model draws random numbers{where}, also in eval mode"


def _first(subject: Subject, scene: Scene) -> Tensor:
    """The scene as it is, for the first time; InputError where the model fails on it."""
    try:
        return scene.run(subject, scene.ids)
    except SightlineError:
        raise
    except ERRORS as error:
        raise InputError(f"{subject.name} fails on these {scene.tokens} tokens: {in_a_line(error)}") from error


@torch.no_grad()
def find_conditions(subject: Subject, scene: Scene) -> Conditions:
    """Run the scene several times, alone and in batches, changing nothing that should matter to it."""
    first = _first(subject, scene)
    other = scene.run(subject, scene.ids, seeded=False)
    again = scene.run(subject, scene.ids)
    repeats = _apart(first, again)
    deterministic = _apart(first, other) == 0 and repeats == 0
    rounding = find_rounding(subject, scene.ids, scene.inputs) if deterministic else _by_size(first)
    rows = rows_for(scene.tokens, first[0].numel())
    mates = batch = places = 0.0
    if rows > 1:
        same = scene.ids.repeat(rows, 1)
        whole = scene.run(subject, same)
        shuffled = same.clone()
        shuffled[1:] = subject.draw(rows - 1, scene.tokens, seed=scene.seed + 7).to(same)
        mates = _apart(scene.run(subject, shuffled)[0], whole[0])
        if deterministic:
            batch, places = _apart(whole[0], first[0]), _apart(whole, whole[:1].expand_as(whole))
        repeats = max(repeats, _apart(whole, scene.run(subject, same)))
    apart = mates >= rounding.something
    settled = first[torch.isfinite(first)].cpu().double()
    spread = float(settled.std()) if settled.numel() > 1 else 1.0
    return Conditions(
        deterministic=deterministic,
        seeded=repeats == 0,
        cause="" if deterministic else _cause(subject, scene, repeats == 0),
        rows=1 if apart else rows,
        mates=mates,
        batch=batch,
        noise=repeats if apart else max(repeats, mates, places),
        rounding=rounding,
        spread=spread if spread > 0 else 1.0,
        broken=first[0].isnan().any(-1).cpu(),
    )


def _by_size(outputs: Tensor) -> Rounding:
    """What rounding can do to outputs of this size, where they change by themselves."""
    size = float(outputs.nan_to_num(0.0, 0.0, 0.0).abs().max())
    nothing = DIGITS * torch.finfo(outputs.dtype).eps * max(size, 1e-30)
    return Rounding(nothing=nothing, something=GAP * nothing, digits=outputs.dtype, repeats=float("inf"))
