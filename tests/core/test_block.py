"""Block: pre- and post-norm, with and without cross-attention, are the layers that PyTorch has; limits and scores."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from sightline.core.attention import AttentionConfig
from sightline.core.block import Block, BlockConfig, FeedForward, GatedFeedForward, Residual, Source, Stack
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, Prefix, SlidingWindow
from sightline.core.sight import Sight
from sightline.errors import ConfigError

WIDTH, HEADS, INNER = 8, 2, 12
PADDED = Coordinates.padded(
    torch.tensor([[True] * 5, [False, True, True, True, False], [False, False, True, True, True]])
)
REAL = PADDED.real
assert REAL is not None
SOURCE = Coordinates.padded(torch.tensor([[True] * 4, [True] * 3 + [False], [True] + [False] * 3]))

Placement = Literal["pre", "post"]


def config(
    norm: Placement = "pre",
    cross: bool = False,
    activation: str = "gelu",
    limit: Mask | None = None,
    dropout: float = 0.0,
) -> BlockConfig:
    attention = AttentionConfig(width=WIDTH, heads=HEADS, dropout=dropout)
    return BlockConfig(
        attention=attention,
        cross_attention=attention if cross else None,
        inner=INNER,
        activation=activation,
        norm=norm,
        norm_eps=1e-4,
        dropout=dropout,
        limit=limit,
    )


def states(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


# PyTorch's layers


def copy(ours: Block, theirs: nn.Module) -> None:
    """Give our block the weights of PyTorch's layer, after making those of its norms and biases random too."""
    for parameter in theirs.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    held = dict(theirs.state_dict())
    names = {"attention": "self_attn", "cross_attention": "multihead_attn"}
    norms = ["attention_residual", *(["cross_residual"] if ours.cross_attention else []), "feed_forward_residual"]
    wanted = {
        f"{ours_}.norm.{part}": held[f"norm{i + 1}.{part}"]
        for i, ours_ in enumerate(norms)
        for part in ("weight", "bias")
    }
    for part in ("weight", "bias"):
        wanted[f"feed_forward.inner.{part}"] = held[f"linear1.{part}"]
        wanted[f"feed_forward.output.{part}"] = held[f"linear2.{part}"]
        for name, their in names.items():
            if f"{their}.in_proj_{part}" in held:
                query, key, value = held[f"{their}.in_proj_{part}"].chunk(3)
                wanted |= {f"{name}.query.{part}": query, f"{name}.key.{part}": key, f"{name}.value.{part}": value}
                wanted[f"{name}.output.{part}"] = held[f"{their}.out_proj.{part}"]
    ours.load_state_dict(wanted)  # strict: every parameter of ours has its counterpart


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("mask", [Bidirectional(), Causal()], ids=str)
def test_a_block_is_the_encoder_layer(norm: Placement, activation: str, mask: Mask) -> None:
    theirs = nn.TransformerEncoderLayer(
        WIDTH, HEADS, INNER, 0.0, activation, 1e-4, batch_first=True, norm_first=norm == "pre", dtype=torch.float64
    )
    ours = Block(config(norm, activation=activation)).double()
    copy(ours, theirs)
    x = states(3, 5, WIDTH).requires_grad_()
    other = x.detach().clone().requires_grad_()
    hidden = ~mask.table(Coordinates.consecutive(5), Coordinates.consecutive(5))[0]
    wanted = theirs(other, src_mask=hidden, src_key_padding_mask=~REAL)
    output = ours(x, Sight(mask, PADDED))
    torch.testing.assert_close(output[REAL], wanted[REAL], rtol=0, atol=1e-12)
    weight = states(*x.shape)[REAL]
    (output[REAL] * weight).sum().backward()
    (wanted[REAL] * weight).sum().backward()
    torch.testing.assert_close(x.grad[REAL], other.grad[REAL], rtol=0, atol=1e-11)
    ours_grad, theirs_grad = ours.feed_forward.inner.weight.grad, theirs.linear1.weight.grad
    torch.testing.assert_close(ours_grad, theirs_grad, rtol=0, atol=1e-11)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_with_cross_attention_is_the_decoder_layer(norm: Placement) -> None:
    theirs = nn.TransformerDecoderLayer(
        WIDTH, HEADS, INNER, 0.0, "gelu", 1e-4, batch_first=True, norm_first=norm == "pre", dtype=torch.float64
    ).eval()
    ours = Block(config(norm, cross=True)).double()
    copy(ours, theirs)
    x, source = states(3, 5, WIDTH), states(3, 4, WIDTH)
    assert SOURCE.real is not None
    hidden = ~Causal().table(Coordinates.consecutive(5), Coordinates.consecutive(5))[0]
    wanted = theirs(x, source, tgt_mask=hidden, tgt_key_padding_mask=~REAL, memory_key_padding_mask=~SOURCE.real)
    output = ours(x, Sight(Causal(), PADDED), source=Source(source, Sight(Bidirectional(), PADDED, SOURCE)))
    torch.testing.assert_close(output[REAL], wanted[REAL], rtol=0, atol=1e-12)
    alone = ours(x, Sight(Causal(), PADDED))
    assert not torch.allclose(alone[REAL], output[REAL])  # without a source, the block is a decoder on its own


