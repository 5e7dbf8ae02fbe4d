"""What changes when one token is another: every hidden state of every layer, for each token in turn.

A change is the length of the difference over the length of what stood there. Rounding is told from change by the same
forward pass on the unchanged text, row for row: what no input reaches is the same to the last bit there.

Shapes: L layers (the embeddings are one more), T tokens, N tokens that are replaced, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.model.model import Model
from sightline.probing.tokens import Tokens
from sightline.text.tokenizer import Tokenizer

ROWS = 8  # read at once
LOOKED_AT = 4000  # tokens of the vocabulary among which another word is looked for


@dataclass(frozen=True, kw_only=True, eq=False)
class Replaced:
    """How far every hidden state moves when one token is replaced.

    places   the tokens that are, N
    by       int64 (N): what each becomes
    changes  floats (N, L + 1, T): relative; row 0 of L + 1 are the embeddings
    """

    places: tuple[int, ...]
    by: tuple[int, ...]
    changes: Tensor


def _kind(tokenizer: Tokenizer | None, token: int) -> tuple[bool, bool, bool] | None:
    """Of a token: whether it goes on a word, begins with white space, is made of letters; None of one without text."""
    text: str | None = None if tokenizer is None else tokenizer.backend.id_to_token(token)
    if text is None:
        return None
    goes_on, spaced = text.startswith("##"), text[:1] in ("Ġ", "▁")
    return goes_on, spaced, text.removeprefix("##").lstrip("Ġ▁").isalpha()


def others(model: Model, tokens: Tokens, seed: int = 0) -> tuple[int, ...]:
    """Another token for each that stands for text, drawn by the seed: of the same kind, where there is one, so that a
    word becomes a word and a comma no letter."""
    draw = torch.Generator().manual_seed(seed)
    tokenizer = model.tokenizer
    known = model.config.vocabulary if tokenizer is None else min(len(tokenizer), model.config.vocabulary)
    pool = torch.randperm(known, generator=draw)[:LOOKED_AT].tolist()
    special = frozenset[int]() if tokenizer is None else tokenizer.special.ids
    pool = [token for token in pool if token not in special] or list(range(known))
    kinds = {token: _kind(tokenizer, token) for token in pool}
    chosen = []
    for number, place in enumerate(tokens.words):
        own = tokens.ids[place]
        wanted = _kind(tokenizer, own)
        turned = [*pool[number:], *pool[:number]]  # so that equal tokens become different ones
        fit = (token for token in turned if token != own and kinds[token] == wanted)
        chosen.append(next(fit, next((token for token in turned if token != own), own)))
    return tuple(chosen)


def _layers(model: Model, rows: Tensor) -> Tensor:
    """Hidden states of ids (B, T): (B, L + 1, T, W), in float32 at least."""
    out = model(rows, hidden_states=True)
    states = torch.stack([state.cpu() for state in out.hidden_states or ()], 1)
    return states.to(torch.promote_types(states.dtype, torch.float32))


def replaced(model: Model, tokens: Tokens, seed: int = 0) -> Replaced:
    """Replace each token that stands for text, one at a time, by another that the seed draws.

    replaced(model, tokens_of(model, "the cat sat")).changes[0]    # (L + 1, T): what the first word moves
    """
    places, by = tokens.words, others(model, tokens, seed)
    ids = tokens.tensor()
    changes = []
    with torch.no_grad():
        base = _layers(model, ids.expand(ROWS, -1))
        for begin in range(0, len(places), ROWS):
            rows = ids.repeat(ROWS, 1)  # as many as there are of the unchanged text, for the same arithmetic
            for row, (place, other) in enumerate(zip(places[begin:], by[begin:], strict=True)):
                if row < ROWS:
                    rows[row, place] = other
            moved = (_layers(model, rows) - base).norm(dim=-1) / base.norm(dim=-1).clamp(min=1e-30)
            changes.append(moved[: len(places) - begin])
    whole = torch.cat(changes) if changes else torch.zeros(0, model.config.layers + 1, len(tokens))
    return Replaced(places=places, by=by, changes=whole)
