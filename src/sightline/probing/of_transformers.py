"""Subjects of transformers' models, and of others that speak as they do: a forward that takes `input_ids`.

transformers itself is not imported: all that is used of it belongs to the model that was handed over.

Shapes: B batch, T tokens, P tokens that a cache remembers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import UnsupportedError
from sightline.probing.of_modules import (
    KNOWN,
    Run,
    check_vocabulary,
    first_look,
    named_inputs,
    reading,
    vectors_by,
    with_vectors,
)
from sightline.probing.reading import read
from sightline.probing.subject import ERRORS, Inputs, Step, Subject
from sightline.probing.untouched import untouched

STATES = (  # what a state is called going in, what asks for one, and what it is called coming out
    ("past_key_values", "use_cache", "past_key_values"),
    ("cache_params", "use_cache", "cache_params"),
    ("mems", "use_mems", "mems"),
    ("state", "use_cache", "state"),
)
SOURCE_TOKENS = 8  # what the encoder reads while a decoder is probed
CHOSEN = "_attn_implementation_internal"  # where a configuration of transformers keeps its kernel


def takes_input_ids(module: nn.Module) -> bool:
    """Whether the module speaks as transformers' models do."""
    return "input_ids" in named_inputs(module.forward)


def _stated_vocabulary(config: Any) -> int | None:
    """What the configuration says, of the text where it is one of several media."""
    text = getattr(config, "get_text_config", None)
    stated = getattr(text() if callable(text) else config, "vocab_size", None)
    return stated if isinstance(stated, int) and not isinstance(stated, bool) else None


def _special(config: Any) -> frozenset[int]:
    """The ids that the configuration gives a role: pad, bos, eos, sep, mask."""
    named = [getattr(config, f"{role}_token_id", None) for role in ("pad", "bos", "eos", "sep", "cls", "mask")]
    flat = [each for value in named for each in (value if isinstance(value, list | tuple) else [value])]
    return frozenset(each for each in flat if isinstance(each, int) and not isinstance(each, bool))


def _configs(module: nn.Module) -> list[Any]:
    """Every configuration that keeps a kernel: each module's, and those within it."""
    found: dict[int, Any] = {}
    waiting = [getattr(each, "config", None) for each in module.modules()]
    while waiting:
        config = waiting.pop()
        held = getattr(config, "__dict__", {})
        if CHOSEN in held and id(config) not in found:
            found[id(config)] = config
            waiting += held.values()
    return list(found.values())


def kernels_of(module: nn.Module) -> tuple[str, ...]:
    """The attention kernels that transformers lets one choose for this model, its plain one first."""
    can = getattr(module, "_can_set_attn_implementation", None)
    if not callable(can) or not callable(getattr(module, "set_attn_implementation", None)) or not can():
        return ()
    offered = {"sdpa": "_supports_sdpa", "flex_attention": "_supports_flex_attn"}
    return ("eager", *(name for name, flag in offered.items() if getattr(module, flag, False) is True))


@contextmanager
def _under(module: nn.Module, kernel: str) -> Iterator[None]:
    """The model computes attention by that kernel; afterwards by the one it had."""
    before = [(config, getattr(config, CHOSEN)) for config in _configs(module)]
    try:
        module.set_attn_implementation(kernel)  # type: ignore[operator]  # transformers' own, looked for above
        yield
    finally:
        for config, chosen in before:
            setattr(config, CHOSEN, chosen)


def _step(module: nn.Module, names: tuple[str, str, str], run: Run, output: str) -> Step:
    """How the model goes on from a state of transformers' own."""
    into, ask, out_of = names

    def go_on(tokens: Tensor, state: Any, inputs: Inputs) -> tuple[Tensor, Any]:
        given: dict[str, Any] = {**inputs, ask: True}
        if state is not None:
            given[into] = state
        made = run(tokens, given)
        kept = made.get(out_of) if isinstance(made, Mapping) else getattr(made, out_of, None)
        if kept is None:
            raise UnsupportedError(f"{type(module).__name__} gives back no {out_of}, so there is nothing to go on from")
        return read(made, tokens.shape[0], tokens.shape[1], output), kept

    return go_on


def _find_step(module: nn.Module, takes: tuple[str, ...], run: Run, ids: Tensor, output: str) -> Step | None:
    """The way of going on that works: found by going one step on."""
    for names in STATES:
        if names[0] not in takes or names[1] not in takes:
            continue
        step = _step(module, names, run, output)
        try:
            step(ids[:, 3:], step(ids[:, :3], None, {})[1], {})
            return step
        except ERRORS:
            continue
    return None


def _runner(module: nn.Module, takes: tuple[str, ...], source: Tensor | None, extra: Mapping[str, Any]) -> Run:
    """The model as a function of ids and named inputs. Of an encoder-decoder, of the decoder's ids."""

    def run(ids: Tensor, inputs: Inputs) -> object:
        if source is None:
            return module(input_ids=ids, **inputs, **extra)
        return module(input_ids=source.expand(len(ids), -1), decoder_input_ids=ids, **inputs, **extra)

    return run


def _source(module: nn.Module, takes: tuple[str, ...], vocabulary: int | None) -> Tensor | None:
    """What the encoder of an encoder-decoder reads meanwhile, (1, S): the same for all; None of other models."""
    if "decoder_input_ids" not in takes:
        return None
    generator = torch.Generator().manual_seed(1)
    device = next((weight.device for weight in module.parameters()), None)
    return torch.randint(3, max(4, vocabulary or 0), (1, SOURCE_TOKENS), generator=generator).to(device)


def of_transformers(module: nn.Module, vocabulary: int | None, output: str, kernel: str | None = None) -> Subject:
    """The subject of a model whose forward takes `input_ids`. Of an encoder-decoder, of its decoder."""
    name, takes = type(module).__name__, named_inputs(module.forward)
    config = getattr(module, "config", None)
    stated = _stated_vocabulary(config) if vocabulary is None else vocabulary
    source = _source(module, takes, stated)
    states = {"output_hidden_states": True} if output.startswith("hidden_states") else {}
    plain = _runner(module, takes, source, states)

    def run(ids: Tensor, inputs: Inputs) -> object:
        with nullcontext() if kernel is None else _under(module, kernel):
            return plain(ids, inputs)

    with untouched(module, seed=0), torch.no_grad():
        module.eval()
        readers, ids = first_look(name, module, lambda ids: run(ids.clone(), {}), stated)
        count = check_vocabulary(name, stated, readers)
        either = with_vectors(run, readers, int(ids[0, 0]), ids.device)
        call = reading(either, output)
        call(ids, {})  # which says what is wrong with the result
        step = _find_step(module, takes, either, ids, output) if source is None else None
    return Subject(
        name=name,
        call=call,
        vocabulary=count,
        forbidden=_special(config),
        accepts=frozenset(takes) & frozenset(KNOWN) if source is None else frozenset(),
        module=module,
        embedding=readers[0].module if readers else None,
        vectors=vectors_by(readers, run) if readers else None,
        step=step,
        kernels=kernels_of(module),
        remake=lambda twin: of_transformers(twin, count, output, kernel),
        switch=lambda chosen: of_transformers(module, count, output, chosen),
    )
