"""Random numbers of a step: its own, and nobody else's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.training.randomness import randomness, step_seed


def drawn(seed: int, step: int) -> list[float]:
    with randomness(seed, step):
        return torch.rand(3).tolist()


def test_the_callers_numbers_go_on_as_if_nothing_had_been_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(4)
    torch.manual_seed(5)
    first = torch.rand(2)
    inside = drawn(0, 1)
    with pytest.raises(ZeroDivisionError), randomness(0, 1):
        torch.rand(7)
        raise ZeroDivisionError
    assert torch.equal(torch.cat([first, torch.rand(2)]), expected)
    assert drawn(0, 1) == inside


@given(st.sets(st.tuples(st.integers(0, 2**40), st.integers(0, 2**31)), min_size=2))
def test_every_seed_and_step_has_its_own(pairs: set[tuple[int, int]]) -> None:
    assert len({step_seed(*pair) for pair in pairs}) == len(pairs)


def test_neighbouring_seeds_share_no_step() -> None:
    assert len({step_seed(seed, step) for seed in range(30) for step in range(30)}) == 900
