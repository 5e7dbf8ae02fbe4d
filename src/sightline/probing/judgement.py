"""Judgement: which of the measured differences are dependence and which are rounding.

A difference of nothing is nothing. One far above all that rounding can do is dependence. What lies between is measured
again in float64, where rounding is a billion times smaller and dependence stays what it is. What is in doubt even then,
or cannot be taken there, is left open: nobody is accused, and nobody acquitted, on a guess.

Shapes: O outputs, C columns: inputs that were changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.probing.conditions import Conditions

FAR = 32  # times as large as noise: no noise any more
NEAR = 4  # times as large as noise may be another draw of it
FELL = 1e-3  # of what a change was in the model's own type: so much rounding shrinks by at least, and dependence never
COARSE = 1e-4  # a last digit from which on rounding looks like dependence
ALIKE, UNLIKE = 0.9, 0.5  # cosines of one change measured in two types: the same change; two draws of rounding

Again = Callable[[Tensor], "Finer | None"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Finer:
    """Substitution once more, in the model's own type and in float64.

    moved    float64 (O, C): by how much outputs moved in float64, for the columns that were asked for
    before   likewise in the model's own type
    alike    float64 (O, C): the cosine between both changes of an output; 0 where one is nothing or an output is short
    nothing  up to here a change in float64 may be rounding; `something`: from here on it is not
    clean    whether all was computed in float64: some models round to float32 within, whatever they are copied to
    """

    moved: Tensor
    before: Tensor
    alike: Tensor
    nothing: float
    something: float
    clean: bool

    @property
    def sees(self) -> Tensor:
        """Where an output depends: it moves beyond all rounding, or beyond some and in the very same way in both."""
        return (self.moved >= self.something) | ((self.moved > self.nothing) & (self.alike >= ALIKE))

    @property
    def blind(self) -> Tensor:
        """Where it does not. Where float32 is used within, only what shrank or changed altogether is rounding."""
        rounded = self.moved <= self.nothing
        if not self.clean:
            fell = (self.before > 0) & (self.moved <= FELL * self.before)
            unlike = (self.alike != 0) & (self.alike.abs() <= UNLIKE)
            rounded &= (self.moved == 0) | fell | unlike
        return rounded & ~self.sees


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """What was decided, bool (O, T) each, and between which sizes, in units of the outputs.

    visible    the output depends on the input
    unsure     nobody can tell
    nothing    the largest difference that was called nothing
    something  the smallest that was called dependence; infinite where there is none
    refined    how many cells were measured again in float64
    """

    visible: Tensor
    unsure: Tensor
    nothing: float
    something: float
    refined: int


def _rounds(
    moved: Tensor, gradient: Tensor, measured: Tensor, unsure: Tensor, conditions: Conditions, refined: Tensor
) -> Tensor:
    """Which cells in doubt are rounding by their company, bool (O, T).

    Those no larger than what the same row shows in other places of a batch. And, among cells that nothing finer looked
    at, where a gap parts what rounding can do from all else, those below it, if most that does not depend comes out
    like that and not as exactly nothing.
    """
    known = (moved <= NEAR * conditions.noise) & (gradient < conditions.rounding.nothing)
    small = measured & (torch.maximum(moved, gradient) <= conditions.rounding.nothing)
    zero = small & (moved == 0) & (gradient == 0)
    if bool((unsure & ~small).any()) or int(zero.sum()) > int((small & ~zero).sum()):
        return known
    return known | (small & ~refined)


def _by_another_path(finer: Finer, conditions: Conditions) -> Tensor:
    """Where a model in few digits moves by more than they round to, and in float64 by nothing at all; bool (O, C).

    Some models take another path in half precision; a copy in float64 does not speak for that one.
    """
    coarse = torch.finfo(conditions.rounding.digits).eps > COARSE and conditions.noise == 0
    least = conditions.rounding.nothing / NEAR if coarse else torch.inf
    return (finer.moved == 0) & (finer.before > least)


def _exact(moved: Tensor, hidden: Tensor) -> Tensor:
    """Whether all that may not depend stays the same to the last bit, so that no change is rounding; bool ()."""
    return hidden.any() & ~(hidden & (moved > 0)).any()


def judge(
    moved: Tensor,
    gradient: Tensor,
    may: Tensor | None,
    must: Tensor | None,
    conditions: Conditions,
    again: Again,
) -> Judgement:
    """Decide every cell.

    moved     float64 (O, T), the largest difference that any substitution made; NaN where nothing was put
    gradient  float64 (O, T), likewise
    may       bool (O, T), who may depend on whom; None: nobody said
    must      bool (O, T), cells in which nothing would be a finding: measured again too; None: nobody said
    again     measures columns (C',) again in float64; gives None where that cannot be done
    """
    measured = ~(moved.isnan() & gradient.isnan())
    moved, gradient = moved.nan_to_num(nan=0.0, posinf=torch.inf), gradient.nan_to_num(nan=0.0, posinf=torch.inf)
    far = max(conditions.rounding.something, FAR * conditions.noise)
    visible = (moved >= far) | (gradient >= far)
    unsure = ~visible & ((moved > 0) | (gradient > 0))
    wanted = unsure if must is None else unsure | (must & ~visible & measured)
    decided, refined = moved.clone(), torch.zeros_like(visible)
    finer = None
    if bool(wanted.any()):
        columns = wanted.any(0).nonzero().flatten()
        finer = again(columns)
    if finer is not None:
        columns = columns[: finer.moved.shape[1]]  # of a long text perhaps not all
        cells = wanted[:, columns]
        visible[:, columns] |= cells & finer.sees
        blind = finer.blind & ~_by_another_path(finer, conditions)
        unsure[:, columns] = torch.where(cells, ~finer.sees & ~blind, unsure[:, columns])
        decided[:, columns] = torch.where(cells, finer.moved, decided[:, columns])
        refined[:, columns] = cells
    if conditions.deterministic:
        unsure &= ~_rounds(moved, gradient, measured, unsure, conditions, refined)
        if may is not None and conditions.noise == 0:
            faint = unsure & may & (moved > 0) & _exact(moved, measured & ~may)
            visible, unsure = visible | faint, unsure & ~faint
    elif not conditions.seeded:  # under noise nobody knows that something does not depend
        unsure |= ~visible & measured
    below = decided[measured & ~visible & ~unsure]
    above = torch.maximum(decided, gradient)[visible]
    return Judgement(
        visible=visible,
        unsure=unsure,
        nothing=float(below.max()) if below.numel() else 0.0,
        something=float(above.min()) if above.numel() else float("inf"),
        refined=int(refined.sum()),
    )
