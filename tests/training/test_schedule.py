"""The schedule against transformers'."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.training.config import TrainingConfig
from sightline.training.schedule import factor, learning_rate, warmup_steps


def theirs(kind: str, steps: int, warmup: int) -> list[float]:
    """The rate that transformers' schedule sets for each step."""
    import transformers

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = {
        "linear": lambda: transformers.get_linear_schedule_with_warmup(optimizer, warmup, steps),
        "cosine": lambda: transformers.get_cosine_schedule_with_warmup(optimizer, warmup, steps),
        "constant": lambda: transformers.get_constant_schedule_with_warmup(optimizer, warmup),
    }[kind]()
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
@given(steps=st.integers(1, 40), share=st.floats(0, 1))
def test_it_is_transformers(kind: str, steps: int, share: float) -> None:
    warmup = warmup_steps(share, steps)
    assert [factor(kind, step, steps, warmup) for step in range(steps)] == theirs(kind, steps, warmup)


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
def test_a_training_of_few_steps_still_learns(kind: str) -> None:
    config = TrainingConfig(learning_rate=0.5, schedule=kind)
    assert learning_rate(config, 0, 1) == 0.5
    assert sum(learning_rate(config, step, 9) > 0 for step in range(9)) == 9
