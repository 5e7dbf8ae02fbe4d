"""What is known of a vocabulary's tokens by themselves: where words begin, which are no text, which is the blank.

Shapes: V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.text.tokenizer import Tokenizer

_BEGINS = {"bytelevel-bpe": ("\u0120", "\u010a", "\u0109"), "unigram": ("\u2581",), "bpe": ("\u2581",)}
"""How a token begins that begins a word: byte-level BPE writes a space, a line feed and a tab as these letters."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Words:
    """Tokens of a vocabulary.

    begins   bool (V,): whether a word begins with the token; every special token is a word of its own
    special  bool (V,): whether the token is no text, as `[CLS]` is none
    mask_id  the blank; None where there is none
    """

    begins: Tensor
    special: Tensor
    mask_id: int | None

    def __len__(self) -> int:
        return len(self.begins)


def words_of(tokenizer: Tokenizer) -> Words:
    """What a tokenizer's tokens are.

    >>> words_of(tokenizer).begins[tokenizer.encode("a word")]  # doctest: +SKIP
    """
    size = len(tokenizer)
    special = torch.zeros(size, dtype=torch.bool)
    special[sorted(tokenizer.special.ids)] = True
    tokens = [tokenizer.token(id) for id in range(size)]
    if tokenizer.kind == "wordpiece":
        begins = [not token.startswith("##") for token in tokens]
    elif tokenizer.kind in _BEGINS:
        begins = [token.startswith(_BEGINS[tokenizer.kind]) for token in tokens]
    else:
        begins = [True] * size
    return Words(begins=torch.tensor(begins) | special, special=special, mask_id=tokenizer.special.mask_id)
