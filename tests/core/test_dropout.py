"""Dropout: how often, what is left, whose random numbers, and that gradients follow."""

import math

import pytest
import torch

from sightline.core.dropout import Dropout, dropout, noise

TYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
COUNT = 200_000


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("probability", [0.003, 0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_was_asked_and_the_others_keep_the_mean(dtype: torch.dtype, probability: float) -> None:
    found = noise(torch.Size([COUNT]), probability, dtype)
    scale = torch.tensor(1 / (1 - probability), dtype=dtype)
    assert set(found.unique().tolist()) == {0.0, scale.item()}
    spread = math.sqrt(probability * (1 - probability) / COUNT)
    for part in (found, *(found[place::4] for place in range(4))):  # four values share a draw
        share = (part == 0).double().mean().item()
        assert abs(share - probability) < 5 * spread * math.sqrt(COUNT / len(part)) + 2**-15


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_values_that_share_a_draw_are_dropped_independently(dtype: torch.dtype) -> None:
    gone = (noise(torch.Size([COUNT]), 0.5, dtype) == 0).double().view(-1, 8)
    table = torch.corrcoef(gone.T) - torch.eye(8)
    assert table.abs().max() < 5 / math.sqrt(len(gone))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 4), (0, 4)], ids=str)
def test_any_shape_keeps_shape_and_type(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.ones(shape, dtype=dtype)
    assert dropout(x, 0.3).shape == x.shape
    assert dropout(x, 0.3).dtype == dtype


def test_gradients_pass_where_values_passed() -> None:
    x = torch.randn(4, 5, 6).transpose(0, 2).requires_grad_()
    y = dropout(x, 0.4)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(gradient == 0, y == 0)
    torch.testing.assert_close(gradient * x, y)


def test_the_default_generator_decides() -> None:
    x = torch.ones(100)
    state = torch.get_rng_state()
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x, 0.5), first)
    assert not torch.equal(first, second)


def test_at_the_ends() -> None:
    x = torch.randn(9)
    state = torch.get_rng_state()
    assert dropout(x, 0.0) is x
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(dropout(x, 1.0), torch.zeros(9))
    barely = noise(torch.Size([COUNT]), 1 - 2**-15, torch.bfloat16)
    assert barely.isfinite().all()


def test_only_in_training() -> None:
    module, x = Dropout(0.5), torch.ones(100)
    assert not torch.equal(module(x), x)
    assert module.eval()(x) is x
    assert repr(module) == "Dropout(0.5)"


def test_a_tensor_without_values_will_do() -> None:
    assert dropout(torch.ones(3, device="meta"), 0.5).shape == (3,)
