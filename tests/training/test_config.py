"""A wrong setting is refused, naming field, value and remedy."""

import pytest

from sightline.errors import ConfigError
from sightline.training.config import TrainingConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("weight_decay", -1.0),
        ("warmup", 1.5),
        ("decay", 1.5),
        ("schedule", "wavy"),
        ("betas", (0.9, 1.0)),
        ("eps", 0.0),
        ("clip", -1.0),
        ("precision", "float16"),
        ("seed", -1),
        ("seed", 1.5),
        ("frozen_layers", -1),
        ("frozen_layers", "some"),
        ("frozen_layers", True),
    ],
)
def test_a_wrong_value_is_named(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=field):
        TrainingConfig(**{"learning_rate": 0.1, field: value})


def test_no_learning_rate_is_without_end() -> None:
    with pytest.raises(ConfigError, match="more than 0, and finite"):
        TrainingConfig(learning_rate=float("inf"))


@pytest.mark.parametrize(("warmup", "decay"), [(0.9, 0.1), (0.8, 0.2), (0.0, 1.0), (1.0, 0.0)])
def test_warm_up_and_decay_may_be_the_whole(warmup: float, decay: float) -> None:
    TrainingConfig(learning_rate=0.1, schedule="wsd", warmup=warmup, decay=decay)
    with pytest.raises(ConfigError, match=r"warmup=.* and decay=.* are more than the whole"):
        TrainingConfig(learning_rate=0.1, schedule="wsd", warmup=min(1.0, warmup + 0.1), decay=min(1.0, decay + 0.1))


def test_a_decay_that_is_not_asked_for_leaves_all_room_to_the_warm_up() -> None:
    TrainingConfig(learning_rate=0.1, schedule="linear", warmup=1.0)


def test_good_values_pass() -> None:
    TrainingConfig(learning_rate=1, clip=0, warmup=0, weight_decay=0, frozen_layers="all", betas=(0.0, 0.0))
