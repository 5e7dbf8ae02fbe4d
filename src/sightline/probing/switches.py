"""Switches: what may differ between two runs, one setting at a time, and in which words it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from sightline.probing.setup import Mates, Setup
from sightline.probing.texts import texts_of

DRAWS = "draws"
PER_TOKEN = ("attention_mask", "position_ids", "token_types")
FEW = 3  # fields of a configuration that are named
INERT = {"name_or_path", "transformers_version", "architectures"}  # of a configuration: where it comes from
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
    """The names of the settings in which two runs differ, each of which can be switched by itself."""
    bound = _bound(one, other)
    return [name for name in SWITCHES if getattr(one, name) != getattr(other, name) and name not in bound]


def switched(one: Setup, other: Setup, *names: str) -> Setup:
    """The one with some settings of the other."""
    taken = {*names, *(_bound(one, other) if "what" in names else ())}
    return replace(one, **{name: getattr(other, name) for name in taken})


def _bound(one: Setup, other: Setup) -> list[str]:
    """Settings with a number for each token, which go with texts of unequal lengths."""
    if one.what == other.what or len(one.ids) == len(other.ids):
        return []
    return [name for name in PER_TOKEN if any(isinstance(getattr(each, name), tuple) for each in (one, other))]


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


def taught(one: Setup, other: Setup) -> str:
    """Which of two runs are in training mode, one of which is."""
    modes = {"train": "in training mode", "mixed": "in training mode in part"}
    said = [(name, modes[each.mode]) for name, each in (("a", one), ("b", other)) if each.mode in modes]
    if len(said) == 2 and one.mode == other.mode:
        return f"{'the model is' if one.subject is other.subject else 'a and b are'} {said[0][1]}"
    return " and ".join(f"{name} is {mode}" for name, mode in said)


def label_of(name: str, one: Setup, other: Setup) -> str:
    """What a setting is called."""
    if name == "subject" and not _tensors(one, other)[0]:
        return "the model"
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
    if name == "mask" and value is None:
        return "its own"
    if name == "kernel":
        return "its own choice" if value is None else str(value)
    return str(value)


def _short(value: object) -> str:
    return f"{', '.join(map(str, value)) if isinstance(value, tuple) else value!s:.40}"


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
    apart, shared, alone = _tensors(one, other)
    if 2 * shared < shared + alone:
        return f"{one.subject.name} in a, {other.subject.name} in b"
    if not apart and not alone:
        fields = _fields(one, other)
        return f"the same tensors in a and b{'; configured otherwise: ' + ', '.join(fields) if fields else ''}"
    more = f", and {alone} are in one of them only" if alone else ""
    return f"{len(apart)} of {shared} tensors differ{', first ' + apart[0] if apart else ''}{more}"


def _tensors(one: Setup, other: Setup) -> tuple[list[str], int, int]:
    """The names of tensors that differ, how many two models share, and how many are in one of them only."""
    ours, theirs = ({} if each.subject.module is None else each.subject.module.state_dict() for each in (one, other))
    shared = [name for name in ours if name in theirs]
    apart = [name for name in shared if not _equal(ours[name], theirs[name])]
    return apart, len(shared), len(ours) + len(theirs) - 2 * len(shared)


def _fields(one: Setup, other: Setup) -> list[str]:
    """The fields in which two configurations differ."""
    ours, theirs = (_config(each) for each in (one, other))
    names = [name for name in ours if name in theirs and not name.startswith("_") and ours[name] != theirs[name]]
    return [f"{name} ({_short(ours[name])}, {_short(theirs[name])})" for name in names if name not in INERT][:FEW]


def _config(setup: Setup) -> dict[str, object]:
    config = getattr(setup.subject.module, "config", None)
    to_dict = getattr(config, "to_dict", None)
    if callable(to_dict):
        return dict(to_dict())
    return dict(getattr(config, "__dict__", {}))


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one.cpu(), other.cpu())
