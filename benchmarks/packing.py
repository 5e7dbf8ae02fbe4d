"""What it brings that padding is not computed: the same batches with tokens in rows and with real tokens packed.

python benchmarks/packing.py

Prints a table. One thread, processor time, the shorter of some rounds in which both take turns; so it may be run while
the machine does other work.
"""

import time
from collections.abc import Callable

import torch

from sightline.core import packing
from sightline.model.build import build

ROUNDS = 4
# family, size, layers, rows, tokens, how much is padding at most
CASES = (
    ("gpt2", "mini", 4, 32, 64, 0.5),
    ("gpt2", "mini", 4, 32, 64, 0.2),
    ("gpt2", "mini", 4, 32, 64, 0.05),
    ("gpt2", "mini", 4, 32, 64, 0.01),
    ("gpt2", "tiny", 2, 4, 16, 0.2),
    ("gpt2", "base", 2, 16, 64, 0.2),
    ("gpt2", "base", 2, 16, 64, 0.05),
    ("gpt2", "base", 2, 16, 64, 0.02),
    ("modernbert", "mini", 4, 32, 64, 0.2),
)


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def mask_with(rows: int, tokens: int, padding: float) -> torch.Tensor:
    """Rows of about equally spread lengths, the longest without padding: (rows, tokens)."""
    shortest = max(1.0, tokens * (1 - 2 * padding))
    lengths = torch.linspace(tokens, shortest, rows).round()
    return (torch.arange(tokens) < lengths[:, None]).long()


def main() -> None:
    torch.set_num_threads(1)
    always, usual = (0, 0), (packing.MOVE, packing.START)
    print("| network | batch | padding | evaluation | training | packed by itself |\n|---|---|---|---|---|---|")
    for family, size, layers, rows, tokens, padding in CASES:
        model = build(family, size, layers=layers, heads=(), vocabulary=1000, positions=64)
        ids, mask = torch.randint(3, 1000, (rows, tokens)), mask_with(rows, tokens, padding)
        real = mask.bool()

        def train(model=model, ids=ids, mask=mask, real=real) -> None:
            model.train()(ids, mask).last_hidden_state[real].square().sum().backward()

        def evaluate(model=model, ids=ids, mask=mask) -> None:
            with torch.no_grad():
                model.eval()(ids, mask)

        gains = []
        for work in (evaluate, train):
            best = {"rows": float("inf"), "packed": float("inf")}
            for number in range(2 * ROUNDS + 2):  # the first of each is to warm up
                how = ("rows", "packed")[number % 2]
                packing.MOVE, packing.START = always if how == "packed" else (10**9, 0)
                took = seconds(work)
                best[how] = min(best[how], took) if number > 1 else best[how]
            gains.append(best["rows"] / best["packed"])
        packing.MOVE, packing.START = usual
        padded, width = rows * tokens - int(mask.sum()), model.config.width
        own = padded * width >= packing.MOVE * rows * tokens and padded * width**2 >= packing.START
        print(
            f"| {family} {size}, {width} wide | {rows} x {tokens} | {padded / mask.numel():.0%} |"
            f" {gains[0]:.2f} | {gains[1]:.2f} | {'yes' if own else 'no'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
