"""The folder of a comparison: what is finished is kept, so that one that was stopped goes on where it was.

plan.json           what is being compared, and how; another comparison does not go into the same folder
runs/NAME/*.json    one file a finished training run, and its predictions beside it (.safetensors)
runs/NAME/*-model   the model of the contender's best run on dev so far
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from sightline.core.files import replace_files
from sightline.errors import CheckpointError, ConfigError, SightlineError
from sightline.weights.alone import LOCK
from sightline.weights.files import read_json, write_json


class StoreError(SightlineError):
    """The folder cannot be written: no failure of a contender's, and the end of the comparison until it can be."""


Predictions = NDArray[numpy.float64]
PLAN, RESULTS, REPORT, PREDICTIONS, WINNER = "plan.json", "results.json", "report.html", "predictions.parquet", "winner"
CHOSEN = "sightline-comparison.json"  # in the winner's folder


def _fold(name: str) -> str:
    """A contender's name as a folder's, different for different names."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:60].strip(".") or "contender"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """A disk that is full or may not be written is StoreError, with what becomes of the work."""
    try:
        yield
    except (CheckpointError, OSError) as error:
        if isinstance(error, CheckpointError) and not isinstance(error.__cause__, (OSError, SafetensorError)):
            raise
        reason = str(error) if isinstance(error, CheckpointError) else f"cannot write {error.filename or folder}: "
        if isinstance(error, OSError):
            reason += error.strerror or str(error)
        raise StoreError(f"{reason}. What is finished is kept in {folder}, and the same command goes on") from error


def _joined(before: object, now: object) -> bool:
    """Whether all contenders that there were are still there, and are still the same."""
    return isinstance(before, dict) and isinstance(now, dict) and before.items() <= now.items()


class Store:
    """What a comparison has finished so far. `Store.open` makes or finds it."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder, self.plan = folder, plan

    @staticmethod
    def check(folder: Path) -> None:
        """Raises ConfigError where the folder cannot be a comparison's: before hours of work, not after."""
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; name a folder with out=…")
        if folder.is_dir() and not (folder / PLAN).is_file() and {path.name for path in folder.iterdir()} - {LOCK}:
            raise ConfigError(f"{folder} is not empty and holds no comparison; name another folder with out=…")

    @classmethod
    def open(cls, folder: Path, fingerprint: dict[str, Any]) -> Store:
        """The folder for the comparison that `fingerprint` describes, made if need be; call it while `alone` there.

        Contenders, by name, may join those of an earlier start. Raises ConfigError where the folder holds another
        comparison, or something else altogether.
        """
        cls.check(folder)
        if not (folder / PLAN).is_file():
            store = cls(folder, {"compared": fingerprint})
            store.keep_plan()
            return store
        known, same = read_json(folder / PLAN), json.loads(json.dumps(fingerprint))
        before = known.get("compared") or {}
        joined = _joined(before.get("contenders"), same.get("contenders"))
        changed = [key for key in same if before.get(key) != same[key] and not (key == "contenders" and joined)]
        if changed or before.keys() != same.keys():
            raise ConfigError(
                f"{folder} holds another comparison (not the same: {', '.join(changed) or 'its form'});"
                " name another folder with out=…, or remove that one"
            )
        store = cls(folder, known)
        if joined:
            store.keep_plan(compared=same)
        return store

    def keep_plan(self, **more: Any) -> None:
        """Add to plan.json."""
        self.plan.update(more)
        write_json(self.folder / PLAN, self.plan)

    def results(self) -> dict[str, Any] | None:
        """What results.json holds, where all that belongs to it is there too."""
        try:
            if all((self.folder / name).is_file() for name in (RESULTS, REPORT, PREDICTIONS)):
                return read_json(self.folder / RESULTS)
        except SightlineError:
            return None  # damaged: written anew
        return None

    def place(self, contender: str) -> Path:
        """Where a contender's runs and model are."""
        return self.folder / "runs" / _fold(contender)

    def finished(self, contender: str, run: str) -> dict[str, Any] | None:
        """What a finished run left, or None: it has to be done."""
        path = self.place(contender) / f"{run}.json"
        try:
            record = read_json(path) if path.is_file() else None
        except SightlineError:
            return None  # damaged: done again
        whole = record is None or "dev" not in record or path.with_suffix(".safetensors").is_file()
        return record if whole else None

    @staticmethod
    def count(folder: Path) -> int:
        """How many training runs are finished in a folder: each seed but the first is one, which is the best try."""
        runs = [path.stem for path in folder.glob("runs/*/*.json")]
        return len(runs) - runs.count("seed-0")

    def keep_error(self, contender: str, text: str) -> Path | None:
        """Write a crash's traceback; gives where it lies in the folder, None where it cannot be written."""
        path = self.place(contender) / "error.txt"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="replace")
        except OSError:
            return None
        return path.relative_to(self.folder)

    def predictions(self, contender: str, run: str) -> dict[str, Predictions]:
        """The predictions of a finished run, by part: "dev", "test"."""
        from safetensors.numpy import load_file

        return load_file(self.place(contender) / f"{run}.safetensors")

    def keep(self, contender: str, run: str, record: dict[str, Any], predictions: dict[str, Predictions]) -> None:
        """Write a finished run; its record appears last, and only with it the run counts as finished."""
        from safetensors.numpy import save_file

        place = self.place(contender)
        whole = {part: numpy.ascontiguousarray(values, dtype=numpy.float64) for part, values in predictions.items()}
        writers: dict[str, Any] = {}
        if whole:
            writers[f"{run}.safetensors"] = lambda path: save_file(whole, path)
        writers[f"{run}.json"] = lambda path: path.write_text(json.dumps(record), encoding="utf-8")
        with _writing(self.folder):
            replace_files(place, writers)

    def write(self, writers: dict[str, Callable[[Path], object]]) -> None:
        """Write files of the folder itself, all or none."""
        with _writing(self.folder):
            replace_files(self.folder, writers)

    def model(self, contender: str, run: str) -> Path:
        """Where the model of a run is, or was."""
        return self.place(contender) / f"{run}-model"

    def keep_model(self, contender: str, run: str, save: Callable[[Path], object]) -> None:
        """Have a model saved, whole or not at all."""
        unfinished = self.place(contender) / "unfinished-model"
        with _writing(self.folder):
            shutil.rmtree(unfinished, ignore_errors=True)
            save(unfinished)
            shutil.rmtree(self.model(contender, run), ignore_errors=True)
            unfinished.rename(self.model(contender, run))

    def rename_model(self, contender: str, run: str, new: str) -> None:
        """A model becomes that of another run, where it is there."""
        if self.model(contender, run).is_dir():
            with _writing(self.folder):
                shutil.rmtree(self.model(contender, new), ignore_errors=True)
                self.model(contender, run).rename(self.model(contender, new))

    def forget_models(self, contender: str, but: str | None = None) -> None:
        """Remove a contender's models, but that of one run."""
        for model in self.place(contender).glob("*-model"):  # also what a killed run left half written
            if but is None or model != self.model(contender, but):
                shutil.rmtree(model, ignore_errors=True)

    def crown(self, contender: str, run: str, record: dict[str, Any]) -> bool:
        """The model of this run becomes the folder "winner", unless it is already, and the record of where it comes
        from stands beside it; gives whether there is one."""
        if self.model(contender, run).is_dir():
            with _writing(self.folder):
                shutil.rmtree(self.folder / WINNER, ignore_errors=True)
                self.model(contender, run).rename(self.folder / WINNER)
        there = (self.folder / WINNER).is_dir()
        if there:
            with _writing(self.folder):
                write_json(self.folder / WINNER / CHOSEN, record)
        return there
