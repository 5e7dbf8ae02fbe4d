"""Checkpoints of a training: everything from which it goes on as if it had never stopped.

folder/000003-step-120/   weights.safetensors  optimizer.safetensors  extra.safetensors  training.json  manifest.json
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sightline.training.fit import Training

KEPT = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Restored:
    """What the caller gave to `save`.

    step     the step at which it was saved
    state    the caller's JSON
    tensors  the caller's tensors, such as the best weights so far
    """

    step: int
    state: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def save(
    folder: str | Path,
    training: Training,
    *,
    state: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a checkpoint into `folder`, whole or not at all; returns its own folder. The last two are kept."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    existing = _existing(folder)
    number = int(existing[-1].name.split("-")[0]) + 1 if existing else 1
    path = folder / f"{number:06d}-step-{training.step}"
    part = folder / f".{path.name}.part"
    part.mkdir()
    save_file({name: p.detach() for name, p in training.parameters.items()}, part / "weights.safetensors")
    moments = {
        f"{key}/{name}": value
        for name, p in training.parameters.items()
        for key, value in training.optimizer.state.get(p, {}).items()
    }
    save_file(moments, part / "optimizer.safetensors")
    save_file(dict(tensors or {}), part / "extra.safetensors")
    (part / "training.json").write_text(json.dumps({"step": training.step, "state": state or {}}))
    os.replace(part, path)
    for old in _existing(folder)[:-KEPT]:
        shutil.rmtree(old)
    return path


def restore(folder: str | Path, training: Training) -> Restored | None:
    """Set `training` to the newest checkpoint in `folder`; None where there is none."""
    existing = _existing(Path(folder))
    if not existing:
        return None
    path = existing[-1]
    record = json.loads((path / "training.json").read_text())
    weights, moments = load_file(path / "weights.safetensors"), load_file(path / "optimizer.safetensors")
    with torch.no_grad():
        for name, parameter in training.parameters.items():
            parameter.copy_(weights[name])
    for key, value in moments.items():
        kind, _, name = key.partition("/")
        training.optimizer.state[training.parameters[name]][kind] = value
    training.step = record["step"]
    return Restored(step=training.step, state=record["state"], tensors=load_file(path / "extra.safetensors"))


def _existing(folder: Path) -> list[Path]:
    """Checkpoints, oldest first."""
    return sorted(path for path in folder.glob("[0-9]*-step-*") if path.is_dir())
