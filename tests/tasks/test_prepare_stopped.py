"""A preparation that was stopped, killed, or ran out of room goes on, and nobody can tell."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from sightline.errors import CheckpointError, ConfigError
from sightline.tasks import prepare as prepare_module
from sightline.tasks import prepare_reading, prepare_work, shards
from sightline.tasks.prepare import Preparation
from sightline.tasks.prepare_config import PrepareConfig
from sightline.tasks.prepare_journal import Journal
from sightline.tasks.shards import ShardWriter
from sightline.text.corpus import open_corpus
from tasks.test_prepare import content, sentences, write

SETTINGS = {"vocabulary": 350, "valid": 0.2, "documents": "lines"}
SMALL = {
    (prepare_reading, "CHUNK_BYTES"): 600,
    (prepare_work, "COMMIT_BYTES"): 1500,
    (shards, "SHARD_TOKENS"): 1000,
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for (module, name), value in SMALL.items():
        monkeypatch.setattr(module, name, value)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Some text in two files, in which texts come again."""
    folder = tmp_path_factory.mktemp("text")
    texts = sentences(120)
    return [write(folder / "one.txt", texts[:80] + texts[:20]), write(folder / "two.txt", texts[60:] + texts[:9])]


def prepared(files: list[Path], out: Path, **settings: object) -> dict[str, bytes]:
    """To the end; the files that are there then."""
    for _ in Preparation(files, out, PrepareConfig(**{**SETTINGS, **settings})).run():
        pass
    open_corpus(out)
    return content(out)


