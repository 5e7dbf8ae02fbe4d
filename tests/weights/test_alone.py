"""Two processes do not work in one folder."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from sightline.errors import ConfigError
from sightline.weights.alone import alone

HOLD = """
import pathlib, sys, time
from sightline.weights.alone import alone
with alone(pathlib.Path(sys.argv[1]), "waiting"):
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline() == "in\n"
        with pytest.raises(ConfigError, match="another process is at it in"), alone(tmp_path, "at it"):
            pass
        first.send_signal(signal.SIGKILL)
    with alone(tmp_path, "at it"), alone(tmp_path, "at it"):  # one process may begin again what it left half done
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_lock_that_was_taken_away_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever had it removes it when it leaves; a lock on what is removed keeps nobody out."""
    import fcntl

    lock, leaving = fcntl.lockf, [tmp_path / ".lock"]

    def locked_too_late(file: IO[str], how: int) -> None:
        while leaving:
            leaving.pop().unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "lockf", locked_too_late)
    with alone(tmp_path, "at it"):
        assert not leaving
        second = [sys.executable, "-c", HOLD, str(tmp_path)]
        done = subprocess.run(second, capture_output=True, text=True)
        assert "another process is waiting in" in done.stderr
