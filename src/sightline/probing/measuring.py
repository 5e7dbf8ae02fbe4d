"""Measuring: how thoroughly, on which places of a long text, by which methods, and what is done about doubt.

Shapes: O outputs, T inputs, C inputs that are changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sightline.core.check import whole
from sightline.errors import ConfigError
from sightline.probing.checks.rounding import find_rounding
from sightline.probing.conditions import Conditions
from sightline.probing.gradient import by_gradient
from sightline.probing.judgement import Finer
from sightline.probing.scene import Scene
from sightline.probing.subject import ERRORS, Subject, in_a_line
from sightline.probing.substitution import compare, draws_for, substitute

Method = Literal["both", "substitution", "gradient"]
HUGE = 400_000_000  # weights of which no copy in float64 is made
METHODS = ("both", "substitution", "gradient")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How thoroughly is measured.

    method       "both", "substitution" or "gradient"
    substitutes  how often something else is put in each place: other tokens, and one time another vector
    projections  random sums of each output's numbers that are differentiated
    positions    of longer texts, so many places are changed and so many outputs differentiated
    seed         of all that is drawn
    """

    method: Method = "both"
    substitutes: int = 3
    projections: int = 2
    positions: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method={self.method!r} is no way to measure; choose one of {', '.join(METHODS)}")
        for name in ("substitutes", "projections", "positions"):
            whole(name, getattr(self, name))


def sample(tokens: int, positions: int, seed: int) -> Tensor:
    """The places of a text that are looked at, ascending: all, or of a long text its ends, the neighbours of powers of
    two, and others at random."""
    if tokens <= positions:
        return torch.arange(tokens)
    powers = [2**power + step for power in range(3, tokens.bit_length()) for step in (-1, 0)]
    first = [0, tokens - 1, 1, tokens - 2, *reversed(powers)]
    order = torch.randperm(tokens, generator=torch.Generator().manual_seed(seed)).tolist()
    wanted = dict.fromkeys(place for place in (*first, *order) if 0 <= place < tokens)
    return torch.tensor(sorted(list(wanted)[:positions]))


def moved(made: Subject, scene: Scene, settings: Settings, conditions: Conditions) -> Tensor:
    """By substitution, float64 (O, T); NaN in columns that were left out."""
    columns = sample(scene.tokens, settings.positions, settings.seed)
    found = torch.full((len(scene.asked), scene.tokens), torch.nan, dtype=torch.float64)
    draws = draws_for(made, settings.substitutes, settings.seed)
    if conditions.deterministic:
        found[:, columns] = substitute(made, scene, columns, draws, conditions.rows)
        return found
    each = [  # what is dropped at random in one run may be there in another
        substitute(made, replace(scene, seed=scene.seed + number), columns, (draw,), conditions.rows)
        for number, draw in enumerate(draws)
    ]
    found[:, columns] = torch.stack(each).amax(0)
    return found


def slopes(made: Subject, scene: Scene, settings: Settings, conditions: Conditions) -> Tensor:
    """By gradient, float64 (O, T); NaN in rows that were left out, and where a gradient is none."""
    asked = sample(len(scene.asked), settings.positions, settings.seed)
    found = torch.full((len(scene.asked), scene.tokens), torch.nan, dtype=torch.float64)
    found[asked] = by_gradient(made, scene, asked, settings.projections, conditions.rows)
    return found


class InDoubt:
    """Measures cells again in float64, where the model can be copied; says so where it cannot."""

    def __init__(self, made: Subject, scene: Scene, settings: Settings, conditions: Conditions) -> None:
        self.made, self.scene, self.settings, self.conditions = made, scene, settings, conditions
        self.notes: list[str] = []

    def __call__(self, columns: Tensor) -> Finer | None:
        if self.made.dtype == torch.float64 or not self.conditions.deterministic:
            return None
        weights = 0 if self.made.module is None else sum(each.numel() for each in self.made.module.parameters())
        if weights > HUGE:
            self.notes.append(f"cells in doubt stay so: a copy in float64 of {weights:,} weights would take too much")
            return None
        columns = columns[: self.settings.positions]
        draws = draws_for(self.made, self.settings.substitutes, self.settings.seed)
        try:
            twin = self.made.copy(torch.float64)
            rows = max(1, self.conditions.rows // 2)  # of which the numbers take twice the memory
            before, by, alike = compare(self.made, twin, self.scene, columns, draws, rows)
            rounding = find_rounding(twin, self.scene.ids, self.scene.inputs)
        except ERRORS as error:
            self.notes.append(f"cells in doubt could not be measured in float64: {in_a_line(error)}")
            return None
        clean = rounding.digits == torch.float64
        return Finer(
            moved=by,
            before=before,
            alike=alike,
            nothing=rounding.nothing,
            something=rounding.something,
            clean=clean,
        )


def notes_on(scene: Scene, settings: Settings, conditions: Conditions, measured: Mapping[str, Tensor]) -> list[str]:
    """What a reader should know of how it was measured."""
    notes = []
    if scene.tokens > settings.positions:
        notes.append(
            f"a sample: of {scene.tokens} inputs {settings.positions} were replaced, and as many outputs"
            " differentiated (both ends, neighbours of powers of two, the rest at random)"
        )
    if conditions.rows == 1 and conditions.mates >= conditions.rounding.something:
        notes.append(
            f"rows of a batch change each other (by {conditions.mates / conditions.spread:.2g}), so each was run alone"
        )
    elif conditions.batch >= conditions.rounding.something:
        notes.append(f"a row alone differs from itself in a batch by {conditions.batch / conditions.spread:.2g}")
    if bool(conditions.broken.any()):
        notes.append(
            f"{int(conditions.broken.sum())} outputs hold what is no number (NaN): nothing can be told of them"
        )
    if "gradient" in measured:
        asked = ~measured["gradient"].isnan().all(1)
        broken = int(measured["gradient"][asked].isnan().sum())
        if broken:
            notes.append(f"{broken} gradients are no numbers (NaN); substitution alone speaks there")
    return notes
