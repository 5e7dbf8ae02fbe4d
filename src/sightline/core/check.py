"""Checks that configurations share."""

from __future__ import annotations

from sightline.errors import ConfigError


def whole(name: str, value: object, least: int = 1) -> None:
    """Raise ConfigError unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value!r} must be a whole number, {least} or more")


def probability(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is a number from 0 up to, not including, 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ConfigError(f"{name}={value!r} must be a number from 0 up to, not including, 1")
