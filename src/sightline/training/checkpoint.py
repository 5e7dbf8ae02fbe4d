"""Checkpoints of a training: everything from which it goes on as if it had never stopped, bit for bit on a CPU.

    folder/000003-step-120/
        weights.safetensors     what learns, by its name in the model
        optimizer.safetensors   the optimizers' moments, as exp_avg/name …
        extra.safetensors       the caller's tensors
        training.json           the step, what the training was made of, the caller's JSON
        manifest.json           sizes and hashes of the others

Random numbers and the order of rows need no place here: both are functions of the step.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sightline.errors import CheckpointError
from sightline.training.checkpoint_files import Writers, checkpoints, damage, write_checkpoint
from sightline.training.fit import Training
from sightline.weights.files import json_writer, read_json, write_tensors

FORMAT = 2  # of what is written here; a change that older checkpoints do not fit has the next number
KEPT = 2  # a newest one that was damaged leaves one to go on from


@dataclass(frozen=True, kw_only=True, eq=False)
class Restored:
    """What `restore` found.

    path     the checkpoint's folder
    step     how many optimizer steps were done
    state    the caller's JSON, as it was given to `save`
    tensors  the caller's tensors, such as the best weights so far
    """

    path: Path
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
    """Write a checkpoint into `folder` (made if need be), whole or not at all; returns its path. The last two are kept.

    state    what the caller wants back: anything that JSON can hold
    tensors  likewise tensors, by name

    Raises CheckpointError where it cannot be written; the checkpoints before it stay as they were.

        save("run/checkpoints", training, state={"best": 0.91})
    """
    if training.torn:
        raise CheckpointError(
            "this training was interrupted within an update, so some weights are new and some old; nothing was saved,"
            f" the last checkpoint in {folder} is the one to go on from"
        )
    record = {
        "step": training.step,
        "steps": training.steps,
        "training": describe(training),
        "state": dict(state or {}),
    }
    try:
        write_record = json_writer(record)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the state given for a checkpoint does not fit into JSON: {error}") from error
    weights = {name: parameter.detach() for name, parameter in training.parameters.items()}
    writers: Writers = {
        "weights.safetensors": partial(write_tensors, tensors=weights),
        "optimizer.safetensors": partial(write_tensors, tensors=_moments(training)),
        "extra.safetensors": partial(write_tensors, tensors=dict(tensors or {})),
        "training.json": write_record,
    }
    return write_checkpoint(Path(folder), training.step, writers, keep=KEPT)


def restore(folder: str | Path, training: Training) -> Restored | None:
    """Set a new `training`, made as the saved one was, to the newest checkpoint in `folder`; None where there is none.

    Where the newest is damaged, the one before is taken, with a warning. Raises CheckpointError where all are damaged,
    or where the training has another model, configuration or data; the training is then as it was.
    """
    found = checkpoints(Path(folder))
    if not found:
        return None
    damaged: dict[Path, str] = {}
    for path in reversed(found):
        what = damage(path)
        if what is None:
            break
        damaged[path] = what
    else:
        listed = "; ".join(f"{path}: {what}" for path, what in damaged.items())
        raise CheckpointError(f"no checkpoint is whole ({listed}); remove {folder} to begin anew")
    for bad, what in damaged.items():
        warnings.warn(f"the checkpoint {bad} is damaged ({what}); going on from {path.name}", stacklevel=2)
    return _apply(path, training)


def describe(training: Training) -> dict[str, Any]:
    """What a training is made of, as JSON: two that are described alike go on from each other's checkpoints."""
    config = asdict(training.config)
    # Not what was asked for, such as "auto", but what that means on this machine.
    config["precision"] = training.precision
    described = {
        "format": FORMAT,
        **config,
        "objective": repr(training.objective),
        "data": training.data,
        "model": training.model.layout.model_type,
        "mask": str(training.model.mask),
        **{f"network's {name}": value for name, value in asdict(training.model.config).items()},
        **{f"weight {name}": f"{p.dtype} {tuple(p.shape)}" for name, p in training.parameters.items()},
        "hash of frozen weights": _frozen_hash(training),
    }
    return json.loads(json.dumps(described))  # tuples become lists, as they do in the file


def _frozen_hash(training: Training) -> str:
    """SHA-256 of the weights that do not learn: a checkpoint does not hold them, but learned on top of them."""
    digest = hashlib.sha256()
    learning = {id(parameter) for parameter in training.parameters.values()}
    # By identity: BERT's pooler is in the model by two names, its own and as a part of the head that stands on it.
    for name, tensor in training.model.state_dict(keep_vars=True).items():
        if id(tensor) not in learning:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _said(value: object) -> str:
    """A setting in a message: of a hash, as much as tells it from another."""
    text = str(value)
    return f"{text[:12]}…" if re.fullmatch("[0-9a-f]{64}", text) else text[:200]


def _apply(path: Path, training: Training) -> Restored:
    record = read_json(path / "training.json")
    now, then = describe(training), record["training"]
    for name in {**now, **then}:
        if now.get(name) != then.get(name):
            was, would_be = (_said(each.get(name)) for each in (then, now))
            raise CheckpointError(
                f"{path} is of another training: {name} was {was} and would now be {would_be}; pass the same"
                f" settings, model and data, or remove {path.parent} to begin anew"
            )
    weights, moments = load_file(path / "weights.safetensors"), load_file(path / "optimizer.safetensors")
    with torch.no_grad():
        for name, parameter in training.parameters.items():
            parameter.copy_(weights[name])
    for optimizer in training.optimizers:
        optimizer.state.clear()
    holder = {id(p): each for each in training.optimizers for group in each.param_groups for p in group["params"]}
    for key, value in moments.items():
        kind, _, name = key.partition("/")
        parameter = training.parameters[name]
        # A copy in memory of its own: what was loaded may be a view on the file, which a later save removes.
        holder[id(parameter)].state[parameter][kind] = value.to(parameter.device, copy=True)
    training.step, training.steps, training.torn = record["step"], record["steps"], False
    tensors = load_file(path / "extra.safetensors")
    return Restored(path=path, step=training.step, state=record["state"], tensors=tensors)


def _moments(training: Training) -> dict[str, Tensor]:
    """What the optimizers remember of each parameter that ever had a gradient."""
    return {
        f"{kind}/{name}": value
        for optimizer in training.optimizers
        for name, parameter in training.parameters.items()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }
