"""XLNet's mechanism: who knows what in two streams, and that an order's likelihood is the product of its steps.

Shapes: B rows, T tokens, W width, V vocabulary.
"""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.families import VOCABULARY, random_ids, tiny
from sightline.core.cache import KeyValueCache, Memory
from sightline.core.mask import Bidirectional, Causal, Permuted, Prefix
from sightline.errors import ConfigError
from sightline.networks.xlnet import XlnetConfig

TOKENS = 7
IDS = random_ids(1, TOKENS)
PLACES = torch.arange(TOKENS)[None]
MODEL = tiny("xlnet")  # nothing here changes it
ORDERED = MODEL.with_mask(Permuted())
orders = st.permutations(range(TOKENS)).map(lambda order: torch.tensor([order]))


def changed(place: int) -> Tensor:
    """The row with another token at that place."""
    ids = IDS.clone()
    ids[0, place] = (ids[0, place] + 1) % VOCABULARY
    return ids


@torch.no_grad()
def asked(ids: Tensor, ranks: Tensor) -> Tensor:
    """The query stream at every place, (T, W)."""
    return ORDERED(ids, ranks=ranks, targets=PLACES).last_hidden_state[0]


@torch.no_grad()
def told(ids: Tensor, ranks: Tensor) -> Tensor:
    """The content stream at every place, (T, W)."""
    return ORDERED(ids, ranks=ranks).last_hidden_state[0]


@given(ranks=orders, place=st.integers(0, TOKENS - 1))
def test_who_knows_a_token(ranks: Tensor, place: int) -> None:
    """Exactly those that come after it in the order, and of the content stream itself: not the query at its place."""
    other = changed(place)
    of_queries = (asked(IDS, ranks) - asked(other, ranks)).abs().amax(-1) > 1e-9
    of_contents = (told(IDS, ranks) - told(other, ranks)).abs().amax(-1) > 1e-9
    assert torch.equal(of_queries, ranks[0] > ranks[0, place])
    assert torch.equal(of_contents, ranks[0] >= ranks[0, place])


@given(place=st.integers(0, TOKENS - 1))
def test_a_blind_target_sees_all_but_itself(place: int) -> None:
    """Under the model's own mask all others have seen the token in their first layer, and tell of it in the second."""
    one_layer = tiny("xlnet", layers=1)
    with torch.no_grad():
        before, after = (one_layer(ids, targets=PLACES).last_hidden_state[0] for ids in (IDS, changed(place)))
    assert torch.equal((before - after).abs().amax(-1) > 1e-9, PLACES[0] != place)


@given(ranks=orders)
def test_the_likelihood_of_an_order_is_the_product_of_its_steps(ranks: Tensor) -> None:
    """Two streams give every factor at once; or each by itself, from a row that holds the tokens before it alone."""
    with torch.no_grad():
        at_once = MODEL.logits(asked(IDS, ranks)).log_softmax(-1).gather(-1, IDS[0][:, None])[:, 0]  # (T,)
        for step, place in enumerate(ranks[0].argsort().tolist()):
            if step == 0:
                continue  # before it there is nothing, not even a row
            known = (ranks[0] < step).nonzero()[:, 0][None]
            out = ORDERED(
                IDS[:, known[0]], position_ids=known, ranks=ranks[:, known[0]], targets=torch.tensor([[place]])
            )
            alone = MODEL.logits(out.last_hidden_state)[0, 0].log_softmax(-1)[IDS[0, place]]
            assert float((alone - at_once[place]).abs()) < 1e-9


def test_the_first_of_an_order_knows_nothing() -> None:
    """Its query gathers zeros, so that it says the same whatever stands anywhere."""
    ranks = torch.randperm(TOKENS)[None]
    first = int(ranks.argmin())
    assert torch.equal(asked(IDS, ranks)[first], asked(random_ids(1, TOKENS, seed=5), ranks)[first])


def test_the_order_from_left_to_right_is_a_causal_model_read_one_place_later() -> None:
    causal = MODEL.with_mask(Causal())
    by_order = asked(IDS, PLACES)
    with torch.no_grad():
        assert torch.allclose(told(IDS, PLACES), causal(IDS).last_hidden_state[0], rtol=0, atol=1e-12)
        for length in range(1, TOKENS):
            nextone = causal(IDS[:, :length], targets=torch.tensor([[length]])).last_hidden_state[0, 0]
            assert torch.allclose(by_order[length], nextone, rtol=0, atol=1e-12)


