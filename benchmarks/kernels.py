"""Attention kernels under a sliding causal mask: where FlexAttention is faster than the fused kernel with a table.

python benchmarks/kernels.py
"""

import statistics
import time

import torch

from sightline.core.attention import attend
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Causal, SlidingWindow
from sightline.core.sight import Sight

HEADS, WIDTH, WINDOW = 12, 64, 128


def seconds(kernel: str, tokens: int) -> tuple[float, float]:
    """Of the first call, compiling included, and the median of five more."""
    query, key, value = (torch.randn(1, HEADS, tokens, WIDTH) for _ in range(3))
    sight = Sight(Causal() & SlidingWindow(WINDOW), Coordinates.consecutive(tokens), kernel=kernel)
    taken = []
    with torch.no_grad():
        for _ in range(6):
            start = time.perf_counter()
            attend(query, key, value, sight)
            taken.append(time.perf_counter() - start)
    return taken[0], statistics.median(taken[1:])


def main() -> None:
    print("| queries | fused kernel, ms | FlexAttention, ms | its first call, s |")
    print("|---|---|---|---|")
    for tokens in (1024, 2048, 4096, 8192):
        _, fused = seconds("sdpa", tokens)
        first, flex = seconds("flex", tokens)
        print(f"| {tokens} | {fused * 1000:.1f} | {flex * 1000:.1f} | {first:.1f} |", flush=True)


if __name__ == "__main__":
    main()
