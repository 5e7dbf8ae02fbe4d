"""1. Declared visibility = measured visibility: whom a mask lets see whom is exactly who changes whose result.

Measured twice, at every depth of the stack: by the gradient of each hidden state to each token's embedding, and by
putting another token in each place.

Shapes: B rows, T tokens, W width.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from contract.families import LAYERS, LOCAL_FIRST, VOCABULARY, bounds, families, random_ids, reach, tiny
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, NotPadding, Permuted, Prefix, SameDocument, SlidingWindow
from sightline.model.model import Model
from strategies import plain_table

TOKENS = 8
INDEX = torch.arange(TOKENS)


@dataclass(frozen=True)
class Scene:
    """A mask, what the model is called with beside the tokens, and who sees whom by the definition, bool (T, T)."""

    mask: Mask
    table: Tensor
    inputs: dict[str, Any] = field(default_factory=dict)


def plain(mask: Mask) -> Scene:
    at = Coordinates.consecutive(TOKENS)
    return Scene(mask, plain_table(mask, at, at)[0])


def permuted(strict: bool) -> Scene:
    rank = torch.tensor([0, 0, 5, 2, 4, 1, 3, 3])
    query, key = rank[:, None], rank[None]
    return Scene(Permuted(strict), key < query if strict else key <= query, {"ranks": rank[None]})


def packed() -> Scene:
    document = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    same = document[:, None] == document[None]
    inputs = {"documents": document[None], "position_ids": torch.tensor([[0, 1, 2, 0, 1, 0, 1, 2]])}
    return Scene(Causal(), same & (INDEX[None] <= INDEX[:, None]), inputs)


def holes() -> Scene:
    """A table that no rule expresses; the row of token 4 is empty: it sees nobody, not even itself."""
    table = torch.rand(TOKENS, TOKENS, generator=torch.Generator().manual_seed(1)) < 0.4
    table[4] = False
    return Scene(Bidirectional(), table, {"allowed": table[None]})


def holes_under_causal() -> Scene:
    scene = holes()
    return Scene(Causal(), scene.table & (INDEX[None] <= INDEX[:, None]), scene.inputs)


def padded() -> Scene:
    real = torch.tensor([0, 0, 1, 1, 1, 1, 1, 0]).bool()
    return Scene(Bidirectional(), real[None].expand(TOKENS, -1), {"attention_mask": real[None].long()})


SCENES = {
    "bidirectional": plain(Bidirectional()),
    "causal": plain(Causal()),
    "prefix": plain(Prefix(3) | Causal()),
    "window": plain(Causal() & SlidingWindow(3)),
    "both sides of a window": plain(SlidingWindow(2)),
    "backwards": plain(~Causal()),
    "permuted": permuted(strict=False),
    "strictly permuted": permuted(strict=True),
    "packed": packed(),
    "allowed": holes(),
    "allowed under causal": holes_under_causal(),
    "padded": padded(),
}


def measured_by_gradient(model: Model, ids: Tensor, scene: Scene) -> list[Tensor]:
    """At each depth from the embeddings on, bool (T, T): whether [i, j] has a gradient of hidden state i to token j."""
    embeds = model.network.embeddings.tokens(ids).detach().requires_grad_()  # type: ignore[union-attr,operator]
    states = model(inputs_embeds=embeds, hidden_states=True, **scene.inputs).hidden_states
    weights = torch.randn(states[0].shape[-1], dtype=model.dtype)
    found = []
    for state in states:
        rows = [
            torch.autograd.grad((state[0, token] * weights).sum(), embeds, retain_graph=True)[0][0]
            for token in range(TOKENS)
        ]
        found.append(torch.stack(rows).abs().sum(-1) > 0)
    return found


def measured_by_substitution(model: Model, ids: Tensor, scene: Scene) -> list[Tensor]:
    """The same, by whether hidden state i is another one when token j is."""
    others = ids.repeat(TOKENS + 1, 1)  # the last row stays as it is
    others[INDEX, INDEX] = (ids[0] + 1) % VOCABULARY
    with torch.no_grad():
        inputs = {name: value.expand(TOKENS + 1, *value.shape[1:]) for name, value in scene.inputs.items()}
        states = model(others, hidden_states=True, **inputs).hidden_states
    return [((state[:-1] - state[-1]).abs().amax(-1) > 1e-12).T for state in states]


@pytest.mark.parametrize("name", SCENES)
@families("visibility")
def test_declared_is_measured(family: str, name: str) -> None:
    scene = SCENES[name]
    model = tiny(family, **LOCAL_FIRST.get(family, {})).with_mask(scene.mask)
    ids = random_ids(1, TOKENS)
    limits = bounds(model, model(ids, **scene.inputs).coordinates)
    real = scene.inputs.get("attention_mask", torch.ones(1, TOKENS))[0].bool()  # padding may come out as zeros
    for measured in (measured_by_gradient(model, ids, scene), measured_by_substitution(model, ids, scene)):
        assert len(measured) == LAYERS + 1
        for depth, table in enumerate(measured):
            assert torch.equal(table[real], reach(scene.table, limits[:depth])[real]), f"at depth {depth}"


@families("visibility")
def test_attention_weights_are_there_for_whom_may_be_seen_and_for_nobody_else(family: str) -> None:
    for scene in SCENES.values():
        model = tiny(family, heads=()).with_mask(scene.mask)
        output = model(random_ids(1, TOKENS), attentions=True, **scene.inputs)
        for weights, limit in zip(output.attentions, bounds(model, output.coordinates), strict=True):
            assert torch.equal(weights[0] > 0, (scene.table & limit).expand_as(weights[0]))


@families("visibility")
def test_a_view_changes_the_sight_and_nothing_else(family: str) -> None:
    model = tiny(family)
    view = model.with_mask(Causal())
    assert (view.mask, model.mask, view.trained_mask) == (Causal(), model.layout.mask, model.layout.mask)
    assert all(a is b for a, b in zip(model.parameters(), view.parameters(), strict=True))
    ids = random_ids(2, 5)
    before = model(ids).last_hidden_state
    view(ids)
    assert torch.equal(model(ids).last_hidden_state, before)
    with torch.no_grad():
        [*view.network.parameters()][-1].add_(1)
    assert not torch.equal(model(ids).last_hidden_state, before)
    assert "trained under" in repr(model.with_mask(Prefix(2))) and "trained under" not in repr(model)


@families("visibility")
def test_padding_and_documents_bound_every_mask(family: str) -> None:
    """`NotPadding()` and `SameDocument()` are and-ed to a mask that says nothing of them, or the contrary."""
    model = tiny(family, heads=()).with_mask(Bidirectional() | ~NotPadding() | ~SameDocument())
    mask, documents = torch.tensor([[1, 1, 1, 1, 0]]), torch.tensor([[0, 0, 1, 1, 1]])
    weights = model(random_ids(1, 5), attention_mask=mask, documents=documents, attentions=True).attentions[0]
    assert not bool(weights[..., 4].any()) and not bool(weights[:, :, :2, 2:].any())
    assert bool((weights[:, :, 2:4, 2:4] > 0).all())
