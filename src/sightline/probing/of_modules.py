"""Subjects of any module and of any function.

Shapes: B batch, T tokens, W width.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import ConfigError, InputError
from sightline.probing.embedded import Reader, find_readers, instead, vectors_of
from sightline.probing.reading import read
from sightline.probing.subject import ERRORS, Call, Inputs, Subject, for_rows, in_a_line
from sightline.probing.untouched import untouched

KNOWN = ("attention_mask", "position_ids", "token_type_ids", "documents", "ranks", "allowed", "perm_mask")
LENGTHS = (5, 16, 64)  # of the ids that a new module is first tried with; some take no short ones
Run = Callable[[Tensor, Inputs], object]


def named_inputs(function: Callable[..., object]) -> tuple[str, ...]:
    """The names of what a function takes; none where Python cannot tell."""
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def trial_ids(tokens: int, vocabulary: int | None) -> Tensor:
    """Two rows of ids to try a module with, (2, T), which look like nothing else that is read: no positions, no
    types."""
    generator = torch.Generator().manual_seed(0)
    high = 2 if vocabulary is None else vocabulary
    ids = torch.randint(high // 2 if high > 8 else 0, high, (2, tokens), generator=generator)
    ids[0, :2], ids[1, :2] = torch.tensor([high - 1, high - 2]), torch.tensor([high - 2, high - 1])
    return ids


def first_look(
    name: str, module: nn.Module, run: Callable[[Tensor], object], vocabulary: int | None
) -> tuple[tuple[Reader, ...], Tensor]:
    """The embeddings that read the ids, and ids that the module takes; InputError where it takes none."""
    if _device(module).type == "meta":
        raise InputError(f"{name} has no weights yet (its device is meta): load them, or build it on another device")
    failed: Exception = InputError("no length was tried")
    for tokens in LENGTHS:
        try:
            ids = trial_ids(tokens, vocabulary).to(_device(module))
            return find_readers(module, ids, run), ids
        except ERRORS as error:
            failed = error
    raise InputError(f"{name} fails on ids (2, {LENGTHS[0]}) to (2, {LENGTHS[-1]}): {in_a_line(failed)}") from failed


def _device(module: nn.Module) -> torch.device:
    return next((weight.device for weight in module.parameters()), torch.device("cpu"))


def with_vectors(run: Run, readers: tuple[Reader, ...], filler: int, device: torch.device) -> Run:
    """`run` that takes vectors (B, T, W) too: in place of what the embeddings make of the ids `input_ids`."""

    def run_either(tokens: Tensor, inputs: Inputs) -> object:
        named = {
            name: value.to(device).clone() if isinstance(value, Tensor) else value  # what is no tensor is a state
            for name, value in for_rows(inputs, len(tokens)).items()
            if name != "input_ids"
        }
        if not tokens.is_floating_point():
            return run(tokens.to(device).clone(), named)  # some models change what they are given, in place
        ids = torch.full(tokens.shape[:2], filler) if "input_ids" not in inputs else inputs["input_ids"]
        ids = ids.to(device).expand(len(tokens), -1)
        with instead(readers, ids, tokens.to(device)):
            return run(ids.clone(), named)

    return run_either


def reading(run: Run, output: str) -> Call:
    """`run`, of whose result the wanted floats are read."""
    return lambda tokens, inputs: read(run(tokens, inputs), tokens.shape[0], tokens.shape[1], output)


def check_vocabulary(name: str, vocabulary: int | None, readers: tuple[Reader, ...]) -> int:
    """The vocabulary given, or that of the embedding that reads the ids; ConfigError where there is neither."""
    if vocabulary is not None:
        return vocabulary
    if not readers:
        raise ConfigError(
            f"nothing tells how many token ids {name} knows: no nn.Embedding reads them; pass vocabulary=…"
        )
    return readers[0].module.num_embeddings


def vectors_by(readers: tuple[Reader, ...], run: Run) -> Callable[[Tensor], Tensor]:
    """What the embeddings make of ids, as a function of them."""

    def vectors(ids: Tensor) -> Tensor:
        return vectors_of(readers, ids.to(readers[0].module.weight.device), lambda ids: run(ids.clone(), {}))

    return vectors


def of_module(module: nn.Module, vocabulary: int | None, output: str) -> Subject:
    """The subject of a module whose first input are ids."""
    name = type(module).__name__
    accepts = frozenset(named_inputs(module.forward)[1:]) & frozenset(KNOWN)

    def run(ids: Tensor, inputs: Inputs) -> object:
        return module(ids, **inputs)

    with untouched(module, seed=0), torch.no_grad():
        module.eval()
        readers, ids = first_look(name, module, lambda ids: run(ids.clone(), {}), vocabulary)
        count = check_vocabulary(name, vocabulary, readers)
        call = reading(with_vectors(run, readers, int(ids[0, 0]), _device(module)), output)
        call(ids, {})  # which says what is wrong with the result
    return Subject(
        name=name,
        call=call,
        vocabulary=count,
        accepts=accepts,
        module=module,
        embedding=readers[0].module if readers else None,
        vectors=vectors_by(readers, run) if readers else None,
        remake=lambda twin: of_module(twin, count, output),
    )


def of_function(function: Any, vocabulary: int | None, output: str) -> Subject:
    """The subject of a function from ids to floats. Its vocabulary must be given."""
    name = getattr(function, "__name__", type(function).__name__)
    name = "the function" if name == "<lambda>" else str(name)
    if vocabulary is None:
        raise ConfigError(f"nothing tells how many token ids {name} knows; pass vocabulary=…")
    names = named_inputs(function)

    def run(ids: Tensor, inputs: Inputs) -> object:
        return function(ids.clone(), **for_rows(inputs, len(ids)))

    return Subject(
        name=name, call=reading(run, output), vocabulary=vocabulary, accepts=frozenset(names[1:]) & frozenset(KNOWN)
    )
