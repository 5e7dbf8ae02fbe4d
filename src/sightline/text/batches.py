"""Rows of unequal length in batches with little padding: sorted by length, and filled up to a number of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.errors import ConfigError


def by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices of rows, in batches of at most `batch_tokens` tokens, padding included; a longer row stands alone.

    Longest first, so that a batch too large for the memory fails at the beginning and not at the end.

    >>> by_length([2, 9, 3, 2], 6)
    [[1], [2, 0], [3]]
    """
    if batch_tokens < 1:
        raise ConfigError(f"batch_tokens={batch_tokens} counts the tokens of a batch and must be at least 1")
    batches: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if not batches or (len(batches[-1]) + 1) * longest > batch_tokens:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    return batches
