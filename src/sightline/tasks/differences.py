"""What tells two models apart: the differences that matter, in words and numbers, most important first.

print(differences(load("bert-base-uncased"), load("gpt2")))
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sightline.core.activation import ACTIVATIONS
from sightline.core.mask import Mask
from sightline.tasks.describe import NAMES, Description, describe
from sightline.tasks.drawing import differing

if TYPE_CHECKING:
    from sightline.model.model import Model

CELLS = 8  # masks are compared on so many queries and keys
COLUMN = 34  # characters


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not the same; `note` says by how much, where that can be said."""

    what: str
    first: str
    second: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class WeightDifference:
    """How the tensors compare that both models have in one shape; `largest` is None where it is no number."""

    tensors: int
    different: int
    largest: float | None
    largest_in: str

    def __str__(self) -> str:
        if not self.different:
            return f"all {self.tensors} tensors are equal"
        far = (
            "a difference that is no number"
            if self.largest is None
            else f"the largest difference is {self.largest:.3g}"
        )
        return f"{self.different} of {self.tensors} tensors differ; {far}, in {self.largest_in}"


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What differs between two models, most important first.

    weights  None where the networks have different shapes, so that there is nothing to compare
    """

    names: tuple[str, str]
    items: tuple[Difference, ...]
    weights: WeightDifference | None

    def as_dict(self) -> dict[str, Any]:
        """Every field as plain values that JSON can write."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_page(self))


# What is compared, most important first

_ROWS: tuple[tuple[str, Callable[[Description], object]], ...] = (
    ("objective", lambda it: it.objective),
    ("trained", lambda it: "trained" if it.trained else "random weights"),
    ("norm", lambda it: it.norm),
    ("positions", lambda it: it.places),
    ("activation", lambda it: it.activation),
    ("scores", lambda it: it.scores),
    ("heads", lambda it: ", ".join(it.heads) or "none"),
    ("labels", lambda it: "none" if it.labels is None else ", ".join(it.labels)),
    ("vocabulary", lambda it: it.vocabulary),
    ("tokenizer", lambda it: "none" if it.tokenizer is None else f"{it.tokenizer}, {it.tokens:,} tokens"),
    ("special tokens", lambda it: " ".join(f"{k}={v}" for k, v in (it.special_tokens or {}).items()) or "none"),
    ("longest text", lambda it: "not stated" if it.max_length is None else it.max_length),
    ("token types", lambda it: it.token_types or "none"),
    ("pooling", lambda it: it.pooling or "not stated"),
    ("layers", lambda it: it.layers),
    ("local layers", lambda it: it.local_layers or "none"),
    ("width", lambda it: it.width),
    ("attention heads", lambda it: it.attention_heads),
    ("inner width", lambda it: it.inner),
    ("parameters", lambda it: it.parameters),
    ("LM head's matrix", lambda it: {True: "the embedding", False: "its own", None: "none"}[it.tied]),
    ("norm epsilon", lambda it: f"{it.norm_eps:g}"),
    ("weights' type", lambda it: it.dtype),
)
_ALIKE: dict[str, Callable[[object], object]] = {"activation": lambda name: ACTIVATIONS[str(name)]}
"""Where two spellings may mean the same: what is compared in place of the words."""


