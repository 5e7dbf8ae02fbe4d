"""What a contender costs: time a row, rows a second, memory."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch

ALONE = 60  # rows that are timed one by one
LEAST_SECONDS = 0.5  # a batch is timed again until so much time has passed: less is the clock's noise

Predict = Callable[[Sequence[str], Sequence[str] | None], Any]


def _some(values: Sequence[str] | None, start: int, end: int) -> Sequence[str] | None:
    return None if values is None else values[start:end]


def row_times(predict: Predict, texts: Sequence[str], pairs: Sequence[str] | None) -> dict[str, float]:
    """Milliseconds a row where rows come one at a time (median and 95th percentile), and rows a second in batches.

    The first row is predicted once before, unmeasured: what is loaded and packed on first use is no row's cost.
    """
    predict(texts[:1], _some(pairs, 0, 1))
    alone = []
    for row in range(min(ALONE, len(texts))):
        started = time.perf_counter()
        predict(texts[row : row + 1], _some(pairs, row, row + 1))
        alone.append(1000 * (time.perf_counter() - started))
    rows, started = 0, time.perf_counter()
    while not rows or time.perf_counter() - started < LEAST_SECONDS:
        predict(texts[:1000], _some(pairs, 0, 1000))
        rows += len(texts[:1000])
    return {
        "ms_per_row": float(numpy.median(alone)),
        "ms_per_row_p95": float(numpy.percentile(alone, 95)),
        "rows_per_second": rows / (time.perf_counter() - started),
    }


def _give_back() -> None:
    """What is free goes back to the system: else one contender's memory would count as that of those after it."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # the C library of most Linux systems, which keeps what is freed
    except (OSError, AttributeError, TypeError):
        return


def forget_peak(device: torch.device) -> None:
    """From now on `peak_memory` counts anew, where the system lets it."""
    _give_back()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark becomes what is in use now
    except OSError:
        return


def peak_memory(device: torch.device) -> float | None:
    """The most memory that was in use since `forget_peak`, in MB (10⁶ bytes): the GPU's, or else the process's.

    None where the system does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0][1]) * 1024 / 1e6 if lines else None
