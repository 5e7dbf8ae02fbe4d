"""Attention weights: rows sum to one, and nothing goes to whom the mask hides.

Shapes: B rows, H heads, Q queries, K keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sightline.model.model import Model
from sightline.probing import causes
from sightline.probing.checks.kernels import KERNELS
from sightline.probing.checks.plan import Plan, View, amount, cannot_tell, failed, inherited, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.checks.visibility import LEAKS
from sightline.probing.of_modules import named_inputs
from sightline.probing.report import Check
from sightline.probing.subject import ERRORS

ROWS = "attention rows sum to one and respect the mask"
TOKENS, CLOSE, OFF = 8, 64, 4096  # in units of the last digit


@dataclass(frozen=True, eq=False)
class Asked:
    """What a model gave that was asked for its attention weights: those of each layer (B, H, T, T), and its outputs."""

    weights: list[Tensor]
    outputs: Tensor | None = None


def rows_are_shares(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Each query's weights sum to one, and are zero where the mask hides; and asking for them changes nothing."""
    tokens = min(TOKENS, plan.longest)
    asked = _ask(plan.exact, plan, tokens)
    if not asked.weights:
        return not_applicable(ROWS, "it gives no attention weights")
    known = inherited(earlier, LEAKS)
    if asked.outputs is not None and known is None:
        plain = plan.exact.run(plan.draw(1, tokens), plan.inputs(tokens))
        apart = float(difference(asked.outputs, plain).max())
        fine = OFF * torch.finfo(torch.float32).eps * float(plain.abs().max())
        if apart > fine and plan.exact.rounding.tell(apart) == "different" and earlier[KERNELS].status != "failed":
            said = f"{tokens} tokens: asking for attention weights changes outputs by {amount(apart)}"
            return failed(ROWS, said, causes.ASKED_PATH)
    for layer, weights in enumerate(asked.weights):
        found = _judged(plan, layer, weights.cpu(), plan.table(tokens), known)
        if found is not None:
            return found
    heads = asked.weights[0].shape[1]
    return passed(ROWS, f"{len(asked.weights)} layers, {heads} heads, {tokens} tokens")


def _judged(plan: Plan, layer: int, weights: Tensor, table: Tensor | None, known: str | None) -> Check | None:
    """What is wrong in one layer; None where nothing is."""
    digit = max(torch.finfo(kind).eps for kind in (weights.dtype, torch.float32))  # softmax is often taken in float32
    sums = weights.sum(-1)
    off = float(torch.minimum((sums - 1).abs(), sums.abs()).max())
    if off > CLOSE * digit:
        lowest, highest = (float(bound) for bound in sums.aminmax())
        said = f"layer {layer}: rows sum to {lowest:.4g} … {highest:.4g}"
        if lowest < -CLOSE * digit:
            return None  # no shares at all: a linear attention
        if off < OFF * digit or highest <= 1 + CLOSE * digit:
            return cannot_tell(ROWS, f"{said}; a sink, or a mixture with something else, would do that")
        return failed(ROWS, said, causes.ROWS_WRONG)
    if table is None:
        return None
    hidden = torch.where(table, torch.zeros_like(weights), weights)
    if float(hidden.max()) <= CLOSE * digit:
        return None
    query, key = divmod(int(hidden.flatten(0, 1).amax(0).argmax()), len(table))
    said = f"layer {layer}: query {query} gives {amount(float(hidden.max()))} to key {key}"
    return failed(ROWS, f"{said}, which {plan.expect} hides", known or causes.SOME_LEAK)


def _ask(view: View, plan: Plan, tokens: int) -> Asked:
    """Attention weights, of a model that gives them."""
    subject, ids = view.subject, plan.draw(1, tokens)
    module = subject.module
    asks = () if module is None else named_inputs(module.forward)
    kernels = [name for name in ("eager", "reference") if name in subject.kernels]
    if isinstance(module, Model):
        with torch.no_grad():
            return Asked(list(module(ids, attentions=True, **plan.inputs(tokens)).attentions or ()))
    if module is None or ("output_attentions" not in asks and not kernels):
        return Asked([])
    collected: list[object] = []
    handle = module.register_forward_hook(lambda each, inputs, made: collected.append(made))
    try:
        chosen = replace(view, subject=subject.with_kernel(kernels[0])) if kernels else view
        with torch.no_grad():
            outputs = chosen.subject.call(ids, {**plan.inputs(tokens), "output_attentions": torch.tensor(True)})
    except ERRORS:
        return Asked([])
    finally:
        handle.remove()
    found = getattr(collected[-1], "attentions", None) if collected else None
    tables = [each for each in found if isinstance(each, Tensor) and each.dim() == 4] if found else []
    return Asked([each for each in tables if each.shape[2:] == (tokens, tokens)], outputs)
