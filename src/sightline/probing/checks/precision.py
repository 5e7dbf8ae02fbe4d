"""bfloat16 within its rounding.

What rounding alone would do is measured on a float64 copy whose weights and whose modules' results are all rounded to
bfloat16; the model in bfloat16 may be a few times further off, for it also rounds between modules.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, amount, cannot_tell, failed, not_applicable, passed
from sightline.probing.report import Check
from sightline.probing.subject import ERRORS, in_a_line

HALF = "bfloat16 within its rounding"
TOKENS, FINE, COARSE = 32, 16.0, 64.0  # times what rounding of weights and modules' results does
LARGEST = 200_000_000


def within_its_rounding(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """In bfloat16 outputs are off by what rounding explains."""
    subject = plan.subject
    if subject.module is None or plan.exact is plan.given:
        return not_applicable(HALF, "there is no copy of it in other types")
    if sum(weight.numel() for weight in subject.module.parameters()) > LARGEST:
        return not_applicable(HALF, f"it has more than {LARGEST // 10**6} million weights")
    tokens = min(TOKENS, plan.longest)
    ids, inputs = plan.draw(2, tokens, salt=17), plan.inputs(tokens)
    exact = plan.exact.run(ids, inputs).cpu()
    try:
        with torch.no_grad():
            half = subject.copy(torch.bfloat16).call(ids, inputs).cpu().double()
    except ERRORS as error:
        return not_applicable(HALF, f"it does not run in bfloat16: {in_a_line(error)}")
    rounded = _rounded(plan, ids).cpu()
    size = float(exact.abs().median())
    real, alone = (_typical(each - exact) for each in (half, rounded))
    said = f"on {tokens} tokens outputs are {amount(real)} off, rounding explains {amount(alone)} (of {amount(size)})"
    if real != real or real == float("inf"):
        return failed(HALF, f"on {tokens} tokens outputs are not numbers", causes.HALF_PRECISION)
    if real <= FINE * alone:
        return passed(HALF, said)
    return failed(HALF, said, causes.HALF_PRECISION) if real > COARSE * alone else cannot_tell(HALF, said)


def _typical(apart: Tensor) -> float:
    """The size of the differences of a typical token: choices that fall otherwise at a few do not count."""
    return float(apart.flatten(2).pow(2).mean(-1).sqrt().median())


def _rounded(plan: Plan, ids: Tensor) -> Tensor:
    """Outputs of a float64 copy that rounds weights and modules' results to bfloat16."""
    twin = plan.exact.subject.copy()
    module = twin.module
    if module is None:
        raise TypeError("there is no module")

    def shorten(each: nn.Module, given: Any, made: Any) -> Any:
        fits = isinstance(made, Tensor) and made.is_floating_point()
        return made.bfloat16().to(made.dtype) if fits else None

    with ExitStack() as hooks, torch.no_grad():
        for weight in module.parameters():
            if weight.is_floating_point():
                weight.copy_(weight.bfloat16().to(weight.dtype))
        for each in module.modules():
            if not [*each.children()]:
                hooks.callback(each.register_forward_hook(shorten).remove)
        return twin.call(ids, plan.inputs(ids.shape[1]))
