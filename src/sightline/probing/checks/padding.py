"""Padding is inert, on either side, whatever stands there.

Shapes: B rows, T tokens, P places of padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.batch import MATE
from sightline.probing.checks.beginning import BEGINNING
from sightline.probing.checks.plan import Plan, amount, cannot_tell, failed, inherited, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.checks.visibility import ALONE, LEAKS
from sightline.probing.report import Check

CONTENT = "what stands in padding is inert"
RIGHT = "padding on the right is inert"
LEFT = "padding on the left is inert"
TOKENS, PLACES = 5, (1, 3)
Side = Literal["left", "right"]
NONE = "it takes no attention_mask, so nothing says what is padding"


def _padded(plan: Plan, ids: Tensor, side: Side, places: int, salt: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask (1, T + P)."""
    filler = plan.draw(1, places, salt=salt)
    zeros, ones = torch.zeros_like(filler), torch.ones_like(ids)
    if side == "left":
        return torch.cat([filler, ids], 1), torch.cat([zeros, ones], 1)
    return torch.cat([ids, filler], 1), torch.cat([ones, zeros], 1)


def _run(plan: Plan, ids: Tensor, side: Side, places: int, salt: int, *, positions: bool = False) -> Tensor:
    """Outputs of the real tokens (1, T, …)."""
    whole, mask = _padded(plan, ids, side, places, salt)
    inputs = {**plan.inputs(whole.shape[1]), "attention_mask": mask}
    if positions:
        inputs["position_ids"] = plan.positions(mask)
    made = plan.exact.run(whole, inputs)
    return made[:, places:] if side == "left" else made[:, : ids.shape[1]]


def _tokens(plan: Plan) -> int:
    return max(1, min(TOKENS, plan.longest - max(PLACES)))


def content_is_inert(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Other ids in padding change no real token's output."""
    if not plan.takes("attention_mask"):
        return not_applicable(CONTENT, NONE)
    tokens, worst = _tokens(plan), 0.0
    ids = plan.draw(1, tokens, salt=4)
    for side in ("right", "left"):
        for places in PLACES:
            one, other = (_run(plan, ids, side, places, salt) for salt in (5, 6))
            apart = difference(one, other).flatten(2).amax(-1)[0]
            worst = max(worst, float(apart.max()))
            if not bool(torch.isfinite(one).all()):
                said = f"{tokens} tokens, {places} of padding on the {side}: outputs are not numbers"
                return failed(CONTENT, said, causes.NOT_A_NUMBER)
            if plan.exact.rounding.tell(float(apart.max())) == "different":
                said = f"{tokens} tokens, {places} of padding on the {side}: other ids there change output"
                worst_at = f"{int(apart.argmax())} by {amount(float(apart.max()))}"
                cause = inherited(earlier, LEAKS, ALONE, MATE) or causes.PADDING_ATTENDED
                return failed(CONTENT, f"{said} {worst_at}", cause)
    if plan.exact.rounding.tell(worst) == "unclear":
        return cannot_tell(CONTENT, f"other ids in padding change outputs by {amount(worst)}: rounding?")
    return passed(CONTENT, f"{tokens} tokens, 1 and 3 of padding on either side: within {amount(worst)}")


def right_is_inert(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Padding after a text changes nothing."""
    return _inert(plan, earlier, "right", RIGHT)


def left_is_inert(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Padding before a text changes nothing."""
    return _inert(plan, earlier, "left", LEFT)


def _inert(plan: Plan, earlier: Mapping[str, Check], side: Side, name: str) -> Check:
    if not plan.takes("attention_mask"):
        return not_applicable(name, NONE)
    tokens, worst = _tokens(plan), 0.0
    ids = plan.draw(1, tokens, salt=4)
    alone = plan.exact.run(ids, plan.inputs(tokens))
    for places in PLACES:
        found = _run(plan, ids, side, places, salt=5)
        apart = difference(found, alone).flatten(2).amax(-1)[0]
        worst = max(worst, float(apart.max()))
        if plan.exact.rounding.tell(float(apart.max())) == "different":
            said = f"{tokens} tokens, {places} of padding on the {side}: output {int(apart.argmax())} changes by"
            cause, more = _cause(plan, earlier, ids, alone, found, side, places)
            return failed(name, f"{said} {amount(float(apart.max()))}{more}", cause)
    if plan.exact.rounding.tell(worst) == "unclear":
        return cannot_tell(name, f"padding on the {side} changes outputs by {amount(worst)}: rounding?")
    return passed(name, f"{tokens} tokens, 1 and 3 of padding: within {amount(worst)}")


def _cause(
    plan: Plan, earlier: Mapping[str, Check], ids: Tensor, alone: Tensor, found: Tensor, side: Side, places: int
) -> tuple[str, str]:
    """The likely cause, and what to add to the detail."""
    if not bool(torch.isfinite(found).all()):
        return causes.NOT_A_NUMBER, ""
    known = inherited(earlier, LEAKS, ALONE, BEGINNING, MATE, CONTENT)
    if known is not None:
        return known, ""
    if side == "left" and plan.takes("position_ids"):
        told = _run(plan, ids, side, places, salt=5, positions=True)
        if plan.exact.rounding.tell(float(difference(told, alone).max())) == "same":
            return causes.POSITIONS_COUNT_PADDING, "; with position_ids that leave padding out, nothing changes"
    return (causes.POSITIONS_COUNT_PADDING if side == "left" else causes.PADDING_COUNTS), ""
