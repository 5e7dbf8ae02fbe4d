"""Attention: every route is the definition, written out below in plain loops; nobody to see gives zeros, never NaN."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sightline.core import attention
from sightline.core.attention import Attention, AttentionConfig, Kernel, attend, attention_weights, flex_is_available
from sightline.core.cache import KeyValueCache, Memory
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, NotPadding, Prefix, SlidingWindow
from sightline.core.sight import Sight
from sightline.errors import ConfigError, UnsupportedError
from strategies import masks, pairs

ROUTES = ["reference", "sdpa", "auto"]
HEADS, WIDTH = 2, 4
BLIND = ~Bidirectional()  # nobody sees anybody

# The definition


def plain_attention(
    query: Tensor, key: Tensor, value: Tensor, table: Tensor, scores: Tensor | None, scale: float | None
) -> tuple[Tensor, Tensor]:
    """softmax(q kᵀ · scale + scores) v over those whom the query may see, and the weights: one query at a time."""
    q, k, v = (t.detach().to(torch.float64).numpy() for t in (query, key, value))
    batch, heads, queries, width = q.shape
    seen = table.expand(batch, -1, -1).numpy()
    added = np.zeros((batch, heads, queries, k.shape[2]))
    if scores is not None:
        added += scores.detach().to(torch.float64).numpy()
    output, weights = np.zeros((batch, heads, queries, v.shape[3])), np.zeros_like(added)
    for b, h, i in np.ndindex(batch, heads, queries):
        whom = np.flatnonzero(seen[b, i])
        if len(whom):
            total = (
                k[b, h, whom] @ q[b, h, i] * (1 / math.sqrt(width) if scale is None else scale) + added[b, h, i, whom]
            )
            share = np.exp(total - total.max())
            weights[b, h, i, whom] = share / share.sum()
            output[b, h, i] = weights[b, h, i, whom] @ v[b, h, whom]
    return torch.from_numpy(output), torch.from_numpy(weights)


def inputs(at: tuple[Coordinates, Coordinates], dtype: torch.dtype, gradients: bool = False) -> list[Tensor]:
    """Queries, keys and values for these coordinates, (B, H, T, D)."""
    rows = max(at[0].batch, at[1].batch)
    shapes = [(rows, HEADS, tokens, WIDTH) for tokens in (at[0].tokens, at[1].tokens, at[1].tokens)]
    return [torch.randn(shape, dtype=torch.float64).to(dtype).requires_grad_(gradients) for shape in shapes]


# Every route


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 5e-2)]
)
@given(
    masks(3),
    st.one_of(pairs(), pairs(known=True)),
    st.sampled_from([None, (1, 1), (1, HEADS), (3, 1), (3, HEADS)]),
    st.sampled_from([None, 1.0, 0.3]),
)
def test_every_route_is_the_definition(
    route: str,
    dtype: torch.dtype,
    tolerance: float,
    mask: Mask,
    at: tuple[Coordinates, Coordinates],
    shape: tuple[int, int] | None,
    scale: float | None,
) -> None:
    query, key, value = inputs(at, dtype)
    sight = Sight(mask, *at, kernel=route)
    rows = (min(shape[0], len(query)), shape[1]) if shape else ()
    scores = torch.randn(*rows, query.shape[2], key.shape[2]).to(dtype) if rows else None
    wanted, weights = plain_attention(query, key, value, sight.table, scores, scale)
    output = attend(query, key, value, sight, scores=scores, scale=scale)
    assert output.dtype == dtype
    torch.testing.assert_close(output.double(), wanted, rtol=0, atol=tolerance)
    blind = ~sight.table.any(-1).expand(len(query), -1)
    assert (output.transpose(1, 2)[blind] == 0).all()
    if route == "reference":
        shares = attention_weights(query, key, sight, scores=scores, scale=scale)
        torch.testing.assert_close(shares.double(), weights, rtol=0, atol=tolerance)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("mask", [Bidirectional(), Causal(), Causal() & SlidingWindow(2) | Prefix(1), BLIND])
def test_what_is_allowed_is_and_ed_on_every_route(route: str, mask: Mask) -> None:
    at = Coordinates.consecutive(5)
    query, key, value = inputs((at, at), torch.float64)
    allowed = torch.tensor([[[True, False, False, True, False]]]).expand(1, 5, 5) & ~torch.eye(5, dtype=torch.bool)
    wanted, _ = plain_attention(query, key, value, mask.table(at, at) & allowed, None, None)
    output = attend(query, key, value, Sight(mask, at, allowed=allowed, kernel=route))
    torch.testing.assert_close(output, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("shape", [(1, 1), (2, HEADS)])
@pytest.mark.parametrize("mask", [Bidirectional(), Causal(), BLIND], ids=str)
def test_scores_are_added_where_the_kernel_needs_no_table_too(route: str, shape: tuple[int, int], mask: Mask) -> None:
    at, scores = Coordinates.consecutive(5), torch.randn(*shape, 5, 5, dtype=torch.float64)
    query, key, value = (t.expand(2, -1, -1, -1) for t in inputs((at, at), torch.float64))
    wanted, _ = plain_attention(query, key, value, mask.table(at, at), scores, None)
    output = attend(query, key, value, Sight(mask, at, kernel=route), scores=scores)
    torch.testing.assert_close(output, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("route", ROUTES)
@given(masks(3), st.one_of(pairs(), pairs(known=True)), st.booleans())
def test_gradients_are_those_of_the_reference_and_zero_for_whom_nobody_reaches(
    route: str, mask: Mask, at: tuple[Coordinates, Coordinates], scored: bool
) -> None:
    given = inputs(at, torch.float64, gradients=True)
    if scored:
        shape = (len(given[0]), HEADS, at[0].tokens, at[1].tokens)
        given.append(torch.randn(shape, dtype=torch.float64, requires_grad=True))
    query, key, value, scores = (*given, None)[:4]
    assert query is not None and key is not None and value is not None
    weight = torch.randn(query.shape, dtype=torch.float64)

    def gradients(kernel: str) -> tuple[Tensor, ...]:
        total = (attend(query, key, value, Sight(mask, *at, kernel=kernel), scores=scores) * weight).sum()
        return torch.autograd.grad(total, given)

    found, table = gradients(route), Sight(mask, *at).table.expand(len(query), -1, -1)
    for ours, wanted in zip(found, gradients("reference"), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-11)
        assert ours.isfinite().all()
    assert (found[0].transpose(1, 2)[~table.any(-1)] == 0).all()
    for ours in found[1:3]:
        assert (ours.transpose(1, 2)[~table.any(-2)] == 0).all()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("mask", [Causal(), Causal() & ~Prefix(1), SlidingWindow(1)], ids=str)
def test_gradients_are_what_small_steps_say(route: str, mask: Mask) -> None:
    at = Coordinates.consecutive(3)
    given = inputs((at, at), torch.float64, gradients=True)
    assert torch.autograd.gradcheck(lambda *qkv: attend(*qkv, Sight(mask, at, kernel=route)), given)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nobody_to_see_gives_zeros_and_no_gradient(
    route: str, scored: bool, dropout: float, dtype: torch.dtype
) -> None:
    at = Coordinates.consecutive(4)
    given = inputs((at, at), dtype, gradients=True)
    if scored:
        given.append(torch.randn(1, HEADS, 4, 4).to(dtype).requires_grad_())
    query, key, value, scores = (*given, None)[:4]
    assert query is not None and key is not None and value is not None
    for mask in (BLIND, Causal() & ~SlidingWindow(1)):  # nobody sees anybody; the first token sees nobody
        output = attend(query, key, value, Sight(mask, at, kernel=route), scores=scores, dropout=dropout)
        assert (output[:, :, 0] == 0).all()
        assert output.isfinite().all()
        found = torch.autograd.grad(output.sum(), given)
        assert all(gradient.isfinite().all() for gradient in found)
        assert (found[0][:, :, 0] == 0).all()
        if mask is BLIND:
            assert all((gradient == 0).all() for gradient in found)


@given(masks(3), st.one_of(pairs(), pairs(known=True)))
def test_the_kernel_is_chosen_without_looking_at_a_value(mask: Mask, at: tuple[Coordinates, Coordinates]) -> None:
    """Tensors on the meta device have no values to look at."""
    query, key, value = (t.to("meta") for t in inputs(at, torch.float32))
    assert attend(query, key, value, Sight(mask, *(side.to("meta") for side in at))).shape == query.shape


# Dropout


@pytest.mark.parametrize("route", ["reference", "sdpa"])
@pytest.mark.parametrize("mask", [Causal(), Bidirectional()], ids=str)
def test_dropout_leaves_the_expectation_as_it_is(route: str, mask: Mask) -> None:
    at, draws, p = Coordinates.consecutive(3), 4000, 0.3
    once = inputs((at, at), torch.float64)
    sight = Sight(mask, at, kernel=route)
    still = attend(*once, sight)
    query, key, value = (t.expand(draws, -1, -1, -1) for t in once)
    output = attend(query, key, value, sight, dropout=p)
    assert (output.std(0) > 0.01).all()
    error = (output.mean(0) - still[0]).abs() / (output.std(0) / math.sqrt(draws))
    assert error.max() < 5  # standard errors
    # Causal: the first token sees only itself, so its context is dropped whole or scaled by 1 / (1 − p).
    if mask == Causal():
        kept = (output[:, :, 0] != 0).all(-1)
        torch.testing.assert_close(output[:, :, 0][kept], (value[:, :, 0] / (1 - p))[kept], rtol=1e-12, atol=1e-12)
        assert abs(kept.double().mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / kept.numel())


@pytest.mark.parametrize("route", ["reference", "sdpa"])
def test_weights_are_dropped_only_in_training(route: str) -> None:
    at = Coordinates.consecutive(6)
    query, key, value = inputs((at, at), torch.float64)
    sight, kernel = Sight(Causal(), at, kernel=route), Kernel(scale=None, dropout=0.5)
    still = attend(query, key, value, sight)
    assert not torch.allclose(kernel(query, key, value, sight, None), still)
    torch.testing.assert_close(kernel.eval()(query, key, value, sight, None), still, rtol=0, atol=1e-12)


# FlexAttention

needs_compiler = pytest.mark.skipif(
    not flex_is_available("cpu"),
    reason="no C++ compiler, or a space in the path of PyTorch: FlexAttention cannot compile",
)
compiles = pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")


def check_flex(mask: Mask, queries: Coordinates, keys: Coordinates, scale: float | None = None) -> None:
    torch._dynamo.reset()  # the compiler gives up after a few masks and shapes in one process
    query, key, value = inputs((queries, keys), torch.float32)
    sight = Sight(mask, queries, keys, kernel="flex")
    wanted, _ = plain_attention(query, key, value, sight.table, None, scale)
    with torch.no_grad():
        output = attend(query, key, value, sight, scale=scale)
    torch.testing.assert_close(output.double(), wanted, rtol=0, atol=1e-5)


@compiles
@needs_compiler
def test_flex_is_the_definition() -> None:
    real = torch.ones(2, 20, dtype=torch.bool)
    real[0, :6] = real[1, 15:] = False
    at = Coordinates.padded(real)  # the padding on the left of row 0 sees nobody
    check_flex(Causal() & SlidingWindow(3) | Prefix(2) & ~NotPadding(), at, at)
    packed = Coordinates(position=at.position, real=at.real, document=torch.arange(20)[None] // 8)
    check_flex(~Causal() | Prefix(1), Coordinates.consecutive(3, start=4), packed, scale=0.3)


@pytest.mark.slow
@compiles
@needs_compiler
@pytest.mark.parametrize("tokens", [1, 200])
@pytest.mark.parametrize(
    "mask", [Causal(), Causal() & SlidingWindow(5), Causal() | Prefix(3), ~Causal(), BLIND, Bidirectional()], ids=str
)
def test_flex_is_the_definition_at_other_shapes(mask: Mask, tokens: int) -> None:
    at = Coordinates.consecutive(tokens)
    check_flex(mask, at, at)
    check_flex(mask, Coordinates.consecutive(3, start=tokens), at, scale=0.3)
    check_flex(mask, at, Coordinates(position=at.position, document=torch.arange(tokens)[None] // 4))


def test_flex_says_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    at = Coordinates.consecutive(3)
    query, key, value = inputs((at, at), torch.float32)
    sight = Sight(Causal(), at, kernel="flex")
    allowed = Sight(Causal(), at, kernel="flex", allowed=torch.ones(1, 3, 3, dtype=torch.bool))
    for call in (
        lambda: attend(query, key, value, sight, scores=torch.zeros(1, 1, 3, 3)),
        lambda: attend(query, key, value, sight, dropout=0.1),
        lambda: attend(query, key, value, allowed),
    ):
        with pytest.raises(UnsupportedError, match='no additive scores, no dropout and no `allowed`; use "sdpa"'):
            call()
    monkeypatch.setattr(attention, "flex_is_available", lambda device: False)
    with pytest.raises(UnsupportedError, match=r'needs a C\+\+ compiler .* that can work here; use "sdpa"'):
        attend(query, key, value, sight)


def test_a_machine_without_a_compiler_is_known_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    available: Callable[[str], bool] = flex_is_available.__wrapped__
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not available("cpu")
    assert not available("mps")
    assert available("cuda") in (False, True)


def test_a_space_in_the_path_of_pytorch_keeps_its_compiler_from_working(monkeypatch: pytest.MonkeyPatch) -> None:
    available: Callable[[str], bool] = flex_is_available.__wrapped__
    monkeypatch.setenv("CXX", "sh")  # found on any machine; it is only looked for
    monkeypatch.setattr(torch, "__file__", "/home/me/site-packages/torch/__init__.py")
    assert available("cpu")
    monkeypatch.setattr(torch, "__file__", "/home/me/my project/site-packages/torch/__init__.py")
    assert not available("cpu")


def test_auto_takes_flex_only_where_it_is_sparse_long_and_able(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for name in ("reference", "sdpa", "flex"):

        def route(query: Tensor, *rest: object, name: str = name) -> Tensor:
            taken.append(name)
            return query

        monkeypatch.setitem(attention._ROUTES, name, route)
    monkeypatch.setattr(attention, "FLEX_FROM", 8)
    monkeypatch.setattr(attention, "flex_is_available", lambda device: True)

    def auto(mask: Mask = Causal() & SlidingWindow(2), tokens: int = 8, **given: object) -> str:  # noqa: B008
        at = Coordinates.consecutive(tokens)
        dropout, learns = given.pop("dropout", 0.0), bool(given.pop("learns", False))
        scores = torch.zeros(1, 1, tokens, tokens) if given.pop("scored", False) else None
        allowed = torch.ones(1, tokens, tokens, dtype=torch.bool) if given.pop("allowed", False) else None
        query, key, value = inputs((at, at), torch.float32, gradients=learns)
        attend(query, key, value, Sight(mask, at, allowed=allowed), scores=scores, dropout=float(dropout))  # type: ignore[arg-type]
        return taken.pop()

    assert auto() == "flex"
    assert auto(tokens=7) == "sdpa"
    assert auto(Causal()) == auto(Bidirectional()) == auto(SlidingWindow(8)) == "sdpa"
    assert auto(scored=True) == auto(allowed=True) == auto(learns=True) == "sdpa"
    assert auto(dropout=0.1) == "reference"
    with torch.no_grad():
        assert auto(learns=True) == "flex"
    monkeypatch.setattr(attention, "flex_is_available", lambda device: False)
    assert auto() == "sdpa"


# The layer


def copy_projections(ours: Attention, theirs: nn.MultiheadAttention) -> None:
    """Give our layer the weights of PyTorch's."""
    weights, biases = theirs.in_proj_weight.chunk(3), theirs.in_proj_bias.chunk(3)
    pairs = zip((ours.query, ours.key, ours.value), weights, biases, strict=True)
    with torch.no_grad():
        for layer, weight, bias in pairs:
            layer.weight.copy_(weight)
            layer.bias.copy_(bias.uniform_(-1, 1))
        ours.output.load_state_dict(theirs.out_proj.state_dict())


