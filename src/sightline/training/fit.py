"""fit: the one training loop, a generator of optimizer steps.

    training = Training(model, Classify(), TrainingConfig(learning_rate=5e-5))
    for progress in fit(training, steps):
        print(progress.step, progress.loss)

Everything that trains consumes this loop. Where several processes run it (`ranks`), each computes a part of each step's
micro-batches, and all take the same step. Between two steps the model is in eval mode and may be used, the training may
be saved, and the loop may be left: a new `fit` goes on from there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from sightline.errors import ConfigError, InputError, SightlineError
from sightline.model.model import Model
from sightline.objectives.objective import Batch, Objective
from sightline.training.config import TrainingConfig
from sightline.training.freeze import freeze, frozen_parts, learning
from sightline.training.optimizer import optimizers
from sightline.training.precision import chosen, computing
from sightline.training.randomness import randomness
from sightline.training.ranks import add_gradients, agreed, own_part, rank, total
from sightline.training.schedule import learning_rate
from sightline.training.steps import Steps


class DivergedError(SightlineError):
    """A loss, or its gradient, is no finite number any more; the weights are those from before that step."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What one optimizer step did.

    step           how many steps are done, this one included
    steps          how many there will be
    loss           Σ weight · mean of the terms, before the step
    terms          each term's mean over the step
    learning_rate  of this step
    gradient_norm  of all gradients together, before clipping
    rows, tokens   how many were read, padding not counted
    seconds        that the step took, reading its rows included
    """

    step: int
    steps: int
    loss: float
    terms: Mapping[str, float]
    learning_rate: float
    gradient_norm: float
    rows: int
    tokens: int
    seconds: float


class Training:
    """A model that is being trained: all that `fit` changes, and that a checkpoint holds.

    model      its weights learn; it is in eval mode whenever `fit` is not within a step
    objective  what is asked of it
    config     how
    data       what it learns from, in a word (`LabelledSteps.fingerprint`): a checkpoint of other data is refused
    step       how many optimizer steps are done
    steps      how many there will be; None until `fit` has seen them
    torn       whether an interrupt hit while weights were changing, so that some have changed and some have not

    A model has one training at a time: what learns is marked on its parameters.
    """

    def __init__(self, model: Model, objective: Objective, config: TrainingConfig, *, data: str = "") -> None:
        self.model, self.objective, self.config, self.data = model, objective, config, data
        self.step, self.torn = 0, False
        self.steps: int | None = None
        self.frozen = frozen_parts(model, config.frozen_layers)
        freeze(model, self.frozen)
        self.parameters = dict(learning(model))
        if not self.parameters:
            raise ConfigError("all of this model is frozen and it has no head that could learn: lower frozen_layers=…")
        self.optimizers = optimizers(self.parameters, config)
        self.precision = chosen(config.precision, model.device, model.dtype)
        model.eval()

    def replan(self, steps: int) -> None:
        """Let there be so many steps: what comes follows the schedule of as many; what was done stays."""
        if steps < self.step:
            raise ConfigError(f"{self.step} steps are done, so there cannot be {steps} in all")
        self.steps = steps


def fit(training: Training, steps: Steps) -> Iterator[Progress]:
    """Train from `training.step` to the last of `steps`; yields after every optimizer step.

    Random numbers of a step come from (seed, step), and the caller's generators are left alone. On a CPU the same call
    gives the same bits.

    Raises DivergedError, before the weights change, where a loss or a gradient is not finite.
    """
    if training.steps not in (None, len(steps)):
        raise ConfigError(
            f"this training has {training.steps} steps and {len(steps)} came, so its learning rates would not fit:"
            " pass the same data, batch_rows and passes, or begin a new training"
        )
    if training.torn:
        raise ConfigError("this training was interrupted within an update: restore its last checkpoint first")
    training.steps = len(steps)
    while training.step < len(steps):
        yield _take_step(training, steps)


def _take_step(training: Training, steps: Steps) -> Progress:
    began = time.perf_counter()
    batches = steps[training.step]
    rate = learning_rate(training.config, training.step, len(steps))
    _forget_gradients(training)  # those that others left are not this step's
    try:
        _train_mode(training)
        weights, means = _backward(training, batches)
        numbers, norm, size = _finite(training, batches, weights, means)
        _update(training, rate, norm, size)
    finally:
        # Between steps the model is as a user expects it, and gradients hold no memory.
        _forget_gradients(training)
        training.model.eval()
    return Progress(
        step=training.step,
        steps=len(steps),
        loss=sum(weights[name] * mean for name, mean in numbers.items()),
        terms=numbers,
        learning_rate=rate,
        gradient_norm=size,
        rows=sum(len(batch.rows) for batch in batches),
        tokens=sum(batch.tokens for batch in batches),
        seconds=time.perf_counter() - began,
    )


def _forget_gradients(training: Training) -> None:
    for optimizer in training.optimizers:
        optimizer.zero_grad(set_to_none=True)


def _train_mode(training: Training) -> None:
    training.model.train()
    for part in training.frozen:
        part.eval()


def _global_counts(objective: Objective, batches: list[Batch]) -> dict[str, float]:
    """How much each term asks of the whole step, over all micro-batches: known before the first forward pass."""
    counts: dict[str, float] = {}
    for batch in batches:
        for name, count in objective.counts(batch).items():
            counts[name] = counts.get(name, 0.0) + count
    if not any(counts.values()):
        raise InputError("a step of this training asks nothing of its rows: every term has count 0")
    return counts


def _backward(training: Training, batches: list[Batch]) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Gradients of the step's loss. Returns each term's weight, and its mean over the step as a () tensor."""
    model, objective = training.model, training.objective
    counts = _global_counts(objective, batches)
    weights: dict[str, float] = {}
    means: dict[str, Tensor] = {}
    kind = model.device.type
    # One context for all micro-batches: weights are cast once a step. Gradients are computed outside of it: what their
    # type is was decided on the way forward.
    seed = training.config.seed
    with randomness(seed, training.step, rank()), computing(training.precision, model.device):
        for batch in own_part(batches):
            loss = torch.zeros((), device=model.device)
            for name, term in objective.terms(model, batch).items():
                mean = term.sum / counts[name] if counts[name] else term.sum
                loss = loss + term.weight * mean
                weights[name] = term.weight
                means[name] = means.get(name, 0.0) + mean.detach()
            with torch.autocast(kind, enabled=False):
                loss.backward()
    add_gradients(training.parameters.values())
    return agreed(weights, counts, model.device), total(means, counts, model.device)


