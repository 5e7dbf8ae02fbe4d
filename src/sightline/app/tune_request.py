"""What was asked of `sightline tune`, and whether the folder for the result can take it."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import CheckpointError, ConfigError
from sightline.weights.alone import LOCK, alone

if TYPE_CHECKING:
    from sightline.tasks.finetune_config import FinetuneConfig

CHECKPOINTS, MADE, TRAINING = "checkpoints", "sightline-training.json", "training"
NEW = "new:"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for on the command line; None: as it suits the model."""

    model: str
    rows: str
    out: Path
    text: str | None = None
    label: str | None = None
    dev: str | None = None
    test: str | None = None
    kind: str = "auto"
    header: bool = True
    size: str | None = None
    passes: int | None = None
    learning_rate: float | None = None
    batch_rows: int = 32
    max_length: int | None = None
    long: str = "cut"
    pooling: str | None = None
    mask: str | None = None
    freeze: str = "0"
    class_weights: str | None = None
    early_stopping: int | None = None
    evaluations: int = 1
    precision: str = "auto"
    checkpoint_every: int | None = None
    seed: int = 0
    device: str | None = None
    resume: bool = False

    @property
    def new(self) -> bool:
        """Whether the network begins from random weights."""
        return self.model.startswith(NEW)

    @property
    def new_size(self) -> str | None:
        """The size of a new network; None for a checkpoint, which has its own."""
        return (self.size or "mini") if self.new else None

    @property
    def base(self) -> str:
        """What the model begins from, without where that lies."""
        return Path(self.model).resolve().name if not self.new and Path(self.model).is_dir() else self.model

    def again(self) -> str:
        """The command that goes on with this training."""
        words = ["sightline", "tune", self.model, self.rows, "--out", str(self.out)]
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            name = "--" + field.name.replace("_", "-")
            if field.name in ("model", "rows", "out", "resume") or value == field.default:
                continue
            words += ["--no-header"] if field.name == "header" else [name, str(value)]
        return shlex.join([*words, "--resume"])

    def config(self) -> FinetuneConfig:
        """How to train: what was asked for, the gaps filled by what suits a pretrained or a new network."""
        from sightline.tasks.finetune_config import FinetuneConfig

        if self.size is not None and not self.new:
            raise ConfigError(
                f"--size {self.size} is for new networks, such as new:gpt2; {self.base} has a size of its own: leave"
                " --size out"
            )
        freeze: Any = self.freeze
        if freeze != "all":
            if not freeze.isdecimal():
                raise ConfigError(f"--freeze is {freeze!r}; give a number of layers, or all")
            freeze = int(freeze)
        usual = 1e-3 if freeze == "all" else 5e-4 if self.new else 5e-5
        return FinetuneConfig(
            passes=self.passes if self.passes is not None else 10 if self.new else 3,
            learning_rate=self.learning_rate if self.learning_rate is not None else usual,
            batch_rows=self.batch_rows,
            max_length=self.max_length,
            long=self.long,  # type: ignore[arg-type]  # checked by the configuration
            frozen_layers=freeze,
            class_weights=self.class_weights,  # type: ignore[arg-type]  # likewise
            early_stopping=self.early_stopping,
            evaluations=self.evaluations,
            precision=self.precision,  # type: ignore[arg-type]  # likewise
            checkpoint_every=self.checkpoint_every,
            seed=self.seed,
        )


def check_same(request: Request, config: FinetuneConfig, record: Mapping[str, Any]) -> None:
    """ConfigError where the finished training of this record is not the one that is asked for."""
    from sightline.training.config import named

    rows = {"train": request.rows, "dev": request.dev or request.rows, "test": request.test or request.rows}
    asked: dict[str, Any] = {"model": request.base, **{f"{part} rows": Path(rows[part]).name for part in rows}}
    made: dict[str, Any] = {
        "model": record.get("base"),
        **{f"{part} rows": name for part, name in record.get("files", {}).items()},
    }
    asked |= {"size": request.new_size, **dataclasses.asdict(config)}
    made |= {"size": record.get("size"), **record.get("config", {})}
    changed = [name for name, value in asked.items() if made.get(name) != value and name != "checkpoint_every"]
    if changed:
        raise ConfigError(
            f"{request.out} holds a finished training of another kind (not the same: {', '.join(map(named, changed))});"
            " name another folder with --out"
        )


def check_out(request: Request) -> bool:
    """Whether the folder holds a finished training; ConfigError where it holds what must not be written over."""
    out = request.out
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file; name a folder, a new one")
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    locked, names = LOCK in names, names - {LOCK}
    if MADE in names:
        if request.resume:
            return True
        raise ConfigError(f"{out} holds a model that was tuned before; name another folder with --out")
    if names == {CHECKPOINTS} and not any((out / CHECKPOINTS).iterdir()):
        return False  # one that was begun and came to nothing
    if CHECKPOINTS in names:
        if request.resume:
            return False
        if locked:
            with alone(out, TRAINING):  # an error of its own where it is under way
                pass
        raise ConfigError(
            f"{out} holds a training that was interrupted; --resume goes on with it, or remove the folder"
        )
    if names:
        there = ", ".join(sorted(names)[:3]) + (" …" if len(names) > 3 else "")
        raise ConfigError(f"{out} holds other things ({there}); name a new folder with --out")
    above = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise CheckpointError(f"cannot make {out}: {above} is no folder that you may write to; choose another --out")
    return False