@pytest.fixture(scope="module")
def whole(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What comes of it when nothing gets in between."""
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), value in SMALL.items():
            patch.setattr(module, name, value)
        return prepared(files, tmp_path_factory.mktemp("whole") / "corpus")


def test_left_after_every_step_it_goes_on(files: list[Path], whole: dict[str, bytes], tmp_path: Path) -> None:
    stages: list[str] = []
    while not (tmp_path / "out" / "manifest.json").exists():
        steps = Preparation(files, tmp_path / "out", PrepareConfig(**SETTINGS)).run()
        stages += [progress.stage for progress in islice(steps, 2)]  # one of them may be "learning", which comes first
        steps.close()
        assert len(stages) < 200
    assert stages.count("encoding") > 10 and stages.count("sampling") > 10
    assert content(tmp_path / "out") == whole


class Blow(BaseException):
    """What nobody catches."""


POINTS: dict[str, tuple[object, str]] = {
    "commit": (Journal, "commit"),
    "source": (Journal, "put_source"),
    "seen": (Journal, "are_new"),
    "append": (ShardWriter, "_append"),
    "flush": (ShardWriter, "_flush"),
    "close": (ShardWriter, "_close"),
    "sample": (Journal, "add_sample"),
    "tokenizer": (prepare_module, "save_tokenizer"),
    "manifest": (prepare_module, "write_json"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("point", POINTS)
def test_struck_down_anywhere_it_goes_on(
    point: str, after: bool, files: list[Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    """Before or after the first, the third, … time that something is done, again and again, until it comes through."""
    holder, name = POINTS[point]
    blows = 0

    def striking(when: int) -> Iterator[Callable[..., object]]:
        real, calls = getattr(holder, name), 0

        def call(*arguments: object, **settings: object) -> object:
            nonlocal calls
            calls += 1
            if calls == when and not after:
                raise Blow
            result = real(*arguments, **settings)
            if calls == when:
                raise Blow
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(holder, name, call)
            yield call

    for when in (1, 3, 8, 2, 5):
        for _ in striking(when):
            try:
                prepared(files, tmp_path / "out")
            except Blow:
                blows += 1
    assert prepared(files, tmp_path / "out") == whole
    assert blows


KILLED = """
import os, signal, sys
from pathlib import Path
from sightline.tasks import prepare_journal, prepare_reading, prepare_work, shards
from sightline.tasks.prepare import Preparation
from sightline.tasks.prepare_config import PrepareConfig
prepare_reading.CHUNK_BYTES, prepare_work.COMMIT_BYTES, shards.SHARD_TOKENS = 600, 1500, 1000
left, out, *files = sys.argv[1:]
left = int(left)
real = {struck}
def call(*arguments):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
{struck} = call
for _ in Preparation(files, Path(out), PrepareConfig(vocabulary=350, valid=0.2, documents="lines")).run():
    pass
"""


@pytest.mark.parametrize(
    ("struck", "times"),
    [
        ("prepare_journal.Journal.commit", 4),
        ("shards.ShardWriter._append", 15),
        ("prepare_work.Encoding._commit", 3),
    ],
)
def test_killed_it_goes_on(struck: str, times: int, files: list[Path], whole: dict[str, bytes], tmp_path: Path) -> None:
    """By SIGKILL, after which no code of ours runs."""
    command = [sys.executable, "-c", KILLED.format(struck=struck), str(times), str(tmp_path / "out"), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert prepared(files, tmp_path / "out") == whole


# What may not happen in between


def begun(files: list[Path], out: Path, stage: str = "encoding") -> None:
    """Left in the midst of a stage."""
    steps, seen = Preparation(files, out, PrepareConfig(**SETTINGS)).run(), 0
    for progress in steps:
        seen += progress.stage == stage
        if seen == 5:
            break
    steps.close()
    assert seen == 5


def test_a_file_that_has_changed_meanwhile_is_named(files: list[Path], tmp_path: Path) -> None:
    copies = [write(tmp_path / file.name, file.read_text().splitlines()) for file in files]
    begun(copies, tmp_path / "out")
    write(copies[0], ["else"])
    with pytest.raises(CheckpointError, match=r"one.txt has changed since this corpus was begun in .*; delete that"):
        prepared(copies, tmp_path / "out")


def test_other_settings_are_refused_once_something_is_encoded(
    files: list[Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    begun(files, tmp_path / "sampled", "sampling")
    assert prepared(files, tmp_path / "sampled", valid=0.3) != whole
    begun(files, tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"was begun with valid=0.2, and now it is 0.3; give the same"):
        prepared(files, tmp_path / "out", valid=0.3)
    with pytest.raises(CheckpointError, match=r"was begun with the sources '.*one.txt', '.*two.txt', and now"):
        prepared(files[:1], tmp_path / "out")
    assert prepared(files, tmp_path / "out") == whole


def test_what_was_written_must_still_be_there(files: list[Path], tmp_path: Path) -> None:
    begun(files, tmp_path / "out")
    last = max((tmp_path / "out").glob("train-*.bin"))
    os.truncate(last, 0)
    with pytest.raises(CheckpointError, match=rf"{last.name} is shorter than it was when it was written; delete"):
        prepared(files, tmp_path / "out")


def test_a_damaged_journal_says_so(files: list[Path], tmp_path: Path) -> None:
    begun(files, tmp_path / "out")
    (tmp_path / "out" / ".preparing.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(CheckpointError, match=r"preparing.db: file is not a database; delete .* and begin anew"):
        prepared(files, tmp_path / "out")


def test_two_at_once_are_one_too_many(files: list[Path], tmp_path: Path) -> None:
    begun(files, tmp_path / "out")
    code = """
import sys
from pathlib import Path
from sightline.weights.alone import alone
with alone(Path(sys.argv[1]), "preparing a corpus"):
    print("in", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"in\n"
        with pytest.raises(ConfigError, match="another process is preparing a corpus in"):
            prepared(files, tmp_path / "out")
        other.communicate()


def test_a_full_disk_is_named_by_file(files: list[Path], whole: dict[str, bytes], tmp_path: Path) -> None:
    begun(files, tmp_path / "out", "sampling")
    shard = tmp_path / "out" / "train-00000.idx"
    shard.symlink_to("/dev/full")
    with pytest.raises(
        CheckpointError, match=r"cannot write .*train-00000.*: No space left on device; free some space"
    ):
        prepared(files, tmp_path / "out")
    shard.unlink()
    assert prepared(files, tmp_path / "out") == whole


@pytest.mark.parametrize("room", [300, 9000])
def test_without_room_it_says_so_and_goes_on_when_there_is_some(
    room: int, files: list[Path], whole: dict[str, bytes], tmp_path: Path
) -> None:
    """No file may have more bytes than `room`, such as the journal or the tokenizer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot write .*out.*; free some space there, or choose a folder"):
            prepared(files, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert prepared(files, tmp_path / "out") == whole