# What else a block is given


def test_keys_answer_in_place_of_the_tokens_that_ask() -> None:
    """The same tokens asking twice, once among themselves and once over other keys: XLNet's second stream."""
    block = Block(config("post")).double()
    x, keys = states(1, 3, WIDTH), states(1, 3, WIDTH)
    sight = Sight(Causal(), Coordinates.consecutive(3))
    by_hand = block.attention_residual(x, lambda y: block.attention(y, sight, keys=keys))
    by_hand = block.feed_forward_residual(by_hand, block.feed_forward)
    output = block(x, sight, keys=keys)
    assert torch.equal(output, by_hand)
    assert not torch.allclose(output, block(x, sight))
    assert torch.equal(block(x, sight, keys=x), block(x, sight))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_keys_are_normed_as_those_who_ask_are(norm: Placement) -> None:
    block = Block(config(norm)).double()
    x, sight = states(2, 3, WIDTH), Sight(Causal(), Coordinates.consecutive(3))
    torch.testing.assert_close(block(x, sight, keys=x.clone()), block(x, sight), rtol=0, atol=1e-12)


@pytest.mark.parametrize("mask", [Causal(), Bidirectional(), Causal() | Prefix(2)], ids=str)
def test_each_layer_sees_the_mask_and_ed_with_its_limit(mask: Mask) -> None:
    limits = [None, SlidingWindow(2), SlidingWindow(2) | Prefix(1), None]
    stack = Stack([Block(config(limit=limit)) for limit in limits]).double()
    x = states(3, 5, WIDTH)
    wanted = x
    for block, limit in zip(stack.blocks, limits, strict=True):
        block.limit = None
        wanted = block(wanted, Sight(mask if limit is None else mask & limit, PADDED))
        block.limit = limit
    torch.testing.assert_close(stack(x, Sight(mask, PADDED)), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("mask", [Causal(), Bidirectional()], ids=str)
@pytest.mark.parametrize("restricted", [False, True])
def test_wanted_tokens_come_out_as_they_would_among_all(norm: Placement, mask: Mask, restricted: bool) -> None:
    """In states, and in the gradients of all weights."""
    stack = Stack([Block(config(norm, limit=limit)) for limit in (None, SlidingWindow(3))]).double()
    x, index = states(3, 5, WIDTH), torch.tensor([[0, 2], [3, 1], [4, 4]])
    allowed = torch.rand(1, 5, 5) < 0.7 if restricted else None
    of_all = stack(x, Sight(mask, PADDED, allowed=allowed)).gather(1, index[..., None].expand(-1, -1, WIDTH))
    found = stack(x, Sight(mask, PADDED, allowed=allowed, wanted=index))
    torch.testing.assert_close(found, of_all, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(one.square().sum(), list(stack.parameters())) for one in (found, of_all)]
    for ours, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-12)


def test_a_limit_measured_is_the_limit_declared() -> None:
    """By gradient: which inputs the output of one layer depends on."""
    at, limit = Coordinates.consecutive(5), Causal() & SlidingWindow(3)
    block = Block(config(limit=limit)).double()
    jacobian = torch.autograd.functional.jacobian(lambda x: block(x, Sight(Bidirectional(), at)), states(1, 5, WIDTH))
    reached = jacobian.abs().amax((0, 2, 3, 5)) > 0  # (Q, K)
    assert torch.equal(reached, limit.table(at, at)[0])


