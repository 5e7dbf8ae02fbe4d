"""Weights: what is saved is what is loaded, and what is tied is one tensor."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import UnsupportedError
from sightline.probing import causes
from sightline.probing.checks.plan import Plan, amount, cannot_tell, failed, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.report import Check
from sightline.probing.subject import Subject, subject

SAVED = "saved = loaded"
TIED = "tied weights are tied"
STATE = "its state_dict loaded into a copy with other weights"
TOKENS, LARGEST = 6, 300_000_000


def learned(made: Tensor) -> Iterator[Tensor]:
    """Every weight that an output was computed from and that wants a gradient."""
    waiting, seen = [made.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)  # of the node that ends a path: where a gradient is gathered
        if isinstance(leaf, Tensor):
            yield leaf
        waiting += [each for each, _ in node.next_functions]


def saved_is_loaded(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """All weights that decide the outputs are saved, and a copy that loads them gives the same."""
    module, tokens = plan.subject.module, min(TOKENS, plan.longest)
    if module is None:
        return not_applicable(SAVED, "a function has no weights of its own")
    if sum(weight.numel() for weight in module.parameters()) > LARGEST:
        return not_applicable(SAVED, f"it has more than {LARGEST // 10**6} million weights")
    ids, inputs = plan.draw(1, tokens, salt=15), plan.inputs(tokens)
    known = {id(weight) for weight in module.parameters()}
    with torch.enable_grad():
        outside = [each for each in learned(plan.subject.call(ids, inputs)) if id(each) not in known]
    if outside:
        shapes = ", ".join(str(tuple(each.shape)) for each in outside[:3])
        said = f"outputs come from {len(outside)} weights that state_dict does not have, of shapes {shapes}"
        return failed(SAVED, said, causes.NOT_SAVED)
    with TemporaryDirectory() as folder:
        how, twin = _loaded(plan.subject, Path(folder))
    with torch.no_grad():
        apart = float(difference(twin.call(ids, inputs), plan.given.run(ids, inputs)).max())
    if plan.given.rounding.tell(apart) == "different":
        return failed(SAVED, f"{how}, outputs differ by {amount(apart)} on {tokens} tokens", causes.SAVED_WRONG)
    if apart > 0:
        return cannot_tell(SAVED, f"{how}, outputs differ by {amount(apart)} on {tokens} tokens: rounding?")
    return passed(SAVED, f"{how}, the same bit for bit on {tokens} tokens")


@torch.no_grad()
def _loaded(given: Subject, folder: Path) -> tuple[str, Subject]:
    """How it was saved and loaded, and what came back."""
    from sightline.model.load import load
    from sightline.model.model import Model

    module = given.module
    if isinstance(module, Model):
        try:
            model = load(str(module.save(folder)), allow_new=bool(module.new_tensors)).with_mask(module.mask)
            return "saved and loaded", subject(model.to(module.device, module.dtype).eval())
        except UnsupportedError:  # a combination of heads that no folder can hold
            return STATE, _same_view(given, _reloaded(module))
    save, load_again = getattr(module, "save_pretrained", None), getattr(type(module), "from_pretrained", None)
    if callable(save) and callable(load_again):
        save(folder)
        again: Any = load_again(folder, dtype=given.dtype)
        return "saved and loaded", _same_view(given, again.to(given.device).eval())
    return STATE, _same_view(given, _reloaded(module))


def _same_view(given: Subject, module: nn.Module) -> Subject:
    return given.remake(module) if given.remake is not None else subject(module, vocabulary=given.vocabulary)


def _reloaded(module: nn.Module | None) -> nn.Module:
    """A copy of which every weight was changed before it loaded the state."""
    twin = copy.deepcopy(module)
    if module is None or twin is None:
        raise TypeError("there is no module")
    for weight in twin.parameters():
        if weight.is_floating_point():
            weight.copy_(torch.rand_like(weight))
    twin.load_state_dict(module.state_dict())
    return twin


def tied_is_one(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """A matrix that holds the embedding's numbers is the embedding, so that training cannot part them."""
    module = plan.subject.module
    if module is None:
        return not_applicable(TIED, "a function has no weights of its own")
    shared = _shared(module)
    copies = _copies(module, plan.subject.embedding)
    if copies:
        one, other = copies[0]
        said = f"{one!r} and {other!r} hold the same numbers in two tensors"
        return failed(TIED, said + (f", and {len(copies) - 1} more pairs" if copies[1:] else ""), causes.NOT_TIED)
    if not shared:
        return not_applicable(TIED, "no two weights are one tensor, and none holds the embedding's numbers")
    return passed(TIED, f"{' = '.join(map(repr, shared[0]))}: one tensor")


def _shared(module: nn.Module) -> list[tuple[str, ...]]:
    """Names that stand for one tensor."""
    names: dict[int, list[str]] = {}
    for name, weight in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    return [tuple(each) for each in names.values() if len(each) > 1]


def _copies(module: nn.Module, embedding: nn.Module | None) -> list[tuple[str, str]]:
    """Matrices that hold the embedding's numbers in a tensor of their own: its name first.

    Other equal matrices prove nothing: layers often begin as copies of one.
    """
    own = None if embedding is None else next(embedding.parameters(), None)
    if own is None or own.dim() != 2 or len(own) < 2 or bool((own == own[0]).all()):
        return []
    weights = dict(module.named_parameters())
    name = next((each for each, weight in weights.items() if weight is own), "")
    return [
        (name, other)
        for other, weight in weights.items()
        if weight is not own and weight.shape == own.shape and torch.equal(weight, own)
    ]
