"""fit: the one training loop, a generator of steps.

    training = Training(model, Classify(), TrainingConfig(learning_rate=5e-5))
    for progress in fit(training, steps):
        print(progress.step, progress.loss)

Everything that trains consumes this loop; between two steps the model is in eval mode and may be used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.errors import ConfigError, SightlineError
from sightline.model.model import Model
from sightline.objectives.objective import Batch, Objective
from sightline.training.config import TrainingConfig
from sightline.training.freeze import freeze, frozen_parts, learning
from sightline.training.optimizer import adamw
from sightline.training.precision import chosen
from sightline.training.randomness import randomness
from sightline.training.schedule import learning_rate
from sightline.training.steps import Steps


class DivergedError(SightlineError):
    """The loss, or its gradient, is no finite number any more; the weights are those from before that step."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What one optimizer step did.

    step           how many steps are done, this one included
    steps          how many there will be
    loss           Σ weight · mean of the terms
    terms          each term's mean over the step
    learning_rate  of this step
    gradient_norm  of all gradients together, before clipping
    rows, tokens   how many were read, padding not counted
    seconds        that the step took
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
    """

    def __init__(self, model: Model, objective: Objective, config: TrainingConfig, *, data: str = "") -> None:
        self.model, self.objective, self.config, self.data = model, objective, config, data
        self.step = 0
        self.frozen = frozen_parts(model, config.frozen_layers)
        freeze(model, self.frozen)
        self.parameters = dict(learning(model))
        if not self.parameters:
            raise ConfigError(
                "nothing of this model would learn: all is frozen and it has no head; freeze fewer layers"
            )
        self.optimizer = adamw(self.parameters.values(), config)
        self.precision = chosen(config.precision, model.device, model.dtype)
        model.eval()


def fit(training: Training, steps: Steps) -> Iterator[Progress]:
    """Train from `training.step` to the last of `steps`; yields after every optimizer step.

    Raises DivergedError, before the weights change, where a loss or a gradient is not finite. On a CPU the same call
    gives the same bits.
    """
    while training.step < len(steps):
        yield _take_step(training, steps[training.step], len(steps))


def _take_step(training: Training, batches: list[Batch], steps: int) -> Progress:
    began = time.perf_counter()
    rate = learning_rate(training.config, training.step, steps)
    training.model.train()
    for part in training.frozen:
        part.eval()
    try:
        with randomness(training.config.seed, training.step, training.model.device):
            terms, loss, norm = _gradients(training, batches)
        for group in training.optimizer.param_groups:
            group["lr"] = rate
        training.optimizer.step()
    finally:
        training.optimizer.zero_grad(set_to_none=True)
        training.model.eval()
    training.step += 1
    return Progress(
        step=training.step,
        steps=steps,
        loss=loss,
        terms=terms,
        learning_rate=rate,
        gradient_norm=norm,
        rows=sum(len(batch.rows) for batch in batches),
        tokens=sum(batch.tokens for batch in batches),
        seconds=time.perf_counter() - began,
    )


def _gradients(training: Training, batches: list[Batch]) -> tuple[dict[str, float], float, float]:
    """Gradients of the step's loss, clipped; the means of its terms, the loss and the norm, all known to be finite."""
    model, objective, config = training.model, training.objective, training.config
    counted = [objective.counts(batch) for batch in batches]
    counts = {
        name: sum(each.get(name, 0.0) for each in counted) for name in dict.fromkeys(n for c in counted for n in c)
    }
    sums: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    kind = model.device.type
    half = training.precision == "bfloat16"
    # One context for all micro-batches: the weights are cast once a step.
    with torch.autocast(kind, torch.bfloat16) if half else nullcontext():
        for batch in batches:
            terms = objective.terms(model, batch.to(model.device))
            loss = sum(term.weight / counts[name] * term.sum for name, term in terms.items() if counts[name])
            for name, term in terms.items():
                sums[name] = term.sum.detach() + sums[name] if name in sums else term.sum.detach()
                weights[name] = term.weight
            with torch.autocast(kind, enabled=False) if half else nullcontext():
                loss.backward()  # type: ignore[union-attr]
    limit = math.inf if config.clip is None else config.clip
    norm = torch.nn.utils.clip_grad_norm_(training.parameters.values(), limit)
    # The one moment of a step at which the host waits for the device.
    *means, size = torch.stack(
        [*(sums[name].double() / (counts[name] or 1.0) for name in sums), norm.double()]
    ).tolist()
    named = dict(zip(sums, means, strict=True))
    total = sum(weights[name] * mean for name, mean in named.items())
    if not (math.isfinite(total) and math.isfinite(size)):
        rows = [number for batch in batches for number in batch.rows]
        what = (
            f"the loss is {total}" if not math.isfinite(total) else f"the loss is {total:.4g} but its gradient {size}"
        )
        named_rows = ", ".join(map(str, rows[:40])) + (" …" if len(rows) > 40 else "")
        raise DivergedError(
            f"step {training.step + 1}: {what}, on rows {named_rows};"
            " the weights are those from before it; lower learning_rate, or look at these rows"
        )
    return named, total, size
