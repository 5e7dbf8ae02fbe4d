"""The default generators of all devices are set back, and count from where they are told to."""

from contextlib import AbstractContextManager

import pytest
import torch

from sightline.core.generators import set_back
from sightline.probing.untouched import untouched
from sightline.training.randomness import randomness


@pytest.fixture
def apples(monkeypatch: pytest.MonkeyPatch) -> torch.Generator:
    """What stands for the generator of an Apple GPU."""
    generator = torch.Generator().manual_seed(3)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "_get_default_mps_generator", lambda: generator)
    return generator


@pytest.mark.parametrize("within", [set_back(), untouched(None, seed=1), randomness(0, 1)])
def test_after_it_numbers_go_on_from_where_they_were(
    within: AbstractContextManager[object], apples: torch.Generator
) -> None:
    before = apples.get_state()
    with within:
        torch.rand(2, generator=apples)
    assert torch.equal(apples.get_state(), before)


def test_a_step_draws_the_same_on_every_device_whatever_was_drawn_before(apples: torch.Generator) -> None:
    drawn = []
    for _ in range(2):
        with randomness(0, 1):
            drawn.append(torch.rand(3, generator=apples))
        torch.rand(1, generator=apples)
    assert torch.equal(*drawn)
