"""Taps: what is recorded is what the definition says, whichever kernel ran, and recording changes nothing."""

from threading import Thread

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sightline.core import taps
from sightline.core.attention import Attention, AttentionConfig, flex_is_available
from sightline.core.block import Block, BlockConfig, Source, Stack
from sightline.core.cache import KeyValueCache
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask
from sightline.core.sight import Sight
from sightline.errors import InputError
from strategies import coordinates, masks

WIDTH, HEADS = 8, 2
ATTENTION = AttentionConfig(width=WIDTH, heads=HEADS, scale=0.9, dropout=0.5)
CONFIG = BlockConfig(attention=ATTENTION, inner=12, activation="relu", norm="pre")


class Slope(nn.Module):
    """Scores by relative position."""

    def forward(self, query: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
        return query, 0.3 * (sight.keys.position[:, None, :] - sight.queries.position[:, :, None])[:, None]


class Model(nn.Module):
    """Two blocks below a name of their own, one with additive scores."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = Stack([Block(CONFIG), Block(CONFIG, scores=Slope())])

    def forward(self, x: Tensor, sight: Sight) -> Tensor:
        return self.stack(x, sight)


def model() -> Model:
    return Model().double().eval()


def split(x: Tensor) -> Tensor:
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


@settings(max_examples=15)
@pytest.mark.parametrize("kernel", ["reference", "sdpa", "auto"])
@given(masks(2), st.one_of(coordinates(), coordinates(known=True)))
def test_what_is_recorded_is_the_definition(kernel: str, mask: Mask, at: Coordinates) -> None:
    network, sight = model(), Sight(mask, at, kernel=kernel)
    x = torch.randn(at.batch, at.tokens, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        with taps.record(network, "*") as seen:
            output = network(x, sight)
        assert torch.equal(output, network(x, sight))  # recording changes nothing
    assert list(seen) != []
    assert set(seen) == set(taps.names(network))
    visible = sight.table.any(-1).expand(at.batch, -1)
    for index, block in enumerate(network.stack.blocks):
        got = {name.removeprefix(f"stack.blocks.{index}."): held for name, held in seen.items() if f".{index}." in name}
        assert torch.equal(got["input"], x)
        query, key, value = (got[f"attention.{what}"] for what in ("query", "key", "value"))
        normed = block.attention_residual.norm(x)
        for held, layer in zip(
            (query, key, value), (block.attention.query, block.attention.key, block.attention.value), strict=True
        ):
            torch.testing.assert_close(held, split(layer(normed)), rtol=0, atol=1e-12)
        total = 0.9 * query @ key.mT + (Slope()(query, sight)[1] if index else 0)
        wanted = torch.where(sight.table[:, None], total, -torch.inf).softmax(-1).nan_to_num(0)
        weights, context = got["attention.weights"], got["attention.context"]
        torch.testing.assert_close(weights, wanted, rtol=0, atol=1e-12)
        sums = weights.sum(-1).movedim(1, -1)
        torch.testing.assert_close(sums, visible[..., None].to(sums).expand_as(sums), rtol=0, atol=1e-12)
        assert (weights[~sight.table[:, None].expand_as(weights)] == 0).all()
        torch.testing.assert_close(context, weights @ value, rtol=0, atol=1e-12)
        x = got["output"]
    assert torch.equal(x, output)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
@pytest.mark.skipif(not flex_is_available("cpu"), reason="no C++ compiler that works here: FlexAttention")
def test_what_flex_hides_inside_its_kernel_is_recorded_too() -> None:
    torch._dynamo.reset()
    block, at = Block(CONFIG).eval(), Coordinates.padded(torch.tensor([[False, True, True], [True, True, False]]))
    x = torch.randn(2, 3, WIDTH)
    with torch.no_grad(), taps.record(block, "*.weights", "*.value", "*.context") as seen:
        block(x, Sight(Causal(), at, kernel="flex"))
    found = seen["attention.weights"] @ seen["attention.value"]
    torch.testing.assert_close(found, seen["attention.context"], rtol=0, atol=1e-5)


def test_weights_are_recorded_before_dropout_and_recording_draws_no_chance() -> None:
    network, at = model().train(), Coordinates.consecutive(6)
    x = torch.randn(1, 6, WIDTH, dtype=torch.float64)
    torch.manual_seed(3)
    plain = network(x, Sight(Causal(), at))
    torch.manual_seed(3)
    with taps.record(network, "*") as seen:
        recorded = network(x, Sight(Causal(), at))
    assert torch.equal(plain, recorded)
    sums = seen["stack.blocks.0.attention.weights"].sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-12)


def test_gradients_flow_through_what_is_recorded() -> None:
    network = model()
    with taps.record(network, "*.0.attention.weights") as seen:
        network(torch.randn(1, 4, WIDTH, dtype=torch.float64), Sight(Causal(), Coordinates.consecutive(4)))
    seen["stack.blocks.0.attention.weights"].square().sum().backward()
    gradient = network.stack.blocks[0].attention.query.weight.grad
    assert gradient is not None and (gradient != 0).any()


def test_remembered_keys_are_seen_too_and_the_last_pass_counts() -> None:
    network, cache = model(), KeyValueCache(capacity=4)
    x = torch.randn(2, 3, WIDTH, dtype=torch.float64)
    with torch.no_grad(), taps.record(network, "*.weights", "*.key") as seen:
        for step in range(3):
            at = Coordinates.consecutive(1, start=step)
            network.stack(x[:, step : step + 1], Sight(Causal(), at, cache.announce(at)), cache)
            assert seen["stack.blocks.1.attention.weights"].shape == (2, HEADS, 1, step + 1)
            assert seen["stack.blocks.1.attention.key"].shape == (2, HEADS, step + 1, WIDTH // HEADS)


# Names


def test_names_are_paths_and_what_is_read_there() -> None:
    attention = ["attention.query", "attention.key", "attention.value", "attention.weights", "attention.context"]
    one = ["input", "output", *attention]
    assert sorted(taps.names(model())) == sorted(f"stack.blocks.{index}.{what}" for index in range(2) for what in one)
    assert sorted(taps.names(Block(CONFIG))) == sorted(one)
    assert sorted(taps.names(Attention(ATTENTION))) == sorted(name.removeprefix("attention.") for name in attention)
    assert taps.names(nn.Linear(2, 2)) == []


@pytest.mark.parametrize("make", [lambda: Block(CONFIG), lambda: Attention(ATTENTION)])
def test_every_name_records_also_where_the_model_is_the_part_itself(make: type[nn.Module]) -> None:
    part, at = make().eval(), Coordinates.consecutive(3)
    for name in taps.names(part):
        with taps.record(part, name) as seen:
            part(torch.randn(1, 3, WIDTH), Sight(Causal(), at))
        assert list(seen) == [name]
        assert seen[name].shape[:1] + seen[name].shape[2:3] == (1, 3) or seen[name].shape == (1, 3, WIDTH)


def test_cross_attention_has_taps_of_its_own() -> None:
    cross = BlockConfig(attention=ATTENTION, cross_attention=ATTENTION, inner=12, activation="relu", norm="pre")
    block, at = Block(cross).eval(), Coordinates.consecutive(3)
    source = Source(torch.randn(1, 5, WIDTH), Sight(Bidirectional(), at, Coordinates.consecutive(5)))
    with taps.record(block, "*weights") as seen:
        block(torch.randn(1, 3, WIDTH), Sight(Causal(), at), source=source)
    assert {name: tuple(held.shape) for name, held in seen.items()} == {
        "attention.weights": (1, HEADS, 3, 3),
        "cross_attention.weights": (1, HEADS, 3, 5),
    }


def test_patterns_choose_and_one_that_chooses_nothing_is_refused() -> None:
    network = model()
    with taps.record(network, "*.1.*.weights", "stack.blocks.?.output") as seen:
        network(torch.randn(1, 2, WIDTH, dtype=torch.float64), Sight(Causal(), Coordinates.consecutive(2)))
    assert sorted(seen) == ["stack.blocks.0.output", "stack.blocks.1.attention.weights", "stack.blocks.1.output"]
    with (
        pytest.raises(InputError, match=r"no tap is named 'blocks\.\*'; this model has 14, such as \['stack\."),
        taps.record(network, "*.output", "blocks.*"),
    ):
        pass
    assert hooks(network) == 0


# After the block


def hooks(network: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in network.modules())


def test_nothing_stays_behind_also_where_something_went_wrong() -> None:
    network, sight = model(), Sight(Causal(), Coordinates.consecutive(2))
    x = torch.randn(1, 2, WIDTH, dtype=torch.float64)
    with taps.record(network, "*") as seen:
        assert hooks(network) == 14
        network(x, sight)
    held = dict(seen)
    network(x + 1, sight)
    assert all(seen[name] is held[name] for name in held)
    assert hooks(network) == 0
    with pytest.raises(ZeroDivisionError), taps.record(network, "*"):
        raise ZeroDivisionError
    assert hooks(network) == 0


def test_one_recording_inside_another() -> None:
    network, sight = model(), Sight(Causal(), Coordinates.consecutive(2))
    with taps.record(network, "*.0.output") as outer:
        with taps.record(network, "*.1.output") as inner:
            network(torch.randn(1, 2, WIDTH, dtype=torch.float64), sight)
        assert hooks(network) == 1
    assert (list(outer), list(inner)) == (["stack.blocks.0.output"], ["stack.blocks.1.output"])


def test_what_another_thread_asks_is_not_recorded() -> None:
    network, x = model(), torch.randn(2, 3, WIDTH, dtype=torch.float64)
    sight = Sight(Causal(), Coordinates.consecutive(3))
    with torch.no_grad(), taps.record(network, "*.output") as seen:
        network(x, sight)
        before = dict(seen)
        other = Thread(target=network, args=(2 * x, sight))
        other.start()
        other.join()
    assert all(seen[name] is value for name, value in before.items())