def _finite(
    training: Training, batches: list[Batch], weights: Mapping[str, float], means: Mapping[str, Tensor]
) -> tuple[dict[str, float], Tensor, float]:
    """The terms' means, as numbers; the norm of all gradients, as a tensor and as a number.

    Raises DivergedError where one of them is not finite.
    """
    norm = get_total_norm([p.grad for p in training.parameters.values() if p.grad is not None])
    # Here, once a step, the host waits for the device.
    *numbers, size = torch.stack([*(mean.to(norm.dtype) for mean in means.values()), norm]).tolist()
    loss = sum(weights[name] * number for name, number in zip(means, numbers, strict=True))
    if not (math.isfinite(loss) and math.isfinite(size)):
        wrong = f"the loss is {loss:.4g} but its gradient {size}" if math.isfinite(loss) else f"the loss is {loss}"
        rows = list(dict.fromkeys(number for batch in batches for number in batch.rows))
        named = f"{', '.join(map(str, rows[:50]))}{' …' if len(rows) > 50 else ''}"
        raise DivergedError(
            f"step {training.step + 1}: {wrong}; the weights are still those from before it. Lower learning_rate, or"
            f" look at its rows (of a corpus: the documents in which they begin): {named}"
        )
    return dict(zip(means, numbers, strict=True)), norm, size


def _update(training: Training, rate: float, norm: Tensor, size: float) -> None:
    """Clip, and let the optimizers take their step."""
    clip = training.config.clip
    if 0 < clip < size:
        clip_grads_with_norm_(training.parameters.values(), clip, norm)
    training.torn = True
    for optimizer in training.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    training.step, training.torn = training.step + 1, False
