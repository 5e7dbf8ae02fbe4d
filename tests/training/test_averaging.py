"""The mean of the weights over steps."""

import torch
from torch import nn

from sightline.training.averaging import Averaging


def averaged(values: torch.Tensor) -> tuple[nn.Parameter, Averaging]:
    weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    averaging = Averaging({"weight": weight})
    for value in values:
        weight.data = value.clone()
        averaging.add()
    return weight, averaging


def test_it_is_the_mean() -> None:
    values = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight, averaging = averaged(values)
    with averaging.in_place():
        torch.testing.assert_close(weight.detach(), values.mean(0), rtol=1e-12, atol=0)
    assert torch.equal(weight, values[-1])
    averaging.take()
    torch.testing.assert_close(weight.detach(), values.mean(0), rtol=1e-12, atol=0)


def test_a_checkpoint_holds_it() -> None:
    """Bit for bit: the mean of four steps and three later ones is that of all seven."""
    values = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    _, whole = averaged(values)
    _, first = averaged(values[:4])
    weight = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    second = Averaging({"weight": weight})
    second.restore(first.steps, first.tensors())
    for value in values[4:]:
        weight.data = value.clone()
        second.add()
    assert second.steps == whole.steps and torch.equal(second.means["weight"], whole.means["weight"])


def test_before_the_first_step_nothing_changes() -> None:
    weight, averaging = averaged(torch.empty(0, 3, dtype=torch.float64))
    with averaging.in_place():
        assert not weight.detach().any()
    averaging.take()
    assert not weight.detach().any()
