"""What was asked of `sightline tune`."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ConfigError

if TYPE_CHECKING:
    from sightline.tasks.finetune_config import FinetuneConfig

MADE = "sightline-training.json"
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
    frozen_layers: str = "0"
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
            name = "--freeze" if field.name == "frozen_layers" else "--" + field.name.replace("_", "-")
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
        freeze: Any = self.frozen_layers
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
    rows = {"train": request.rows, "dev": request.dev or request.rows, "test": request.test or request.rows}
    asked: dict[str, Any] = {"model": request.base, **{f"{part} rows": Path(rows[part]).name for part in rows}}
    made: dict[str, Any] = {
        "model": record.get("base"),
        **{f"{part} rows": name for part, name in record.get("files", {}).items()},
    }
    settings = {"size": request.new_size, **dataclasses.asdict(config)}
    others = {"size": record.get("size"), **record.get("config", {})}
    changed = [name for name, value in asked.items() if made.get(name) != value]
    changed += [f"{n}=…" for n, value in settings.items() if others.get(n) != value and n != "checkpoint_every"]
    if changed:
        raise ConfigError(
            f"{request.out} holds a finished training of another kind (not the same: {', '.join(changed)});"
            " name another folder with --out"
        )
