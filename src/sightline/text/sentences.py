"""Where sentences end, as far as single tokens tell.

Shapes: V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sightline.text.tokenizer import Tokenizer

_ENDS = (".", "!", "?", "\n", "\u010a", "<0x0A>")
"""How a token ends that ends a sentence: a line feed is `Ċ` in byte-level BPE and `<0x0A>` where bytes have tokens."""


def sentence_ends(tokenizer: Tokenizer) -> Tensor:
    """Which tokens end a sentence, bool (V,): those that end with `.`, `!`, `?` or a line feed.

    Abbreviations end one too, and a quotation mark behind the full stop belongs to the next sentence. For pairs of
    texts that follow each other this is near enough.

    >>> sentence_ends(tokenizer)[tokenizer.encode("Yes. No")]  # doctest: +SKIP
    """
    special = tokenizer.special.ids
    return torch.tensor(
        [id not in special and tokenizer.token(id).endswith(_ENDS) for id in range(len(tokenizer))], dtype=torch.bool
    )
