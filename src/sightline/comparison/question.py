"""What a comparison is asked, and what it tells on its way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from sightline.comparison.contenders import DEFAULT, MODERN, Fresh, parse_all
from sightline.comparison.rows import Rows, read_rows
from sightline.errors import ConfigError
from sightline.model.families import sized
from sightline.model.parts import place_of
from sightline.text.labelled import Kind

What = Literal[
    "reading", "assumed", "preparing", "timing", "planned", "resumed", "learning", "tried", "judged", "known",
    "failed", "finished",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Event:
    """What a comparison does, as it does it.

    what    "known" is a try or seed that an earlier start finished
    text    one line for people
    share   how much of all the work is done, 0 to 1
    left    seconds that the rest will take, where that can be told
    record  what came of a try or of a seed
    """

    what: What
    text: str
    contender: str | None = None
    share: float = 0.0
    left: float | None = None
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is compared on which rows; `compare` says what each field means."""

    path: str
    text: tuple[str, ...] | None = None
    label: str | None = None
    kind: Kind = "auto"
    header: bool = True
    dev: str | None = None
    test: str | None = None
    contenders: tuple[str, ...] = DEFAULT
    budget: float | None = 10.0
    passes: int | None = None
    seeds: int = 3
    size: str = "mini"
    most: int = 100_000
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and not 0 < self.budget < math.inf:
            raise ConfigError(
                f"budget={self.budget} must be a finite number of minutes, more than 0; no limit is budget=None"
            )
        if self.passes is not None and self.passes < 1:
            raise ConfigError(f"passes={self.passes} must be 1 or more: the rows are read at least once")
        if self.seeds < 1:
            raise ConfigError(f"seeds={self.seeds} must be 1 or more; 3 tell how much luck there is in training")
        if self.most < 1:
            raise ConfigError(f"rows={self.most} must be 1 or more: it is the most rows to read")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"the seed is {self.seed}; give a whole number from 0 to {2**31 - 1}")
        new = {one.source.family for one in parse_all(self.contenders) if isinstance(one.source, Fresh)}
        for family in sorted(new or {MODERN.family}):
            sized(family, self.size)  # which names the sizes there are
        place_of(self.device)  # which says why one cannot be used

    @property
    def place(self) -> torch.device:
        """Where networks learn and answer."""
        return place_of(self.device)

    def rows(self, progress: Callable[[int], None] | None = None) -> Rows:
        """Its rows, read and divided; `progress` is called with how many are read so far."""
        return read_rows(
            self.path, text=self.text, label=self.label, kind=self.kind, header=self.header, dev=self.dev,
            test=self.test, most=self.most, seed=self.seed, progress=progress,
        )  # fmt: skip

    def fingerprint(self, rows: Rows) -> dict[str, Any]:
        """What must be the same for a stopped comparison to go on; of contenders, those that it has so far."""
        own = {name: value for name, value in asdict(self).items() if name not in ("path", "dev", "test")}
        contenders = {one.name: one.content() for one in parse_all(self.contenders)}
        return {**own, "contenders": contenders, "rows": rows.fingerprint(), "labels": rows.labels}


def minutes(count: float) -> str:
    """A budget for people: "1 minute", "2.5 minutes"."""
    return f"{count:g} minute{'s' * (count != 1)}"
