"""The contenders that are trained: new networks, and checkpoints.

What is new gets its tokenizer from the training rows and nothing else. Whatever two networks share (encoder and
decoder: everything but the mask and the pooling), they share exactly: weights at the start, order of the rows, updates.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy
import torch

from sightline.comparison.contenders import Contender, Fresh
from sightline.comparison.learners import (
    FrozenLearner,
    Learner,
    Learning,
    MajorityLearner,
    Settings,
    TfidfLearner,
    timed_rows,
)
from sightline.comparison.plan import BATCH_ROWS, LEARNING_RATES, Cost, Plan
from sightline.comparison.rows import Rows
from sightline.model.build import build
from sightline.model.heads import with_classifier
from sightline.model.load import load
from sightline.model.model import Model, tokenizer_of
from sightline.tasks.classify import ModelClassifier
from sightline.tasks.encode import longest
from sightline.tasks.finetune import FinetuneProgress, Finetuning
from sightline.tasks.finetune_config import FinetuneConfig
from sightline.tasks.fresh import is_endless, part_pairs, positions_for, reads, token_counts, tokenizer_for
from sightline.text.tokenizer import Tokenizer

FEWEST_TIMED, MOST_SECONDS = 4, 5.0  # a large network is timed by fewer batches: the timing is of the budget too
TIMED_BATCHES = 12  # of a first timing; the first third is not counted


class Tokenizers:
    """The tokenizers of new networks: learned from the training rows, once for all networks that split texts alike."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._known: dict[str, tuple[Tokenizer, list[int]]] = {}

    def of(self, fresh: Fresh) -> tuple[Tokenizer, list[int]]:
        """The tokenizer, and how many tokens it makes of each training row."""
        key = fresh.family if is_endless(fresh.family) else fresh.tokens  # one that is told its length is not shared
        if key not in self._known:
            tokenizer = tokenizer_for(fresh.family, self.rows.train)
            self._known[key] = tokenizer, token_counts(tokenizer, self.rows.train)
        return self._known[key]


@dataclass(frozen=True)
class _Seen:
    """What is to be said of a network. Not the network: others learn while it waits, and its memory is not theirs."""

    mask: str
    method: str
    limit: int
    tokenizer: Tokenizer


class NetworkLearner:
    """A network that is trained on the rows, all of it."""

    seeded, prepared = True, 0.0

    def __init__(
        self, rows: Rows, contender: Contender, size: str, tokenizers: Tokenizers, device: torch.device
    ) -> None:
        self.rows, self.contender, self.size, self.tokenizers, self.device = rows, contender, size, tokenizers, device

    def _new(self, fresh: Fresh, seed: int) -> Model:
        """A new network, with as many positions as nearly all training rows need."""
        tokenizer, counts = self.tokenizers.of(fresh)
        settings: dict[str, Any] = {**reads(fresh.family, tokenizer, positions_for(counts))}
        if fresh.dropout is not None:
            settings |= dict.fromkeys(("dropout", "attention_dropout", "embedding_dropout"), fresh.dropout)
        device = self.device
        return build(fresh.family, self.size, tokenizer=tokenizer, heads=(), seed=seed, device=device, **settings)

    def _model(self, seed: int) -> Model:
        source, mask = self.contender.source, self.contender.mask
        model = self._new(source, seed) if isinstance(source, Fresh) else load(source, device=self.device)
        if self.rows.train.pairs is not None and model.tokenizer is not None:
            part_pairs(model.tokenizer)
        if mask is not None:
            model = model.with_mask(mask)
        return with_classifier(model, self.rows.labels, pooling=self.contender.pooling, seed=seed)

    @cached_property
    def _seen(self) -> _Seen:
        model, source = self._model(0), self.contender.source
        what = f"new {source.family} network" if isinstance(source, Fresh) else f"{model.family} checkpoint"
        size = f"{model.config.layers} layers, {model.config.width} wide"
        pooling = model.head("classifier").pooling
        return _Seen(
            mask=str(model.mask),
            method=f"{what} ({size}), mask {model.mask}, pooling {pooling}",
            limit=longest(model, None),
            tokenizer=tokenizer_of(model),
        )

    @property
    def mask(self) -> str:
        return self._seen.mask

    @property
    def method(self) -> str:
        return self._seen.method

    def notes(self) -> list[str]:
        """How many training texts are longer than what it reads."""
        limit, source = self._seen.limit, self.contender.source
        if isinstance(source, Fresh):
            _, lengths = self.tokenizers.of(source)
        else:
            lengths = token_counts(self._seen.tokenizer, self.rows.train)
        cut = sum(length > limit for length in lengths)
        if not cut:
            return []
        name, are = self.contender.name, "is" if cut == 1 else "are"
        return [
            f"{name} reads {limit} tokens of a text at most: {cut:,} of {len(self.rows.train):,} training rows {are}"
            f" longer and lose{'s' if cut == 1 else ''} {'its' if cut == 1 else 'their'} end."
        ]

    def cost(self, seeds: int) -> Cost:
        some = timed_rows(self.rows, TIMED_BATCHES * BATCH_ROWS)
        config = FinetuneConfig(passes=1, batch_rows=BATCH_ROWS, learning_rate=1e-5)
        started = time.perf_counter()
        model = self._model(0)
        a_run = time.perf_counter() - started
        steps: list[FinetuneProgress] = []
        for step in Finetuning(model, some, None, config).run():
            steps.append(step)
            if len(steps) >= FEWEST_TIMED and time.perf_counter() - started > MOST_SECONDS:
                break
        # The median: a computer that is busy elsewhere, or meets a size for the first time, makes single steps slow.
        a_row = float(numpy.median([step.seconds / step.rows for step in steps[len(steps) // 3 :]]))
        return Cost(a_run=2 * a_run, a_row=a_row, runs=len(LEARNING_RATES) + seeds - 1)

    def grid(self, plan: Plan) -> list[Settings]:
        return [{"learning_rate": rate} for rate in plan.learning_rates]

    def learn(self, settings: Settings, seed: int, plan: Plan) -> Learning:
        config = FinetuneConfig(passes=plan.passes, batch_rows=plan.batch_rows, seed=seed, **settings)
        model = self._model(seed)
        for progress in Finetuning(model, self.rows.train, self.rows.dev, config).run():
            yield progress.step / progress.steps
        return ModelClassifier(model)


def learner_of(contender: Contender, rows: Rows, size: str, tokenizers: Tokenizers, device: torch.device) -> Learner:
    """How this contender learns from these rows; `size` is that of new networks, `device` where networks compute."""
    if contender.kind == "network":
        return NetworkLearner(rows, contender, size, tokenizers, device)
    if contender.kind == "frozen":
        return FrozenLearner(rows, contender, device)
    return MajorityLearner(rows) if contender.source == "majority" else TfidfLearner(rows)
