"""The verb pretrain: from a recipe to a folder, killed and stopped in between, and every wrong word one line."""

import gc
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sightline.app import pretraining
from sightline.app.cli import main
from sightline.model.load import load
from sightline.tasks.pretrain_log import log
from sightline.text.corpus import Corpus
from sightline.training.checkpoint_files import checkpoints
from sightline.training.recipe import read_recipe

RECIPE = """
[corpus]
files = ["texts.txt"]
documents = "lines"
kind = "wordpiece"
vocabulary = 60
valid = 0.2

[model]
family = "modernbert"
size = "tiny"
settings = {width = 16, inner = 24, attention_heads = 2}

[objective]
kind = "hybrid"

[batches]
rows = 4
tokens = 16

[training]
learning_rate = 0.01
optimizer = "muon"
precision = "float32"

[run]
steps = 40
checkpoint_every = 1
validate_every = 15
validation_tokens = 128
average = 0.3
samples = ["the fox"]
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("recipe")
    lines = [f"the {a} {b} runs over the {c}" for a in ("red", "old", "shy") for b in ("fox", "hen") for c in "xyzuvw"]
    (folder / "texts.txt").write_text("\n".join(lines) + "\n")
    (folder / "recipe.toml").write_text(RECIPE)
    return str(folder / "recipe.toml")


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "sightline", "pretrain", *map(str, words)]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".safetensors"}


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.002)


def test_from_texts_to_a_model(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["pretrain", recipe, "--out", str(out), "--json"]) == 0
    shown = capsys.readouterr()
    assert "weights; objective hybrid." in shown.err
    told = json.loads(shown.out)
    assert told["steps"] == 40 and set(told["valid"]) == {"masked", "causal", "bits_per_byte"}
    model = load(out)
    assert model.shifted and [str(mask) for mask in model.trained_masks] == ["bidirectional", "causal"]
    made = json.loads((out / "sightline-pretraining.json").read_text())
    assert (made["steps"], made["tokens"]) == (40, 40 * 4 * 16)
    kind, objective = made["objective"].pop("kind"), read_recipe(recipe).objective
    assert kind == "hybrid" and made["objective"] == json.loads(json.dumps(asdict(objective)))
    assert [look["step"] for look in made["history"]] == [15, 30, 40]
    log = logged(out)
    assert [line["step"] for line in log] == list(range(1, 41)) and log[14]["look"]["samples"][0].startswith("the fox")
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"tensorboard"}
    assert main(["pretrain", recipe, "--out", str(out), "--resume", "--set", "run.validate_every=7"]) == 0
    assert "finished before" in capsys.readouterr().err
    changes = {
        "run.steps=99": "run.steps=40, and now it is 99",
        "batches.rows=5": "batches.rows=4",
        "corpus.vocabulary=70": "corpus.vocabulary=60",
        "corpus.seed=1": "corpus.seed=None",
    }
    for change, said in changes.items():
        assert main(["pretrain", recipe, "--out", str(out), "--resume", "--set", change]) == 2
        assert f"was taught with {said}" in capsys.readouterr().err


def test_tensorboard_reads_the_same_numbers(recipe: str, tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    out = tmp_path / "out"
    assert main(["pretrain", recipe, "--out", str(out), "--set", "run.steps=3"]) == 0
    losses = []
    for file in (out / "tensorboard").iterdir():
        raw, at = file.read_bytes(), 0
        while at < len(raw):  # a length in 8 bytes, its checksum in 4, the event, its checksum in 4
            length = int.from_bytes(raw[at : at + 8], "little")
            event = Event.FromString(raw[at + 12 : at + 12 + length])
            losses += [value.simple_value for value in event.summary.value if value.tag == "loss"]
            at += 16 + length
    assert losses == pytest.approx([line["loss"] for line in logged(out)], rel=1e-6)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_it_ends_as_if_it_never_was(kills: int, recipe: str, tmp_path: Path) -> None:
    """SIGKILL leaves no time for anything: the same weights, bit for bit, and the same log."""
    straight, out = tmp_path / "straight", tmp_path / "killed"
    assert main(["pretrain", recipe, "--out", str(straight)]) == 0
    drawn = random.Random(0)
    for _ in range(kills):
        before = {path.name for path in checkpoints(out / "checkpoints")} if (out / "checkpoints").is_dir() else set()
        with subprocess.Popen(
            command(recipe, "--out", out, "--resume"), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:

            def further(before: set[str] = before) -> bool:
                folder = out / "checkpoints"
                return folder.is_dir() and bool({path.name for path in checkpoints(folder)} - before)

            wait_for(further, process)
            time.sleep(drawn.uniform(0, 0.05))
            process.kill()
            process.wait()
            assert process.returncode == -signal.SIGKILL
    done = subprocess.run(command(recipe, "--out", out, "--resume"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Going on after step" in done.stderr
    assert content(out) == content(straight)
    names = ("step", "loss", "terms", "learning_rate")
    logs = [[{name: line[name] for name in names} for line in logged(folder)] for folder in (out, straight)]
    assert logs[0] == logs[1]


def test_ctrl_c_saves_and_says_how_to_go_on(recipe: str, tmp_path: Path) -> None:
    out = tmp_path / "my out"
    words = (recipe, "--out", out, "--set", "run.steps=2000", "--set", "run.checkpoint_every=1000")
    with subprocess.Popen(command(*words), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: (out / "log.jsonl").is_file() and (out / "log.jsonl").stat().st_size > 0, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Saved after step" in said and "To go on:" in said and "--resume" in said and "'" in said
    assert len(checkpoints(out / "checkpoints")) == 1


def test_who_comes_second_does_not_write_over_the_first(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, corpus = tmp_path / "out", pretraining._corpus

    def meanwhile(*given: Any) -> Corpus:
        out.mkdir()
        (out / pretraining.MADE).write_text("of another process")
        return corpus(*given)

    monkeypatch.setattr(pretraining, "_corpus", meanwhile)
    assert main(["pretrain", recipe, "--out", str(out)]) == 2
    assert "another process has been training in" in capsys.readouterr().err
    assert (out / pretraining.MADE).read_text() == "of another process"


def test_a_log_without_room_says_how_to_go_on(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    (out / "checkpoints").mkdir(parents=True)
    (out / "log.jsonl").symlink_to("/dev/full")
    assert main(["pretrain", recipe, "--out", str(out)]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "log.jsonl: No space left" in said and "then go on with: sightline pretrain" in said
    gc.collect()  # what was given up does not save by itself later on, either
    assert not checkpoints(out / "checkpoints")


def test_a_log_is_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    """What a killed process wrote after it comes again, and of a line only whole ones count."""
    lines = [json.dumps({"step": step}) + "\n" for step in (1, 2, 3)]
    path = tmp_path / "log.jsonl"
    for before, step, after in ((lines, 2, lines[:2]), ([*lines[:2], '{"step": 3'], 3, lines[:2]), (lines, 0, [])):
        path.write_text("".join(before))
        with log(tmp_path, step):
            pass
        assert path.read_text() == "".join(after)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "run.stepz=3"], "there is no field run.stepz: did you mean 'steps'?"),
        (["--minutes", "-1"], "run: --minutes -1.0 must be more than 0"),
        (["--corpus", "nowhere"], "nowhere holds no corpus"),
        (["--set", "corpus.files=[]"], "corpus.files is []"),
        (["--set", 'corpus.files=["absent.txt"]'], "absent.txt"),
        (["--set", "model.family=gtp2"], "did you mean 'gpt2'"),
        (["--set", "batches.tokens=5000"], "too few for a row of 5000"),
        (["--device", "nonsense"], "--device nonsense cannot be used here"),
    ],
)
def test_what_cannot_be_is_one_line(
    recipe: str, tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", recipe, "--out", str(tmp_path / "out"), *words]) == 2
    captured = capsys.readouterr()
    assert says in captured.err.splitlines()[-1] and captured.out == ""


@pytest.mark.parametrize("words", [[], ["--resume"]])
def test_a_corpus_that_came_to_nothing_blocks_no_folder(
    recipe: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither an error while it is prepared or after it, nor a process that was killed meanwhile."""
    given = ["pretrain", recipe, "--out", str(tmp_path / "out"), "--set", "run.steps=2"]
    assert main([*given, "--set", "batches.tokens=5000"]) == 2
    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "_say_plan", lambda *_: os._exit(9))
        process = multiprocessing.get_context("fork").Process(target=main, args=(given,))
        process.start()
        process.join()
    assert process.exitcode == 9 and (tmp_path / "out" / "corpus").is_dir()
    assert main([*given, *words]) == 0
    assert "model" in capsys.readouterr().out


