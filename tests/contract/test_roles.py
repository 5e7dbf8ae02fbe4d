"""Roles are values: any network is encoder, decoder or prefix LM, by the mask that it looks through.

In every role, on every kernel, with and without a cache, each row of a padded batch gets what it gets alone and at
once by the written-out definition; and what it then depends on is what the role declares, a layer's own limits
included. A prefix may be as long in every row (`Prefix`) or each row's own (ranks, under `Permuted`).

Shapes: B rows, T tokens, W width, N depths: before the first block and after each.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from contract.families import FAMILIES, LOCAL_FIRST, bounds, families, padded, random_ids, reach, tiny
from contract.test_kernels import compiles, needs_a_compiler
from sightline.core.block import Block
from sightline.core.cache import Cache, KeyValueCache, Memory
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, Permuted, Prefix
from sightline.decoding.generate import generate
from sightline.errors import UnsupportedError
from sightline.model.build import build
from sightline.model.model import Model
from strategies import plain_table

PROMPTS = (5, 3, 4)  # tokens of each row that come at once; the rest may come in pieces
LATER = 3
TEXTS = [random_ids(1, prompt + LATER, seed=prompt)[0] for prompt in PROMPTS]
CLOSE = 1e-12


@dataclass(frozen=True)
class Role:
    """A mask, and where it goes by ranks, how many tokens of each row are its prefix.

    grows  whether text may come in pieces: nobody looks ahead of the prompt
    """

    mask: Mask
    prefixes: tuple[int, ...] | None = None
    grows: bool = True

    def ranks(self, row: int) -> Tensor:
        """(T,): 0 for the prefix of the row, then 1, 2, …; nobody reads them under other masks."""
        prefix = 0 if self.prefixes is None else self.prefixes[row]
        return (torch.arange(len(TEXTS[row])) + 1 - prefix).clamp(min=0)


ROLES = {
    "encoder": Role(Bidirectional(), grows=False),
    "decoder": Role(Causal()),
    "prefix LM": Role(Prefix(3) | Causal()),
    "prefix LM by row": Role(Permuted(), prefixes=(5, 1, 4)),
}
CACHES: dict[str, Callable[[], Cache | None]] = {
    "no cache": lambda: None,
    "keys and values": lambda: KeyValueCache(capacity=2),
    "memory": lambda: Memory(length=32),
}
MODELS = {family: tiny(family, heads=(), **LOCAL_FIRST.get(family, {})) for family in FAMILIES}  # nothing changes them


@torch.no_grad()
def alone(model: Model, role: Role, row: int, text: Tensor) -> Tensor:
    """(N, T, W): the row by itself, at once, by the definition."""
    view, ranks = model.with_mask(role.mask), role.ranks(row)[None]
    return torch.cat(view(text[None], ranks=ranks, kernel="reference", hidden_states=True).hidden_states)


@torch.no_grad()
def together(
    model: Model, role: Role, texts: list[Tensor], *, side: str, kernel: str, cache: Cache | None
) -> list[Tensor]:
    """Each row's (N, T, W) in a padded batch; with a cache the prompts come first, and then the rest in pieces."""
    view, begins = model.with_mask(role.mask), [0] * len(texts)
    ends = [len(text) for text in texts] if cache is None or not role.grows else list(PROMPTS)
    found: list[list[Tensor]] = [[] for _ in texts]
    for count in (None, 2, 1):
        if count is not None:
            begins, ends = ends, [end + count for end in ends]
        if ends[0] > len(texts[0]):
            break
        spans = list(zip(begins, ends, strict=True))
        ids, real = padded([text[a:b] for text, (a, b) in zip(texts, spans, strict=True)], side, filler=0)
        ranks, _ = padded([role.ranks(row)[a:b] for row, (a, b) in enumerate(spans)], side, filler=0)
        output = view(ids, real, ranks=ranks, kernel=kernel, cache=cache, hidden_states=True)
        hidden = torch.stack(output.hidden_states)
        for row, kept in enumerate(real.bool()):
            found[row].append(hidden[:, row, kept])
    return [torch.cat(pieces, 1) for pieces in found]


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("name", ROLES)
@families("roles")
def test_a_row_in_any_company_on_any_route_is_the_row_alone(family: str, name: str, cache: str) -> None:
    model, role = MODELS[family], ROLES[name]
    expected = [alone(model, role, row, text) for row, text in enumerate(TEXTS)]
    for side in ("left", "right"):
        for kernel in ("auto", "reference", "sdpa"):
            got = together(model, role, TEXTS, side=side, kernel=kernel, cache=CACHES[cache]())
            for row, (one, other) in enumerate(zip(got, expected, strict=True)):
                assert float((one - other).abs().max()) < CLOSE, f"row {row}, padded {side}, {kernel}"


def flex_agrees(family: str, role: Role, side: str) -> None:
    """Within float32's rounding; where a network adds scores of its own, the kernel says that it cannot."""
    torch._dynamo.reset()  # the compiler gives up after a few masks and shapes in one process
    model = tiny(family, heads=(), dtype=torch.float32)
    try:
        got = together(model, role, TEXTS, side=side, kernel="flex", cache=None)
    except UnsupportedError as error:
        assert "takes no additive scores" in str(error)
        assert any(block.attention.scores is not None for block in model.modules() if isinstance(block, Block))
        return
    for row, text in enumerate(TEXTS):
        assert torch.allclose(got[row], alone(model, role, row, text), rtol=0, atol=1e-4)


