"""The numbers that a configuration names: windows, blocks, positions, whatever kind of object holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

DEPTH = 3  # of configurations within configurations
REACHING = (
    "window",
    "block",
    "chunk",
    "segment",
    "memory",
    "mem_len",
    "local",
    "stride",
    "kernel",
    "bucket",
    "span",
    "d_conv",
)
ENDING = ("position", "max_seq", "max_length", "context", "n_ctx")
MOST = 4096


def _held(config: object) -> Iterator[tuple[str, object]]:
    if isinstance(config, Mapping):
        yield from ((str(name), value) for name, value in config.items())
    elif is_dataclass(config) and not isinstance(config, type):
        yield from ((each.name, getattr(config, each.name, None)) for each in fields(config))
    elif isinstance(getattr(config, "__dict__", None), dict):
        yield from vars(config).items()


def named_numbers(config: object, path: str = "", depth: int = 0) -> dict[str, int]:
    """Every whole number above zero by its name: `sliding_window`, `text_config.block_size`; of a list, the largest."""
    found: dict[str, int] = {}
    for name, value in _held(config):
        whole = f"{path}.{name}".lstrip(".")
        several = value if isinstance(value, list | tuple) else (value,)
        numbers = [each for each in several if isinstance(each, int) and not isinstance(each, bool) and each > 0]
        if numbers and len(numbers) == len(several):
            found[whole] = max(numbers)
        elif depth < DEPTH and not isinstance(value, str | int | float | type(None)) and len(several) == 1:
            found |= named_numbers(value, whole, depth + 1)
    return found


def telling_lengths(numbers: Mapping[str, int]) -> list[int]:
    """Lengths of texts at which what a configuration names could go wrong: around a window or block, at the last
    position."""
    lengths: set[int] = set()
    for name, number in numbers.items():
        own = name.rpartition(".")[2]
        if number > MOST:
            continue
        if any(word in own for word in REACHING):
            lengths |= {number - 1, number, number + 1}
        elif any(word in own for word in ENDING):
            lengths.add(number)
            lengths |= {power + step for power in (64, 128, 256, 512, 1024) if power < number for step in (-1, 0, 1)}
    return sorted(length for length in lengths if length > 0)
