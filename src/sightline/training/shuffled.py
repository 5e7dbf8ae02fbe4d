"""A shuffled order of as many things as one likes, none of which is held in memory.

Luby and Rackoff 1988, "How to Construct Pseudorandom Permutations from Pseudorandom Functions"; Black and Rogaway
2002, "Ciphers with Arbitrary Finite Domains", section 3: what falls outside is sent round again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy

_WORD = 2**64 - 1


def _mixed(value: int, key: int) -> int:
    """64 bits, each of which depends on every one of the value's and the key's."""
    value = (value ^ key) * 0x9E3779B97F4A7C15 & _WORD
    value = (value ^ value >> 32) * 0xD6E8FEB86659FD93 & _WORD
    return value ^ value >> 32


def _half(count: int) -> int:
    """Half as many bits as it takes to write count - 1, an odd one more."""
    return max(1, ((count - 1).bit_length() + 1) // 2)


def keys_of(random: numpy.random.Generator, count: int) -> list[int]:
    """Keys of an order of so many things: 64 bits for each round."""
    # After four rounds 2.6 pairs of neighbours are still neighbours, and by chance 2, of however many: few notice that.
    rounds = max(4, 12 - _half(count))
    return random.integers(0, 2**64, rounds, dtype=numpy.uint64).tolist()


def shuffled(index: int, count: int, keys: Sequence[int]) -> int:
    """What comes at `index` in the order of 0 to count - 1 that these keys stand for.

    >>> [shuffled(index, 6, keys=(1, 2, 3, 4)) for index in range(6)]
    [1, 0, 3, 2, 5, 4]
    """
    half = _half(count)
    low = 2**half - 1
    while True:
        left, right = index >> half, index & low
        for key in keys:
            left, right = right, left ^ _mixed(right, key) & low
        index = left << half | right
        if index < count:
            return index
