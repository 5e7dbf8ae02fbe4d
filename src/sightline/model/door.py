"""The door: inputs under the names that users know become coordinates, and what cannot be right is refused.

Facts about the inputs (is anything padded, how far do positions reach) are read here, where the tensors usually still
lie on the host; nothing behind the door looks at a device value.

Shapes: B batch, T tokens, P tokens that a cache remembers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sightline.core.cache_protocol import StackCache
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Causal, Mask
from sightline.errors import InputError, UnsupportedError


def a_tensor(name: str, value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise InputError(f"{name} must be a tensor, not {type(value).__name__}; torch.tensor(…) makes one")
    return value


def check_tokens(input_ids: Tensor | None, inputs_embeds: Tensor | None, vocabulary: int, width: int) -> Tensor:
    """The one of the two that was given, after a look at its shape and range."""
    if (input_ids is None) == (inputs_embeds is None):
        raise InputError("pass input_ids (batch, tokens), or inputs_embeds (batch, tokens, width) in their place")
    if inputs_embeds is not None:
        embeds = a_tensor("inputs_embeds", inputs_embeds)
        if embeds.dim() != 3 or embeds.shape[-1] != width or not embeds.is_floating_point() or not embeds.numel():
            raise InputError(
                f"inputs_embeds has shape {tuple(embeds.shape)} and type {embeds.dtype}; it must be floating-point"
                f" numbers (batch, tokens, {width}), at least one token a row"
            )
        return embeds
    ids = a_tensor("input_ids", input_ids)
    if ids.dim() != 2 or ids.is_floating_point() or ids.dtype == torch.bool:
        raise InputError(
            f"input_ids must be whole numbers in a tensor (batch, tokens), not {ids.dtype} of shape {tuple(ids.shape)}"
        )
    if ids.numel() == 0:
        raise InputError(f"input_ids of shape {tuple(ids.shape)} hold no token; give each row at least one")
    if ids.device.type == "cpu":
        low, high = (int(bound) for bound in ids.aminmax())
        if low < 0 or high >= vocabulary:
            wrong = low if low < 0 else high
            raise InputError(
                f"token id {wrong} is outside the vocabulary of {vocabulary}; is it another model's tokenizer?"
            )
    return ids.long()


def _real(attention_mask: Tensor, rows: int, tokens: int, past: Coordinates | None) -> Tensor | None:
    """Which of the new tokens are real; None where the host sees that all are."""
    mask = a_tensor("attention_mask", attention_mask)
    if mask.dim() != 2:
        raise InputError(
            f"attention_mask has shape {tuple(mask.shape)}; it must be (batch, tokens), 1 for real tokens and 0 for"
            " padding (who may attend to whom is allowed=, bool (batch, query, key), True where attention is allowed)"
        )
    if past is not None and mask.shape == (rows, past.tokens + tokens):
        _check_remembered(mask[:, : past.tokens], past)
        mask = mask[:, past.tokens :]  # transformers passes the mask of the remembered tokens again
    if mask.shape != (rows, tokens):
        raise InputError(f"attention_mask has shape {tuple(mask.shape)}, the tokens {(rows, tokens)}; they must agree")
    if mask.device.type == "cpu":
        if mask.dtype != torch.bool and not bool(((mask == 0) | (mask == 1)).all()):
            raise InputError(
                "attention_mask holds numbers other than 0 and 1; it says which tokens are real (for packed texts pass"
                " documents, for who may attend to whom `allowed`)"
            )
        if bool(mask.all()):
            return None
    return mask.bool()


def _check_remembered(mask: Tensor, past: Coordinates) -> None:
    """Raise InputError where tokens that a cache holds as real are called padding now."""
    if mask.device.type == past.position.device.type == "cpu":
        held = torch.ones_like(mask, dtype=torch.bool) if past.real is None else past.real
        if bool((held & ~mask.bool()).any()):
            raise InputError(
                "attention_mask calls tokens padding that the cache holds as real; pass the mask with the tokens that"
                " it belongs to, from the first call on"
            )


def check_allowed(allowed: Tensor, rows: int) -> Tensor:
    """`allowed` with one row for all, or one for each; its type and other sizes are checked where keys are known."""
    if a_tensor("allowed", allowed).dim() == 3 and allowed.shape[0] not in (1, rows):
        raise InputError(
            f"`allowed` has {allowed.shape[0]} rows, the tokens {rows}; give one table for all or one a row"
        )
    return allowed


def _fit(name: str, tensor: Tensor | None, rows: int, tokens: int) -> Tensor | None:
    """A (B, T) tensor of whole numbers; a single row stands for all."""
    if tensor is None:
        return None
    tensor = a_tensor(name, tensor)
    tensor = tensor[None] if tensor.dim() == 1 else tensor
    if tensor.shape not in ((rows, tokens), (1, tokens)) or tensor.is_floating_point():
        raise InputError(
            f"{name} has shape {tuple(tensor.shape)} and type {tensor.dtype}; it must be whole numbers {(rows, tokens)}"
        )
    return tensor.long()


def _check_range(name: str, tensor: Tensor, size: int, remedy: str) -> None:
    if tensor.device.type == "cpu":
        low, high = (int(bound) for bound in tensor.aminmax())
        if low < 0 or high >= size:
            raise InputError(f"{name} reach {low if low < 0 else high}, and this model has {size}: {remedy}")


def coordinates_of(
    tokens: Tensor,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    ranks: Tensor | None,
    documents: Tensor | None,
    cache: StackCache,
    config: Any,
) -> Coordinates:
    """Where the new tokens stand; after remembered ones, where a cache holds some.

    Without position_ids, position = index minus leading padding, and tokens after a cache go on where it ends.
    """
    rows, count = tokens.shape[:2]
    past = cache.coordinates
    if cache.rows not in (None, rows):
        raise InputError(
            f"the cache holds {cache.rows} rows and {rows} came; expand or reorder it first, or make a new one"
        )
    real = None if attention_mask is None else _real(attention_mask, rows, count, past)
    if past is not None and real is None:
        at = replace(past, rank=None).following(count)
    elif past is not None:
        raise InputError("padding among tokens that follow a cache is not supported; pass each step's real tokens only")
    elif real is None:
        at = Coordinates.consecutive(count, device=tokens.device)
    else:
        at = Coordinates.padded(real)
    positions = _fit("position_ids", position_ids, rows, count)
    if positions is not None:
        at = replace(at, position=positions, start=None, within=_reach(positions))
    types = _fit("token_type_ids", token_type_ids, rows, count)
    if types is not None:
        _check_token_types(types, config)
    packed = _fit("documents", documents, rows, count)
    at = replace(
        at,
        token_type=at.token_type if types is None else types,
        document=at.document if packed is None else packed,
        rank=_fit("ranks", ranks, rows, count),
    )
    _check_positions(at, config.positions)
    return at


def _reach(positions: Tensor) -> tuple[int, int] | None:
    """The lowest position and the one after the highest, where the host can see them."""
    if positions.device.type != "cpu":
        return None
    low, high = positions.aminmax()
    return int(low), int(high) + 1


def check_order(at: Coordinates, mask: Mask, past: Coordinates | None) -> None:
    """Raise InputError where positions that the caller chose go back within a text under a mask that goes by them.

    A causal mask says who is earlier by position, so that tokens would quietly see what stands after them.
    """
    causal = any(isinstance(leaf, Causal) for leaf in mask.leaves())
    on_host = all(each.position.device.type == "cpu" for each in (at, past) if each is not None)
    if not causal or at.document is not None or not on_host:
        return
    before = -1 if past is None else real_positions(past).amax(-1, keepdim=True)
    here = real_positions(at)  # (B, T)
    reached = torch.cat([torch.zeros_like(here[:, :1]) + before, here], 1).cummax(-1).values[:, :-1]
    if bool(((here >= 0) & (here <= reached)).any()):
        raise InputError(
            f"position_ids repeat or go back within a row, and the mask {mask} goes by them: tokens would see later"
            " ones; where a row packs several texts, pass documents (batch, tokens) too"
        )


def check_final(at: Coordinates, mask: Mask, cache: StackCache) -> None:
    """Raise UnsupportedError where remembered tokens would see these: then what is remembered of them is outdated.

    A Memory holds what they were when they were read and promises no more.
    """
    past = cache.coordinates
    if past is None or cache.recalls_the_past or Causal() in mask.conjuncts() or at.position.device.type != "cpu":
        return
    outdated = mask.table(past.to("cpu"), at)
    if past.real is not None:
        outdated = outdated & past.real.to("cpu")[:, :, None]
    if bool(outdated.any()):
        raise UnsupportedError(
            f"under the mask {mask} remembered tokens would have seen these, and be others: no cache of keys is exact;"
            " read all at once, look through a mask that looks back, such as causal, or pass a Memory"
        )


def real_positions(at: Coordinates) -> Tensor:
    """Positions (B, T), −1 where padded."""
    return at.position if at.real is None else torch.where(at.real, at.position, -1)


def _check_positions(at: Coordinates, positions: int) -> None:
    remedy = "shorten the text, cut it (max_length=…), or read it in windows (embed does)"
    if at.start is None:
        _check_range("positions", at.position, positions, remedy)
    elif at.end > positions:
        raise InputError(f"{at.end} tokens are more than this model's {positions} positions: {remedy}")


def _check_token_types(types: Tensor, config: Any) -> None:
    known = getattr(config, "token_types", 0)
    if not known:
        raise UnsupportedError("this model has no token types; leave token_type_ids out (nothing here could read them)")
    _check_range("token_type_ids", types, known, "pass smaller ones")
