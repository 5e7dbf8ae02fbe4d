"""Beam search: the likeliest continuations, kept several at a time.

The finished ones are ranked by log-probability / length^length_penalty (Wu et al. 2016, "Google's Neural Machine
Translation System", section 7, without coverage). Ids equal those of transformers: its rules for when to stop are kept.

Shapes: N beams, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sightline.core.check import whole
from sightline.decoding.rows import Rows
from sightline.decoding.sampling import Sampling, check_any_left, finite, penalize
from sightline.errors import ConfigError

if TYPE_CHECKING:
    from sightline.model.model import Model

_NEVER = -1e9


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """How to search.

    beams           how many continuations are kept
    length_penalty  above 0 favours long ones, below 0 short ones
    early_stopping  stop as soon as `beams` are finished, rather than when no running one looks better than they do
    """

    beams: int
    length_penalty: float = 1.0
    early_stopping: bool = False

    def __post_init__(self) -> None:
        whole("beams", self.beams)
        finite("length_penalty", self.length_penalty)
        if not isinstance(self.early_stopping, bool):
            raise ConfigError(f"early_stopping={self.early_stopping!r} must be true or false")


@dataclass(frozen=True)
class Hypothesis:
    """New tokens, the log-probability of each, and what they are ranked by."""

    tokens: list[int]
    log_probs: list[float]
    score: float


@dataclass
class _Prompt:
    """One prompt's search."""

    tokens: list[int]
    longest: int
    running: list[Hypothesis]
    finished: list[Hypothesis] = field(default_factory=list)

    def step(self, logits: Tensor, ends: frozenset[int], how: BeamSearch, sampling: Sampling) -> list[int]:
        """Grow by one token from logits (N, V); returns which beams the new ones come from."""
        raw = logits.log_softmax(-1)
        scores = penalize(raw, [self.tokens + beam.tokens for beam in self.running], sampling)
        check_any_left(scores.view(1, -1), sampling)
        scores = scores + torch.tensor([beam.score for beam in self.running], device=logits.device)[:, None]
        size, keep = logits.shape[-1], max(2, 1 + len(ends)) * how.beams
        best = scores.flatten().topk(min(keep, scores.numel()))
        own = raw.flatten()[best.indices]
        candidates = []
        for score, index, log_prob in zip(best.values.tolist(), best.indices.tolist(), own.tolist(), strict=True):
            source, token = divmod(index, size)
            past = self.running[source]
            grown = Hypothesis([*past.tokens, token], [*past.log_probs, log_prob], score)
            candidates.append((source, grown, token in ends or len(grown.tokens) >= self.longest))
        self._finish([grown for _, grown, ended in candidates[: how.beams] if ended], how)
        open_ones = [(source, grown) for source, grown, ended in candidates if not ended][: how.beams]
        self.running = [grown for _, grown in open_ones]
        return [source for source, _ in open_ones]

    def _finish(self, ended: list[Hypothesis], how: BeamSearch) -> None:
        for one in ended:
            ranked = one.score / len(one.tokens) ** how.length_penalty
            self.finished.append(Hypothesis(one.tokens, one.log_probs, ranked))
        self.finished.sort(key=lambda one: -one.score)
        del self.finished[how.beams :]

    def is_done(self, how: BeamSearch) -> bool:
        """Whether no running beam is expected to beat the finished ones."""
        if len(self.running) < how.beams:
            return True
        if len(self.finished) < how.beams:
            return False
        length = len(self.running[0].tokens)
        return how.early_stopping or self.running[0].score / length**how.length_penalty <= self.finished[-1].score


def search(
    model: Model, prompts: list[list[int]], limit: int, how: BeamSearch, sampling: Sampling, ends: frozenset[int]
) -> Iterator[list[Hypothesis]]:
    """The finished hypotheses of each prompt, best first; prompts in order. Nothing is drawn."""
    rows = Rows(model, prompts, limit)
    rows.keep(torch.arange(len(prompts), device=rows.logits.device).repeat_interleave(how.beams))
    searches = [
        _Prompt(
            tokens=prompt,
            longest=min(limit, model.config.positions - len(prompt)),
            running=[Hypothesis([], [], 0.0 if beam == 0 else _NEVER) for beam in range(how.beams)],
        )
        for prompt in prompts
    ]
    alive = list(searches)
    while alive:
        blocks = rows.logits.float().split(how.beams)
        sources, tokens, going_on = [], [], []
        for place, (one, logits) in enumerate(zip(alive, blocks, strict=True)):
            origins = one.step(logits, ends, how, sampling)
            if not one.is_done(how):
                going_on.append(one)
                sources += [place * how.beams + origin for origin in origins]
                tokens += [beam.tokens[-1] for beam in one.running]
        alive = going_on
        if alive:
            rows.keep(torch.tensor(sources, device=rows.logits.device))
            rows.feed(torch.tensor(tokens, device=rows.logits.device))
    yield from (one.finished for one in searches)
