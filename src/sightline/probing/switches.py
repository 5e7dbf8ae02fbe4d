"""Switches: what may differ between two runs, one setting at a time, and in which words it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from sightline.probing.setup import Mates, Setup
from sightline.probing.texts import texts_of

DRAWS = "draws"
SWITCHES = {  # fields of a Setup, in the order in which they are named, and what each is called
    DRAWS: "dropout",
    "what": "the text",
    "special_tokens": "special tokens",
    "subject": "the weights",
    "mask": "the mask",
    "attention_mask": "the attention mask",
    "padding": "padding",
    "position_ids": "position ids",
    "token_types": "token types",
    "mates": "the rest of the batch",
    "reading": "the cache",
    "kernel": "the attention kernel",
    "dtype": "the type of the numbers",
}


def differing(one: Setup, other: Setup) -> list[str]:
    """The names of the settings in which two runs differ."""
    return [name for name in SWITCHES if getattr(one, name) != getattr(other, name)]


def switched(one: Setup, other: Setup, *names: str) -> Setup:
    """The one with some settings of the other."""
    return replace(one, **{name: getattr(other, name) for name in names})


def places(some: Sequence[int]) -> str:
    """Places in words: `position 0`, `positions 0 to 3 and 7`."""
    runs: list[list[int]] = []
    for place in sorted(some):
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    said = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return f"position{'s' * (len(some) != 1)} {listed}"


def label_of(name: str, one: Setup, other: Setup) -> str:
    """What a setting is called."""
    if name == "reading" and "memory" in (one.reading[0], other.reading[0]):
        return "the memory"
    return SWITCHES[name]


def detail_of(name: str, one: Setup, other: Setup) -> str:
    """How two runs differ in one setting."""
    if name == "what":
        return _texts(one, other)
    if name == "subject":
        return _weights(one, other)
    if name == "mates":
        return f"{_mates(one.mates)} in a, {_mates(other.mates)} in b"
    said = [_said(name, setup, getattr(setup, name)) for setup in (one, other)]
    return f"{said[0]} in a, {said[1]} in b"


def _said(name: str, setup: Setup, value: object) -> str:
    if name == "padding" and isinstance(value, tuple):
        sides = [f"{count} on the {side}" for count, side in zip(value, ("left", "right"), strict=True) if count]
        return " and ".join(sides) or "none"
    if name == "reading" and isinstance(value, tuple):
        how, size = value
        pieces = "token by token" if size == 1 else f"in pieces of {size}"
        return "the whole at once" if how == "whole" else pieces
    if name == "special_tokens":
        return "with them" if value else "without"
    if name == "attention_mask":
        words = {"auto": "given where it is needed", "on": "given", "off": "not given"}
        return words[value] if isinstance(value, str) else f"given as {_short(value)}"
    if name in ("position_ids", "token_types"):
        words = {"real": "counted over real tokens", "off": "not given"}
        return "left to the model" if value is None else words.get(str(value), _short(value))
    if name == "kernel":
        return "its own choice" if value is None else str(value)
    return str(value)


def _short(value: object) -> str:
    return f"{', '.join(map(str, value)):.40}" if isinstance(value, tuple) else str(value)


def _mates(mates: Mates) -> str:
    if not mates.count:
        return "alone"
    of = " and padded" if mates.padded else ""
    return f"with {mates.count} other row{'s' * (mates.count != 1)}{of}"


def _texts(one: Setup, other: Setup) -> str:
    ours, theirs = one.ids, other.ids
    if isinstance(one.what.text, str) and one.what.text == other.what.text:
        return f"two tokenizers cut it into {len(ours)} and {len(theirs)} tokens"
    if len(ours) != len(theirs):
        return f"{len(ours)} tokens in a, {len(theirs)} in b"
    apart = [place for place, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]]
    if not apart:
        return "written in two ways, of the same tokens"
    place = apart[0]
    words = (_token(setup, ids[place]) for setup, ids in ((one, ours), (other, theirs)))
    which = f"token {place} is" if len(apart) == 1 else f"{len(apart)} tokens differ, first {place}:"
    return f"{which} {' in a, '.join(words)} in b"


def _token(setup: Setup, token: int) -> str:
    return repr(texts_of(setup.subject, [token])[0])


def _weights(one: Setup, other: Setup) -> str:
    """Which tensors differ, by name."""
    if one.subject.module is None or other.subject.module is None:
        return "another function in b"
    ours, theirs = (setup.subject.module.state_dict() for setup in (one, other) if setup.subject.module is not None)
    shared = [name for name in ours if name in theirs]
    if not shared or len(shared) < max(len(ours), len(theirs)) / 2:
        return f"{one.subject.name} in a, {other.subject.name} in b"
    apart = [name for name in shared if not _equal(ours[name], theirs[name])]
    if not apart and len(shared) == len(ours) == len(theirs):
        return "the same tensors in a and b, in two models that differ elsewhere"
    alone = len(ours) + len(theirs) - 2 * len(shared)
    more = f", and {alone} are in one of them only" if alone else ""
    return f"{len(apart)} of {len(shared)} tensors differ{', first ' + apart[0] if apart else ''}{more}"


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one.cpu(), other.cpu())