def _said(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _itself(value: object) -> object:
    return value


def _ratio(one: object, other: object) -> str:
    """How many times as much, where both are numbers and the ratio is worth saying."""
    if not isinstance(one, int) or not isinstance(other, int) or not min(one, other):
        return ""
    ratio = max(one, other) / min(one, other)
    return f"{ratio:.3g} times" if ratio >= 1.05 else ""


def _mask(what: str, one: Mask, other: Mask) -> list[Difference]:
    if one == other:
        return []
    cells = differing(one, other, CELLS)
    note = f"{cells} of {CELLS * CELLS} cells differ" + (
        "" if cells else f": {CELLS} tokens are too few to tell them apart"
    )
    return [Difference(what=what, first=str(one), second=str(other), note=note)]


def _vocabularies(one: Model, other: Model) -> list[Difference]:
    """Tokens and their ids, where both models came with a tokenizer."""
    if one.tokenizer is None or other.tokenizer is None:
        return []
    first, second = one.tokenizer.backend.get_vocab(), other.tokenizer.backend.get_vocab()
    if first == second:
        return []
    common = first.keys() & second.keys()
    same = sum(first[token] == second[token] for token in common)
    note = f"{len(common):,} tokens in both, {same:,} of them with the same id"
    return [Difference(what="tokens", first=_said(len(first)), second=_said(len(second)), note=note)]


def _rows(one: Description, other: Description) -> list[Difference]:
    found = []
    for what, look in _ROWS:
        first, second = look(one), look(other)
        alike = _ALIKE.get(what, _itself)
        if alike(first) != alike(second):
            said = Difference(what=what, first=_said(first), second=_said(second), note=_ratio(first, second))
            found.append(said)
    return found


# Weights


def _distance(one: Tensor, other: Tensor) -> float:
    """The largest difference of two tensors of one shape, 0 where they are equal; not a number where one is not."""
    if one is other:
        return 0.0
    # In float32 at least, so that two 16-bit numbers are subtracted exactly; on the host, wherever they are.
    wide = torch.promote_types(torch.promote_types(one.dtype, other.dtype), torch.float32)
    gap = (one.detach().cpu().to(wide) - other.detach().cpu().to(wide)).abs()
    return float(gap.max())


def _weights(one: Model, other: Model) -> WeightDifference | None:
    """Tensor by tensor, where the two networks have the same ones; heads that both have alike are compared too."""
    first, second = dict(one.network.named_parameters()), dict(other.network.named_parameters())
    if {name: t.shape for name, t in first.items()} != {name: t.shape for name, t in second.items()}:
        return None
    pairs = [(f"network.{name}", tensor, second[name]) for name, tensor in first.items()]
    theirs = dict(other.heads.named_parameters())
    for name, tensor in one.heads.named_parameters():
        if name in theirs and theirs[name].shape == tensor.shape:
            pairs.append((f"heads.{name}", tensor, theirs[name]))
    gaps = {name: _distance(a, b) for name, a, b in pairs}
    worst = max(gaps, key=lambda name: math.inf if math.isnan(gaps[name]) else gaps[name])
    return WeightDifference(
        tensors=len(gaps),
        different=sum(gap != 0 for gap in gaps.values()),
        largest=gaps[worst] if math.isfinite(gaps[worst]) else None,
        largest_in=worst if gaps[worst] != 0 else "",
    )


def _named(one: Description, other: Description) -> tuple[str, str]:
    if one.name != other.name:
        return one.name, other.name
    return f"{one.name} (first)", f"{other.name} (second)"


def differences(one: Model, other: Model, names: tuple[str, str] | None = None) -> Differences:
    """What matters of what differs between two models; `names` are what their user calls them.

    >>> print(differences(model, model.with_mask(Causal())).items[0].note)  # doctest: +SKIP
    28 of 64 cells differ
    """
    first, second = names or (None, None)
    a, b = describe(one, first), describe(other, second)
    kind = [NAMES[it.layout] for it in (a, b)]
    changed = one.mask not in one.trained_masks or other.mask not in other.trained_masks
    items = [
        *_mask("mask", one.mask, other.mask),
        *(_mask("mask in training", one.trained_mask, other.trained_mask) if changed else []),
        *([Difference(what="kind", first=kind[0], second=kind[1])] if kind[0] != kind[1] else []),
        *_rows(a, b),
    ]
    place = next((index + 1 for index, item in enumerate(items) if item.what == "tokenizer"), len(items))
    items[place:place] = _vocabularies(one, other)
    return Differences(names=_named(a, b), items=tuple(items), weights=_weights(one, other))


def _page(it: Differences) -> list[str]:
    """A table: what, the first model, the second, and by how much."""
    weights = [] if it.weights is None else [f"weights: {it.weights}"]
    if not it.items:
        same = it.weights is not None and not it.weights.different
        return ["nothing that matters differs" + ("" if same else " but the weights"), *weights]
    table = [("", *it.names, ""), *((item.what, item.first, item.second, item.note) for item in it.items)]
    cells = [[wrap(text, COLUMN) for text in row] for row in table]
    wide = [max(len(line) for row in cells for line in row[column] or [""]) for column in range(4)]
    lines = []
    for row in cells:
        for parts in zip_longest(*row, fillvalue=""):
            lines.append("  ".join(part.ljust(width) for part, width in zip(parts, wide, strict=True)).rstrip())
    return [*lines, *([""] * bool(weights)), *weights]
