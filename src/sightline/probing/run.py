"""Run: a model, what it reads, and how: one of the two things that `explain` tells apart.

    sl.Run(model, "a text", padding="left:3", kernel="sdpa")

Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from sightline.core.check import whole
from sightline.core.mask import Mask
from sightline.errors import ConfigError

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
Inputs = str | Sequence[int] | Tensor | Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a model. What is not set is as the model has it and as a single whole text needs it.

    model           whatever `probe` takes
    inputs          a text, ids (T) or (1, T), or an encoding: a mapping with input_ids (B, T) and what else the
                    tokenizer gave; `row` says which of its rows is looked at, the others are its batch mates
    mode            "train" or "eval"
    batch           how many rows: others are random tokens; "4:padded" if they are shorter and padded
    padding         "left:3", "right:3": so many places of padding
    attention_mask  "on": given, "off": not given, "auto": given where something is padded; or one number a token
    position_ids    "real": counted over real tokens; or one number a token. Default: left to the model
    token_types     a number for all tokens, or one a token; "off": none, whatever the tokenizer says
    special_tokens  whether the tokenizer adds its special tokens to the text
    cache           "on": read token by token through a cache; a number: in pieces of so many
    memory          likewise in segments of so many, through a memory of hidden states
    kernel          of attention: "reference", "sdpa", "flex" for ours; "eager", "sdpa", "flex_attention" for others
    dtype           "float64", "float32", "bfloat16", "float16"
    mask            who may see whom, for models of ours
    tokenizer, vocabulary  as `subject` takes them

    Raises ConfigError for values that mean nothing.
    """

    model: object
    inputs: Inputs
    _: KW_ONLY
    mode: str | None = None
    batch: int | str = 1
    padding: str | None = None
    attention_mask: str | Sequence[int] = "auto"
    position_ids: str | Sequence[int] | None = None
    token_types: int | str | Sequence[int] | None = None
    special_tokens: bool | str = True
    cache: int | str | None = None
    memory: int | str | None = None
    kernel: str | None = None
    dtype: str | None = None
    mask: Mask | str | None = None
    row: int = 0
    tokenizer: Any = None
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in (None, "train", "eval"):
            raise ConfigError(f"mode={self.mode!r} is none; choose train or eval")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise ConfigError(f"dtype={self.dtype!r} is not known; choose one of {', '.join(DTYPES)}")
        if self.cache is not None and self.memory is not None and off(self.cache) is off(self.memory) is False:
            raise ConfigError("cache and memory are two ways of going on; set one of them")
        for read in (batch_of, padding_of, reading_of, special_of, attention_of, positions_of, types_of, mask_of):
            read(self)


_OTHERS = ("model", "inputs", "row", "tokenizer", "vocabulary")
SETTINGS = tuple(each.name for each in fields(Run) if each.name not in _OTHERS)


def off(value: object) -> bool:
    """Whether a setting is switched off, in words."""
    return value is None or value is False or value in ("off", "no", "none", "false")


def number(name: str, value: object) -> int:
    """A whole number, 1 or more, also as text; ConfigError where it is none."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name}={value!r} is no whole number; give 1 or more")
    whole(name, value)
    return value


def numbers(name: str, value: object, words: str) -> tuple[int, ...]:
    """A number for each token, also as text with commas; ConfigError that offers `words` where it is none."""
    if isinstance(value, Tensor):
        value = value.flatten().tolist()
    try:
        given = value.split(",") if isinstance(value, str) else list(value)  # type: ignore[call-overload]
        return tuple(int(each) for each in given)
    except (TypeError, ValueError):
        raise ConfigError(f"{name}={value!r} means nothing; give {words}, or a number for each token: 0,1,2") from None


def batch_of(run: Run) -> tuple[int, bool]:
    """How many rows, and whether the others are padded."""
    count, _, how = str(run.batch).partition(":")
    if how not in ("", "padded"):
        raise ConfigError(f"batch={run.batch!r} means nothing; write 4, or 4:padded")
    return number("batch", count if count.isdecimal() else run.batch), how == "padded"


def padding_of(run: Run) -> tuple[int, int]:
    """Places of padding on the left and on the right."""
    if off(run.padding):
        return 0, 0
    side, _, count = str(run.padding).partition(":")
    if side not in ("left", "right"):
        raise ConfigError(f"padding={run.padding!r} has no side; write left, right, or left:3")
    places = number("padding", count or "1")
    return (places, 0) if side == "left" else (0, places)


def reading_of(run: Run) -> tuple[str, int]:
    """How it is read: ("whole", 0), or by ("cache" | "memory", tokens of a piece)."""
    for name, value in (("cache", run.cache), ("memory", run.memory)):
        if not off(value):
            return name, 1 if value in ("on", True) else number(name, value)
    return "whole", 0


def special_of(run: Run) -> bool:
    """Whether special tokens are added."""
    if run.special_tokens not in (True, False, "on", "off"):
        raise ConfigError(f"special_tokens={run.special_tokens!r} means nothing; write on or off")
    return not off(run.special_tokens)


def attention_of(run: Run) -> str | tuple[int, ...]:
    """When an attention mask is given, or the one that is."""
    given = run.attention_mask
    if isinstance(given, str) and given in ("auto", "on", "off"):
        return given
    found = numbers("attention_mask", given, "on, off or auto")
    if set(found) - {0, 1}:
        raise ConfigError(f"attention_mask={given!r} has more than 0 (hidden) and 1 (seen)")
    return found


def positions_of(run: Run) -> str | tuple[int, ...] | None:
    """None, "real", or a position for each token."""
    if run.position_ids is None or run.position_ids == "real":
        return run.position_ids
    return None if isinstance(run.position_ids, str) and off(run.position_ids) else _positions(run)


def _positions(run: Run) -> tuple[int, ...]:
    return numbers("position_ids", run.position_ids, "real or off")


def types_of(run: Run) -> str | int | tuple[int, ...] | None:
    """None: as the tokenizer says; "off"; one for all; or one a token."""
    given = run.token_types
    if given is None or isinstance(given, int) or given == "off":
        return given
    found = numbers("token_types", given, "a number or off")
    return found[0] if len(found) == 1 else found


def mask_of(run: Run) -> Mask | None:
    """The mask to look through."""
    if run.mask is None or isinstance(run.mask, Mask):
        return run.mask
    if not isinstance(run.mask, str):
        raise ConfigError(f'mask={run.mask!r:.40} is no mask; give one, or its text, such as "causal"')
    return Mask.parse(run.mask)


def parse_settings(texts: Sequence[str], known: Sequence[str] = SETTINGS) -> dict[str, str]:
    """Settings as they are written, `name=value`; ConfigError for names that nobody knows.

    >>> parse_settings(["mode=train", "padding=left:3"])
    {'mode': 'train', 'padding': 'left:3'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(f"{text!r} sets nothing that is known; {meant}there are {', '.join(known)}")
        if not sign or not value.strip():
            raise ConfigError(f"{text!r} has no value; write it as {name}=…")
        if name in found:
            raise ConfigError(f"{name} is set twice: {found[name]!r} and {value!r}; set it once")
        found[name] = value.strip()
    return found
