"""The tokens that stand for no text, by the role that a model knows them in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import AddedToken

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def _first(*ids: int | None) -> tuple[int, ...]:
    return next(((id,) for id in ids if id is not None), ())


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """The tokens with a role, as text (`mask`) and as id (`mask_id`); None where a tokenizer has none.

    `ids` holds every id that stands for no text: those above, and others that the tokenizer declares special.
    """

    bos: str | None = None
    eos: str | None = None
    unk: str | None = None
    sep: str | None = None
    pad: str | None = None
    cls: str | None = None
    mask: str | None = None
    bos_id: int | None = None
    eos_id: int | None = None
    unk_id: int | None = None
    sep_id: int | None = None
    pad_id: int | None = None
    cls_id: int | None = None
    mask_id: int | None = None
    ids: frozenset[int] = frozenset()

    @property
    def names(self) -> dict[str, str]:
        """The token of each role that there is."""
        return {role: token for role in ROLES if (token := getattr(self, role)) is not None}

    @property
    def document_start(self) -> tuple[int, ...]:
        """What a document begins with: the id of bos, else of cls; empty where there is neither."""
        return _first(self.bos_id, self.cls_id)

    @property
    def document_end(self) -> tuple[int, ...]:
        """What a document ends with: the id of eos, else of sep; empty where there is neither."""
        return _first(self.eos_id, self.sep_id)

    def __str__(self) -> str:
        return " ".join(f"{role}={token}" for role, token in self.names.items())


def special_tokens(backend: tokenizers.Tokenizer, names: Mapping[str, str]) -> SpecialTokens:
    """The named tokens with their ids; each is registered as special first, so that no text can split it."""
    added = {token.content: token for token in backend.get_added_tokens_decoder().values()}
    for name in (names[role] for role in ROLES if role in names):
        if name not in added or not added[name].special:
            backend.add_special_tokens([added.get(name, AddedToken(name, normalized=False))])
    ids: dict[str, Any] = {f"{role}_id": backend.token_to_id(name) for role, name in names.items()}
    tokens: dict[str, Any] = dict(names)
    declared = {id for id, token in backend.get_added_tokens_decoder().items() if token.special}
    return SpecialTokens(**tokens, **ids, ids=frozenset(declared))