@pytest.mark.parametrize("route", ROUTES)
def test_the_layer_is_multi_head_attention_over_other_keys(route: str) -> None:
    theirs = nn.MultiheadAttention(8, 4, batch_first=True, dtype=torch.float64)
    ours = Attention(AttentionConfig(width=8, heads=4)).double()
    copy_projections(ours, theirs)
    x, keys = torch.randn(2, 3, 8, dtype=torch.float64), torch.randn(2, 5, 8, dtype=torch.float64)
    queries, answering = Coordinates.consecutive(3, start=1), Coordinates.consecutive(5)
    table = Causal().table(queries, answering)[0]
    wanted, _ = theirs(x, keys, keys, attn_mask=~table, need_weights=False)
    output = ours(x, Sight(Causal(), queries, answering, kernel=route), keys=keys)
    torch.testing.assert_close(output, wanted, rtol=0, atol=1e-12)
    wanted, _ = theirs(x, x, x, need_weights=False)
    torch.testing.assert_close(ours(x, Sight(Bidirectional(), queries, kernel=route)), wanted, rtol=0, atol=1e-12)


class Distance(nn.Module):
    """A query of twice the size, and scores that fall with the distance times what it says: (B, H, Q, K)."""

    def forward(self, query: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
        distance = sight.queries.position[:, :, None] - sight.keys.position[:, None, :]
        return 2 * query, -distance.abs()[:, None] * query.mean(-1, keepdim=True)


@pytest.mark.parametrize("route", ROUTES)
def test_a_layer_adds_the_scores_of_its_module_and_multiplies_by_its_scale(route: str) -> None:
    layer = Attention(AttentionConfig(width=8, heads=HEADS, scale=0.7), scores=Distance()).double()
    x, at = (
        torch.randn(2, 5, 8, dtype=torch.float64),
        Coordinates.padded(torch.tensor([[True] * 5, [False] * 2 + [True] * 3])),
    )
    sight = Sight(Causal(), at, kernel=route)
    query, key, value = (
        part(x).view(2, 5, HEADS, WIDTH).transpose(1, 2) for part in (layer.query, layer.key, layer.value)
    )
    asked, scores = Distance()(query, sight)
    wanted, _ = plain_attention(asked, key, value, sight.table, scores, 0.7)
    torch.testing.assert_close(layer(x, sight), layer.output(wanted.transpose(1, 2).flatten(2)), rtol=0, atol=1e-12)


class Turn(nn.Module):
    """Queries and keys times 1 + their position: what is turned must be told by coordinates."""

    def query(self, query: Tensor, sight: Sight) -> Tensor:
        return query * (1 + sight.queries.position[:, None, :, None])

    def key(self, key: Tensor, sight: Sight) -> Tensor:
        at = sight.keys.slice(sight.keys.tokens - key.shape[2], sight.keys.tokens)
        return key * (1 + at.position[:, None, :, None])


def test_a_rotation_turns_queries_and_keys_before_they_are_remembered() -> None:
    layer = Attention(AttentionConfig(width=8, heads=HEADS), rotary=Turn()).double()
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    whole = layer(x, Sight(Causal(), Coordinates.consecutive(5)))
    for cache in (KeyValueCache(), Memory(length=5)):
        parts = []
        for begin, end in ((0, 2), (2, 5)):
            at, part = Coordinates.consecutive(end - begin, start=begin), x[:, begin:end]
            sight = Sight(Causal(), at, cache.announce(at))
            own = cache.layer(0)
            with torch.no_grad():
                parts.append(layer(part, sight, keys=own.recall(part), cache=own))
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=0, atol=1e-12)
    factor = 1 + torch.arange(5.0, dtype=torch.float64)
    query, key, value = (part(x).view(1, 5, HEADS, 4).transpose(1, 2) for part in (layer.query, layer.key, layer.value))
    turned = (query * factor[:, None]) @ (key * factor[:, None]).transpose(-1, -2) / 2
    seen = turned.masked_fill(~torch.ones(5, 5).tril().bool(), -torch.inf).softmax(-1) @ value
    torch.testing.assert_close(layer.output(seen.transpose(1, 2).flatten(2)), whole, rtol=0, atol=1e-12)


def test_heads_may_be_wider_or_narrower_than_their_share() -> None:
    layer = Attention(AttentionConfig(width=6, heads=2, head_width=5))
    assert layer.query.weight.shape == layer.key.weight.shape == layer.value.weight.shape == (10, 6)
    assert layer.output.weight.shape == (6, 10)
    assert layer(torch.randn(1, 3, 6), Sight(Causal(), Coordinates.consecutive(3))).shape == (1, 3, 6)
    with pytest.raises(ConfigError, match="head_width=0"):
        AttentionConfig(width=6, heads=2, head_width=0)


def test_projections_have_biases_only_when_asked() -> None:
    assert sorted(dict(Attention(AttentionConfig(width=4, heads=1, bias=False)).named_parameters())) == [
        "key.weight",
        "output.weight",
        "query.weight",
        "value.weight",
    ]


@pytest.mark.parametrize("heads", [0, 3, -2])
def test_heads_divide_the_width(heads: int) -> None:
    with pytest.raises(ConfigError, match=f"heads={heads}"):
        AttentionConfig(width=8, heads=heads)
