"""Sampling: how the next token is chosen from logits.

Temperature; top-k (Fan et al. 2018, "Hierarchical Neural Story Generation"); top-p (Holtzman et al. 2020, "The Curious
Case of Neural Text Degeneration"); min-p (Nguyen et al. 2024, "Turning Up the Heat"); repetition penalty (Keskar et al.
2019, "CTRL", section 4.1); no repeated n-gram (Paulus et al. 2018, "A Deep Reinforced Model for Abstractive
Summarization", section 2.5). They are applied in the order in which transformers applies them.

Shapes: R rows, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.core.check import whole
from sightline.errors import ConfigError

_COLDEST = 1e-6  # a lower temperature would divide logits beyond what float32 holds


def finite(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is a number, neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{name}={value!r} must be a number")


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to choose.

    temperature         0 takes the likeliest token; above, tokens are drawn, the flatter the higher
    top_k               draw among the k likeliest
    top_p               draw among the fewest likeliest whose probabilities reach p
    min_p               draw among those at least min_p times as likely as the likeliest
    repetition_penalty  above 1 makes tokens that the row already has less likely
    no_repeat_ngram     n: no sequence of n tokens comes twice in a row; 0 allows it
    seed                the same seed draws the same tokens for the same row, whatever rows are beside it
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        finite("temperature", self.temperature)
        if self.temperature != 0 and self.temperature < _COLDEST:
            raise ConfigError(
                f"temperature={self.temperature} must be 0, which takes the likeliest token, or at least {_COLDEST}"
            )
        if self.top_k is not None:
            whole("top_k", self.top_k)
        for name, value in (("top_p", self.top_p), ("min_p", self.min_p)):
            if value is not None:
                finite(name, value)
                if not 0 < value <= 1:
                    raise ConfigError(f"{name}={value} must be above 0 and at most 1")
        finite("repetition_penalty", self.repetition_penalty)
        if not self.repetition_penalty > 0:
            raise ConfigError(f"repetition_penalty={self.repetition_penalty} must be above 0; 1 changes nothing")
        whole("no_repeat_ngram", self.no_repeat_ngram, least=0)
        whole("seed", self.seed, least=0, below=2**63)
        if self.temperature == 0 and (self.top_k, self.top_p, self.min_p) != (None, None, None):
            raise ConfigError("top_k, top_p and min_p choose among drawn tokens; give a temperature above 0 as well")


def penalize(logits: Tensor, rows: Sequence[Sequence[int]], sampling: Sampling) -> Tensor:
    """Logits (R, V) after what the rows' own tokens forbid or make less likely."""
    if sampling.repetition_penalty != 1.0:
        logits = logits.clone()
        for row, tokens in enumerate(rows):
            seen = torch.tensor(sorted(set(tokens)), device=logits.device)
            score = logits[row, seen]
            factor = sampling.repetition_penalty
            logits[row, seen] = torch.where(score < 0, score * factor, score / factor)
    if sampling.no_repeat_ngram:
        logits = logits.clone()
        for row, tokens in enumerate(rows):
            logits[row, _would_repeat(tokens, sampling.no_repeat_ngram)] = -torch.inf
    return logits


def _would_repeat(tokens: Sequence[int], n: int) -> list[int]:
    """Tokens that would end an n-gram which the row already has."""
    if len(tokens) < n:
        return []
    tail = list(tokens[len(tokens) - n + 1 :])
    return [tokens[at + n - 1] for at in range(len(tokens) - n + 1) if list(tokens[at : at + n - 1]) == tail]


def check_any_left(scores: Tensor, sampling: Sampling) -> None:
    """Raise ConfigError where some row of the scores (R, V) allows no token at all."""
    if sampling.no_repeat_ngram and bool(scores.isneginf().all(-1).any()):
        raise ConfigError(
            f"no_repeat_ngram={sampling.no_repeat_ngram} leaves no token to go on with: all of the vocabulary would"
            " repeat something; choose a larger one, or fewer new tokens"
        )


def warp(logits: Tensor, sampling: Sampling) -> Tensor:
    """Logits (R, V) of the distribution to draw from; what may not be drawn is −inf."""
    logits = logits / sampling.temperature
    if sampling.top_k is not None:
        least = logits.topk(min(sampling.top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if sampling.top_p is not None:
        ascending, order = logits.sort()
        unlikely = ascending.softmax(-1).cumsum(-1) <= 1 - sampling.top_p
        unlikely[:, -1] = False
        logits = logits.masked_fill(torch.zeros_like(unlikely).scatter(1, order, unlikely), -torch.inf)
    if sampling.min_p is not None:
        probabilities = logits.softmax(-1)
        unlikely = probabilities < sampling.min_p * probabilities.max(-1, keepdim=True).values
        logits = logits.masked_fill(unlikely, -torch.inf)
    return logits


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the cumulated probability of logits (R, V) passes uniform (R,) in [0, 1): int64 (R,)."""
    cumulated = logits.double().softmax(-1).cumsum(-1)
    passed = (cumulated <= uniform[:, None]).sum(-1)
    # Rounding may end below 1, and then pass them all; the last one that may be drawn is meant.
    possible = torch.where(torch.isfinite(logits), torch.arange(logits.shape[-1], device=logits.device), -1)
    return torch.minimum(passed, possible.max(-1).values)


def choose(
    logits: Tensor, rows: Sequence[Sequence[int]], sampling: Sampling, dice: Sequence[torch.Generator]
) -> Tensor:
    """The next token of each row, int64 (R,), from logits (R, V); each row draws by a generator of its own."""
    scores = penalize(logits, rows, sampling)
    check_any_left(scores, sampling)
    if sampling.temperature == 0:
        return scores.argmax(-1)
    uniform = torch.cat([torch.rand(1, generator=die, dtype=torch.float64) for die in dice])
    place = "cpu" if logits.device.type == "mps" else logits.device  # Apple's GPUs have no float64
    return draw(warp(scores, sampling).to(place), uniform.to(place)).to(logits.device)
