"""Token types and positions matter when they are given, and not otherwise.

Shapes: T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, View, amount, cannot_tell, failed, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.report import Check
from sightline.probing.subject import ERRORS

TYPES = "token types matter when given"
POSITIONS = "positions matter when given"
TOKENS, FIRSTS = 6, range(5)


def _apart(plan: Plan, ids: Tensor, one: Tensor, name: str, value: Tensor) -> float:
    made = plan.exact.run(ids, {**plan.inputs(ids.shape[1]), name: value})
    return float(difference(made, one).max())


def types_matter(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Types of 0 are what a text without types gets, and types of 1 are something else."""
    if not plan.takes("token_type_ids"):
        return not_applicable(TYPES, "it takes no token_type_ids")
    tokens = min(TOKENS, plan.longest)
    ids = plan.draw(1, tokens, salt=13)
    plain = plan.exact.run(ids, plan.inputs(tokens))
    zeros, later = torch.zeros_like(ids), (torch.arange(tokens)[None] >= tokens // 2).long()
    apart = _apart(plan, ids, plain, "token_type_ids", zeros)
    if plan.exact.rounding.tell(apart) == "unclear":
        return cannot_tell(TYPES, f"types of 0 change outputs by {amount(apart)}: rounding?")
    if plan.exact.rounding.tell(apart) == "different":
        said = f"{tokens} tokens with types of 0 differ by {amount(apart)} from the same without types"
        return failed(TYPES, said, causes.TYPES_DEFAULT)
    try:
        moved = _apart(plan, ids, plain, "token_type_ids", later)
    except ERRORS:
        return not_applicable(TYPES, "it has one token type only")
    if plan.exact.rounding.tell(moved) == "unclear":
        return cannot_tell(TYPES, f"types of 0 and 1 change outputs by {amount(moved)}: rounding?")
    if plan.exact.rounding.tell(moved) == "same":
        said = f"types of 0 and 1 give what no types give, within {amount(moved)}, on {tokens} tokens"
        return failed(TYPES, said, causes.TYPES_IGNORED)
    return passed(TYPES, f"{tokens} tokens: types of 0 change nothing, of 1 {amount(moved)}")


def first_position(view: View, plan: Plan) -> int:
    """What position the subject gives the first token of a text when it is not told; 0 where no number is it."""
    tokens = min(TOKENS, max(1, plan.longest // 2))
    ids, places = plan.draw(1, tokens, salt=14), torch.arange(tokens)[None]
    plain = view.run(ids, plan.inputs(tokens))
    for first in FIRSTS:
        told = view.run(ids, {**plan.inputs(tokens), "position_ids": places + first})
        if view.rounding.tell(float(difference(told, plain).max())) == "same":
            return first
    return 0


def positions_matter(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Positions in a row are what a text without positions gets, and 0, 2, 4, … are something else."""
    if not plan.takes("position_ids"):
        return not_applicable(POSITIONS, "it takes no position_ids")
    tokens = min(TOKENS, max(1, plan.longest // 2))
    ids, places = plan.draw(1, tokens, salt=14), torch.arange(tokens)[None]
    plain = plan.exact.run(ids, plan.inputs(tokens))
    apart = _apart(plan, ids, plain, "position_ids", places + plan.first)
    moved = _apart(plan, ids, plain, "position_ids", 2 * places + plan.first)
    usual = f"{plan.first}, {plan.first + 1}, {plan.first + 2}, …"
    rounding = plan.exact.rounding
    if rounding.tell(apart) == "different":
        said = f"{tokens} tokens at positions {usual} differ by {amount(apart)} from the same without positions"
        return failed(POSITIONS, said, causes.POSITIONS_DEFAULT)
    if rounding.tell(apart) == "unclear" or rounding.tell(moved) == "unclear":
        said = f"positions {usual} change outputs by {amount(apart)}, every second by {amount(moved)}"
        return cannot_tell(POSITIONS, f"{said}: rounding?")
    if rounding.tell(moved) == "same":
        said = f"{tokens} tokens at every second position give what they give at {usual}, within {amount(moved)}"
        return failed(POSITIONS, said, causes.POSITIONS_IGNORED)
    return passed(POSITIONS, f"{tokens} tokens: {usual} change nothing, every second {amount(moved)}")
