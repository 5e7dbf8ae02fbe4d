"""Checks that configurations share."""

from __future__ import annotations

from sightline.errors import ConfigError

TOO_MANY = 2**31  # a damaged number would overflow in PyTorch


def whole(name: str, value: object, least: int = 1, below: int = TOO_MANY) -> None:
    """Raise ConfigError unless `value` is a whole number of at least `least` and less than `below`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value!r} must be a whole number, {least} or more")
    if value >= below:
        raise ConfigError(f"{name} has {value.bit_length()} bits and is too large; choose one below {below:,}")


def probability(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is a number from 0 up to, not including, 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(f"{name}={value!r} must be a number from 0 up to, not including, 1")
