"""One process at a time in a folder: two that were started by mistake would spoil each other's models."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sightline.core.files import write_error
from sightline.errors import CheckpointError, ConfigError

LOCK = ".lock"


@contextmanager
def alone(folder: Path, doing: str, *, lock: str = LOCK) -> Iterator[None]:
    """While this lasts no other process gets into `folder`, made if need be; the system lets go of a killed one's.

    lock  the file in it that stands for what is kept for oneself, and goes in the end

    Raises ConfigError where one is in, which then says what it is `doing`, and CheckpointError for a folder that cannot
    be made or may not be written to.

        with alone(folder, "comparing"): ...
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"cannot make the folder {folder}: {reason}; name another with out=…") from error
    if sys.platform == "win32":  # which has no such locks
        yield
        return
    path = folder / lock
    try:
        file = _locked(path)
    except BlockingIOError:
        raise ConfigError(
            f"another process is {doing} in {folder}; wait for it, stop it, or choose another out=…"
        ) from None
    except OSError as error:
        raise write_error(path, error) from error
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path) -> IO[str]:
    """The file, locked. BlockingIOError where another process has it, OSError where it cannot be written."""
    import fcntl  # which Windows lacks

    while True:
        file = path.open("w")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise
        except OSError:
            return file  # a file system without locks, such as some networks' ones
        try:
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        file.close()  # whoever had it left, and took it away, between its opening and its locking here
