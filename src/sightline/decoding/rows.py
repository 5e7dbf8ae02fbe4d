"""Rows: prompts as token ids, and a batch of growing rows with the cache that spares recomputing them.

Shapes: R rows, T tokens, W width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sightline.core.cache import KeyValueCache
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask
from sightline.errors import InputError, UnsupportedError
from sightline.networks.heads import pick

if TYPE_CHECKING:
    from sightline.model.model import Model
    from sightline.text.tokenizer import Tokenizer

Prompts = str | Sequence[str] | Sequence[Sequence[int]]


def tokenizer_of(model: Model) -> Tokenizer:
    """The model's tokenizer; UnsupportedError where it came without one."""
    if model.tokenizer is None:
        raise UnsupportedError(
            "this model came without a tokenizer; pass token ids, or load it from a folder that has one"
        )
    return model.tokenizer


def prompt_ids(model: Model, prompts: Prompts) -> list[list[int]]:
    """Every prompt as ids; texts start as the model expects and are left open at the end.

    Raises InputError for an empty prompt and for one that leaves no position to go on at.
    """
    given: Sequence[str | Sequence[int]] = [prompts] if isinstance(prompts, str) else prompts
    if not len(given):
        raise InputError("there is no prompt; give a text or a list of texts")
    rows = []
    for number, prompt in enumerate(given, start=1):
        ids = tokenizer_of(model).prompt(prompt) if isinstance(prompt, str) else list(prompt)
        if not ids:
            raise InputError(f"prompt {number} is empty; give it at least one token")
        if len(ids) >= model.config.positions:
            raise InputError(
                f"prompt {number} has {len(ids)} tokens and this model {model.config.positions} positions:"
                " nothing could follow; shorten it"
            )
        rows.append(ids)
    return rows


def check_can_continue(mask: Mask, prompt: int) -> None:
    """Raise UnsupportedError unless what a token sees never changes once it was read: then a cache is exact.

    Within the prompt anything goes, since it is read at once; beyond it nobody may look ahead.
    """
    at = Coordinates.consecutive(prompt + 3)
    table = mask.table(at, at)[0]
    beyond = torch.arange(prompt + 3)
    ahead = table & (beyond[None, :] > beyond[:, None]) & (beyond[None, :] >= prompt)
    if bool(ahead.any()):
        raise UnsupportedError(
            f"under the mask {mask} tokens see what comes after them, so text cannot grow word by word; use the method"
            " mask-predict (all blanks at once), or look through the mask causal (the past only)"
        )


class Rows:
    """A batch of rows that grow by a token at a time.

    logits  (R, V): of what comes next in each row
    """

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], room: int) -> None:
        self.model = model
        width = max(len(prompt) for prompt in prompts)
        self.cache = KeyValueCache(capacity=width + room)
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        real = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(prompt)
            real[row, : len(prompt)] = 1
        self.logits = self._ask(ids, real)

    def _ask(self, ids: Tensor, real: Tensor | None) -> Tensor:
        with torch.no_grad():
            out = self.model(ids, real, cache=self.cache)
            return self.model.logits(pick(out.last_hidden_state, out.coordinates, "last"))

    def feed(self, tokens: Tensor) -> None:
        """Append a token to each row, int64 (R,), and ask what comes next."""
        self.logits = self._ask(tokens[:, None], None)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, in this order; a row may be named more than once."""
        self.cache.reorder(rows)
        self.logits = self.logits.index_select(0, rows)
