"""3. Cached = uncached: fed piece by piece through any cache, a text gets what it gets at once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.families import FAMILIES, families, padded, random_ids, tiny
from sightline.core.cache import Cache, KeyValueCache, Memory
from sightline.core.mask import Causal, Mask, Prefix, SlidingWindow
from sightline.errors import UnsupportedError
from sightline.model.model import Model

TOKENS = 12
CLOSE = 1e-12
MODELS = {family: tiny(family) for family in FAMILIES}  # hypothesis calls a test many times; nothing here changes them
CAUSAL = {family: model.with_mask(Causal()) for family, model in MODELS.items()}


def pieces(model: Model, ids: Tensor, cuts: list[int], cache: Cache) -> Tensor:
    """Hidden states (B, T, W) of the rows, cut before each of the `cuts`."""
    ends = [*sorted(cuts), ids.shape[1]]
    begins = [0, *ends[:-1]]
    with torch.no_grad():
        parts = [model(ids[:, a:b], cache=cache).last_hidden_state for a, b in zip(begins, ends, strict=True) if a < b]
    return torch.cat(parts, 1)


def whole(model: Model, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return model(ids).last_hidden_state


cut_places = st.lists(st.integers(1, TOKENS - 1), unique=True, max_size=TOKENS)


@given(cuts=cut_places, capacity=st.integers(1, 20), seed=st.integers(0, 5), remembers=st.booleans())
@families("cache")
def test_any_chunking(family: str, cuts: list[int], capacity: int, seed: int, remembers: bool) -> None:
    model, ids = CAUSAL[family], random_ids(2, TOKENS, seed)
    cache = Memory(length=TOKENS) if remembers else KeyValueCache(capacity=capacity)
    assert float((pieces(model, ids, cuts, cache) - whole(model, ids)).abs().max()) < CLOSE


@given(cuts=cut_places, window=st.integers(1, 6), spare=st.integers(0, 3), remembers=st.booleans())
@families("cache")
def test_a_window_forgets_only_what_nobody_sees(
    family: str, cuts: list[int], window: int, spare: int, remembers: bool
) -> None:
    """A token sees `window` positions, itself included, so window − 1 earlier ones are enough."""
    model, ids = MODELS[family].with_mask(Causal() & SlidingWindow(window)), random_ids(2, TOKENS)
    keep = max(1, window - 1 + spare)
    cache = Memory(length=keep) if remembers else KeyValueCache(capacity=4, window=keep)
    assert float((pieces(model, ids, cuts, cache) - whole(model, ids)).abs().max()) < CLOSE
    assert cache.length == min(keep, TOKENS)


@families("cache")
def test_a_prefix_must_come_in_one_piece(family: str) -> None:
    """Within a prefix everyone sees everyone; what follows is causal, and may come in any pieces."""
    model, ids = MODELS[family].with_mask(Prefix(4) | Causal()), random_ids(2, TOKENS)
    assert float((pieces(model, ids, [4, 5, 9], KeyValueCache()) - whole(model, ids)).abs().max()) < CLOSE
    with pytest.raises(UnsupportedError, match="and be others: no cache of keys is exact"):
        pieces(model, ids, [2, 5, 9], KeyValueCache())


@pytest.mark.parametrize("repeats_mask", [False, True], ids=["no mask in steps", "the whole mask in steps"])
@pytest.mark.parametrize("mask", [Causal(), Causal() & SlidingWindow(4)], ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
@families("cache")
def test_padded_prompts_then_single_steps(family: str, side: str, mask: Mask, repeats_mask: bool) -> None:
    """Each row of a batch of unequal prompts gets, step by step, what it gets alone and at once."""
    model = MODELS[family].with_mask(mask)
    prompts = [random_ids(1, length, seed=length)[0] for length in (5, 2, 1)]
    later = random_ids(3, 6, seed=7)
    ids, real = padded(prompts, side, filler=0)
    cache = KeyValueCache(capacity=8, window=3 if mask != Causal() else None)
    with torch.no_grad():
        first = model(ids, attention_mask=real, cache=cache)
        steps = []
        for step in range(later.shape[1]):
            seen = torch.cat([real, torch.ones(3, step + 1, dtype=torch.long)], 1)
            given = {"attention_mask": seen} if repeats_mask and cache.window is None else {}
            steps.append(model(later[:, step : step + 1], cache=cache, **given).last_hidden_state)
        for row, prompt in enumerate(prompts):
            alone = model(torch.cat([prompt, later[row]])[None]).last_hidden_state[0]
            got = torch.cat([first.last_hidden_state[row][real[row].bool()], *(step[row] for step in steps)])
            assert float((got - alone).abs().max()) < CLOSE


@families("cache")
def test_branches_of_one_past(family: str) -> None:
    """Several continuations, beams that change places, and a step taken back."""
    model, prompt, later = CAUSAL[family], random_ids(2, 4), random_ids(4, 3, seed=1)
    expected = whole(model, torch.cat([prompt.repeat_interleave(2, 0), later], 1))[:, 4:]
    cache = KeyValueCache(capacity=2)
    with torch.no_grad():
        model(prompt, cache=cache)
        other = cache.fork()
        cache.expand(2)
        assert float((model(later, cache=cache).last_hidden_state - expected).abs().max()) < CLOSE
        order = torch.tensor([3, 3, 0, 1])
        cache.crop(6)
        cache.reorder(order)
        again = model(later[order][:, 2:], cache=cache).last_hidden_state
        assert float((again - expected[order][:, 2:]).abs().max()) < CLOSE
        alone = model(later[[0, 2]], cache=other).last_hidden_state
        assert float((alone - expected[[0, 2]]).abs().max()) < CLOSE


@families("cache")
def test_a_memory_gives_gradients_to_the_projections_and_none_to_the_past(family: str) -> None:
    """Transformer-XL's promise, kept for every family: keys of remembered tokens are projected anew in each call."""
    model, ids = tiny(family).with_mask(Causal()), random_ids(1, 6)
    memory = Memory(length=6)
    before = model.network.embeddings.tokens(ids[:, :3]).detach().requires_grad_()  # type: ignore[union-attr,operator]
    model(inputs_embeds=before, cache=memory)
    after = model(ids[:, 3:], cache=memory).last_hidden_state
    after.square().sum().backward()
    assert before.grad is None
    assert all(bool(block.attention.key.weight.grad.any()) for block in model.network.stack.blocks)  # type: ignore[union-attr]


