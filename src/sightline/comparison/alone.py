"""One process at a time in a comparison's folder: two that were started by mistake would spoil each other's models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline.errors import ConfigError

LOCK = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While this lasts no other process gets in; ConfigError where one is in. The system lets go of a killed one's.

    with alone(folder): ...
    """
    if sys.platform == "win32":  # which has no such locks
        yield
        return
    import fcntl

    with (folder / LOCK).open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another process is comparing in {folder}; wait for it, stop it, or name another folder with --out"
                " (out=…)"
            ) from None
        except OSError:
            pass  # a file system without locks, such as some networks' ones
        yield
