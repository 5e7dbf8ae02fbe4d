"""What kind of leak it is, told from which cells leak and how strongly.

An unmasked attention dilutes each token among all others; a causal one, among those before; a convolution or a shift
not at all. A wrong routing shows when tokens change and has no gradient.

Shapes: T tokens, outputs (rows) by inputs (columns).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.substitute import Seen

FEW = 8  # places that a leak of a few steps reaches ahead, at most
LATE = 16  # rows at the end of a text, where attention is diluted most
DILUTED = 3.0  # early rows are so many times stronger where attention divides among those before


def leaks_of(seen: Seen, allowed: Tensor, least: float) -> Tensor:
    """Which cells depend on what they should not: bool (T, C)."""
    return (seen.strength >= least) & ~allowed[:, seen.columns]


def _along(strength: Tensor, offset: int) -> Tensor:
    """Strengths of cells whose input stands `offset` places after the output, from the first row on."""
    return strength.diagonal(offset)


def _dilution(strength: Tensor, offset: int) -> float:
    """How much stronger the first rows see a neighbour than the last ones do."""
    cells = _along(strength, offset)
    few = max(1, min(3, len(cells) // 3))
    late = cells[-min(LATE, max(1, len(cells) // 2)) :].median()
    return float(cells[:few].mean() / late) if float(late) > 0 else float("inf")


def _ahead_over_behind(strength: Tensor) -> float:
    """How strongly late rows see what comes next, beside what came before."""
    late = slice(-LATE, None)
    behind = _along(strength, -1)[late].median()
    return float(_along(strength, 1)[late].median() / behind) if float(behind) > 0 else float("inf")


def _of_a_band(strength: Tensor) -> str:
    """The cause where leaks reach a few places ahead, everywhere."""
    if len(strength) < 2 * LATE:  # too short to dilute anything
        return causes.NEXT_SEEN
    if _dilution(strength, 1) >= DILUTED:
        return causes.OFF_BY_ONE
    return causes.BOTH_SIDES if _ahead_over_behind(strength) < DILUTED else causes.WRONG_DIRECTION


def kind_of_leak(found: Mapping[int, tuple[Seen, Tensor]], least: float, gradient_leaks: bool | None) -> str:
    """The likely cause.

    found           for each length, what was measured and which cells leak, bool (T, C)
    least           strengths from here on are real
    gradient_leaks  whether gradients show a leak too; None where nobody looked
    """
    longest = max(length for length, (_, leaks) in found.items() if bool(leaks.any()))
    seen, leaks = found[longest]
    rows, inputs = (leaks.nonzero()[:, 0], seen.columns[leaks.nonzero()[:, 1]])
    if bool((inputs < rows).all()):
        return causes.TOO_WIDE
    if longest == 1 or len(seen.columns) < longest:  # of a sample, only where leaks begin can be told
        return _by_length(found) or causes.SOME_LEAK
    if gradient_leaks is False:
        return causes.ROUTING
    places, columns = (each.unique() for each in leaks.nonzero().unbind(1))
    strength = seen.strength
    past = torch.ones(longest, longest, dtype=torch.bool).tril(-1)
    if not bool((strength[past] >= least).any()) and len(columns) > 1:
        return causes.INVERTED
    if len(columns) == 1 and longest > 2:
        return causes.ONE_CELL
    by_length = _by_length(found)
    if by_length is not None:
        return by_length
    ahead = leaks.nonzero()
    if int((ahead[:, 1] - ahead[:, 0]).max()) <= min(FEW, longest // 3):
        return _of_a_band(strength) if len(places) > longest // 2 else causes.SOME_LEAK
    if bool(leaks.sum() >= 0.5 * past.sum()):
        alike = _dilution(strength, -1) < DILUTED and _ahead_over_behind(strength) > 1 / DILUTED
        return causes.NO_MASK if alike else causes.OVER_TIME
    return causes.SOME_LEAK


def _by_length(found: Mapping[int, tuple[Seen, Tensor]]) -> str | None:
    """The cause where all shorter texts are clean."""
    clean = [length for length, (_, leaks) in found.items() if not bool(leaks.any())]
    bad = [length for length in found if length not in clean]
    if not clean or max(clean) < FEW or min(bad) < max(clean):
        return None
    return causes.BEYOND_LENGTH
