"""Every attention kernel gives the same, and honours the mask.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, View, amount, cannot_tell, failed, not_applicable, passed
from sightline.probing.checks.profile import leaks_of
from sightline.probing.checks.rounding import difference
from sightline.probing.checks.substitute import substitute
from sightline.probing.report import Check
from sightline.probing.subject import ERRORS, in_a_line

KERNELS = "attention kernels agree"
TOKENS = 8
COMPILED = ("flex", "flex_attention")  # each shape is compiled anew, which takes a minute


def kernels_agree(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """The same outputs by every kernel, for whole and for padded rows, and nobody sees what is hidden on any."""
    source = plan.that_has("kernels")
    names = [name for name in source.subject.kernels if plan.compiled or name not in COMPILED]
    if len(names) < 2:
        return not_applicable(KERNELS, f"only {names[0]} can be chosen" if names else "no kernel can be chosen")
    tokens = min(TOKENS, plan.longest)
    views: dict[str, View] = {}
    refused: list[str] = []
    for name in names:
        try:
            view = replace(source, subject=source.subject.with_kernel(name))
            view.run(plan.draw(1, tokens), plan.inputs(tokens))
            views[name] = view
        except ERRORS as error:
            refused.append(f"{name} refuses: {in_a_line(error)}")
    if len(views) < 2:
        return not_applicable(KERNELS, "; ".join(refused))
    leaking = _leaking(plan, views, tokens)
    if leaking and len(leaking) < len(views):
        clean = [name for name in views if name not in leaking]
        said = f"at {tokens} tokens {plan.expect} is not honoured on {_and(leaking)}, and is on {_and(clean)}"
        return failed(KERNELS, said, causes.ONE_KERNEL)
    apart, where = _apart(plan, views, tokens)
    if source.rounding.tell(apart) == "different":
        cause = causes.NOT_A_NUMBER if apart == float("inf") else causes.KERNELS_DIFFER
        return failed(KERNELS, f"{where} by {amount(apart)}", cause)
    if source.rounding.tell(apart) == "unclear":
        return cannot_tell(KERNELS, f"{where} by {amount(apart)}: rounding?")
    return passed(KERNELS, f"{_and(list(views))} within {amount(apart)}, whole and padded rows of {tokens} tokens")


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _leaking(plan: Plan, views: Mapping[str, View], tokens: int) -> list[str]:
    allowed = plan.allowed(tokens)
    if allowed is None or bool(allowed.all()):
        return []
    least = plan.that_has("kernels").rounding.something
    return [
        name for name, view in views.items() if bool(leaks_of(substitute(plan, view, tokens), allowed, least).any())
    ]


def _apart(plan: Plan, views: Mapping[str, View], tokens: int) -> tuple[float, str]:
    """How far the kernels are apart at most, and where."""
    ids = plan.draw(2, tokens, salt=12)
    worst = (0.0, "kernels agree")
    for side in ("none", "right", "left"):
        mask = _mask(ids, side) if plan.takes("attention_mask") else None
        if side != "none" and mask is None:
            continue
        inputs = {**plan.inputs(tokens), **({} if mask is None or side == "none" else {"attention_mask": mask})}
        made = {name: view.run(ids, inputs) for name, view in views.items()}
        first, *others = made
        real = torch.ones_like(ids, dtype=torch.bool) if mask is None or side == "none" else mask.bool()
        for name in others:
            apart = float(difference(made[name], made[first])[real].max())
            what = "rows" if side == "none" else f"rows padded on the {side}"
            worst = max(worst, (apart, f"2 {what} of {tokens} tokens: {first} and {name} differ"))
    return worst


def _mask(ids: Tensor, side: str) -> Tensor:
    mask = torch.ones_like(ids)
    if side != "none" and ids.shape[1] > 2:
        mask[1, slice(-2, None) if side == "right" else slice(0, 2)] = 0
    return mask
