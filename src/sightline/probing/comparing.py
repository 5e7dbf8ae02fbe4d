"""Comparing: which tokens of two runs belong together, and whether their outputs differ beyond rounding.

Shapes: T tokens of a text, P pairs of tokens that are compared, V numbers of each output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from sightline.errors import InputError
from sightline.probing.checks.rounding import Rounding, Verdict, difference, find_rounding
from sightline.probing.measuring import HUGE
from sightline.probing.setup import Ids, Mates, Setup
from sightline.probing.staging import Stage, batch_for, in_float64
from sightline.probing.subject import ERRORS, Inputs, Subject
from sightline.probing.switches import places
from sightline.probing.untouched import seed_everything, untouched


def check_at(at: int | Sequence[int] | None, known: Sequence[int]) -> list[int]:
    """The places that are looked at; InputError for one that the two runs do not share."""
    if at is None:
        return list(known)
    wanted: list[Any] = list(at) if isinstance(at, Iterable) else [at]
    for place in wanted:
        if isinstance(place, bool) or not isinstance(place, Integral) or place not in known:
            raise InputError(f"at={place!r} is no token that both runs have; they share {places(known)}")
    if not wanted:
        raise InputError("at names no token; give one, or leave it out for all")
    return wanted


def _pairs(ours: Ids, theirs: Ids) -> list[tuple[int, int]]:
    """Which tokens belong together: those in the same place, or where texts differ in length, those that read alike."""
    if len(ours) == len(theirs):
        return [(place, place) for place in range(len(ours))]
    found = []
    for kind, begin, end, first, last in SequenceMatcher(a=ours, b=theirs, autojunk=False).get_opcodes():
        if kind in ("equal", "replace"):
            found += list(zip(range(begin, end), range(first, last), strict=False))  # the longer one's end has no pair
    return found


def _seeded(view: Subject) -> Subject:
    """The same, random numbers beginning anew in each call, of rows of one shape: what they do is no rounding."""

    def call(tokens: Tensor, inputs: Inputs) -> Tensor:
        seed_everything(0)
        return view.call(tokens, inputs)

    return replace(view, call=call, vectors=None)


class Compared:
    """Two runs side by side, token by token.

    positions  the tokens of the first run that are compared, by place
    unit       the standard deviation of its outputs
    noise      by how much the same run differs from itself
    """

    def __init__(self, stage: Stage, one: Setup, other: Setup, at: int | Sequence[int] | None, noise: float) -> None:
        self.stage, self.noise = stage, noise
        self.first, self.of_words = one, one.special_tokens != other.special_tokens
        ours, theirs = self._content(one), self._content(other)
        before = self._before(one)
        pairs = {begin + before: (begin, end) for begin, end in _pairs(ours, theirs)}
        if not pairs:
            raise InputError("the two runs have no token in common, so nothing can be compared")
        self.positions = check_at(at, list(pairs))
        self.pairs = [pairs[place] for place in self.positions]
        sizes = [self.stage.outputs(setup).shape[1] for setup in (one, other)]
        if sizes[0] != sizes[1]:
            raise InputError(
                f"a gives {sizes[0]} numbers for each token and b {sizes[1]}, which cannot be compared; compare what"
                ' both have, as with output="last_hidden_state"'
            )
        settled = stage.outputs(one)
        settled = settled[torch.isfinite(settled)]
        spread = float(settled.std()) if settled.numel() > 1 else 1.0
        self.unit = spread if spread > 0 else 1.0
        self._roundings: dict[tuple[object, ...], Rounding] = {}

    def _content(self, setup: Setup) -> Ids:
        """The tokens that can be compared: all, or where one run has special tokens and one not, those of the text."""
        return setup.what.encode(False)[0] if self.of_words else setup.ids

    def _before(self, setup: Setup) -> int:
        """How many tokens stand before those."""
        ids, content = setup.ids, self._content(setup)
        for begin in range(len(ids) - len(content) + 1):
            if ids[begin : begin + len(content)] == content:
                return begin
        raise InputError("with special tokens the text is cut into others, so nothing can be compared")

    def places_in(self, setup: Setup) -> Tensor:
        """Where in this run the compared tokens stand, int64 (P,)."""
        which = 0 if setup.what == self.first.what else 1
        return torch.tensor([pair[which] for pair in self.pairs]) + self._before(setup)

    def outputs(self, setup: Setup) -> Tensor:
        """What comes out for the compared tokens, float64 (P, V)."""
        return self.stage.outputs(setup)[self.places_in(setup)]

    def apart(self, one: Setup, other: Setup) -> Tensor:
        """How far each number of the compared outputs is apart, (P, V)."""
        return difference(self.outputs(one), self.outputs(other))

    def rounding(self, *setups: Setup) -> Rounding:
        """What rounding can do to either run: that of the coarser type."""
        found = max((self._rounding(setup) for setup in setups), key=lambda each: each.nothing)
        something = max(found.something, self.noise * 4)
        return replace(found, nothing=max(found.nothing, self.noise), something=something)

    def _rounding(self, setup: Setup) -> Rounding:
        key = (setup.subject, setup.kernel, setup.dtype, setup.mask, setup.what)
        if key not in self._roundings:
            plain = replace(setup, padding=(0, 0), mates=Mates(), attention_mask="auto", reading=("whole", 0))
            view, batch = self.stage.view(plain), batch_for(plain)
            with untouched(view.module, seed=0):
                if view.module is not None:
                    view.module.eval()
                found = find_rounding(view, batch.ids, batch.inputs)
                if found.repeats:
                    found = find_rounding(_seeded(view), batch.ids, batch.inputs)
                self._roundings[key] = found
        return self._roundings[key]

    def tell(self, one: Setup, other: Setup, *, settle: bool = True) -> tuple[Verdict, list[int]]:
        """Whether two runs differ beyond rounding, and at which tokens. Doubt is settled in float64 where it can be."""
        apart, rounding = self.apart(one, other).amax(1), self.rounding(one, other)
        told = rounding.tell(float(apart.max()))
        weights = 0 if one.subject.module is None else sum(each.numel() for each in one.subject.module.parameters())
        if told == "unclear" and settle and weights <= HUGE:
            try:
                finer = in_float64(one), in_float64(other)
                apart, rounding = self.apart(*finer).amax(1), self.rounding(*finer)
                told = rounding.tell(float(apart.max()))
            except ERRORS:
                pass
        least = rounding.something if told == "different" else float("inf")
        return told, [place for place, moved in zip(self.positions, apart.tolist(), strict=True) if moved >= least]
