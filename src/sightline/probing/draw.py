"""A dependence matrix as a value, before it is drawn: whom each output sees, beside whom it should.

Every kind of cell has a sign of its own beside its colour, so that no colour has to be told from another:

    ■ sees, darker where more strongly      · does not see
    ✕ sees, and should not (a leak)         □ does not see, and should
    ? cannot tell

Shapes: Q outputs (rows), K inputs (columns).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sightline.errors import InputError
from sightline.pages.markup import clean

Kind = Literal["blind", "sees", "leak", "missing", "unsure"]
KINDS: tuple[Kind, ...] = ("blind", "sees", "leak", "missing", "unsure")
SIGNS: dict[Kind, str] = {"blind": "·", "sees": "■", "leak": "✕", "missing": "□", "unsure": "?"}
SHADES = 5  # of strength, each ten times the one before
_WHITE = {" ": "␣", "▁": "␣", "\n": "↵", "\r": "↵", "\t": "⇥", "\u00a0": "␣"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """Who sees whom, ready to be drawn.

    outputs   texts of the tokens whose results are looked at, one a row
    inputs    texts of the tokens that they may depend on, one a column
    measured  bool (Q, K): does the output depend on the input; None where nothing was measured
    expected  bool (Q, K): should it; None where nobody said
    strength  floats (Q, K), zero or more, of whatever unit: how much
    unsure    bool (Q, K): where measuring could not tell
    """

    outputs: Sequence[str]
    inputs: Sequence[str]
    measured: Tensor | None = None
    expected: Tensor | None = None
    strength: Tensor | None = None
    unsure: Tensor | None = None

    def __post_init__(self) -> None:
        if self.measured is None and self.expected is None:
            raise InputError("a matrix needs what was measured or what is expected; both are missing")
        shape = (len(self.outputs), len(self.inputs))
        for name in ("measured", "expected", "strength", "unsure"):
            given = getattr(self, name)
            if given is not None and tuple(given.shape) != shape:
                raise InputError(f"{name} has shape {tuple(given.shape)}; the texts say {shape}: outputs, inputs")

    def kinds(self) -> list[list[Kind]]:
        """What each cell is, Q rows of K."""
        nothing: list[list[bool | None]] = [[None] * len(self.inputs) for _ in self.outputs]
        measured, expected, unsure = (
            nothing if each is None else each.tolist() for each in (self.measured, self.expected, self.unsure)
        )
        return [
            [_kind(*cell) for cell in zip(*rows, strict=True)] for rows in zip(measured, expected, unsure, strict=True)
        ]

    def shades(self) -> list[list[int]]:
        """How strong each cell is, Q rows of K: SHADES for a tenth of the strongest or more, one less for each further
        factor of ten, and 1 for all that is weaker; SHADES throughout where no strength is known."""
        if self.strength is None:
            return [[SHADES] * len(self.inputs) for _ in self.outputs]
        most = float(self.strength.max()) if self.strength.numel() else 0.0
        return [[_shade(value, most) for value in row] for row in self.strength.tolist()]

    def count(self, kind: Kind) -> int:
        """How many cells are of this kind."""
        return sum(row.count(kind) for row in self.kinds())

    def said(self) -> str:
        """The whole in a sentence, for those who do not see it."""
        counts = {kind: self.count(kind) for kind in KINDS}
        words: dict[Kind, str] = {
            "sees": "pairs see each other",
            "blind": "do not",
            "leak": "see and should not",
            "missing": "should see and do not",
            "unsure": "could not be told",
        }
        parts = [f"{counts[kind]} {words[kind]}" for kind in words if counts[kind]]
        return f"{len(self.outputs)} outputs by {len(self.inputs)} inputs: {', '.join(parts)}"


def _kind(measured: bool | None, expected: bool | None, unsure: bool | None) -> Kind:
    if unsure:
        return "unsure"
    sees = expected if measured is None else measured
    if measured is None or expected is None or measured == expected:
        return "sees" if sees else "blind"
    return "leak" if measured else "missing"


def _shade(value: float, most: float) -> int:
    if not (0 < value < math.inf) or not most < math.inf:
        return SHADES if value > 0 else 1
    return max(1, SHADES + min(0, math.floor(math.log10(value / most)) + 1))


def meanings(matrix: Matrix) -> list[tuple[Kind, str]]:
    """The kinds of cells that this matrix has, and what each says: its legend."""
    both = matrix.measured is not None and matrix.expected is not None
    says: dict[Kind, str] = {
        "sees": "depends on it" if matrix.measured is not None else "may depend on it",
        "blind": "does not" if matrix.measured is not None else "may not",
        "leak": "a leak: depends on it and should not",
        "missing": "missing: should depend on it and does not",
        "unsure": "cannot tell",
    }
    if both:
        says |= {"sees": "depends on it, as expected", "blind": "does not, as expected"}
    return [(kind, text) for kind, text in says.items() if matrix.count(kind)]


def label(token: str) -> str:
    """A token's text for a picture: white space can be seen, and what cannot be drawn is a replacement character."""
    return "".join(_WHITE.get(sign, sign) for sign in clean(token)) or "∅"
