"""Small rows and small contenders for tests of comparisons."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import sightline as sl

GOOD, BAD = "fine tasty warm friendly quick".split(), "cold stale rude slow bland".split()
THINGS = "soup bread tea lamp chair parcel waiter shop".split()


def texts(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Different short texts of two classes that words tell apart, mostly."""
    draw, rows = random.Random(seed), []
    for number in range(count):
        label = "good" if number % 2 else "bad"
        words = GOOD if (label == "good") == (draw.random() < 0.9) else BAD
        rows.append((f"The {draw.choice(THINGS)} {number} was {draw.choice(words)} and {draw.choice(words)}.", label))
    return rows


def write(path: Path, rows: list[tuple[str, ...]], head: tuple[str, ...] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def small_model(folder: Path, *, family: str = "bert") -> Path:
    """A checkpoint that learns in no time."""
    tokenizer = sl.learn_tokenizer([text for text, _ in texts(60)], kind="wordpiece", vocabulary=200)
    sizes = {"layers": 1, "width": 16, "attention_heads": 2, "inner": 32, "positions": 24}
    sl.build(family, "tiny", tokenizer=tokenizer, heads=(), **sizes).save(folder)
    return folder


TIMES = {
    "seconds", "train_seconds", "rows_per_second", "ms_per_row", "ms_per_row_p95", "peak_memory_mb", "started", "spent",
    "command",
}  # fmt: skip


def without_times(value: Any) -> Any:
    """Results, but what the clock says."""
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value
