"""Layers: where in a model two runs begin to differ, found by watching what goes into and out of each module.

Shapes: B rows, L places of a row, T tokens of the text, W whatever a module gives for each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sightline.core.packing import RealTokens
from sightline.probing.checks.rounding import DIGITS, GAP, difference
from sightline.probing.reading import parts_of
from sightline.probing.setup import Setup
from sightline.probing.staging import Stage
from sightline.probing.subject import Subject

WIDEST = 2**16  # numbers a token that are kept of one module; logits of large vocabularies are not
Event = tuple[str, str]  # a module's name and "input" or "output"


@dataclass(frozen=True, kw_only=True)
class First:
    """Where a difference is first seen.

    module    the name of the module that makes it; of a whole model, its class
    before    the part of it that is already given something else, where the difference is made by none of its parts
    position  which of the compared tokens is the first where it is seen
    size      by how much, in that layer's own numbers
    """

    module: str
    before: str
    position: int
    size: float

    def __str__(self) -> str:
        where = self.module + (f", before its {self.before}" if self.before else "")
        return f"{where}, at position {self.position} (by {self.size:.2g})"


class Watcher:
    """Keeps what goes into and out of each module for the row that is looked at, in order."""

    def __init__(self) -> None:
        self.pieces: dict[Event, list[Tensor]] = {}

    @contextmanager
    def watch(self, view: Subject, rows: int, begin: int, end: int) -> Iterator[None]:
        """Watch one call, of the places from `begin` to `end`."""
        if view.module is None:
            yield
            return
        shape, calls = (rows, end - begin), Counter[str]()

        def enter(name: str) -> Any:
            def hook(module: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
                calls[name] += 1
                self._keep((_numbered(name, calls[name]), "input"), (*given, *named.values()), named, shape)

            return hook

        def leave(name: str) -> Any:
            def hook(module: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any], made: Any) -> None:
                self._keep((_numbered(name, calls[name]), "output"), made, named, shape)

            return hook

        handles: list[Any] = []
        try:
            for name, module in view.module.named_modules():
                handles.append(module.register_forward_pre_hook(enter(name), with_kwargs=True))
                handles.append(module.register_forward_hook(leave(name), with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _keep(self, event: Event, found: object, named: Mapping[str, Any], shape: tuple[int, int]) -> None:
        packing = named.get("packing")
        for _, part in parts_of(found):
            if isinstance(packing, RealTokens) and part.is_floating_point() and part.dim() == 2:
                part = packing.unpack(part)
            fits = part.is_floating_point() and part.dim() > 2 and tuple(part.shape[:2]) == shape
            if fits and part[0, 0].numel() <= WIDEST:
                self.pieces.setdefault(event, []).append(part[0].detach().cpu().flatten(1).clone())
                return


def _numbered(name: str, call: int) -> str:
    return name if call == 1 else f"{name}#{call}"


def watched(stage: Stage, setup: Setup) -> dict[Event, Tensor]:
    """Every event of a run, in order, with the numbers of the text's tokens, (T, W)."""
    watcher = Watcher()
    stage.run(setup, watcher.watch)
    begin, tokens = setup.padding[0], len(setup.ids)
    places = tokens + sum(setup.padding)
    whole = {event: torch.cat(pieces) for event, pieces in watcher.pieces.items()}
    return {event: value[begin : begin + tokens] for event, value in whole.items() if len(value) == places}


def first_difference(stage: Stage, one: Setup, other: Setup, places: Sequence[tuple[int, int]]) -> First | None:
    """The first event in which the two differ beyond rounding, at the given pairs of tokens; None where none does."""
    ours, theirs = watched(stage, one), watched(stage, other)
    rows, columns = (torch.tensor(each) for each in zip(*places, strict=True))
    leaves = _leaves(stage.view(other).module)
    for event, value in theirs.items():
        mine = ours.get(event)
        if mine is None or mine.shape[1:] != value.shape[1:]:
            continue
        digits = max((mine.dtype, value.dtype), key=lambda kind: torch.finfo(kind).eps)
        before, after = mine[rows].double(), value[columns].double()
        size = float(before.nan_to_num(0.0, 0.0, 0.0).abs().max())
        apart = difference(before, after).amax(-1)
        off = (apart > GAP * DIGITS * torch.finfo(digits).eps * size).nonzero().flatten()
        if len(off):
            place = int(off[0])
            return _named(event, place, float(apart[place]), leaves, type(stage.view(other).module).__name__)
    return None


def _leaves(module: nn.Module | None) -> frozenset[str]:
    """The names of modules that have no parts."""
    if module is None:
        return frozenset()
    return frozenset(name for name, each in module.named_modules() if not any(True for _ in each.children()))


def _named(event: Event, position: int, size: float, leaves: frozenset[str], whole: str) -> First:
    """A difference in what a module is given was made by the one that holds it."""
    name, kind = event
    if kind == "input" and name:
        parent, _, own = name.rpartition(".")
        return First(module=parent or whole, before=own, position=position, size=size)
    ends = "" if name.partition("#")[0] in leaves or kind == "input" else "output"
    return First(module=name or whole, before=ends, position=position, size=size)
