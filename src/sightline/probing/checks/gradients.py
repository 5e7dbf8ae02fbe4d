"""Which output has a gradient to which token's vector: one output and one token at a time.

Shapes: T tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sightline.errors import UnsupportedError
from sightline.probing.checks.plan import Plan, View
from sightline.probing.gradient import by_gradient
from sightline.probing.scene import Scene

ROWS = 8  # outputs that are differentiated in one pass


def gradients(plan: Plan, view: View, tokens: int) -> Tensor | None:
    """The size of the gradient of each output to each token, (T, T), the largest being 1; None where the subject takes
    no vectors, or cannot be differentiated."""
    scene = Scene(ids=plan.draw(1, tokens, salt=tokens), inputs=plan.inputs(tokens), seed=plan.seed)
    try:
        table = by_gradient(view.subject, scene, torch.arange(tokens), 1, ROWS)
    except UnsupportedError:
        return None
    return table / table.max().clamp(min=1e-300)
