"""FinetuneConfig: how a model is fine-tuned, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sightline.errors import ConfigError
from sightline.tasks.encode import Long, check_long
from sightline.training.config import Precision, Schedule, TrainingConfig

_MAY_BE_LEFT_OUT = ("early_stopping", "max_length", "batch_tokens", "checkpoint_every")
_COUNTS = ("passes", "batch_rows", "evaluations", *_MAY_BE_LEFT_OUT)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """How a model is fine-tuned. The defaults suit a pretrained network; a new one wants ten times the learning rate
    and more passes.

    passes            over all training rows
    batch_rows        rows of one optimizer step
    learning_rate     the highest that the schedule reaches; weight_decay, warmup, schedule, clip and precision are as
                      in TrainingConfig
    seed              of the rows' order and of dropout
    evaluations       looks at dev a pass
    early_stopping    stop when so many looks in a row brought nothing better; None: never
    class_weights     "balanced": rare classes weigh as much as common ones; None: every row weighs the same
    label_smoothing   share of the probability that is spread evenly over all classes
    frozen_layers     0: everything learns; n: embeddings and the first n blocks do not; "all": only the head learns
    max_length        tokens of a row; default: what the tokenizer states and the positions allow
    long              what becomes of longer texts: "cut" (their end is lost) or "windows" (all of it is read, in parts
                      that overlap by a quarter, each with the text's label; the answers to the parts are averaged)
    batch_tokens      a step with more tokens than this, padding included, is computed in several parts whose gradients
                      are added up: it bounds the memory and changes nothing else; None: in one
    checkpoint_every  steps from one checkpoint to the next, beside those after each look at dev; None: only those
    """

    passes: int = 3
    batch_rows: int = 32
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    warmup: float = 0.1
    schedule: Schedule = "linear"
    clip: float = 1.0
    precision: Precision = "auto"
    seed: int = 0
    evaluations: int = 1
    early_stopping: int | None = None
    class_weights: Literal["balanced"] | None = None
    label_smoothing: float = 0.0
    frozen_layers: int | Literal["all"] = 0
    max_length: int | None = None
    long: Long = "cut"
    batch_tokens: int | None = 4096
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        self.training()  # which looks at what the two share
        check_long(self.long)
        for name in _COUNTS:
            value = getattr(self, name)
            if not (value is None and name in _MAY_BE_LEFT_OUT) and (type(value) is not int or value < 1):
                raise ConfigError(f"{name}={value!r} must be a whole number, 1 or more")
        if self.class_weights not in (None, "balanced"):
            raise ConfigError(f"class_weights={self.class_weights!r} must be 'balanced', or be left out")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing={self.label_smoothing!r} must be a share, 0 or more and less than 1")

    def training(self) -> TrainingConfig:
        """What the training loop is told."""
        return TrainingConfig(
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            schedule=self.schedule,
            clip=self.clip,
            precision=self.precision,
            seed=self.seed,
            frozen_layers=self.frozen_layers,
        )
