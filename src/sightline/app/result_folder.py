"""The folder of a training's result: whether it can take it, and how a training in it goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import typer

from sightline.app import talk
from sightline.app.stopping import INTERRUPTED, stoppable
from sightline.core.files import write_error
from sightline.errors import CheckpointError, ConfigError
from sightline.weights.alone import LOCK, alone

CHECKPOINTS, TRAINING = "checkpoints", "training"
Step = TypeVar("Step")


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


@contextmanager
def entered(out: Path, made: str) -> Iterator[None]:
    """While this lasts, a new training has the folder, made if need be, for itself.

    Raises ConfigError where another process has been in it since `check_out` looked.
    """
    checkpoints = out / CHECKPOINTS
    with alone(out, TRAINING):
        try:
            checkpoints.mkdir(exist_ok=True)
        except OSError as error:
            raise write_error(checkpoints, error) from error
        if (out / made).exists() or any(checkpoints.iterdir()):
            raise ConfigError(f"another process has been training in {out} meanwhile; give the command again")
        yield


def say_how_to_go_on(out: Path, again: str, saved: str) -> None:
    """What was saved, and the command that goes on, where there is a checkpoint to go on from."""
    if any((out / CHECKPOINTS).iterdir()):
        talk.say(f"{saved} is in {out / CHECKPOINTS}. To go on:\n  {again}")


@contextmanager
def telling_how_to_go_on(out: Path, again: str, interrupted: str) -> Iterator[None]:
    """Within, a full disk and an interrupt that would not wait say how to go on."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{error}; then go on with: {again}") from error
    except KeyboardInterrupt:
        say_how_to_go_on(out, again, interrupted)
        raise


def train(
    out: Path,
    again: str,
    steps: Generator[Step, None, object],
    take: Callable[[Step], None],
    reached: Callable[[], str],
) -> None:
    """Every step to the end; or to Ctrl-C, which closes `steps` after the one that is under way, so that a checkpoint
    is written, says how to go on, and leaves.

    reached  says where the training is: "step 3 of 40"
    """
    with telling_how_to_go_on(out, again, "Interrupted within a step; what was saved before"), stoppable() as stop:
        for step in steps:
            try:
                take(step)
            except BaseException as error:
                steps.throw(error)  # else it would save whenever it is forgotten
                raise
            if stop.asked:
                break
        else:
            return
        steps.close()
    say_how_to_go_on(out, again, f"Saved after {reached()}")
    raise typer.Exit(INTERRUPTED)
