"""The tokens of a text that is looked at: their ids, their texts, which are special, which are blanks.

Shapes: T tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from sightline.decoding.fill import SPELLINGS
from sightline.errors import InputError
from sightline.model.model import Model, tokenizer_of
from sightline.text.tokenizer import Tokenizer

HUGE = 2**63  # beyond it no tensor holds an id
MOST = 128  # tokens of a text: a head is as many squared, and a page holds every head
BROKEN = "\ufffd"


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A text as a model reads it.

    ids      one a token
    texts    how each reads; a token that is a part of a character reads as the vocabulary spells it
    special  which stand for no text
    blanks   the places of mask tokens
    """

    ids: tuple[int, ...]
    texts: tuple[str, ...]
    special: tuple[bool, ...]
    blanks: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def words(self) -> tuple[int, ...]:
        """The places of tokens that stand for text."""
        return tuple(place for place, special in enumerate(self.special) if not special)

    def tensor(self) -> Tensor:
        """The ids as a batch of one row, (1, T)."""
        return torch.tensor([self.ids])


def token_text(tokenizer: Tokenizer | None, token: int) -> str:
    """How one token reads; an id without a token, or without a tokenizer, reads as its number: #7."""
    stored: str | None = None if tokenizer is None else tokenizer.backend.id_to_token(token)
    if tokenizer is None or stored is None:
        return f"#{token}"
    text = tokenizer.decode([token]) if tokenizer.kind == "bytelevel-bpe" else stored
    return stored if BROKEN in text or not text else text


def listed(given: object) -> list[int]:
    """Token ids as whole numbers, from a sequence or tensor of one row. Raises InputError for anything else."""
    if isinstance(given, Tensor):
        if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
            raise InputError(f"token ids are whole numbers, not {given.dtype}")
        given = given.tolist()
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InputError(f"{given!r:.40} is neither a text nor token ids; give one text, or a list of ids")
    found = list(given)
    if len(found) == 1 and isinstance(found[0], Iterable) and not isinstance(found[0], str):
        return listed(found[0])
    ids = []
    for each in found:
        if isinstance(each, bool) or not isinstance(each, Integral):
            many = " (several texts are none either)" if isinstance(each, Iterable) else ""
            raise InputError(f"token ids are whole numbers, and {each!r:.40} is none{many}; give one text, or its ids")
        ids.append(int(each))
        if not -HUGE <= ids[-1] < HUGE:
            raise InputError(f"token id {each!s:.40} is outside any vocabulary")
    return ids


def tokens_of(model: Model, text: str | Sequence[int] | Tensor) -> Tokens:
    """What the model reads of a text, or of ids that are given as they are.

    Either common spelling of a blank is understood, as `fill` does. Raises InputError for no tokens, for more than
    MOST, and for ids outside the vocabulary.
    """
    tokenizer = model.tokenizer
    if isinstance(text, str):
        blank = tokenizer_of(model).special.mask
        for spelling in SPELLINGS if blank is not None else ():
            text = text.replace(spelling, str(blank))
        ids = tokenizer_of(model).encode(text)
    else:
        ids = listed(text)
    if not ids:
        raise InputError("there is nothing to look at: the text gives no tokens; write a sentence")
    most = min(MOST, model.config.positions)
    if len(ids) > most:
        raise InputError(f"the text has {len(ids)} tokens; a page shows at most {most}: look at a part of it")
    wrong = [token for token in ids if not 0 <= token < model.config.vocabulary]
    if wrong:
        raise InputError(f"token id {wrong[0]} is outside the vocabulary of {model.config.vocabulary}")
    special = frozenset() if tokenizer is None else tokenizer.special.ids
    mask = None if tokenizer is None else tokenizer.special.mask_id
    return Tokens(
        ids=tuple(ids),
        texts=tuple(token_text(tokenizer, token) for token in ids),
        special=tuple(token in special for token in ids),
        blanks=tuple(place for place, token in enumerate(ids) if token == mask),
    )
