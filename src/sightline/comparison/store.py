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
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from sightline.errors import CheckpointError, ConfigError, SightlineError
from sightline.weights.files import read_json, write_json
from sightline.weights.replace import replace_files

Predictions = NDArray[numpy.float64]
PLAN, RESULTS, REPORT, PREDICTIONS, WINNER = "plan.json", "results.json", "report.html", "predictions.parquet", "winner"


def _fold(name: str) -> str:
    """A contender's name as a folder's, different for different names."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:60].strip(".") or "contender"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class Store:
    """What a comparison has finished so far. `Store.open` makes or finds it."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder, self.plan = folder, plan

    @classmethod
    def open(cls, folder: Path, fingerprint: dict[str, Any]) -> Store:
        """The folder for the comparison that `fingerprint` describes, made if need be.

        Raises ConfigError where it holds another comparison, or something else altogether.
        """
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; name a folder with --out")
        if (folder / PLAN).is_file():
            known = read_json(folder / PLAN)
            same = json.loads(json.dumps(fingerprint))
            if known.get("compared") != same:
                before = known.get("compared") or {}
                changed = [key for key in same if before.get(key) != same[key]]
                raise ConfigError(
                    f"{folder} holds another comparison (not the same: {', '.join(changed) or 'its form'});"
                    " name another folder with --out, or remove that one"
                )
            return cls(folder, known)
        if folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and holds no comparison; name another folder with --out")
        store = cls(folder, {"compared": fingerprint})
        store.keep_plan()
        return store

    def keep_plan(self, **more: Any) -> None:
        """Add to plan.json."""
        self.plan.update(more)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"cannot make the folder {self.folder}: {error.strerror}") from None
        write_json(self.folder / PLAN, self.plan)

    def place(self, contender: str) -> Path:
        """Where a contender's runs and model are."""
        return self.folder / "runs" / _fold(contender)

    def finished(self, contender: str, run: str) -> dict[str, Any] | None:
        """What a finished run left, or None: it has to be done."""
        path = self.place(contender) / f"{run}.json"
        try:
            return read_json(path) if path.is_file() else None
        except SightlineError:
            return None  # damaged: done again

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
        replace_files(place, writers)

    def model(self, contender: str, run: str) -> Path:
        """Where the model of a run is, or was."""
        return self.place(contender) / f"{run}-model"

    def forget_models(self, contender: str, but: str | None = None) -> None:
        """Remove a contender's models, but that of one run."""
        for model in self.place(contender).glob("*-model"):  # also what a killed run left half written
            if but is None or model != self.model(contender, but):
                shutil.rmtree(model, ignore_errors=True)

    def crown(self, contender: str, run: str) -> None:
        """The model of this run becomes the folder "winner"."""
        if self.model(contender, run).is_dir():
            shutil.rmtree(self.folder / WINNER, ignore_errors=True)
            self.model(contender, run).rename(self.folder / WINNER)
