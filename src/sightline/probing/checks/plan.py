"""Plan: what every check of one audit works with.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask
from sightline.probing.checks.rounding import Rounding
from sightline.probing.expected import closure, reach
from sightline.probing.report import Check, Table
from sightline.probing.subject import Inputs, Subject, for_rows

Part = Literal["step", "memory", "kernels"]


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A subject, and what rounding can do to its outputs."""

    subject: Subject
    rounding: Rounding

    def run(self, tokens: Tensor, inputs: Inputs) -> Tensor:
        """What it gives for ids (B, T), without gradients."""
        with torch.no_grad():
            return self.subject.call(tokens, for_rows(inputs, len(tokens)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What is checked, and how.

    given     the subject as it was handed over, in eval mode
    exact     a copy in float64 that judges what is rounding and what is not; the same as `given` where there is none
    expect    who should see whom, or None where nobody said
    lengths   of texts, ascending; those that the subject takes
    numbers   what its configuration names, by name
    layers    who should see whom in each layer; None where nobody knows how many there are
    seed      of the random tokens
    compiled  whether kernels that are compiled first are checked too
    training  whether the model came in training mode
    first     the number of the first position: transformers' RoBERTa counts from 2
    refused   lengths that it takes no text of, though it takes longer ones, and what it says
    apart     whether each row has to be read alone, because rows of a batch change each other
    """

    given: View
    exact: View
    expect: Mask | None
    lengths: tuple[int, ...]
    numbers: Mapping[str, int]
    layers: tuple[Mask, ...] | None = None
    seed: int = 0
    compiled: bool = False
    training: bool = False
    first: int = 0
    refused: Mapping[int, str] = field(default_factory=dict)
    apart: bool = False

    @property
    def subject(self) -> Subject:
        return self.given.subject

    @property
    def longest(self) -> int:
        """The longest text that it was found to take."""
        return self.lengths[-1]

    def that_has(self, part: Part) -> View:
        """The exact copy, if that part of the subject was copied too; else the subject as it was handed over."""
        return self.exact if getattr(self.exact.subject, part) else self.given

    def takes(self, name: str) -> bool:
        """Whether the subject accepts that named input."""
        return name in self.subject.accepts

    def draw(self, rows: int, tokens: int, salt: int = 0) -> Tensor:
        """Ids (B, T) at random; another salt, other ids."""
        return self.subject.draw(rows, tokens, seed=(self.seed * 1009 + salt) % 2**31)

    def inputs(self, tokens: int) -> dict[str, Tensor]:
        """What has to be given beside the ids: ranks from left to right, where the mask goes by an order."""
        if self.expect is None or not any(leaf.reads == "rank" for leaf in self.expect.leaves()):
            return {}
        return {"ranks": torch.arange(tokens)[None]}

    def table(self, tokens: int) -> Tensor | None:
        """Whom one layer lets whom see, bool (T, T): the expected mask and the token itself; None where nobody said."""
        return None if self.expect is None else _itself_too(self.expect, tokens)

    def allowed(self, tokens: int) -> Tensor | None:
        """Who may come to know of whom, bool (T, T): the table through its layers; through as many as it takes, where
        nobody knows how many there are."""
        if self.expect is None:
            return None
        itself = torch.eye(tokens, dtype=torch.bool)
        if self.layers is None:
            return closure(_itself_too(self.expect, tokens), itself)
        tables = {mask: _itself_too(mask, tokens) for mask in set(self.layers)}
        return reach([tables[mask] for mask in self.layers], itself)

    def reach(self) -> set[int]:
        """Lengths around what its layers reach: the longest text whose last token may know of the first, and one more;
        none where nobody knows of layers, or they reach everything."""
        for tokens in (16, 64, 256, 1024) if self.layers else ():
            allowed = self.allowed(tokens)
            if allowed is not None and not bool(allowed[-1, 0]):
                most = int(allowed[:, 0].nonzero().max()) + 1
                return {most, most + 1}
        return set()

    def positions(self, mask: Tensor) -> Tensor:
        """Positions (B, T) that leave padding out, as the subject numbers them; mask (B, T) is 1 for real tokens."""
        return (mask.cumsum(-1) - 1).clamp(min=0) + self.first

    def looks_back(self, tokens: int = 16) -> bool:
        """Whether nothing may be known of what comes later."""
        allowed = self.allowed(min(tokens, max(2, self.longest)))
        return allowed is not None and not bool(allowed.triu(1).any())


def _itself_too(mask: Mask, tokens: int) -> Tensor:
    """Whom the mask lets whom see, and each token itself, bool (T, T)."""
    at = replace(Coordinates.consecutive(tokens), rank=torch.arange(tokens)[None])
    return mask.table(at, at)[0] | torch.eye(tokens, dtype=torch.bool)


Function = Callable[[Plan, Mapping[str, Check]], Check]  # what was found before is given too, by name


def not_applicable(name: str, why: str) -> Check:
    return Check(name=name, status="not applicable", detail=why)


def cannot_tell(name: str, why: str) -> Check:
    return Check(name=name, status="cannot tell", detail=why)


def passed(name: str, detail: str) -> Check:
    return Check(name=name, status="passed", detail=detail)


def failed(name: str, detail: str, cause: str | None = None) -> Check:
    return Check(name=name, status="failed", detail=detail, cause=cause)


def _rows(cells: Tensor | None) -> Table | None:
    return None if cells is None else tuple(tuple(bool(cell) for cell in row) for row in cells.tolist())


def showing(check: Check, seen: Tensor, expected: Tensor | None = None) -> Check:
    """The check with the matrix that shows it, bool (T, T), and what was expected."""
    return replace(check, matrix=_rows(seen), expected=_rows(expected))


def inherited(earlier: Mapping[str, Check], *names: str) -> str | None:
    """The cause of the first of these checks that failed; None where none did, or none had a cause."""
    causes = (earlier[name].cause for name in names if name in earlier and earlier[name].status == "failed")
    return next((cause for cause in causes if cause), None)


def amount(number: float) -> str:
    """A difference as a short number."""
    return "NaN" if number == float("inf") or number != number else f"{number:.2g}"
