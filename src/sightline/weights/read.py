"""Reading a checkpoint's tensors into a model, and a model's back into theirs, by the tables of a Layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import CheckpointError, UnsupportedError
from sightline.weights.files import Tensors
from sightline.weights.layout import HeadLayout, Layout, Name

POOLER = "{base}pooler.dense.weight"
FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_OLD = ((".gamma", ".weight"), (".beta", ".bias"))  # how the first BERT files spell LayerNorm


def _modern(name: str) -> str:
    for old, new in _OLD:
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


class Spelling:
    """A file's tensors, found whether or not their names carry the base prefix, and under old spellings too."""

    def __init__(self, layout: Layout, tensors: Tensors) -> None:
        self.layout, self.tensors = layout, tensors
        self.stored = {_modern(name): name for name in tensors}
        self.used: set[str] = set()

    def find(self, theirs: str, copies: Iterable[str] = ()) -> str | None:
        """The stored name of `theirs` or of one of its copies, or None."""
        for name in (theirs, *copies):
            for prefix in (self.layout.base, ""):
                stored = self.stored.get(name.replace("{base}", prefix))
                if stored is not None:
                    return stored
        return None

    def dtypes(self) -> set[torch.dtype]:
        """The floating-point types of its weights."""
        weights = (stored for name, stored in self.stored.items() if not name.endswith(self.layout.ignored))
        return {dtype for dtype in map(self.tensors.dtype, weights) if dtype in FLOATS}

    def ties_hold(self, config: Any) -> bool:
        """Whether the LM matrix of the file, where it has one, is the token embedding, as `config` says."""
        names = self.layout.all_names(replace(config, tied=False), frozenset({"lm"}))
        own, shared = (
            next((self.find(name.theirs) for name in names if name.ours == (ours,)), None)
            for ours in ("heads.lm.weight", "network.embeddings.tokens.weight")
        )
        if own is None or shared is None:
            return True
        matrix, embedding = self.tensors[own], self.tensors[shared]
        return matrix.is_set_to(embedding) or torch.equal(matrix, embedding)

    def unused(self) -> list[str]:
        """Tensors of the file that nothing here reads and that are no mere buffers or copies."""
        return sorted(
            stored
            for name, stored in self.stored.items()
            if stored not in self.used and not name.endswith(self.layout.ignored)
        )


def find_heads(layout: Layout, file: Spelling, architectures: Iterable[str]) -> frozenset[str]:
    """The heads that a file has; where two share their tensors' names, the declared architecture decides.

    A head that is declared and there in part counts as there: what it lacks is then missed, by name.
    """
    declared = set(architectures)
    found: list[HeadLayout] = []
    for head in layout.heads:
        present = {marker for marker in head.markers if file.find(marker) is not None}
        if any(file.find(other) is not None for other in head.unless):
            continue
        in_part = any(not marker.startswith("{base}") for marker in present)
        if len(present) < len(head.markers) and not (in_part and declared & set(head.architectures)):
            continue
        rival = next((other for other in found if other.markers[0] == head.markers[0]), None)
        if rival is None:
            found.append(head)
        elif declared & set(head.architectures) and not declared & set(rival.architectures):
            found[found.index(rival)] = head
    return with_pooler(found)


def with_pooler(heads: Iterable[HeadLayout]) -> frozenset[str]:
    """Names of these heads, and of the pooler under those that stand on one."""
    heads = tuple(heads)
    pooled = any(POOLER in head.markers for head in heads)
    return frozenset({*(head.name for head in heads), *(["pooler"] if pooled else [])})


def build_heads(
    layout: Layout, config: Any, network: nn.Module, heads: frozenset[str], labels: Mapping[str, int]
) -> nn.ModuleDict:
    """Modules for these heads; `labels` says how many each one of them tells apart."""
    built: dict[str, nn.Module] = {}
    for head in layout.heads:
        if head.name in heads:
            built[head.name] = head.build(config, network, built, labels.get(head.name, 2))
    return nn.ModuleDict(built)


def count_labels(layout: Layout, file: Spelling, heads: frozenset[str]) -> dict[str, int]:
    """How many labels each head of the file tells apart: the first size of its last layer."""
    counts = {}
    for head in layout.heads:
        stored = file.find(head.markers[0])
        if head.name in heads and stored is not None and file.tensors.shape(stored):
            counts[head.name] = file.tensors.shape(stored)[0]
    return counts


def _place(model: nn.Module, name: str, tensor: Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    model.get_submodule(path).register_parameter(leaf, nn.Parameter(tensor))


def _parameter(model: nn.Module, name: str) -> Tensor:
    path, _, leaf = name.rpartition(".")
    return getattr(model.get_submodule(path), leaf)


def _check_shape(model: nn.Module, name: Name, stored: str, tensors: Tensors) -> None:
    shapes = [tuple(_parameter(model, ours).shape) for ours in name.ours]
    wanted = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    wanted = name.shape or (wanted[::-1] if name.transposed else wanted)
    if tuple(tensors.shape(stored)) != wanted:
        raise CheckpointError(
            f"{tensors.file_of(stored)}: tensor {stored!r} has shape {tuple(tensors.shape(stored))}, and by"
            f" config.json it should have {wanted}; the file and its config.json do not belong together"
        )


def fill(model: nn.Module, names: Iterable[Name], file: Spelling, dtype: torch.dtype) -> list[Name]:
    """Put a file's tensors where they belong, as `dtype`; returns the names that it lacks.

    Tensors are views of the file's memory map where nothing had to be converted.
    """
    missing = []
    for name in names:
        stored = file.find(name.theirs, name.copies)
        if stored is None:
            missing.append(name)
            continue
        _check_shape(model, name, stored, file.tensors)
        file.used.update(s for s in (file.find(spelling) for spelling in (name.theirs, *name.copies)) if s)
        tensor = file.tensors[stored]
        if tensor.dtype not in FLOATS:
            raise CheckpointError(
                f"{file.tensors.file_of(stored)}: tensor {stored!r} holds {tensor.dtype}, not plain floating-point"
                " numbers; quantised checkpoints are not supported"
            )
        for ours, part in name.split(tensor.to(dtype)):
            _place(model, ours, part)
    return missing


def spell(model: nn.Module, layout: Layout, config: Any, heads: frozenset[str]) -> dict[str, Tensor]:
    """A model's tensors under their names, ready to be written."""
    base = layout.base if heads - {"pooler"} else ""
    ours = {name: parameter.detach() for name, parameter in model.named_parameters(remove_duplicate=False)}
    theirs: dict[str, Tensor] = {}
    for name in layout.all_names(config, heads):
        for spelling in (name.theirs, *name.copies):
            stored = spelling.replace("{base}", base)
            if stored in theirs:
                raise UnsupportedError(
                    f"two heads of this {layout.model_type} are both stored as {stored!r}, and one would overwrite the"
                    f" other; drop one before saving: del model.heads[…], of {', '.join(sorted(heads))}"
                )
            theirs[stored] = name.join(ours)
    return theirs
