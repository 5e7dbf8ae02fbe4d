"""Writing files so that nobody ever meets half of one, and knowing them again.

Every file is written under a temporary name in its own folder, flushed to the disk and renamed, which is atomic on one
file system. When writing fails (a full disk, an interrupt), the temporary files are removed and the old ones stay.
"""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from sightline.errors import CheckpointError

Writer = Callable[[Path], object]
"""Writes a file to the path that it is handed."""


@dataclass(frozen=True)
class Change:
    """What `replace_files` is to do in a folder."""

    writers: Mapping[str, Writer]
    remove_before: frozenset[str] = frozenset()
    remove_after: frozenset[str] = frozenset()


def write_error(path: Path, error: Exception) -> CheckpointError:
    """One line about a write that failed: which file, why, what to do."""
    number = re.search(r"os error (\d+)", str(error))
    reason = os.strerror(int(number[1])) if number else getattr(error, "strerror", None) or str(error)
    return CheckpointError(f"cannot write {path}: {reason}; free some space there, or choose a folder you may write to")


def flush(path: Path) -> None:
    """Onto the disk, a file or a folder."""
    if os.name == "nt" and path.is_dir():  # Windows cannot open folders, and needs no such flush
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Of a file's bytes. Raises OSError where they cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_files(
    folder: Path,
    writers: Mapping[str, Writer],
    *,
    remove_before: Collection[str] = (),
    remove_after: Collection[str] = (),
) -> None:
    """Write the files of one folder, all or none.

    `writers` gives, for each file name ("1_Pooling/config.json" too) in the order in which the files shall appear, a
    function that writes the path it is handed. Once all are on the disk, the files of `remove_before` go, the new ones
    take their places, the files of `remove_after` go. Raises `CheckpointError` naming the file that could not be
    written.

        replace_files(folder, {"a.txt": lambda path: path.write_text("whole")})
    """
    temporaries: dict[str, Path] = {}
    name = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, write in writers.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            temporary = temporaries[name] = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
            temporary.touch(exist_ok=False)
            mode = stat.S_IMODE(temporary.stat().st_mode)  # what the user's umask allows; safetensors would leave 0600
            write(temporary)
            temporary.chmod(mode)
            flush(temporary)
        for name in remove_before:
            (folder / name).unlink(missing_ok=True)
        for name, temporary in temporaries.items():
            os.replace(temporary, folder / name)
        for name in remove_after:
            (folder / name).unlink(missing_ok=True)
        flush(folder)
    except (OSError, SafetensorError) as error:
        raise write_error(folder / name, error) from error
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
