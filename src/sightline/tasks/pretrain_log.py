"""The log of a pretraining: a line of JSON a step, and the same numbers for TensorBoard.

log.jsonl       {"step": 1, "loss": 9.1, "learning_rate": 0.0, …}, and {"step": 200, "look": {…}} after a look
tensorboard/    event files, where the extra `tensorboard` is installed
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Protocol

from sightline.errors import CheckpointError
from sightline.tasks.pretrain import PretrainProgress

LOG, EVENTS = "log.jsonl", "tensorboard"


class Scalars(Protocol):
    """What takes a step's numbers, by their names."""

    def add(self, step: int, numbers: Mapping[str, float], *, flush: bool) -> None: ...

    def close(self) -> None: ...


class _Nowhere:
    def add(self, step: int, numbers: Mapping[str, float], *, flush: bool) -> None: ...

    def close(self) -> None: ...


class _Events:
    """A file of events for TensorBoard, in which what an earlier session said after `step` does not count.

    The library's own writer leaves it to a thread, which a full disk ends; the next steps would wait for it for ever.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        folder.mkdir(exist_ok=True)
        path = folder / f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self._event, self._records = Event, RecordWriter(str(path))
        self._write(file_version="brain.Event:2")
        self._write(step=step + 1, session_log=SessionLog(status=SessionLog.START))

    def _write(self, **what: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **what).SerializeToString())

    def add(self, step: int, numbers: Mapping[str, float], *, flush: bool) -> None:
        from tensorboardX.summary import scalar

        for name, value in numbers.items():
            self._write(step=step, summary=scalar(name, value))
        if flush:
            self._records.flush()

    def close(self) -> None:
        self._records.close()


def _events(folder: Path, step: int) -> Scalars:
    return _Nowhere() if find_spec("tensorboardX") is None else _Events(folder / EVENTS, step)


def _cut_back(path: Path, step: int) -> None:
    """Keep what the log says up to a step: what came after it will come again. It needs no room."""
    if not path.is_file():
        return
    kept = 0
    with path.open("rb") as file:
        for line in file:
            if _step(line) > step or not line.endswith(b"\n"):
                break
            kept += len(line)
    os.truncate(path, kept)


def _step(line: bytes) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that a killed process left half written
        return float("inf")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Within, what the disk refuses is a CheckpointError."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}; free some space there") from error


class Log:
    """Writes what each step did; CheckpointError where that cannot be written."""

    def __init__(self, path: Path, file: IO[str], events: Scalars) -> None:
        self.path, self.file, self.events = path, file, events

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
        with _writing(self.path):
            self.file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self.file.flush()
            self.events.add(progress.step, numbers, flush=progress.look is not None)


def _close(file: IO[str] | Scalars) -> None:
    with suppress(OSError):  # a full disk, which was said where it was met
        file.close()


@contextmanager
def log(folder: Path, step: int) -> Iterator[Log]:
    """A log in `folder` that goes on after `step`; CheckpointError where it cannot be written."""
    path = folder / LOG
    with ExitStack() as held:
        with _writing(path):
            _cut_back(path, step)
            file = path.open("a", encoding="utf-8")
            held.callback(_close, file)
            events = _events(folder, step)
            held.callback(_close, events)
        yield Log(path, file, events)
