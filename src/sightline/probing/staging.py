"""Stage: where setups are run, each as often as it must be and no more, and the model is left as it was.

Shapes: B rows, L places of a row, T tokens of the text, V numbers of each output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.errors import InputError, UnsupportedError
from sightline.model.model import Model
from sightline.probing.run import DTYPES
from sightline.probing.setup import Setup, row_of
from sightline.probing.subject import Inputs, Subject, subject
from sightline.probing.untouched import seed_everything, untouched

Watch = Callable[[Subject, int, int, int], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """What the model is given: ids (B, L) and named inputs; the text stands in row 0, from `begin` to `end`."""

    ids: Tensor
    inputs: dict[str, Tensor]
    begin: int
    end: int


def batch_for(setup: Setup) -> Batch:
    """The text among padding and mates."""
    made, (ids, told) = setup.subject, setup.what.encode(setup.special_tokens)
    left, filler = setup.padding[0], _filler(made)
    tokens, places = len(ids), len(ids) + sum(setup.padding)
    rows, real = [row_of(ids, setup.padding, filler)], [row_of(_seen(setup, tokens), setup.padding, 0)]
    for mate, there in _mates(setup, places, filler):
        rows.append(mate)
        real.append(there)
    mask, inputs = torch.tensor(real), dict[str, Tensor]()
    given = setup.attention_mask != "off" and (setup.attention_mask != "auto" or not bool(mask.all()))
    if given and "attention_mask" in made.accepts:
        inputs["attention_mask"] = mask
    if setup.position_ids is not None:
        counted = (mask.cumsum(1) - 1).clamp(min=0)
        if not isinstance(setup.position_ids, str):
            _fits("position_ids", setup.position_ids, tokens)
            counted[0] = torch.tensor(row_of(setup.position_ids, setup.padding, 0))
        inputs["position_ids"] = counted
    types = _types(setup, told, tokens)
    if types is not None and "token_type_ids" in made.accepts:
        inputs["token_type_ids"] = torch.zeros_like(mask)
        inputs["token_type_ids"][0] = torch.tensor(row_of(types, setup.padding, 0))
    if setup.mask is not None and any(leaf.reads == "rank" for leaf in setup.mask.leaves()):
        inputs["ranks"] = Coordinates.consecutive(places).position.expand(len(mask), -1)
    return Batch(ids=torch.tensor(rows), inputs=inputs, begin=left, end=left + tokens)


def _fits(name: str, values: tuple[int, ...], tokens: int) -> None:
    if len(values) != tokens:
        raise InputError(f"{name} has {len(values)} numbers, and the text has {tokens} tokens; give one for each")


def _filler(made: Subject) -> int:
    """The id that stands in padding: that of the tokenizer or the configuration, else 0."""
    special = getattr(made.tokenizer, "special", None)
    config = getattr(made.module, "config", None)
    known = (getattr(special, "pad_id", None), getattr(made.tokenizer, "pad_token_id", None))
    for each in (*known, getattr(config, "pad_token_id", None)):
        if isinstance(each, int) and 0 <= each < made.vocabulary:
            return each
    return 0


def _seen(setup: Setup, tokens: int) -> tuple[int, ...]:
    if isinstance(setup.attention_mask, str):
        return (1,) * tokens
    _fits("attention_mask", setup.attention_mask, tokens)
    return setup.attention_mask


def _types(setup: Setup, told: dict[str, tuple[int, ...]], tokens: int) -> tuple[int, ...] | None:
    if setup.token_types is None:
        return told.get("token_type_ids")
    if isinstance(setup.token_types, str):
        return None
    if isinstance(setup.token_types, int):
        return (setup.token_types,) * tokens
    _fits("token_types", setup.token_types, tokens)
    return setup.token_types


def _mates(setup: Setup, places: int, filler: int) -> Iterator[tuple[list[int], list[int]]]:
    """The other rows, each with what is real of it: padded on the side on which the text is, else on the right."""
    mates = setup.mates
    left = setup.padding[0] > 0
    if mates.given:
        rows = [list(each[:places]) for each in mates.given]
    else:
        length = places - max(1, places // 3) if mates.padded and places > 1 else places
        rows = setup.subject.draw(mates.count, length, seed=11).tolist() if mates.count else []
    for row in rows:
        short = places - len(row)
        padding = (short, 0) if left else (0, short)
        yield row_of(row, padding, filler), row_of([1] * len(row), padding, 0)


class Stage:
    """Runs setups and remembers what came out."""

    def __init__(self, output: str) -> None:
        self.output = output
        self._views: dict[tuple[object, ...], Subject] = {}
        self._found: dict[tuple[object, ...], tuple[Setup, Tensor]] = {}

    def view(self, setup: Setup) -> Subject:
        """The model as this setup wants it: mask, kernel and type."""
        key = (setup.subject, setup.mask, setup.kernel, setup.dtype)
        if key not in self._views:
            self._views[key] = self._made(setup)
        return self._views[key]

    def _made(self, setup: Setup) -> Subject:
        made = setup.subject
        if setup.mask is not None and setup.mask != made.declared and isinstance(made.module, Model):
            made = subject(made.module.with_mask(setup.mask), output=self.output, tokenizer=made.tokenizer)
        if setup.kernel is not None:
            made = made.with_kernel(setup.kernel)
        wanted = None if setup.dtype is None else DTYPES[setup.dtype]
        return made if wanted in (None, made.dtype) else made.copy(wanted)

    def outputs(self, setup: Setup) -> Tensor:
        """What comes out for the tokens of the text, float64 (T, V)."""
        # By the text's identity: two runs that are told alike are both run, for a model may differ from itself.
        key = tuple((vars(setup) | {"what": id(setup.what)}).values())
        if key not in self._found:
            self._found[key] = setup, self.run(setup)  # held, so that nothing else takes its text's place
        return self._found[key][1]

    @torch.no_grad()
    def run(self, setup: Setup, watch: Watch | None = None) -> Tensor:
        """Run it, watched if somebody wants to; the model is left as it was."""
        view, batch = self.view(setup), batch_for(setup)
        made: list[Tensor] = []
        with untouched(view.module):
            if view.module is not None and setup.mode != "mixed":
                view.module.train(setup.mode == "train")
            seed_everything(setup.draws[1])
            for outputs in _pieces(view, setup, batch, watch or _unwatched):
                made.append(outputs[0])
        whole = torch.cat(made)[batch.begin : batch.end]
        return whole.cpu().double().flatten(1)


@contextmanager
def _unwatched(view: Subject, rows: int, begin: int, end: int) -> Iterator[None]:
    yield


def _pieces(view: Subject, setup: Setup, batch: Batch, watch: Watch) -> Iterator[Tensor]:
    """Outputs of one piece after another, or of the whole."""
    how, size = setup.reading
    rows, places = batch.ids.shape
    if how == "whole":
        with watch(view, rows, 0, places):
            made = view.call(batch.ids, batch.inputs)
        yield made
        return
    step = view.step if how == "cache" else view.memory
    if step is None:
        raise UnsupportedError(f"{view.name} has no {how} to go on from")
    state: Any = None
    for begin in range(0, places, size):
        end = min(begin + size, places)
        with watch(view, rows, begin, end):
            made, state = step(batch.ids[:, begin:end], state, _up_to(batch.inputs, begin, end))
        yield made


def _up_to(inputs: Inputs, begin: int, end: int) -> dict[str, Tensor]:
    """What belongs to a piece: an attention mask is of all that was read so far."""
    return {name: value[:, :end] if name == "attention_mask" else value[:, begin:end] for name, value in inputs.items()}


def in_float64(setup: Setup) -> Setup:
    """The same in float64."""
    return replace(setup, dtype="float64")