def test_a_corpus_is_named_from_where_the_recipe_is(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = str(Path(recipe).parent / "texts.txt")
    told = ["--documents", "lines", "--kind", "wordpiece", "--vocabulary", "60", "--valid"]
    assert main(["prepare", texts, "--out", str(tmp_path / "there" / "corpus"), *told, "0.2"]) == 0
    table = RECIPE[RECIPE.index("[corpus]") : RECIPE.index("[model]")]
    (tmp_path / "there" / "recipe.toml").write_text('corpus = "corpus"\n' + RECIPE.replace(table, ""))
    monkeypatch.chdir(tmp_path)
    given = ["pretrain", "there/recipe.toml", "--set", "run.steps=1"]
    assert main([*given, "--out", "out"]) == 0
    assert main(["prepare", texts, "--out", "other", *told, "0.4"]) == 0
    capsys.readouterr()
    assert main([*given, "--out", "out", "--corpus", "other", "--resume"]) == 2
    assert "out was taught on another corpus" in capsys.readouterr().err


def test_folders_that_hold_other_things(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["pretrain", recipe, "--out", str(tmp_path)]) == 2
    assert "holds other things (mine.txt)" in capsys.readouterr().err
    assert main(["pretrain", str(tmp_path / "absent.toml"), "--out", str(tmp_path / "new")]) == 2
    assert "cannot read the recipe" in capsys.readouterr().err
