"""The files of a checkpoint: a folder that appears whole or not at all, and tells when it was damaged.

    folder/000003-step-120/   files …   manifest.json    sizes and SHA-256 of the others

A checkpoint is written under another name, flushed to the disk, and renamed, which is atomic on one file system. Names
begin with a number that only grows: nothing is ever written over, so the last good one survives whatever happens to
the next.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from sightline.core.files import flush, sha256_of, write_error
from sightline.errors import CheckpointError
from sightline.weights.files import json_writer, read_json

MANIFEST = "manifest.json"
_WHOLE = re.compile(r"(\d{6,})-step-\d+")
_PART = re.compile(r"\.\d{6,}-step-\d+\.[0-9a-f]{8}\.part")

Writers = Mapping[str, Callable[[Path], object]]


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first; none where there is no such folder."""
    found = {path: match for path in _content(folder) if (match := _WHOLE.fullmatch(path.name))}
    return sorted(found, key=lambda path: int(found[path][1]))


def write_checkpoint(folder: Path, step: int, writers: Writers, *, keep: int) -> Path:
    """Write a checkpoint of the files that `writers` write; returns its folder. Of older ones, `keep` − 1 stay.

    Raises CheckpointError when it cannot be written; older checkpoints are then as they were, and nothing else is left.
    """
    part: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in (path for path in _content(folder) if _PART.fullmatch(path.name)):
            shutil.rmtree(left)  # by a writer that was killed
        older = checkpoints(folder)
        number = int(older[-1].name.partition("-")[0]) + 1 if older else 1
        path = folder / f"{number:06d}-step-{step}"
        part = _part_of(path)
        part.mkdir()
        manifest = {name: _write(part / name, write) for name, write in writers.items()}
        _write(part / MANIFEST, json_writer({"files": manifest}))
        flush(part)
        os.replace(part, path)
        flush(folder)
    except (OSError, SafetensorError) as error:
        raise write_error(folder, error) from error
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
    for old in checkpoints(folder)[:-keep]:
        _remove(old)
    return path


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's files, in a few words; None where they are as they were written."""
    if not (path / MANIFEST).is_file():
        return f"{MANIFEST} is missing"
    try:
        files = read_json(path / MANIFEST).get("files")
        if not isinstance(files, dict):
            return f"{MANIFEST} names no files"
        for name, written in files.items():
            size = (path / name).stat().st_size
            if size != written["bytes"]:
                return f"{name} has {size} bytes of {written['bytes']}"
            if sha256_of(path / name) != written["sha256"]:
                return f"{name} has other bytes than were written"
    except FileNotFoundError as error:
        return f"{Path(str(error.filename)).name} is missing"
    except (OSError, CheckpointError, KeyError, TypeError, ValueError) as error:
        return f"{MANIFEST} cannot be followed: {error}"
    return None


def _content(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {error.strerror or error}") from error


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _write(path: Path, write: Callable[[Path], object]) -> dict[str, Any]:
    """Write one file, onto the disk; its entry in the manifest."""
    write(path)
    flush(path)
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _remove(path: Path) -> None:
    """Remove a checkpoint; killed within, it leaves no half of one under a whole one's name."""
    try:
        part = _part_of(path)
        os.replace(path, part)
        shutil.rmtree(part)
    except OSError:
        # The new checkpoint is there, which is what was asked for; the next save tries again.
        return
