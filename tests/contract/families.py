"""Who takes part in the contract: tiny random models of every layout, and the one table of what is skipped and why.

Shapes: B rows, T tokens, W width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sightline.core.block import Block
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Mask
from sightline.model.build import build
from sightline.model.families import LAYOUTS
from sightline.model.model import Model

WITHOUT_REFERENCE = {
    "transfo-xl": "transformers 5 has no such class; golden values stand in: tests/weights/test_transformer_xl.py"
}
"""Layout → the reason why nothing is compared with a model of transformers."""
SKIPS: dict[tuple[str, str], str] = {(family, "parity"): reason for family, reason in WITHOUT_REFERENCE.items()}
SKIPS |= {
    (family, "flex"): "relative positions are additive scores, which that kernel does not take"
    for family in ("xlnet", "transfo-xl")
}
"""(layout, check) → the reason why this layout does not take part in that check."""

FAMILIES = tuple(LAYOUTS)
VOCABULARY = 31
LAYERS = 3
SIZES: dict[str, Any] = {"vocabulary": VOCABULARY, "width": 16, "inner": 24, "layers": LAYERS, "positions": 24}
OWN: dict[str, dict[str, Any]] = {
    "modernbert": {"window": 3},  # so narrow that local layers differ from global ones in short texts
    "modernbert-decoder": {"window": 2},
    "transfo-xl": {"cutoffs": (7, 15), "divisor": 2},  # three clusters, 16, 8 and 4 wide
}
"""Sizes that a layout has beside those that all have."""
LOCAL_FIRST = {family: {"global_layers": (LAYERS - 1,)} for family in ("modernbert", "modernbert-decoder")}
"""Layout → the settings under which local layers come first: a global one before them would hide what they see."""
HEADS = {name: tuple(head.name for head in layout.heads) for name, layout in LAYOUTS.items()}


def families(check: str) -> pytest.MarkDecorator:
    """Run a check for every family; the table says who skips it and why."""
    cases = []
    for family in FAMILIES:
        reason = SKIPS.get((family, check))
        cases.append(pytest.param(family, marks=[] if reason is None else [pytest.mark.skip(reason=reason)]))
    return pytest.mark.parametrize("family", cases)


def sizes(family: str) -> dict[str, Any]:
    """The settings of a tiny model of this layout."""
    known = {field.name for field in fields(LAYOUTS[family].config)}  # a network without end has no `positions`
    return {**{name: size for name, size in SIZES.items() if name in known}, **OWN.get(family, {})}


def randomize(module: nn.Module, seed: int = 0) -> None:
    """Weights large enough that every one of them shows in the result: norms and biases too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float32) * 0.3
            is_norm = parameter.dim() == 1 and name.endswith("weight")
            parameter.copy_(drawn + 1 if is_norm else drawn)


def tiny(
    family: str,
    *,
    heads: tuple[str, ...] | None = None,
    mask: Mask | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    **settings: Any,
) -> Model:
    """A random model in eval mode, by default in float64 and with every head that the layout has."""
    wanted = HEADS[family] if heads is None else heads
    model = build(family, "tiny", heads=wanted, labels=3, dtype=dtype, **{**sizes(family), **settings})
    randomize(model, seed)
    return model if mask is None else model.with_mask(mask)


def random_ids(rows: int, tokens: int, seed: int = 0) -> Tensor:
    """(B, T), none of them an id that some layout reads as padding."""
    return torch.randint(3, VOCABULARY, (rows, tokens), generator=torch.Generator().manual_seed(seed))


def padded(texts: list[Tensor], side: str, filler: int, extra: int = 0) -> tuple[Tensor, Tensor]:
    """Texts (T,) as one batch: ids and attention mask, both (B, T). side: "left", "right" or "both"."""
    width = max(len(text) for text in texts) + extra
    ids, mask = torch.full((len(texts), width), filler), torch.zeros(len(texts), width, dtype=torch.long)
    for row, text in enumerate(texts):
        free = width - len(text)
        begin = {"left": free, "right": 0, "both": free // 2}[side]
        ids[row, begin : begin + len(text)] = text
        mask[row, begin : begin + len(text)] = 1
    return ids, mask


def all_logits(model: Model, hidden: Tensor, at: Coordinates) -> Mapping[str, Tensor]:
    """What every head of the model says."""
    return {name: head(hidden, at) for name, head in model.heads.items()}


def bounds(model: Model, at: Coordinates) -> list[Tensor]:
    """Whom each block's own limit lets whom see, bool (T, T): everyone, where it has none."""
    blocks = [block for block in model.modules() if isinstance(block, Block)]
    return [(block.limit or Bidirectional()).table(at, at)[0] for block in blocks]


def reach(table: Tensor, bounds: Sequence[Tensor]) -> Tensor:
    """Who can reach whom through layers that see as `table` says, each within its own bound, (T, T): hop or stay
    (residual)."""
    itself = torch.eye(len(table), dtype=torch.bool)
    reached = itself.double()
    for bound in bounds:
        reached = ((table & bound | itself).double() @ reached > 0).double()
    return reached.bool()
