"""The log of a pretraining: a line of JSON a step, and the same numbers for TensorBoard.

log.jsonl       {"step": 1, "loss": 9.1, "learning_rate": 0.0, …}, and {"step": 200, "look": {…}} after a look
tensorboard/    event files, where the extra `tensorboard` is installed
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Protocol

from sightline.errors import CheckpointError
from sightline.tasks.pretrain import PretrainProgress

LOG, EVENTS = "log.jsonl", "tensorboard"


class Scalars(Protocol):
    """What takes numbers with names: tensorboardX's writer, and one that takes none."""

    def add_scalar(self, name: str, value: float, step: int) -> None: ...

    def close(self) -> None: ...


class _Nowhere:
    def add_scalar(self, name: str, value: float, step: int) -> None: ...

    def close(self) -> None: ...


def _events(folder: Path, step: int) -> Scalars:
    if find_spec("tensorboardX") is None:
        return _Nowhere()
    from tensorboardX import SummaryWriter

    writer: Scalars = SummaryWriter(str(folder / EVENTS), purge_step=step + 1)  # of an earlier session that was lost
    return writer


def _cut_back(path: Path, step: int) -> None:
    """Keep what the log says up to a step: what came after it will come again."""
    if not path.is_file():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step(line) <= step]
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that a killed process left half written
        return float("inf")


class Log:
    """Writes what each step did."""

    def __init__(self, file: IO[str], events: Scalars) -> None:
        self.file, self.events = file, events

    def take(self, progress: PretrainProgress) -> None:
        """Write a step, and the look that followed it."""
        own = ("step", "steps", "loss", "learning_rate", "gradient_norm", "tokens", "seconds", "elapsed")
        line: dict[str, Any] = {name: getattr(progress, name) for name in own}
        numbers = {name: line[name] for name in ("loss", "learning_rate", "gradient_norm")}
        numbers |= {f"terms/{name}": value for name, value in progress.terms.items()}
        numbers["tokens_per_second"] = progress.tokens / progress.seconds
        line["terms"] = dict(progress.terms)
        if progress.planned is not None:
            line["planned"] = progress.planned
        if progress.look is not None:
            line["look"] = {"scores": dict(progress.look.scores), "samples": list(progress.look.samples)}
            numbers |= {f"valid/{name}": value for name, value in progress.look.scores.items()}
        self.file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.file.flush()
        for name, value in numbers.items():
            self.events.add_scalar(name, value, progress.step)


@contextmanager
def log(folder: Path, step: int) -> Iterator[Log]:
    """A log in `folder` that goes on after `step`; CheckpointError where it cannot be written."""
    path = folder / LOG
    try:
        _cut_back(path, step)
        with path.open("a", encoding="utf-8") as file:
            events = _events(folder, step)
            try:
                yield Log(file, events)
            finally:
                events.close()
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}; free some space there") from error
