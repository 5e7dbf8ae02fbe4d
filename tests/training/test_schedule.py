"""The schedule against transformers'."""

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.training.config import Schedule, TrainingConfig
from sightline.training.schedule import factor, learning_rate, warmup_steps


def theirs(kind: str, steps: int, warmup: int, decay: int) -> list[float]:
    """The rate that transformers' schedule sets for each step."""
    import transformers

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = {
        "linear": lambda: transformers.get_linear_schedule_with_warmup(optimizer, warmup, steps),
        "cosine": lambda: transformers.get_cosine_schedule_with_warmup(optimizer, warmup, steps),
        "wsd": lambda: transformers.get_wsd_schedule(
            optimizer, warmup, decay, num_training_steps=steps, decay_type="linear"
        ),
        "constant": lambda: transformers.get_constant_schedule_with_warmup(optimizer, warmup),
    }[kind]()
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("kind", get_args(Schedule))
@given(steps=st.integers(1, 40), share=st.floats(0, 1), after=st.floats(0, 1))
def test_it_is_transformers(kind: Schedule, steps: int, share: float, after: float) -> None:
    warmup = warmup_steps(share, steps)
    decay = int(after * (steps - warmup))
    expected = theirs(kind, steps, warmup, decay)
    assert [factor(kind, step, steps, warmup, decay) for step in range(steps)] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", get_args(Schedule))
def test_a_training_of_few_steps_still_learns(kind: str) -> None:
    config = TrainingConfig(learning_rate=0.5, schedule=kind)
    assert learning_rate(config, 0, 1) == 0.5
    assert sum(learning_rate(config, step, 9) > 0 for step in range(9)) == 9
