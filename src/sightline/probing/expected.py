"""Expected: which output may, and which must, depend on which input, from a mask and the layers that it goes through.

A stack's sight is the mask and each token itself through the residual, once for every layer: what a token knows after
some layers, those that see it learn in the next. Where the layers are known, whom an output may know is whom it must
know. Where they are not, it may know whoever is reached through any number of them, and must know whom it sees itself.

Shapes: T tokens, Q that ask, K that answer, O outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask
from sightline.core.sight import Sight
from sightline.errors import ConfigError, InputError
from sightline.model.model import Model
from sightline.probing.scene import Scene
from sightline.probing.subject import Subject

Expect = Mask | str | Tensor | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Expected:
    """Bool (O, T) each, on the CPU; `text` says where they come from.

    may    may depend: what else does leaks
    must   must depend: what does not is missing
    """

    may: Tensor
    must: Tensor
    text: str


def reach(tables: Sequence[Tensor], known: Tensor) -> Tensor:
    """What those that ask know after layers that see as each table (Q, T) says, bool (Q, T).

    known  what they know before the first, bool (Q, T); the first T of them are the tokens
    """
    tokens = known.shape[1]
    for table in tables:
        learned = table.to(torch.float32) @ known[:tokens].to(torch.float32) > 0
        known = known | learned
    return known


def closure(table: Tensor, known: Tensor) -> Tensor:
    """What they know after as many layers as it takes until nobody learns more."""
    while True:
        more = reach([table], known)
        if torch.equal(more, known):
            return known
        known = more


def coordinates_of(scene: Scene) -> Coordinates:
    """Where the tokens of a scene stand, from what the model is told of them."""
    told = scene.inputs
    at = Coordinates.consecutive(scene.tokens)
    if "attention_mask" in told and not bool(scene.real.all()):
        at = Coordinates.padded(scene.real[None])
    position = told.get("position_ids", at.position).cpu().long()
    document, rank, types = (
        None if name not in told else told[name].cpu() for name in ("documents", "ranks", "token_type_ids")
    )
    return Coordinates(position=position, real=at.real, document=document, rank=rank, token_type=types)


def _sights(model: Model, subject: Subject, scene: Scene) -> list[Sight]:
    """What the model made of its mask in each call of the scene: who asked, who answered, who saw whom."""
    seen: list[Sight] = []

    def keep(network: nn.Module, given: tuple[Any, ...]) -> None:
        seen.append(given[1])

    handle = model.network.register_forward_pre_hook(keep)
    try:
        with torch.no_grad():
            scene.run(subject, scene.ids)
    finally:
        handle.remove()
    return seen


def _table(sights: Sequence[Sight], limit: Mask | None, scene: Scene) -> Tensor:
    """Who sees whom in a layer with that limit, bool (Q, T), the calls one below the other."""
    tokens, begin, parts = scene.tokens, 0, []
    for sight in sights:
        own = sight.limited(limit).table[0].cpu()  # (Q', K), the last K of all that came so far
        asking = scene.past if scene.past and begin == 0 else tokens - begin
        end = begin + asking
        table = torch.zeros(own.shape[0], tokens, dtype=torch.bool)
        kept = min(own.shape[1], end)
        table[:, end - kept : end] = own[:, own.shape[1] - kept :]
        parts.append(table)
        begin = end
    return torch.cat(parts)


def declared(subject: Subject, scene: Scene) -> Expected | None:
    """What the model itself says, through all its layers; None where it says nothing."""
    if subject.declared is None or not isinstance(subject.module, Model):
        return None
    sights = _sights(subject.module, subject, scene)
    tables = [_table(sights, limit, scene) for limit in subject.limits or ()]
    table = _table(sights, None, scene)
    known = torch.zeros(table.shape, dtype=torch.bool)
    known[: scene.tokens] = torch.eye(scene.tokens, dtype=torch.bool)
    known = reach(tables, known)
    asked = known[scene.tokens :] if len(known) > scene.tokens else known[scene.past :]
    layers = f"{len(tables)} layer{'s' if len(tables) != 1 else ''}"
    limits = sorted({str(limit) for limit in subject.limits or () if limit is not None})
    of_some = f", some of which see {' or '.join(limits)} of it" if limits else ""
    return Expected(may=asked, must=asked, text=f"{subject.declared}, through {layers}{of_some} (as the model says)")


def expected(subject: Subject, scene: Scene, expect: Expect, layers: int | None = None) -> Expected | None:
    """Who should know whom in this scene: as the caller says, else as the model says, else None.

    expect  a mask or its text form; or a table, bool (O, T), which is taken as it is
    layers  of how many layers the mask is; None: nobody knows

    Raises InputError for a table of another shape, ConfigError for a text that is no mask and for layers of none.
    """
    if layers is not None and (layers < 1 or expect is None or isinstance(expect, Tensor)):
        raise ConfigError(f"layers={layers} says through how many layers the mask goes that expect=… names, 1 or more")
    if expect is None:
        return declared(subject, scene)
    outputs = len(scene.asked)
    if isinstance(expect, Tensor):
        if tuple(expect.shape) != (outputs, scene.tokens) or expect.dtype != torch.bool:
            raise InputError(
                f"expect is a tensor of {expect.dtype}, {tuple(expect.shape)}; it must be bool, one row for each of"
                f" {outputs} outputs and one column for each of {scene.tokens} inputs"
            )
        return Expected(may=expect.cpu(), must=expect.cpu(), text="the caller's table")
    mask = Mask.parse(expect) if isinstance(expect, str) else expect
    if outputs != scene.tokens - scene.past:
        raise InputError("what targets should see is told by a table, bool (targets, tokens), not by a mask")
    at = coordinates_of(scene)
    table = Sight(mask, at, at).table[0].clone()
    table[: scene.past, scene.past :] = False  # what was read before saw nothing of what came after
    itself = torch.eye(scene.tokens, dtype=torch.bool)
    if layers is None:
        may, must = closure(table, itself), table
    else:
        may = must = reach([table] * layers, itself)
    depth = "any number of layers" if layers is None else f"{layers} layers"
    return Expected(
        may=may[scene.past :], must=must[scene.past :], text=f"{mask}, through {depth} (as the caller says)"
    )
