"""A baseline's two files: what it is, as JSON, and its numbers, as safetensors. Nothing in them can run code.

    baseline.json             kind, labels, settings, terms, and the hash of the numbers
    baseline.safetensors      float64 arrays

What is read is checked whole before anything is made of it: a folder may come from anywhere.

Shapes: L labels, F terms.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from sightline.core.files import replace_files, sha256_of
from sightline.errors import CheckpointError
from sightline.weights.files import read_json
from sightline.weights.formats import SafetensorsFile

JSON = "baseline.json"
NUMBERS = "baseline.safetensors"
FORMAT = 1
LARGEST = 2**28  # bytes of JSON: 100,000 terms need about 2 MB
TENSORS = {"majority": {"answer"}, "tfidf": {"rarity", "weights", "biases"}}


@dataclass(frozen=True)
class Stored:
    """What is written: the kind ("majority", "tfidf"), what JSON holds about it, its arrays by name."""

    kind: str
    about: dict[str, Any]
    tensors: dict[str, NDArray[numpy.float64]]


def write_baseline(folder: str | Path, stored: Stored) -> None:
    """Both files into `folder`, whole or not at all. Raises `CheckpointError` where they cannot be written."""
    from safetensors.numpy import save_file

    folder = Path(folder)
    arrays = {name: numpy.ascontiguousarray(array, dtype=numpy.float64) for name, array in stored.tensors.items()}
    about = {"sightline_baseline": FORMAT, "kind": stored.kind, **stored.about}

    def write_numbers(path: Path) -> None:
        save_file(arrays, path)
        about["sha256"] = sha256_of(path)

    def write_about(path: Path) -> None:
        path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8", newline="\n")

    replace_files(folder, {NUMBERS: write_numbers, JSON: write_about})


def _wrong(folder: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{folder / JSON} {what}; copy the folder again, or fit the baseline anew")


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _check_about(folder: Path, about: dict[str, Any]) -> None:
    """Every field that its kind needs, of the right sort."""
    if about.get("sightline_baseline") != FORMAT or about.get("kind") not in TENSORS:
        raise _wrong(folder, f"is not a baseline of format {FORMAT} and a known kind ({', '.join(TENSORS)})")
    if not (about.get("labels") is None or (_is_names(about["labels"]) and about["labels"])):
        raise _wrong(folder, "has labels that are not a list of different names")
    if not isinstance(about.get("paired"), bool):
        raise _wrong(folder, "does not say whether rows are pairs")
    if about["kind"] == "tfidf":
        settings = about.get("settings")
        known = settings if isinstance(settings, dict) else {}
        ngrams = known.get("ngrams")
        if known.get("analyzer") not in ("word", "char") or type(ngrams) is not int or ngrams < 1:
            raise _wrong(folder, "has settings that no baseline was fitted with")
        if not (_is_names(about.get("terms")) and about["terms"]):
            raise _wrong(folder, "has terms that are not a list of different words")
        if not isinstance(about.get("converged"), bool):
            raise _wrong(folder, "does not say whether the optimizer came to its end")


def _shapes(about: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    outputs = 1 if about["labels"] is None else len(about["labels"])
    if about["kind"] == "majority":
        return {"answer": (outputs,)}
    terms = len(about["terms"])
    width = 3 * terms + 1 if about["paired"] else terms
    return {"rarity": (terms,), "weights": (width, outputs), "biases": (outputs,)}


def read_baseline(folder: str | Path) -> Stored:
    """What `write_baseline` wrote, checked against its hash and its own words.

    Raises `CheckpointError` naming the file and what is wrong with it.
    """
    folder = Path(folder)
    path = folder / NUMBERS
    about = read_json(folder / JSON, largest=LARGEST)
    _check_about(folder, about)
    file = SafetensorsFile(path)
    try:
        found = sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if found != about.get("sha256"):
        raise CheckpointError(f"{path} is not the file that {JSON} was written with; copy both again")
    tensors = {}
    for name, shape in _shapes(about).items():
        if name not in file.names or tuple(file.shape(name)) != shape:
            raise _wrong(folder, f"speaks of {name} of shape {shape}, which {NUMBERS} has not")
        array = file.read(name).numpy()
        if array.dtype != numpy.float64 or numpy.isnan(array).any():
            raise _wrong(folder, f"belongs to numbers in {name} that are {array.dtype} or NaN")
        tensors[name] = array.copy()  # not a view of the mapped file, which may be replaced
    return Stored(about["kind"], about, tensors)
