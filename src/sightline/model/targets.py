"""Targets: places that are asked about beside the tokens, by queries that do not know what stands there.

    Yang et al. 2019, "XLNet", section 2.3: the query stream. Here it is more queries over the same keys: the tokens of
    a row, then its targets; since only tokens are keys, nobody sees what a target makes of itself.

Shapes: B batch, T tokens, K targets, P tokens that a cache remembers.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.position import ENDLESS
from sightline.errors import InputError
from sightline.model.door import a_tensor, real_positions


def _check_rows(name: str, given: Tensor, rows: int) -> None:
    if given.shape[0] not in (1, rows):
        raise InputError(f"{name} has {given.shape[0]} rows, the tokens {rows}; give one for all or one for each")


def _of_mapping(at: Coordinates, target_mapping: Tensor) -> Tensor:
    """The tokens' indices (B, K) that transformers' one-hot rows name."""
    mapping = a_tensor("target_mapping", target_mapping)
    if mapping.dim() != 3 or mapping.shape[-1] != at.tokens or not mapping.numel():
        raise InputError(f"target_mapping has shape {tuple(mapping.shape)}; it must be (batch, targets, {at.tokens})")
    ones, others = (mapping == 1).sum(-1), (mapping != 0).sum(-1)
    if mapping.device.type == "cpu" and not bool(((ones == 1) & (others == 1)).all()):
        raise InputError("each row of target_mapping must have a single 1, at the token that is asked, and else 0")
    return mapping.argmax(-1).to(at.position.device)


def _of_positions(at: Coordinates, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Positions (B, K), the indices of the tokens that stand there, and whether any does, bool."""
    asked = a_tensor("targets", targets)
    if asked.dim() != 2 or not asked.numel() or asked.is_floating_point() or asked.dtype == torch.bool:
        shape = tuple(asked.shape)
        raise InputError(f"targets must be positions, whole numbers (batch, targets), not {asked.dtype} of {shape}")
    if asked.device.type == "cpu":
        low, high = (int(bound) for bound in asked.aminmax())
        if low < 0 or high >= ENDLESS:
            raise InputError(
                f"targets ask at position {low if low < 0 else high}; positions count from 0 to {ENDLESS - 1}"
            )
    asked = asked.long().to(at.position.device)
    found = asked[:, :, None] == real_positions(at)[:, None, :]  # (B, K, T)
    if found.device.type == "cpu" and bool((found.sum(-1) > 1).any()):
        raise InputError(
            "targets ask at a position that several tokens of a row have, as packed texts do; name the tokens by"
            " target_mapping"
        )
    there = found.any(-1)
    return asked.expand(len(there), -1), found.long().argmax(-1), there


def _next(at: Coordinates) -> Coordinates:
    """What comes after the tokens, (B or 1, 1): in their segment and document, and last in their order."""
    after = replace(at, rank=None).following(1)
    if at.rank is None:
        return after
    ranks = at.rank if at.real is None else torch.where(at.real, at.rank, 0)
    return replace(after, rank=ranks.amax(-1, keepdim=True) + 1)


def _at_tokens(at: Coordinates, index: Tensor) -> Coordinates:
    """Coordinates (B, K) of the tokens at these indices (B or 1, K)."""
    rows = max(len(index), at.batch)
    index = index.expand(rows, -1)
    return replace(at.each(lambda t: t.expand(rows, -1).gather(1, index)), within=at.bounds)


def _asked(at: Coordinates, targets: Tensor | None, target_mapping: Tensor | None) -> tuple[Coordinates, Tensor | None]:
    """Coordinates (B, K) of the targets, and their indices among the tokens, None where one lies beyond them."""
    if targets is None and target_mapping is not None:
        index = _of_mapping(at, target_mapping)
        return _at_tokens(at, index), index
    if targets is None or target_mapping is not None:
        raise InputError("pass targets (batch, targets) or target_mapping (batch, targets, tokens), not both")
    asked, index, there = _of_positions(at, targets)
    tokens = _at_tokens(at, index)
    if bool(there.all()):
        return tokens, index
    after = _next(at)
    pairs = ((getattr(tokens, name), getattr(after, name)) for name in ("document", "token_type", "rank"))
    document, token_type, rank = (None if one is None else torch.where(there, one, other) for one, other in pairs)
    low, high = (int(bound) for bound in asked.aminmax())
    return Coordinates(
        position=asked, document=document, token_type=token_type, rank=rank, within=(low, high + 1)
    ), None


def _seen(perm_mask: Tensor, at: Coordinates, remembered: int) -> Tensor:
    """Who may see whom, bool (B or 1, T, P + T), of transformers' perm_mask (1 hides); what is remembered is seen."""
    hides = a_tensor("perm_mask", perm_mask)
    if hides.dim() != 3 or hides.shape[1:] != (at.tokens, at.tokens):
        raise InputError(f"perm_mask has shape {tuple(hides.shape)}; it must be (batch, {at.tokens}, {at.tokens})")
    if hides.device.type == "cpu" and not bool(((hides == 0) | (hides == 1)).all()):
        raise InputError("perm_mask holds numbers other than 0 and 1; 1 hides the second token from the first")
    sees = ~hides.bool().to(at.position.device)
    return torch.cat([sees.new_ones(*sees.shape[:2], remembered), sees], -1)


def two_streams(
    at: Coordinates,
    remembered: int,
    *,
    rows: int,
    targets: Tensor | None,
    target_mapping: Tensor | None,
    perm_mask: Tensor | None,
    allowed: Tensor | None,
) -> tuple[Coordinates, Tensor | None]:
    """Coordinates (B, T + K) of all that ask, tokens first, and who of them may see whom, (B, T + K, P + T) or None.

    Under a perm_mask a token sees its own place whatever that says, and a target sees what it says of the target's
    place; without one the model's own mask rules and a target is blind for its own place. Each of what is given has one
    of `rows` rows, or one for all.
    """
    named = {"targets": targets, "target_mapping": target_mapping, "perm_mask": perm_mask}
    for name, given in named.items():
        if given is not None and a_tensor(name, given).dim() > 1:  # other shapes are refused below
            _check_rows(name, given, rows)
    if perm_mask is not None:
        if allowed is not None:
            raise InputError("pass perm_mask (1 hides) or allowed (True shows), not both")
        allowed = _seen(perm_mask, at, remembered)
    shown = allowed
    if perm_mask is not None and allowed is not None:
        own = torch.eye(at.tokens, dtype=torch.bool, device=allowed.device)
        shown = allowed | torch.cat([own.new_zeros(at.tokens, remembered), own], -1)
    if targets is None and target_mapping is None:
        return at, shown
    asked, index = _asked(at, targets, target_mapping)
    if perm_mask is None:
        asked = replace(asked, blind=torch.ones_like(asked.position, dtype=torch.bool))
    if allowed is None or shown is None:
        return at.then(asked), None
    if index is None:
        raise InputError("targets beyond the tokens have no row in perm_mask or allowed; ask at the tokens' positions")
    apart = max(len(index), len(allowed))
    places = index.expand(apart, -1)[..., None].expand(-1, -1, allowed.shape[-1])
    theirs = allowed.expand(apart, -1, -1).gather(1, places)
    return at.then(asked), torch.cat([shown.expand(apart, -1, -1), theirs], 1)
