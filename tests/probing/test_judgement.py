"""What is dependence, what is rounding, and what is left open: rule by rule, on numbers made up for it.

Shapes: O outputs, T inputs.
"""

import torch
from torch import Tensor

from sightline.probing.checks.rounding import Rounding
from sightline.probing.conditions import Conditions
from sightline.probing.judgement import Finer, Judgement, judge

NOTHING, SOMETHING = 1e-5, 3e-4  # of float32
FINE = (1e-14, 1e-12)  # of float64


def conditions(*, noise: float = 0.0, deterministic: bool = True, seeded: bool = True) -> Conditions:
    rounding = Rounding(nothing=NOTHING, something=SOMETHING, digits=torch.float32, repeats=0.0)
    return Conditions(
        deterministic=deterministic,
        seeded=seeded,
        cause="",
        rows=8,
        mates=0.0,
        batch=0.0,
        noise=noise,
        rounding=rounding,
        spread=1.0,
        broken=torch.zeros(1, dtype=torch.bool),
    )


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def decide(
    moved: Tensor,
    gradient: Tensor | None = None,
    finer: Finer | None = None,
    may: list[int] | None = None,
    found: Conditions | None = None,
) -> Judgement:
    allowed = None if may is None else torch.tensor([may]).bool()
    slope = torch.zeros_like(moved) if gradient is None else gradient
    return judge(moved, slope, allowed, allowed, found or conditions(), lambda columns: finer)


def fine(moved: list[float], before: list[float], alike: list[float], clean: bool = True) -> Finer:
    nothing, something = FINE if clean else (NOTHING, SOMETHING)
    return Finer(
        moved=row(*moved), before=row(*before), alike=row(*alike), nothing=nothing, something=something, clean=clean
    )


def said(found: Judgement) -> str:
    """A sign a cell: what the pictures say."""
    pairs = zip(found.visible[0].tolist(), found.unsure[0].tolist(), strict=True)
    return "".join("?" if unsure else "■" if sees else "·" for sees, unsure in pairs)


def test_nothing_is_nothing_and_much_is_much() -> None:
    found = decide(row(0, 0.5, 0), row(0, 0, 0.2))
    assert said(found) == "·■■" and (found.nothing, found.something, found.refined) == (0, 0.2, 0)


def test_either_method_suffices_and_one_that_was_not_used_says_nothing() -> None:
    nan = float("nan")
    assert said(decide(row(nan, nan, 0.5), row(0.5, 0, nan))) == "■·■"
    assert said(decide(row(0, 0.5), row(nan, nan))) == "·■"


def test_what_is_small_is_settled_in_float64() -> None:
    small = row(1e-6, 1e-6, 0.5)
    finer = fine([1e-6, 1e-15], [1e-6, 1e-6], [1.0, 0.0])
    found = decide(small, finer=finer)
    assert said(found) == "■·■" and found.refined == 2 and found.nothing == 1e-15 and found.something == 1e-6
    assert said(decide(small, finer=fine([1e-13, 1e-13], [1e-6, 1e-6], [0.0, 0.99]))) == "?■■"


def test_what_must_depend_is_looked_for_in_float64_too() -> None:
    assert said(decide(row(0, 0), finer=fine([1e-9, 0], [0, 0], [0, 0]), may=[1, 1])) == "■·"


def test_a_copy_that_rounds_to_float32_within_tells_by_what_shrinks_and_what_changes() -> None:
    cells = row(1e-6, 1e-6, 1e-6, 1e-6)
    finer = fine([1e-10, 1e-6, 1e-6, 1e-4], [1e-6] * 4, [0.0, 0.1, 0.99, 0.99], clean=False)
    assert said(decide(cells, finer=finer)) == "··?■"


def test_without_float64_company_decides() -> None:
    assert said(decide(row(1e-6, 2e-6, 1e-6, 0.5, 0.7))) == "···■■", "all that is small is rounding: a gap parts it"
    assert said(decide(row(0, 0, 1e-6, 0.5, 0.7))) == "··?■■", "others are exactly nothing, so this may be a leak"
    assert said(decide(row(1e-6, 1e-6, 1e-4, 0.5))) == "???■", "no gap"


def test_without_float64_a_faint_change_is_one_where_all_that_is_hidden_stays_the_same_to_the_bit() -> None:
    assert said(decide(row(0, 0, 1e-6, 0.5), may=[0, 0, 1, 1])) == "··■■"
    assert said(decide(row(0, 1e-6, 1e-4, 0.5), may=[0, 0, 1, 1])) == "·??■"
    assert said(decide(row(1e-6, 1e-4, 0.5), may=[1, 1, 1])) == "??■", "nothing is hidden, so nothing shows it"


def test_noise_hides_what_is_not_far_above_it() -> None:
    wobbling = conditions(noise=1e-4)
    assert said(decide(row(3e-4, 1e-3, 0.5), found=wobbling)) == "·?■"
    random = conditions(noise=1e-3, deterministic=False, seeded=False)
    assert said(decide(row(0, 1e-3, 0.5), found=random)) == "??■", "under noise nothing is known not to depend"
