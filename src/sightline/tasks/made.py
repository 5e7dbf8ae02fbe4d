"""How a model was made: the record that stands beside its weights, so that somebody else can make it again.

It names files, not where they lie, and holds hashes of rows, not rows.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import torch

from sightline.tasks.ready import digest
from sightline.text.labelled import Examples

if TYPE_CHECKING:
    from sightline.tasks.finetune import Finetuning


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("sightline", "torch", "tokenizers", "safetensors", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def made(
    under_way: Finetuning,
    *,
    base: str,
    size: str | None,
    examples: Mapping[str, Examples],
    files: Mapping[str, str],
    columns: tuple[Sequence[str], str],
    assumed: Sequence[str],
    test: Mapping[str, float],
    seconds: float,
) -> dict[str, Any]:
    """The record of a fine-tuning that is finished, for `sightline-training.json`.

    base, size      what it began from; the size of a new network
    examples, files  the rows by part (train, dev, test), and the file that each part is of
    columns         those of texts, and the one of labels
    seconds         that this run took
    """
    model, best = under_way.model, under_way.best
    return {
        "task": "numbers" if model.regression else "classes",
        "labels": None if model.labels is None else list(model.labels),
        "base": base,
        "size": size,
        "mask": str(model.mask),
        "pooling": model.head("classifier").pooling,
        "max_length": under_way.limit,
        "columns": {"text": list(columns[0]), "label": columns[1]},
        "rows": {name: len(part) for name, part in examples.items()},
        "files": {name: PurePath(file).name for name, file in files.items()},
        "sha256_of_rows": {name: digest(part) for name, part in examples.items()},
        "assumed": list(assumed),
        "config": asdict(under_way.config),
        "cut": under_way.cut,
        "in_windows": under_way.windowed,
        "steps": under_way.training.step,
        "stopped_early": under_way.stopped_early,
        "best": None if best is None else {"step": best.step, "passes": best.passes},
        "dev": None if best is None else dict(best.scores),
        "test": dict(test),
        "history": [asdict(look) for look in under_way.history],
        "seconds": round(seconds, 1),
        "precision": under_way.training.precision,
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "versions": _versions(),
    }