class Slope(nn.Module):
    """Scores by relative position, one learned slope a head: (1, H, Q, K)."""

    def __init__(self) -> None:
        super().__init__()
        self.slopes = nn.Parameter(torch.randn(HEADS))

    def forward(self, query: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
        return query, self.slopes[:, None, None] * (sight.keys.position - sight.queries.position[0, :, None])


def test_additive_scores_reach_the_self_attention_and_learn() -> None:
    slope, at = Slope(), Coordinates.consecutive(4)
    block = Block(config("pre"), scores=slope).double()
    x, sight = states(2, 4, WIDTH), Sight(Causal(), at)
    with torch.no_grad():
        slope.slopes.zero_()
        level = block(x, sight)
        slope.slopes.copy_(torch.tensor([-80.0, -80.0]))  # so steep that only the farthest counts, the first
        steep = block(x, sight)
        first = block(x, Sight(Causal() & Prefix(1), at))
    torch.testing.assert_close(level, Block.forward(without_scores(block), x, sight), rtol=0, atol=1e-12)
    torch.testing.assert_close(steep, first, rtol=0, atol=1e-12)
    slope.slopes.data.fill_(0.1)
    block(x, sight).square().sum().backward()
    assert slope.slopes.grad is not None
    assert (slope.slopes.grad != 0).all()


def without_scores(block: Block) -> Block:
    plain = Block(config("pre")).double()
    plain.load_state_dict({name: held for name, held in block.state_dict().items() if "slopes" not in name})
    return plain


# The parts


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_every_weight_is_stored_under_one_name(norm: Placement) -> None:
    block = Block(config(norm, cross=True))
    held = block.state_dict()
    assert len({tensor.data_ptr() for tensor in held.values()}) == len(held)
    assert sorted(held) == sorted(name for name, _ in block.named_parameters())


def test_dropout_is_for_training() -> None:
    block = Block(config(dropout=0.5)).double()
    x, sight = states(2, 5, WIDTH), Sight(Causal(), Coordinates.consecutive(5))
    assert not torch.allclose(block(x, sight), block(x, sight))
    block.eval()
    assert torch.equal(block(x, sight), block(x, sight))
    still = Block(config()).double()
    still.load_state_dict(block.state_dict())
    assert torch.equal(block(x, sight), still(x, sight))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_residual_drops_what_its_layer_adds_and_nothing_else(norm: Placement) -> None:
    residual = Residual(replace(config(norm), dropout=1.0)).double()
    x = states(2, 3, WIDTH)
    kept = residual(x, lambda y: y + 7)
    assert torch.equal(kept, x if norm == "pre" else residual.norm(x))


def test_the_feed_forward_is_two_dense_layers_with_a_nonlinearity_between() -> None:
    layer = FeedForward(config(activation="relu")).double()
    x = states(2, 3, WIDTH)
    inner = (x @ layer.inner.weight.T + layer.inner.bias).clamp(min=0)
    torch.testing.assert_close(layer(x), inner @ layer.output.weight.T + layer.output.bias, rtol=0, atol=1e-12)


def test_a_gated_feed_forward_lets_through_what_its_gate_opens() -> None:
    layer = GatedFeedForward(replace(config(activation="relu"), bias=False)).double()
    x = states(2, 3, WIDTH)
    gate, value = (x @ layer.inner.weight.T).split(INNER, dim=-1)
    torch.testing.assert_close(layer(x), (gate.clamp(min=0) * value) @ layer.output.weight.T, rtol=0, atol=1e-12)


def test_a_block_has_biases_and_norms_only_where_asked() -> None:
    bare = replace(config(), bias=False, norm_bias=False, attention_norm=False, gated=True)
    held = dict(Block(replace(bare, attention=replace(bare.attention, bias=False))).named_parameters())
    assert not [name for name in held if name.endswith("bias") or name.startswith("attention_residual")]
    assert held["feed_forward.inner.weight"].shape == (2 * INNER, WIDTH)


def test_dropout_within_the_feed_forward_is_for_training() -> None:
    for kind in (FeedForward, GatedFeedForward):
        layer = kind(replace(config(), inner_dropout=1.0)).double()
        x = states(2, 3, WIDTH)
        torch.testing.assert_close(layer(x), layer.output.bias.expand(2, 3, -1), rtol=0, atol=0)
        assert not torch.allclose(layer.eval()(x), layer.output.bias.expand(2, 3, -1))


def test_a_block_that_cannot_be_is_refused() -> None:
    attention = AttentionConfig(width=WIDTH, heads=HEADS)
    with pytest.raises(ConfigError, match='norm=\'middle\' is neither "pre" nor "post"'):
        BlockConfig(attention=attention, inner=4, activation="gelu", norm="middle")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="inner=0 must be"):
        BlockConfig(attention=attention, inner=0, activation="gelu", norm="pre")
    with pytest.raises(ConfigError, match="activation='gleu' is not known"):
        Block(BlockConfig(attention=attention, inner=4, activation="gleu", norm="pre"))
