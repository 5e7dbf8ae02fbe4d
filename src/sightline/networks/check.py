"""What every family's configuration must hold, so that a wrong field is named and not found out by a crash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sightline.core.activation import activation
from sightline.core.check import probability, whole
from sightline.errors import ConfigError

MOST_LAYERS = 10_000  # a damaged number would build blocks until the memory is full


def check_config(
    config: Any,
    *,
    from_zero: Iterable[str] = (),
    probabilities: Iterable[str],
    flags: Iterable[str],
    divided: bool = True,
) -> None:
    """Raise ConfigError naming the first field of a network's configuration that cannot be.

    from_zero      further whole numbers, which may be 0
    probabilities  fields from 0 up to, not including, 1
    flags          fields that must be True or False
    divided        whether the heads divide the width among them
    """
    for name in ("vocabulary", "width", "layers", "attention_heads", "inner", "positions"):
        whole(name, getattr(config, name))
    if config.layers > MOST_LAYERS:
        raise ConfigError(f"layers={config.layers} is more than any network has; at most {MOST_LAYERS}")
    for name in from_zero:
        whole(name, getattr(config, name), least=0)
    for name in probabilities:
        probability(name, getattr(config, name))
    for name in flags:
        if not isinstance(getattr(config, name), bool):
            raise ConfigError(f"{name}={getattr(config, name)!r} must be true or false")
    for name in ("norm_eps", "init_std"):
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise ConfigError(f"{name}={value!r} must be a number above 0")
    if divided and config.width % config.attention_heads:
        raise ConfigError(
            f"attention_heads={config.attention_heads} does not divide width={config.width}; choose a divisor"
        )
    activation(config.activation)