@families("cache")
def test_the_routes_agree_with_a_cache_too(family: str) -> None:
    model, ids = CAUSAL[family], random_ids(2, TOKENS)
    with torch.no_grad():
        for kernel in ("reference", "sdpa"):
            cache = KeyValueCache(capacity=3)
            parts = [model(part, cache=cache, kernel=kernel).last_hidden_state for part in ids.split(5, 1)]
            assert float((torch.cat(parts, 1) - whole(model, ids)).abs().max()) < CLOSE


@families("cache")
def test_types_and_documents_go_on_where_they_ended(family: str) -> None:
    model, ids = CAUSAL[family], random_ids(1, 8)
    given = {"documents": torch.tensor([[0, 0, 0, 1, 1]]), "position_ids": torch.tensor([[0, 1, 2, 0, 1]])}
    types = torch.tensor([[0, 0, 1, 1, 1]])
    has_types = getattr(model.config, "token_types", 0) > 1
    cache = KeyValueCache()
    with torch.no_grad():
        model(ids[:, :5], cache=cache, token_type_ids=types if has_types else None, **given)
        later = model(ids[:, 5:], cache=cache).last_hidden_state
        types = torch.ones(1, 5, dtype=torch.long)
        alone = model(ids[:, 3:], token_type_ids=types if has_types else None).last_hidden_state
    assert float((later - alone[:, 2:]).abs().max()) < CLOSE
