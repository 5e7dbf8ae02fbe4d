"""Two processes do not work in one folder."""

import signal
import subprocess
import sys
from pathlib import Path

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