def test_only_distances_count() -> None:
    with torch.no_grad():
        here = MODEL(IDS, targets=PLACES).last_hidden_state
        there = MODEL(IDS, position_ids=PLACES + 1000, targets=PLACES + 1000).last_hidden_state
    assert torch.allclose(here, there, rtol=0, atol=1e-12)


def test_only_the_difference_of_segments_counts() -> None:
    """Which number a segment has is nothing to it; and where both vectors are one, there are no segments."""
    types, named = (torch.arange(TOKENS) > 3).long()[None], torch.where(torch.arange(TOKENS) > 3, 0, 3)[None]
    model = tiny("xlnet", heads=())
    with torch.no_grad():
        plain, apart = model(IDS).last_hidden_state, model(IDS, token_type_ids=types).last_hidden_state
        assert float((plain - apart).abs().max()) > 1e-3
        assert torch.equal(apart, model(IDS, token_type_ids=named).last_hidden_state)
        together = model(IDS, token_type_ids=torch.full_like(types, 2)).last_hidden_state
        assert torch.allclose(plain, together, rtol=0, atol=1e-12)
        for block in model.network.stack.blocks:  # type: ignore[union-attr]
            block.attention.scores.segments[0] = block.attention.scores.segments[1]
        assert torch.allclose(plain, model(IDS, token_type_ids=types).last_hidden_state, rtol=0, atol=1e-12)


def test_distances_beyond_the_clamp_are_alike() -> None:
    ids = random_ids(1, 3)
    near, far = torch.tensor([[0, 3, 6]]), torch.tensor([[0, 30, 600]])
    for clamp, same in ((3, True), (None, False)):
        model = tiny("xlnet", heads=(), clamp_length=clamp)
        with torch.no_grad():
            one, other = (model(ids, position_ids=at).last_hidden_state for at in (near, far))
        assert (float((one - other).abs().max()) < 1e-12) == same


@pytest.mark.parametrize("mask", [Causal(), Prefix(4) | Causal()], ids=str)
def test_a_cache_is_exact_where_tokens_look_back(mask: object, chunks: tuple[int, ...] = (4, 1, 2)) -> None:
    """Each call reads its own tokens, and asks at the place behind them."""
    view, cache = MODEL.with_mask(mask), KeyValueCache(capacity=2)  # type: ignore[arg-type]
    read = 0
    with torch.no_grad():
        for chunk in chunks:
            given, read = IDS[:, read : read + chunk], read + chunk
            target = torch.tensor([[read]])
            stepwise = view(given, cache=cache, targets=target).last_hidden_state
            whole = view(IDS[:, :read], targets=target).last_hidden_state
            assert torch.allclose(stepwise, whole, rtol=0, atol=1e-12)


def test_a_perm_mask_leaves_what_a_memory_starts_with_to_be_seen() -> None:
    model, ids = tiny("xlnet", heads=()), random_ids(2, 4)
    nothing = torch.zeros(1, 4, 4)
    with torch.no_grad():
        plain, shown = (
            model(ids, cache=Memory(length=3, start="zeros"), perm_mask=hides).last_hidden_state
            for hides in (None, nothing)
        )
    assert torch.equal(plain, shown)


def test_a_row_alone_is_never_in_doubt_about_its_streams() -> None:
    """A sight with no query beyond the tokens has no targets, and the result is the tokens'."""
    with torch.no_grad():
        assert MODEL(IDS).last_hidden_state.shape == (1, TOKENS, 16)
        assert MODEL(IDS, targets=torch.tensor([[TOKENS]])).last_hidden_state.shape == (1, 1, 16)
        assert MODEL.with_mask(Bidirectional())(IDS[:, :1]).last_hidden_state.shape == (1, 1, 16)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"clamp_length": 0}, "clamp_length=0 must be a whole number, 1 or more"),
        ({"memory_length": -1}, "memory_length=-1"),
        ({"reuse_length": 1.5}, r"reuse_length=1\.5"),
        ({"summary": "cls"}, "summary='cls' is no pooling; choose one of first, last, mean"),
        ({"summary_activation": "tanhh"}, "activation='tanhh' is not known"),
        ({"summary_dense": 1}, "summary_dense=1 must be true or false"),
        ({"width": 18, "attention_heads": 4}, "does not divide"),
    ],
)
def test_what_cannot_be_configured(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        replace(XlnetConfig(), **settings)  # type: ignore[arg-type]
