"""Subjects of our own models, with the mask that each was given.

Shapes: B batch, T tokens.
"""

from __future__ import annotations

from torch import Tensor, nn

from sightline.core.attention import flex_is_available
from sightline.core.block import Block
from sightline.core.cache import Cache, KeyValueCache, Memory
from sightline.errors import UnsupportedError
from sightline.model.model import Model
from sightline.model.output import Output
from sightline.probing.reading import read
from sightline.probing.subject import Inputs, Step, Subject, for_rows

ALWAYS = frozenset({"attention_mask", "position_ids", "documents", "ranks", "allowed"})
OF_TWO_STREAMS = frozenset({"targets", "target_mapping", "perm_mask"})


def _accepts(model: Model) -> frozenset[str]:
    types = {"token_type_ids"} if getattr(model.config, "token_types", 0) else set()
    return ALWAYS | types | (OF_TWO_STREAMS if model.layout.two_streams else frozenset())


def _wanted(model: Model, made: Output, output: str) -> Tensor:
    hidden = made.last_hidden_state
    if output == "logits" or (output == "auto" and "lm" in model.heads):
        return model.logits(hidden)
    if output in ("auto", "last_hidden_state"):
        return hidden
    return read(made, len(hidden), hidden.shape[1], output)


def _step(model: Model, kernel: str, output: str, remember: bool) -> Step:
    """How the model goes on: from keys and values, or from hidden states."""

    def go_on(tokens: Tensor, state: Cache | None, inputs: Inputs) -> tuple[Tensor, Cache]:
        cache = _new(model, remember) if state is None else state
        return _run(model, tokens, inputs, kernel, output, cache), cache

    return go_on


def _new(model: Model, remember: bool) -> Cache:
    if remember:
        return Memory(length=getattr(model.config, "memory_length", None))
    return KeyValueCache()


def _run(model: Model, tokens: Tensor, inputs: Inputs, kernel: str, output: str, cache: Cache | None = None) -> Tensor:
    named = {name: value for name, value in for_rows(inputs, len(tokens)).items() if name != "input_ids"}
    given = "inputs_embeds" if tokens.is_floating_point() else "input_ids"
    states = output.startswith("hidden_states")
    made = model(**{given: tokens}, **named, cache=cache, kernel=kernel, hidden_states=states)
    return _wanted(model, made, output)


def of_ours(model: Model, output: str = "auto", kernel: str = "auto") -> Subject:
    """The subject of a model of ours, as seen through its own mask."""
    blocks = [block for block in model.network.modules() if isinstance(block, Block)]
    plain = all(block.attention.scores is None for block in blocks)  # relative scores are more than that kernel takes
    flex = plain and flex_is_available(model.device.type)

    def remade(module: nn.Module) -> Subject:
        if not isinstance(module, Model):
            raise UnsupportedError(f"{type(module).__name__} is no copy of a model of ours")
        return of_ours(module, output, kernel)

    embedding = model.network.get_submodule("embeddings.tokens")
    return Subject(
        name=f"{model.layout.model_type} under the mask {model.mask}",
        call=lambda tokens, inputs: _run(model, tokens, inputs, kernel, output),
        vocabulary=model.config.vocabulary,
        accepts=_accepts(model),
        module=model,
        embedding=embedding,
        vectors=lambda ids: embedding(ids.to(model.device)).detach(),
        step=_step(model, kernel, output, remember=False),
        memory=_step(model, kernel, output, remember=True),
        kernels=("reference", "sdpa", "flex") if flex else ("reference", "sdpa"),
        declared=model.mask,
        limits=tuple(block.limit for block in blocks),
        tokenizer=model.tokenizer,
        remake=remade,
        switch=lambda name: of_ours(model, output, name),
    )
