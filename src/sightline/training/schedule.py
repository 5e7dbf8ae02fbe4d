"""The learning rate as a pure function of the step: warm-up, then decay.

Vaswani et al. 2017, "Attention Is All You Need", section 5.3 (warm-up); Devlin et al. 2019, appendix A.2 (linear
decay); Loshchilov and Hutter 2017, "SGDR" (cosine); Hu et al. 2024, "MiniCPM", section 4 (warm-up–stable–decay).
"""

from __future__ import annotations

import math

from sightline.training.config import Schedule, TrainingConfig


def warmup_steps(warmup: float, steps: int) -> int:
    """How many of `steps` climb. Rounded down, so that a training of few steps has some at the full rate."""
    return int(warmup * steps)


def factor(kind: Schedule, step: int, steps: int, warmup: int, decay: int = 0) -> float:
    """The share of the highest rate at `step`, counted from 0, of `steps`, the first `warmup` of which climb, and in
    the last `decay` of which "wsd" comes down.

    The same numbers as transformers' `get_linear_schedule_with_warmup` and its siblings. The very first step of a
    warm-up has rate 0: it only tells the optimizer how large gradients are.

    >>> [factor("linear", step, 6, 2) for step in range(6)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]
    """
    if step < warmup:
        return step / warmup
    if kind == "constant":
        return 1.0
    if kind == "wsd":
        return min(1.0, (steps - step) / max(1, decay))
    if kind == "linear":
        return max(0, steps - step) / max(1, steps - warmup)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((step - warmup) / max(1, steps - warmup)))))


def learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """The learning rate of `step`, counted from 0, of `steps`."""
    warmup = warmup_steps(config.warmup, steps)
    return config.learning_rate * factor(config.schedule, step, steps, warmup, int(config.decay * steps))
