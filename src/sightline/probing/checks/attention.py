"""Attention weights: rows sum to one, and nothing goes to whom the mask hides.

Shapes: B rows, H heads, Q queries, K keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from sightline.errors import SightlineError
from sightline.model.model import Model
from sightline.probing import causes
from sightline.probing.checks.plan import Plan, View, amount, cannot_tell, failed, inherited, not_applicable, passed
from sightline.probing.checks.visibility import LEAKS
from sightline.probing.of_modules import named_inputs
from sightline.probing.report import Check

ROWS = "attention rows sum to one and respect the mask"
TOKENS, CLOSE, OFF = 8, 64, 4096  # in units of the last digit


def rows_are_shares(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Each query's weights sum to one, and are zero where the mask hides."""
    tokens = min(TOKENS, plan.longest)
    given = _weights(plan.exact, plan, tokens)
    if not given:
        return not_applicable(ROWS, "it gives no attention weights")
    digit = torch.finfo(max((each.dtype for each in given), key=lambda kind: torch.finfo(kind).eps)).eps
    digit = max(digit, torch.finfo(plan.exact.rounding.digits).eps)
    table = plan.table(tokens)
    for layer, weights in enumerate(given):
        sums = weights.sum(-1)
        off = float(torch.minimum((sums - 1).abs(), sums.abs()).max())
        if off > CLOSE * digit:
            lowest, highest = (float(bound) for bound in sums.aminmax())
            said = f"layer {layer}: rows sum to {lowest:.4g} … {highest:.4g}"
            if off < OFF * digit or highest <= 1 + CLOSE * digit:
                return cannot_tell(ROWS, f"{said}; a sink, or a mixture with something else, would do that")
            return failed(ROWS, said, causes.ROWS_WRONG)
        if table is not None:
            hidden = torch.where(table, torch.zeros_like(weights), weights)
            if float(hidden.max()) > CLOSE * digit:
                query, key = divmod(int(hidden.flatten(0, 1).amax(0).argmax()), tokens)
                said = f"layer {layer}: query {query} gives {amount(float(hidden.max()))} to key {key}"
                return failed(ROWS, f"{said}, which {plan.expect} hides", inherited(earlier, LEAKS) or causes.SOME_LEAK)
    return passed(ROWS, f"{len(given)} layers, {given[0].shape[1]} heads, {tokens} tokens")


def _weights(view: View, plan: Plan, tokens: int) -> list[Tensor]:
    """Attention weights (B, H, T, T) of each layer that gives them."""
    subject = view.subject
    module = subject.module
    asks = () if module is None else named_inputs(module.forward)
    kernels = [name for name in ("eager", "reference") if name in subject.kernels]
    if isinstance(module, Model):
        with torch.no_grad():
            return list(module(plan.draw(1, tokens), attentions=True, **plan.inputs(tokens)).attentions or ())
    if module is None or ("output_attentions" not in asks and not kernels):
        return []
    collected: list[object] = []
    handle = module.register_forward_hook(lambda each, inputs, made: collected.append(made))
    try:
        plain = replace(view, subject=subject.with_kernel(kernels[0])) if kernels else view
        with torch.no_grad():
            asked = {**plan.inputs(tokens), "output_attentions": torch.tensor(True)}
            plain.subject.call(plan.draw(1, tokens), asked)
    except (SightlineError, TypeError, ValueError, RuntimeError):
        return []
    finally:
        handle.remove()
    found = getattr(collected[-1], "attentions", None) if collected else None
    if not isinstance(found, tuple | list):
        return []
    return [
        each for each in found if isinstance(each, Tensor) and each.dim() == 4 and each.shape[2:] == (tokens, tokens)
    ]
