"""Setup: a run with everything spelled out, so that one setting after another can be taken from another run.

Shapes: B rows, T tokens of the text, L places of a row: its padding and tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from sightline.core.mask import Mask
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.model.model import Model
from sightline.probing.run import (
    DTYPES,
    Run,
    attention_of,
    batch_of,
    mask_of,
    padding_of,
    positions_of,
    reading_of,
    special_of,
    types_of,
)
from sightline.probing.subject import Subject, subject
from sightline.probing.texts import ids_of

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Mates:
    """The other rows of a batch: so many at random, some of each padded if `padded`; or those that are given."""

    count: int = 0
    padded: bool = False
    given: tuple[Ids, ...] = ()


@dataclass(frozen=True, kw_only=True)
class What:
    """What is read: a text and who cuts it into tokens, or ids."""

    text: str | Ids
    tokenizer: Any = field(default=None, hash=False)  # one may be of a kind that cannot be hashed

    def encode(self, special: bool) -> tuple[Ids, dict[str, Ids]]:
        """The ids, and what the tokenizer says beside them, a number for each."""
        if not isinstance(self.text, str):
            return self.text, {}
        if self.tokenizer is None:
            raise UnsupportedError(
                "the model came without a tokenizer, so it cannot read text; give ids, or tokenizer=…"
            )
        encoded: Any = self.tokenizer(self.text, add_special_tokens=special)
        if not isinstance(encoded, Mapping):
            return tuple(encoded), {}
        rows = {name: torch.as_tensor(value).flatten().tolist() for name, value in encoded.items()}
        ids = tuple(rows.pop("input_ids"))
        return ids, {name: tuple(row) for name, row in rows.items() if len(row) == len(ids)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup:
    """A run. Fields from `what` on are the settings that may differ; see `Run` for what they mean.

    subject    the model as it was handed over
    draws      the mode ("train", "eval", or "mixed": as its modules are), and where random numbers begin
    reading    ("whole", 0), or by ("cache" | "memory", tokens of a piece)
    """

    subject: Subject
    what: What
    special_tokens: bool
    draws: tuple[str, int]
    mask: Mask | None
    attention_mask: str | Ids
    padding: tuple[int, int]
    position_ids: str | Ids | None
    token_types: str | int | Ids | None
    mates: Mates
    reading: tuple[str, int]
    kernel: str | None
    dtype: str | None

    @property
    def mode(self) -> str:
        return self.draws[0]

    @property
    def ids(self) -> Ids:
        """The tokens of the text, without padding."""
        return self.what.encode(self.special_tokens)[0]

    def settled(self) -> Setup:
        """The same in eval mode."""
        return replace(self, draws=("eval", self.draws[1]))


def setup_of(run: Run, seed: int, output: str) -> Setup:
    """The run spelled out. Raises ConfigError, InputError or UnsupportedError for what the model cannot do."""
    if run.tokenizer is not None and not callable(run.tokenizer):
        raise ConfigError(f"tokenizer={run.tokenizer!r:.40} cannot be called with a text; give one that can")
    made = subject(run.model, vocabulary=run.vocabulary, output=output, tokenizer=run.tokenizer)
    count, padded = batch_of(run)
    found = Setup(
        subject=made,
        what=What(text="", tokenizer=made.tokenizer),
        special_tokens=special_of(run),
        draws=(run.mode or _mode_of(made), seed),
        mask=mask_of(run) or made.declared,
        attention_mask=attention_of(run),
        padding=padding_of(run),
        position_ids=positions_of(run),
        token_types=types_of(run),
        mates=Mates(count=count - 1, padded=padded),
        reading=reading_of(run),
        kernel=run.kernel,
        dtype=run.dtype or next((name for name, dtype in DTYPES.items() if dtype == made.dtype), None),
    )
    found = _with_inputs(found, run)
    _check(found, run)
    return found


def _mode_of(made: Subject) -> str:
    if made.module is None:
        return "eval"
    modes = {each.training for each in made.module.modules()}
    return "mixed" if len(modes) > 1 else "train" if modes == {True} else "eval"


def _with_inputs(found: Setup, run: Run) -> Setup:
    if run.row != 0 and not isinstance(run.inputs, Mapping):
        raise InputError(f"row={run.row!r} is about the rows of an encoding, and one text was given; leave it out")
    if isinstance(run.inputs, str):
        return replace(found, what=What(text=run.inputs, tokenizer=found.what.tokenizer))
    if not special_of(run):
        raise ConfigError("special_tokens is about texts, and ids were given; leave it out, or give a text")
    if isinstance(run.inputs, Mapping):
        return _of_encoding(found, run.inputs, run.row)
    ids, _ = ids_of(found.subject, run.inputs)
    return replace(found, what=What(text=tuple(ids[0].tolist())))


def _of_encoding(found: Setup, given: Mapping[str, Any], row: int) -> Setup:
    """One row of an encoding: its real tokens, how it is padded, and its mates."""
    try:
        named = {name: torch.as_tensor(value) for name, value in given.items()}
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"an encoding holds numbers, as many in each row; this one does not: {error}") from error
    if "input_ids" not in named:
        raise InputError(f"an encoding has input_ids; this one has {', '.join(named) or 'nothing'}")
    unknown = named.keys() - {"input_ids", "attention_mask", "position_ids", "token_type_ids"}
    if unknown:
        raise InputError(f"{', '.join(sorted(unknown))} cannot be told apart; give an encoding without")
    named = {name: value[None] if value.dim() == 1 else value for name, value in named.items()}
    ids = named["input_ids"]
    wrong = [f"{name} {tuple(value.shape)}" for name, value in named.items() if value.shape != ids.shape]
    if ids.dim() != 2 or not ids.numel() or wrong:
        raise InputError(f"input_ids are {tuple(ids.shape)}, and all of an encoding is of one shape {'; '.join(wrong)}")
    if row not in range(len(ids)):
        raise InputError(f"row={row!r} is none of {len(ids)} rows")
    real = named.get("attention_mask", torch.ones_like(ids)).bool()
    if not bool(real.any(1).all()):
        raise InputError("attention_mask hides a whole row; leave that row out")
    begin, end = _ends(real[row])
    holes = tuple(real[row, begin:end].long().tolist())
    mates = tuple(tuple(ids[each][slice(*_ends(real[each]))].tolist()) for each in range(len(ids)) if each != row)
    own = {name: tuple(value[row, begin:end].tolist()) for name, value in named.items()}
    told = own.get("token_type_ids")
    types = told[0] if told and len(set(told)) == 1 else told
    return replace(
        found,
        what=What(text=own["input_ids"]),
        padding=(begin, ids.shape[1] - end) if found.padding == (0, 0) else found.padding,
        attention_mask=holes if 0 in holes and found.attention_mask == "auto" else found.attention_mask,
        position_ids=own.get("position_ids") if found.position_ids is None else found.position_ids,
        token_types=types if found.token_types is None else found.token_types,
        mates=Mates(count=len(mates), given=mates) if mates else found.mates,
    )


def _ends(real: Tensor) -> tuple[int, int]:
    """The first real place of a row and the one behind the last."""
    places = real.nonzero().flatten()
    return int(places[0]), int(places[-1]) + 1


def _check(found: Setup, run: Run) -> None:
    """Raise where a setting is one that the model has not."""
    made, tokens = found.subject, len(found.ids)
    if not tokens:
        raise InputError("the text gives no tokens; write a sentence")
    made.check(torch.tensor([found.ids]))
    if run.mode is not None and made.module is None:
        raise UnsupportedError(f"mode={run.mode!r}: {made.name} is a function, which has no modes")
    if run.mask is not None and not isinstance(made.module, Model):
        raise UnsupportedError(f"mask is for models of ours, and {made.name} has its own; leave it out")
    if found.reading[0] != "whole" and (made.step if found.reading[0] == "cache" else made.memory) is None:
        raise UnsupportedError(f"{made.name} has no {found.reading[0]} to go on from")
    if run.kernel is not None:
        made.with_kernel(run.kernel)  # which says what there is
    needed = {
        "attention_mask": found.attention_mask not in ("auto", "off") or (_pads(found) and not _off(found)),
        "position_ids": found.position_ids is not None,
        "token_type_ids": found.token_types not in (None, "off"),
    }
    for name, wanted in needed.items():
        if wanted and name not in made.accepts:
            takes = ", ".join(sorted(made.accepts)) or "ids and nothing else"
            more = "; attention_mask=off pads without one" if name == "attention_mask" else ""
            raise InputError(f"{made.name} takes no {name}; it takes {takes}{more}")
    for name in ("attention_mask", "position_ids", "token_types"):
        value: object = getattr(found, name)
        if isinstance(value, tuple) and len(value) != tokens:
            raise InputError(f"{name} has {len(value)} numbers, and the text has {tokens} tokens; give one for each")


def _pads(found: Setup) -> bool:
    return found.padding != (0, 0) or found.mates.padded


def _off(found: Setup) -> bool:
    return found.attention_mask == "off"


def row_of(values: Sequence[int], padding: tuple[int, int], filler: int) -> list[int]:
    """The values of the text's tokens with padding around."""
    return [*[filler] * padding[0], *values, *[filler] * padding[1]]
