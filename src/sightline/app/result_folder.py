"""Whether the folder for a training's result can take it: new, interrupted, finished, or somebody else's."""

from __future__ import annotations

import os
from pathlib import Path

from sightline.errors import CheckpointError, ConfigError
from sightline.weights.alone import LOCK, alone

CHECKPOINTS, TRAINING = "checkpoints", "training"


def check_out(out: Path, *, made: str, resume: bool, also: frozenset[str] = frozenset()) -> bool:
    """Whether the folder holds a finished training; ConfigError where it holds what must not be written over.

    made  the file that says that all is there
    also  what else an interrupted training leaves beside its checkpoints
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file; name a folder, a new one")
    names = {path.name for path in out.iterdir()} if out.is_dir() else set()
    locked, names = LOCK in names, names - {LOCK}
    if made in names:
        if resume:
            return True
        raise ConfigError(f"{out} holds a model that was trained before; name another folder with --out")
    begun = CHECKPOINTS in names
    if begun and names <= {CHECKPOINTS, *also} and not any((out / CHECKPOINTS).iterdir()):
        return False  # one that was begun and came to nothing
    if begun:
        if resume:
            return False
        if locked:
            with alone(out, TRAINING):  # an error of its own where it is under way
                pass
        raise ConfigError(
            f"{out} holds a training that was interrupted; --resume goes on with it, or remove the folder"
        )
    if names:
        there = ", ".join(sorted(names)[:3]) + (" …" if len(names) > 3 else "")
        raise ConfigError(f"{out} holds other things ({there}); name a new folder with --out")
    above = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise CheckpointError(f"cannot make {out}: {above} is no folder that you may write to; choose another --out")
    return False
