"""Texts and ids: what a subject reads of a text, and how its tokens read, whoever made the tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sightline.errors import InputError, UnsupportedError
from sightline.probing.subject import Subject
from sightline.probing.tokens import listed, token_text
from sightline.text.tokenizer import Tokenizer


def _read(made: Subject, text: str) -> tuple[Tensor, dict[str, Tensor]]:
    """The ids (1, T) of a text, and what its tokenizer says beside them that the subject takes."""
    if made.tokenizer is None:
        raise UnsupportedError(
            f"{made.name} came without a tokenizer, so it cannot read text; give token ids, or tokenizer=…"
        )
    encoded: Any = made.tokenizer(text)
    if not isinstance(encoded, Mapping):
        return torch.tensor([list(encoded)]), {}
    told = {name: torch.as_tensor(value) for name, value in encoded.items() if name in made.accepts | {"input_ids"}}
    told = {name: value[None] if value.dim() == 1 else value for name, value in told.items()}
    ids = told.pop("input_ids")
    if "attention_mask" in told and bool(told["attention_mask"].all()):
        told.pop("attention_mask")  # one text alone: nothing is padded
    return ids.long(), told


def ids_of(made: Subject, text_or_ids: str | Sequence[int] | Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The ids (1, T) of one text and what belongs to it. Raises InputError for no tokens, or several rows."""
    if isinstance(text_or_ids, str):
        ids, told = _read(made, text_or_ids)
    else:
        ids, told = torch.tensor([listed(text_or_ids)], dtype=torch.long), {}
    if ids.dim() != 2 or len(ids) != 1 or not ids.numel():
        raise InputError(f"ids of shape {tuple(ids.shape)} cannot be probed: give one text of one token or more")
    return ids, told


def texts_of(made: Subject, ids: Sequence[int]) -> tuple[str, ...]:
    """How each token reads; its id where nobody can say."""
    if made.tokenizer is None or isinstance(made.tokenizer, Tokenizer):
        return tuple(token_text(made.tokenizer, each) for each in ids)
    decode = getattr(made.tokenizer, "decode", None)
    if not callable(decode):
        return tuple(token_text(None, each) for each in ids)
    return tuple(str(decode([each])) for each in ids)