@compiles
@needs_a_compiler
@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ROLES)
@families("roles")
def test_flex_takes_every_role(family: str, name: str, side: str) -> None:
    flex_agrees(family, ROLES[name], side)


# What a role declares is what is measured


def declared(model: Model, role: Role, row: int) -> Tensor:
    """bool (N, T, T): who depends on whom at each depth, by the rule, each layer's limit and the residual."""
    at = replace(Coordinates.consecutive(len(TEXTS[row])), rank=role.ranks(row)[None])
    table, limits = plain_table(role.mask, at, at)[0], bounds(model, at)
    return torch.stack([reach(table, limits[:depth]) for depth in range(len(limits) + 1)])


@pytest.mark.parametrize("cache", ["no cache", "keys and values"])
@pytest.mark.parametrize("name", ROLES)
@families("roles")
def test_what_a_row_depends_on_is_what_its_role_declares(family: str, name: str, cache: str) -> None:
    """Another token in each place in turn: those change who may know of it, in this row alone."""
    model, role = MODELS[family], ROLES[name]

    def states(texts: list[Tensor]) -> list[Tensor]:
        return together(model, role, texts, side="left", kernel="auto", cache=CACHES[cache]())

    before, tables = states(TEXTS), [declared(model, role, row) for row in range(len(TEXTS))]
    for place in range(max(map(len, TEXTS))):
        others = [text.clone() for text in TEXTS]
        for text in others[::2]:  # the row between them stays as it is
            text[place : place + 1] = 3 + (text[place : place + 1] - 2) % 5
        for row, (new, old) in enumerate(zip(states(others), before, strict=True)):
            changed = (new - old).abs().amax(-1) > CLOSE
            touched = row % 2 == 0 and place < old.shape[1]
            expected = tables[row][..., place] if touched else torch.zeros_like(changed)
            assert torch.equal(changed, expected), f"row {row}, token {place}"


# A role is a view: there and back again


@families("roles")
def test_there_and_back_nothing_has_changed(family: str) -> None:
    model, ids = MODELS[family], TEXTS[0][None]
    with torch.no_grad():
        before = model(ids).last_hidden_state
        for role in ROLES.values():
            view = model.with_mask(role.mask)
            hidden = view(ids, ranks=role.ranks(0)[None]).last_hidden_state
            assert torch.equal(view.with_mask(model.mask)(ids).last_hidden_state, before)
            assert bool(torch.equal(hidden, before)) == (role.mask == model.mask)
        assert torch.equal(model(ids).last_hidden_state, before)
        assert (model.with_mask(Causal()).trained_mask, model.mask) == (model.layout.mask, model.layout.mask)


def test_a_prefix_of_each_row_is_the_prefix_of_all_where_they_are_equal() -> None:
    own, fixed = Role(Permuted(), prefixes=(3, 3, 3)), ROLES["prefix LM"]
    for model in MODELS.values():
        for one, other in zip(
            *(together(model, role, TEXTS, side="right", kernel="auto", cache=None) for role in (own, fixed)),
            strict=True,
        ):
            assert float((one - other).abs().max()) < CLOSE


# Every role that grows writes


def written_anew(model: Model, role: Role, prompt: list[int], steps: int) -> list[int]:
    """Greedy tokens, everything computed anew at each step; under an order the prompt has rank 0, then 1, 2, …

    A network of two streams is asked for what stands behind the last token; others say it in the last one's state.
    """
    tokens = list(prompt)
    for _ in range(steps):
        ranks = (torch.arange(len(tokens)) + 1 - len(prompt)).clamp(min=0)[None] if role.prefixes else None
        behind = torch.tensor([[len(tokens)]]) if model.layout.two_streams else None
        with torch.no_grad():
            hidden = model(torch.tensor([tokens]), ranks=ranks, targets=behind).last_hidden_state
            tokens.append(int(model.logits(hidden)[0, -1].argmax()))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("name", [name for name, role in ROLES.items() if role.grows])
@families("roles")
def test_every_network_writes_in_every_role_that_looks_back(family: str, name: str) -> None:
    role = ROLES[name]
    model = tiny(family, heads=("lm",)).with_mask(role.mask)
    prompts = [text[:prompt].tolist() for text, prompt in zip(TEXTS, PROMPTS, strict=True)]
    got = generate(model, prompts, max_new_tokens=5).ids()
    assert got == [written_anew(model, role, prompt, 5) for prompt in prompts]


@families("roles")
def test_no_network_writes_word_by_word_while_it_looks_ahead(family: str) -> None:
    model = tiny(family, heads=("lm",)).with_mask(Bidirectional())
    if model.layout.two_streams:  # which predicts what stands behind a text without having read it as anybody's future
        assert len(generate(model, [TEXTS[0].tolist()], max_new_tokens=2).ids()[0]) == 2
        return
    with pytest.raises(UnsupportedError, match="tokens see what comes after them"):
        generate(model, [TEXTS[0].tolist()])


@families("roles")
def test_training_mode_is_no_role(family: str) -> None:
    """Why a first state may change with the last word under a causal mask: dropout, and nothing else."""
    model = build(family, "tiny", vocabulary=31, layers=2, width=16, inner=24, dropout=0.3)
    model = model.with_mask(Causal())
    other = TEXTS[0].clone()
    other[-1] = 3 + (other[-1] - 2) % 5
    with torch.no_grad():
        first = [model(ids[None]).last_hidden_state[0, 0] for ids in (TEXTS[0], other)]
        assert torch.equal(*first)
        model.train()
        first = [model(ids[None]).last_hidden_state[0, 0] for ids in (TEXTS[0], other)]
        assert not torch.equal(*first)
