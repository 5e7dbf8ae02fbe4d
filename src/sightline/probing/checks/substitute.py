"""Which output changes when another token is put in one place, and by how much.

Shapes: B rows, T tokens, C columns: the places that are changed, V whatever an output holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.probing.checks.plan import Plan, View
from sightline.probing.checks.rounding import difference
from sightline.probing.substitution import others

TRIES = 2  # other tokens in each place
NUMBERS = 2**24  # of outputs that are held at once
WHOLE = 64  # tokens up to which every place is changed; of longer texts a sample
SAMPLE = 24


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What was measured on a text.

    strength  (T, C): the largest change of each output
    columns   which places were changed
    """

    strength: Tensor
    columns: Tensor

    @property
    def tokens(self) -> int:
        return len(self.strength)

    @property
    def whole(self) -> bool:
        """Whether every place was changed."""
        return len(self.columns) == self.tokens


def places(tokens: int, marks: Sequence[int] = ()) -> Tensor:
    """The places of a text that are changed: all, or a sample with its ends and what stands around the marks."""
    if tokens <= WHOLE:
        return torch.arange(tokens)
    even = torch.linspace(0, tokens - 1, SAMPLE).round().long().tolist()
    near = [mark + step for mark in marks for step in (-1, 0, 1)]
    return torch.tensor(sorted({place for place in (*even, *near, tokens - 2) if 0 <= place < tokens}))


def changed(ids: Tensor, columns: Tensor, plan: Plan, salt: int) -> Tensor:
    """Copies of one row (1, T), each with another token in one of the places: (C, T)."""
    instead = others(plan.subject, ids[0], salt)
    rows = ids.repeat(len(columns), 1)
    rows[torch.arange(len(columns)), columns] = instead[columns]
    return rows


def substitute(
    plan: Plan,
    view: View,
    tokens: int,
    *,
    inputs: Mapping[str, Tensor] | None = None,
    mates: tuple[Tensor, Mapping[str, Tensor]] | None = None,
    columns: Tensor | None = None,
) -> Seen:
    """Change one place of a random text at a time.

    inputs  of the one text, (1, T) each, beside what the plan needs
    mates   further rows (M, T) that stand in the same batch, and inputs of theirs: with them come inputs for all
    """
    columns = places(tokens) if columns is None else columns
    if plan.apart and mates is None:
        return _apart(plan, view, tokens, inputs or {}, columns)
    ids = plan.draw(1, tokens, salt=tokens)
    own = {**plan.inputs(tokens), **(inputs or {})}
    strength = torch.zeros(tokens, len(columns), dtype=torch.float64)
    batch = None
    for attempt in range(TRIES):
        rows = changed(ids, columns, plan, salt=plan.seed + 31 * attempt + tokens)
        batch = batch or _batch(view, ids, own, mates)
        for begin in range(0, len(rows), batch):
            some = rows[begin : begin + batch]
            found = _run(view, torch.cat([ids, some]), own, mates)
            apart = difference(found[1:], found[:1]).flatten(2).amax(-1)  # (rows, T)
            end = begin + len(some)
            strength[:, begin:end] = torch.maximum(strength[:, begin:end], apart.T.cpu().double())
    return Seen(strength=strength, columns=columns)


def _apart(plan: Plan, view: View, tokens: int, inputs: Mapping[str, Tensor], columns: Tensor) -> Seen:
    """The same, each row read alone and changed once."""
    ids, own = plan.draw(1, tokens, salt=tokens), {**plan.inputs(tokens), **inputs}
    plain = view.run(ids, own)
    rows = changed(ids, columns, plan, salt=plan.seed + tokens)
    moved = [difference(view.run(row[None], own), plain).flatten(2).amax(-1)[0] for row in rows]
    return Seen(strength=torch.stack(moved, 1).cpu().double(), columns=columns)


def _batch(
    view: View, ids: Tensor, own: Mapping[str, Tensor], mates: tuple[Tensor, Mapping[str, Tensor]] | None
) -> int:
    """How many rows at once: so many that their outputs fit."""
    return max(1, NUMBERS // max(1, _run(view, ids, own, mates).numel()))


def _run(
    view: View, rows: Tensor, own: Mapping[str, Tensor], mates: tuple[Tensor, Mapping[str, Tensor]] | None
) -> Tensor:
    named = {name: value.expand(len(rows), *value.shape[1:]) for name, value in own.items()}
    if mates is None:
        return view.run(rows, named)
    more, theirs = mates
    for name, value in theirs.items():
        mine = named.get(name, torch.ones_like(rows))
        named[name] = torch.cat([mine, value])
    for name in named.keys() - theirs.keys():
        named[name] = torch.cat([named[name], own[name].expand(len(more), *own[name].shape[1:])])
    return view.run(torch.cat([rows, more]), named)[: len(rows)]
