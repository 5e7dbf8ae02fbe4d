"""Checkpoints when the disk, the power or somebody's editor gets in between."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import CheckpointError
from sightline.objectives.classify import Classify
from sightline.training.checkpoint import restore, save
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from training.small import labelled, small

FILES = ["weights.safetensors", "optimizer.safetensors", "extra.safetensors", "training.json", "manifest.json"]


def training_of() -> Training:
    return Training(small(), Classify(), TrainingConfig(learning_rate=0.01))


def two_saved(folder: Path) -> list[Path]:
    """Of steps 1 and 2."""
    training = training_of()
    saved = []
    for progress in fit(training, labelled()):
        saved.append(save(folder, training))
        if progress.step == 2:
            return saved
    raise AssertionError


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two checkpoints, saved once for all tests."""
    folder = tmp_path_factory.mktemp("prepared")
    two_saved(folder)
    return folder


@pytest.fixture
def saved(prepared: Path, tmp_path: Path) -> Path:
    """A copy of it that may be harmed."""
    return shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    # Not a space, which may be another without harm.
    content[next(place for place in [*range(middle, 0, -1), 0] if content[place] != ord(" "))] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"{")


@pytest.mark.parametrize("harm", [flip, truncate, empty, grow, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_newest_falls_back_by_name(saved: Path, name: str, harm: Callable[[Path], None]) -> None:
    before, newest = sorted(saved.iterdir())
    harm(newest / name)
    with pytest.warns(UserWarning, match=rf"{newest.name} is damaged \(.*\); going on from {before.name}"):
        restored = restore(saved, training_of())
    assert restored is not None and (restored.path, restored.step) == (before, 1)


def test_both_damaged_is_an_error_that_says_what_to_do(saved: Path) -> None:
    before, newest = sorted(saved.iterdir())
    flip(newest / "weights.safetensors")
    shutil.rmtree(before)
    before.mkdir()
    training = training_of()
    with pytest.raises(CheckpointError, match=f"{newest.name}.*other bytes.*{before.name}.*missing.*remove") as caught:
        restore(saved, training)
    assert "\n" not in str(caught.value) and training.step == 0


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fails_at(turn: int, error: int) -> Callable[[int], None]:
    """An fsync that fails when it is called the `turn`-th time."""
    calls = iter(range(1000))

    def fsync(descriptor: int) -> None:
        if next(calls) == turn:
            raise OSError(error, os.strerror(error))

    return fsync


@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_the_last_good_ones(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: int, error: int
) -> None:
    """At each of the five files, and at the folder itself."""
    before = content(tmp_path)
    monkeypatch.setattr(os, "fsync", fails_at(turn, error))
    with pytest.raises(CheckpointError, match=f"{tmp_path}: {os.strerror(error)}; free some space"):
        save(tmp_path, training_of())
    assert content(tmp_path) == before and len(list(tmp_path.iterdir())) == 2
    monkeypatch.undo()
    assert restore(tmp_path, training_of()).step == 2


def test_a_writer_that_meets_a_full_disk(saved: Path, tmp_path: Path) -> None:
    """The real writers, stopped by the system in the middle of a file: no file may grow beyond some bytes."""
    before = content(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (100, 1000, 20_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            with pytest.raises(CheckpointError, match="File too large"):
                save(tmp_path, training_of())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert content(tmp_path) == before and len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="file"):
        save(tmp_path / "file", training_of())
    with pytest.raises(CheckpointError, match="cannot read"):
        restore(tmp_path / "file", training_of())

    def refuse(path: Path, *rest: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(CheckpointError, match=r"Permission denied.*choose a folder you may write to"):
        save(tmp_path / "here", training_of())
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


def test_an_interrupt_leaves_nothing_behind(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(tmp_path)

    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, training_of())
    assert content(tmp_path) == before and len(list(tmp_path.iterdir())) == 2


KILLED = """
    import os, shutil, signal, sys
    sys.path.insert(0, {tests!r})
    import torch
    torch.set_num_threads(1)
    from pathlib import Path
    from training.test_checkpoint_faults import content, training_of, two_saved
    from sightline.training.checkpoint import save
    from sightline.training.fit import fit
    from training.small import labelled

    os.fsync = lambda descriptor: None  # a killed process loses nothing that it wrote
    training = training_of()
    for progress in fit(training, labelled()):
        if progress.step == 3:
            break
    prepared = Path({folder!r}) / "prepared"
    two_saved(prepared)
    for turn in range({turns}):
        folder = Path({folder!r}) / str(turn)
        shutil.copytree(prepared, folder)
        child = os.fork()
        if child == 0:
            calls = iter(range(1000))
            def killing(real):
                def call(*given, **more):
                    if next(calls) == turn:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return real(*given, **more)
                return call
            for name in ("fsync", "replace", "mkdir", "unlink", "rmdir", "open", "close"):
                setattr(os, name, killing(getattr(os, name)))
            save(folder, training)
            os._exit(0)
        print(turn, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is copied, and then killed, at every call")
def test_killed_at_any_moment_there_is_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process dies by SIGKILL at its first, second, third … call to the system; each time the rest is looked at."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    turns = 40
    script = textwrap.dedent(KILLED).format(tests=str(Path(__file__).parents[1]), turns=turns, folder=str(tmp_path))
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    codes = dict(tuple(map(int, line.split())) for line in ran.stdout.splitlines())
    assert len(codes) == turns and codes[0] == -9 and codes[turns - 1] == 0  # the last one had less to do
    reached = set()
    training = training_of()
    for turn, code in codes.items():
        folder = tmp_path / str(turn)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # nothing that can be seen is damaged
            restored = restore(folder, training)
        assert restored is not None and restored.step in (2, 3)
        assert code == -9 or restored.step == 3
        reached.add(restored.step)
        save(folder, training)
        assert len(list(folder.iterdir())) == 2  # what the killed one left is gone
    assert reached == {2, 3}
