"""A benchmark as parts that are worked through one after another, and a file that keeps what is finished.

The file is JSON, written anew, whole or not at all, after every part:

    format       1
    benchmark    its name
    measured     what decides the numbers: settings, and hashes of the model and of the data
    parts        by name, what was found in each that is finished
    summary      what the parts make together; null while some are missing
    seconds      that it took, all starts together

Started again, an evaluation goes on behind the parts that are there. A file that measured something else is left alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sightline.errors import CheckpointError, ConfigError
from sightline.model.model import Model
from sightline.text.packed_files import PackedFile
from sightline.weights.alone import alone
from sightline.weights.files import read_json, write_json

FORMAT = 1
Record = dict[str, Any]
Progress = Callable[[float], object]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A piece of a benchmark that is measured at once: its name, how many texts it has, and what measures it."""

    name: str
    size: int
    run: Callable[[Progress], Record]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark for one model, ready to be worked through.

    settings  what decides the numbers, beside model and data
    unit      what the parts' sizes count
    summary   what finished parts make together
    table     the summary for people
    """

    name: str
    settings: Record
    unit: str
    parts: Sequence[Part]
    summary: Callable[[Mapping[str, Record]], Record]
    table: Callable[[Record], str]


def digest_of_model(model: Model) -> str:
    """SHA-256 of all that decides a model's answers: weights, their type, the mask, how blanks are read, tokens."""
    found = hashlib.sha256(f"{model.layout.model_type} {model.config} {model.mask} {model.shifted}".encode())
    for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()]):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    if model.tokenizer is not None:
        found.update(model.tokenizer.backend.to_str().encode())
    return found.hexdigest()


def digest_of_files(files: Sequence[PackedFile]) -> str:
    """SHA-256 of files' names and bytes."""
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.name} {len(file.content)}\n".encode() + file.content)
    return found.hexdigest()


@dataclass(kw_only=True)
class Results:
    """What an evaluation has found so far; `measured` says of what."""

    benchmark: str
    measured: Record
    parts: dict[str, Record] = field(default_factory=dict)
    summary: Record | None = None
    seconds: float = 0.0
    table: Callable[[Record], str] = str

    def as_dict(self) -> Record:
        """All of it, as it is written to the file."""
        return {
            "format": FORMAT,
            "benchmark": self.benchmark,
            "measured": self.measured,
            "summary": self.summary,
            "parts": self.parts,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        return f"{len(self.parts)} parts are finished" if self.summary is None else self.table(self.summary)


def _earlier(path: Path, results: Results) -> None:
    """Take over what an earlier start has finished; ConfigError where the file is of something else."""
    found = read_json(path)
    if found.get("format") != FORMAT or not isinstance(found.get("parts"), dict):
        raise ConfigError(f"{path} holds no results of an evaluation; name another file with out=…")
    before = {
        "benchmark": found.get("benchmark"),
        **(found["measured"] if isinstance(found.get("measured"), dict) else {}),
    }
    now = {"benchmark": results.benchmark, **results.measured}
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if other:
        raise ConfigError(
            f"{path} measured something else ({', '.join(other)} differ); name another file with out=…, or delete it"
        )
    results.parts, results.seconds = found["parts"], float(found.get("seconds", 0.0))


def work_through(
    benchmark: Benchmark, measured: Record, out: Path | None, progress: Callable[[float, int], object]
) -> Results:
    """All parts that `out` does not hold yet, each written to it when it is finished.

    progress  called with how much is done of what was left, and how much that is, in the benchmark's unit

    Raises ConfigError where `out` holds something else, or another process is writing it, and CheckpointError where it
    cannot be written.
    """
    if out is None:
        return _work_through(benchmark, measured, None, progress)
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file in it with out=…")
    with alone(out.parent, f"writing {out.name}", lock=f".{out.name}.lock"):
        return _work_through(benchmark, measured, out, progress)


def _work_through(
    benchmark: Benchmark, measured: Record, out: Path | None, progress: Callable[[float, int], object]
) -> Results:
    results = Results(benchmark=benchmark.name, measured=measured, table=benchmark.table)
    if out is not None and out.exists():
        _earlier(out, results)
    left = [part for part in benchmark.parts if part.name not in results.parts]
    done, total = 0, sum(part.size for part in left)
    for part in left:
        started, before = time.perf_counter(), done

        def shown(share: float, before: int = before, size: int = part.size) -> None:
            progress(before + share * size, total)

        results.parts[part.name] = part.run(shown)
        results.seconds += time.perf_counter() - started
        done += part.size
        progress(done, total)
        _keep(results, out)
    try:
        results.summary = benchmark.summary(results.parts)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{out} is damaged ({error!r}); delete it, and evaluate again") from error
    _keep(results, out)
    return results


def _keep(results: Results, out: Path | None) -> None:
    if out is not None:
        write_json(out, results.as_dict())
