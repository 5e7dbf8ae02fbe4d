"""TrainingConfig: how a model is trained, in one frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from sightline.errors import ConfigError

Schedule = Literal["linear", "cosine", "constant", "wsd"]
OptimizerName = Literal["adamw", "muon"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a model is trained.

    learning_rate  the highest that the schedule reaches
    weight_decay   AdamW's, of matrices only: biases, norms and other vectors are left alone
    warmup         share of all steps in which the learning rate climbs from 0
    schedule       what follows: "linear" or "cosine" down to 0, "constant", or "wsd": constant, and linear to 0 in the
                   last `decay` of all steps (warm-up–stable–decay)
    decay          share of all steps in which "wsd" comes down
    optimizer      "adamw", or "muon": that for the blocks' matrices, AdamW for all else
    betas, eps     AdamW's; momentum: Muon's
    clip           largest norm of all gradients together; 0 lets them be
    precision      of matrix products and what lies between them; weights, their gradients and the optimizer keep the
                   model's own type. "bfloat16" has 8 bits and is about twice as fast where the processor has
                   instructions for it; "auto" takes it there, and on a GPU
    seed           of all that is random in a step, such as dropout
    frozen_layers  0: everything learns; n: embeddings and the first n blocks do not; "all": only the heads learn
    """

    learning_rate: float
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: Schedule = "linear"
    decay: float = 0.25
    optimizer: OptimizerName = "adamw"
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip: float = 1.0
    precision: Precision = "auto"
    seed: int = 0
    frozen_layers: int | Literal["all"] = 0

    def __post_init__(self) -> None:
        _check("learning_rate", self.learning_rate, 0 < self.learning_rate < math.inf, "more than 0, and finite")
        _check("weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more")
        _check("warmup", self.warmup, 0 <= self.warmup <= 1, "a share, 0 to 1")
        _check("decay", self.decay, 0 <= self.decay <= 1, "a share, 0 to 1")
        if self.schedule == "wsd" and self.warmup + self.decay > 1 + 1e-9:
            raise ConfigError(
                f"warmup={self.warmup!r} and decay={self.decay!r} are more than the whole training; lower one"
            )
        _check("momentum", self.momentum, 0 <= self.momentum < 1, "0 or more and less than 1")
        _check("betas", self.betas, all(0 <= beta < 1 for beta in self.betas), "0 or more and less than 1")
        _check("eps", self.eps, self.eps > 0, "more than 0")
        _check("clip", self.clip, self.clip >= 0, "0 or more")
        for name, value, choices in (
            ("schedule", self.schedule, get_args(Schedule)),
            ("optimizer", self.optimizer, get_args(OptimizerName)),
            ("precision", self.precision, get_args(Precision)),
        ):
            _check(name, value, value in choices, f"one of {', '.join(choices)}")
        _check("seed", self.seed, type(self.seed) is int and self.seed >= 0, "a whole number, 0 or more")
        layers = self.frozen_layers
        counted = type(layers) is int and layers >= 0
        _check("frozen_layers", layers, counted or layers == "all", 'a number of blocks, 0 or more, or "all"')


def _check(name: str, value: object, good: bool, wanted: str) -> None:
    finite = not isinstance(value, float) or math.isfinite(value)
    if not (good and finite):
        raise ConfigError(f"{name}={value!r} must be {wanted}")
