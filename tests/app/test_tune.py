"""`sightline tune`: a model folder from rows, whatever interrupts it."""

import csv
import json
import os
import random
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy
import pytest
import torch
import transformers

import sightline as sl
from sightline.app.cli import main
from sightline.app.tune_request import Request
from sightline.errors import CheckpointError
from tasks.labelled_rows import LABELS, classes, numbers

TINY = ["--size", "tiny", "--passes", "1"]
MADE = "sightline-training.json"


def write(path: Path, header: list[str], rows: Iterable[tuple[object, ...]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tables of rows, and a folder with a model of 16 numbers a token, that is quick to save."""
    folder = tmp_path_factory.mktemp("files")
    one, two, number = classes(100), classes(100, pairs=True), numbers(100)
    named = [LABELS[target] for target in one.targets]
    tokenizer = sl.learn_tokenizer(one.texts, vocabulary=150)
    sizes = {"layers": 1, "width": 16, "attention_heads": 2, "inner": 32, "positions": 24}
    sl.build("bert", "tiny", tokenizer=tokenizer, **sizes).save(folder / "bert")
    assert two.pairs is not None
    said = [LABELS[target] for target in two.targets]
    return {
        "folder": str(folder),
        "bert": str(folder / "bert"),
        "classes": write(folder / "classes.csv", ["text", "label"], zip(one.texts, named, strict=True)),
        "pairs": write(
            folder / "pairs.csv", ["premise", "hypothesis", "label"], zip(two.texts, two.pairs, said, strict=True)
        ),
        "numbers": write(
            folder / "numbers.csv", ["text", "score"], zip(number.texts, number.targets + 0.5, strict=True)
        ),
    }


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "sightline", "tune", *map(str, args)]


def record(out: Path) -> dict[str, object]:
    return dict(json.loads((out / MADE).read_text()))


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def wait_for(what: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.0005)


# What comes out


def test_a_folder_that_transformers_opens_too(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "model"
    assert main(["tune", files["bert"], files["classes"], "--out", str(out), "--passes", "2"]) == 0
    captured = capsys.readouterr()
    assert {path.name for path in out.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json", MADE}
    assert not (out / "checkpoints").exists()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["dev", "test", "model"]
    for said in ("The texts are in the column 'text'", "Split at random with seed 0", "To learn: 3 classes (bad "):
        assert said in captured.err
    assert f"sightline classify {out}" in captured.err and "\r" not in captured.err
    texts = ["the soup was cold", "a lovely lamp"]
    theirs = transformers.pipeline("text-classification", model=str(out), top_k=None, device="cpu")(texts)
    for ours, said_ in zip(sl.classify(sl.load(out), texts).array, theirs, strict=True):
        assert {each["label"]: each["score"] for each in said_} == pytest.approx(
            dict(zip(LABELS, ours, strict=True)), abs=1e-5
        )


def test_how_it_was_made_is_beside_it(files: dict[str, str], tmp_path: Path) -> None:
    for out in ("one", "two"):
        rows = ["tune", files["bert"], files["classes"], "--passes", "2", "--class-weights", "balanced"]
        assert main([*rows, "--out", str(tmp_path / out)]) == 0
    one, two = record(tmp_path / "one"), record(tmp_path / "two")
    assert weights(tmp_path / "one") == weights(tmp_path / "two"), "the same command makes the same model"
    assert {key: value for key, value in one.items() if key != "seconds"} == {
        key: value for key, value in two.items() if key != "seconds"
    }
    assert files["folder"] not in (tmp_path / "one" / MADE).read_text(), "no path of this computer"
    assert one["base"] == "bert" and one["files"] == dict.fromkeys(("train", "dev", "test"), "classes.csv")
    assert one["columns"] == {"text": ["text"], "label": "label"} and one["labels"] == list(LABELS)
    assert sum(one["rows"].values()) <= 100 and len(one["sha256_of_rows"]["test"]) == 64  # type: ignore[attr-defined,index]
    assert one["config"]["class_weights"] == "balanced" and len(one["history"]) == 2  # type: ignore[index,arg-type]
    assert {"accuracy", "macro_f1", "log_loss"} <= one["dev"].keys() == one["test"].keys()  # type: ignore[attr-defined]
    assert one["versions"]["torch"] == torch.__version__.split("+")[0] or "+" in one["versions"]["torch"]  # type: ignore[index]


@pytest.mark.parametrize("family", ["bert", "gpt2", "roberta", "distilbert"])
def test_new_networks_of_every_family(family: str, files: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["tune", f"new:{family}", files["pairs"], *TINY, "--out", str(out)]) == 0
    model = sl.load(out)
    assert (model.layout.model_type, model.labels) == (family, LABELS)
    assert record(out)["base"] == f"new:{family}" and record(out)["columns"]["text"] == ["premise", "hypothesis"]  # type: ignore[index]
    theirs = transformers.pipeline("text-classification", model=str(out), top_k=None, device="cpu")
    said = {each["label"]: each["score"] for each in theirs({"text": "so a lamp", "text_pair": "the soup was cold"})}
    ours = sl.classify(model, ["so a lamp"], ["the soup was cold"]).array[0]
    assert said == pytest.approx(dict(zip(LABELS, ours, strict=True)), abs=1e-5)


def test_numbers_and_another_mask(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    args = ["tune", "new:gpt2", files["numbers"], *TINY, "--mask", "bidirectional", "--json", "--out", str(out)]
    assert main(args) == 0
    captured = capsys.readouterr()
    said = json.loads(captured.out)
    assert said["task"] == "numbers" and said["labels"] is None and "pearson" in said["test"]
    assert "To learn: a number, 100.5 to 500.5" in captured.err and "pooling mean" in captured.err
    model = sl.load(out)
    assert "note: sightline reads the mask bidirectional" in captured.err
    assert model.regression and str(model.mask) == "bidirectional" == str(model.trained_mask)
    values = sl.classify(model, classes(20, seed=1).texts).array
    assert 150 < values.mean() < 450
    config = json.loads((out / "config.json").read_text())
    assert config["problem_type"] == "regression" and "transformers does not" in config["sightline"]["note"]


def test_imbalance_and_what_is_cut_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = random.Random(0)
    words = "soup tea lamp shop noon round green tall late".split()
    texts = [" ".join(drawn.choices(words, k=60)) for _ in range(60)]
    labels = ["ham" if place % 10 else "spam" for place in range(60)]
    rows = write(tmp_path / "rows.csv", ["text", "label"], zip(texts, labels, strict=True))
    for long, says in (("cut", "and are cut"), ("windows", "and are read in windows")):
        args = [*TINY, "--max-length", "32", "--long", long, "--out", str(tmp_path / long)]
        assert main(["tune", "new:bert", rows, *args]) == 0
        err = capsys.readouterr().err
        assert re.search(r"note: 'ham' has (8|9|1\d)", err) and "--class-weights balanced" in err
        assert says in err and "more than 32 tokens" in err
        assert sl.load(tmp_path / long).long == long
    assert record(tmp_path / "cut")["cut"] == record(tmp_path / "cut")["rows"]["train"]  # type: ignore[index]


def test_a_classifier_goes_on_with_its_own_head(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["tune", files["bert"], files["classes"], "--passes", "1", "--out", str(first)]) == 0
    args = ["--passes", "1", "--learning-rate", "1e-9", "--precision", "float32", "--out", str(second)]
    capsys.readouterr()
    assert main(["tune", str(first), files["classes"], *args]) == 0
    assert "goes on with the head that it has" in capsys.readouterr().err
    before, after = sl.load(first).head("classifier"), sl.load(second).head("classifier")
    assert torch.allclose(before.output.weight, after.output.weight, atol=1e-6)  # type: ignore[union-attr,arg-type]


def test_where_somebody_watches_there_is_a_bar(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    assert main(["tune", files["bert"], files["classes"], "--passes", "2", "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert re.search(r"loss \d\.\d{3} · \d+ rows/s · 0:0\d left · dev \d", captured.err)
    assert "pass 2: training loss" in captured.err and captured.out.startswith("dev ")


# What interrupts it


def test_killed_ten_times_it_ends_as_if_it_never_was(files: dict[str, str], tmp_path: Path) -> None:
    """SIGKILL leaves no time for anything: at any moment, and within the writing of a checkpoint."""
    settings = ["--passes", 18, "--batch-rows", 8, "--early-stopping", 100, "--precision", "float32"]
    straight, out = tmp_path / "straight", tmp_path / "killed"
    assert main(["tune", *map(str, [files["bert"], files["classes"], *settings, "--out", straight])]) == 0
    again = command(files["bert"], files["classes"], *settings, "--checkpoint-every", 1, "--out", out, "--resume")
    drawn, checkpoints = random.Random(0), out / "checkpoints"

    def names() -> set[str]:
        return set(os.listdir(checkpoints)) if checkpoints.is_dir() else set()

    def parts() -> set[str]:
        return {name for name in names() if name.endswith(".part")}

    within_writing, steps = 0, []
    for kill in range(10):
        before = names()
        with subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            wait_for(lambda before=before: bool({n for n in names() if not n.startswith(".")} - before), process)  # type: ignore[misc]
            if kill % 2:
                left = parts()  # of the kill before, until the first checkpoint of this run took it away
                wait_for(lambda left=left: bool(parts() - left), process)  # type: ignore[misc]
            else:
                time.sleep(drawn.uniform(0, 0.05))
            process.kill()
            process.wait()
            assert process.returncode == -signal.SIGKILL and process.stderr is not None
            process.stderr.read()
        within_writing += bool(parts())
        steps.append(max(int(name.rpartition("-")[2]) for name in names() if not name.startswith(".")))
    assert within_writing >= 3
    assert steps == sorted(steps) and steps[0] < steps[-1]
    done = subprocess.run(again, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"Going on after step {steps[-1]} of" in done.stderr
    assert weights(out) == weights(straight)
    kept = ("history", "dev", "test", "best", "steps")
    assert {key: record(out)[key] for key in kept} == {key: record(straight)[key] for key in kept}
    assert {path.name for path in out.iterdir()} == {path.name for path in straight.iterdir()}


def test_ctrl_c_saves_and_says_how_to_go_on(files: dict[str, str], tmp_path: Path) -> None:
    out, straight = tmp_path / "my out", tmp_path / "straight"
    args = [files["bert"], files["classes"], "--passes", "40", "--batch-rows", "8"]
    with subprocess.Popen(command(*args, "--out", out), stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: (out / "checkpoints").is_dir() and any((out / "checkpoints").iterdir()), process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    *_, saved, go_on, last = err.splitlines()
    assert "\nStopping after this step, then saving" in err and saved.startswith("Saved after step ")
    assert last == "Stopped." and str(out / "checkpoints") in saved
    assert (
        go_on.strip() == Request(model=files["bert"], rows=files["classes"], out=out, passes=40, batch_rows=8).again()
    )
    line = go_on.replace("sightline tune", f"{shlex.quote(sys.executable)} -m sightline tune", 1)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "Going on after step" in done.stderr
    assert main(["tune", *args, "--out", str(straight)]) == 0
    assert weights(out) == weights(straight)


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_two_processes_do_not_train_in_one_folder(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    args = [files["bert"], files["classes"], "--passes", "400", "--batch-rows", "8", "--out", str(out)]
    with subprocess.Popen(command(*args, "--checkpoint-every", 1), stderr=subprocess.DEVNULL, text=True) as process:
        wait_for(lambda: (out / "checkpoints").is_dir() and any((out / "checkpoints").iterdir()), process)
        for more in (["--resume"], []):
            assert main(["tune", *args, *more]) == 2
            assert f"sightline: another process is training in {out}; wait" in capsys.readouterr().err
        process.kill()
    assert main(["tune", *args]) == 2 and "--resume goes on with it" in capsys.readouterr().err


def test_a_full_disk_loses_nothing(files: dict[str, str], tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk without room: the system refuses to write, as there."""
    out, straight = tmp_path / "out", tmp_path / "straight"
    args = [files["bert"], files["classes"], "--passes", "3", "--batch-rows", "16"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(command(*args, "--out", out), capture_output=True, text=True, preexec_fn=limit, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert sum(line.startswith("sightline: ") for line in done.stderr.splitlines()) == 1
    assert "cannot write" in done.stderr and "File too large" in done.stderr and "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert main(["tune", *args, "--out", str(out), "--resume"]) == 0
    assert main(["tune", *args, "--out", str(straight)]) == 0
    assert weights(out) == weights(straight)


def test_no_room_for_the_result_loses_no_training(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    args = ["tune", files["bert"], files["classes"], "--passes", "2", "--out", str(out)]

    def refuse(*given: object) -> None:
        raise CheckpointError("cannot write it: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sightline.weights.files.write_json", refuse)
        assert main(args) == 2
    assert "No space left on device; then go on with: sightline tune" in capsys.readouterr().err
    assert main(args) == 2 and "--resume goes on with it" in capsys.readouterr().err
    (out / ".model.safetensors.0a1b2c3d.part").write_bytes(b"half")
    assert main([*args, "--resume"]) == 0
    captured = capsys.readouterr()
    assert "Going on after step" in captured.err and "pass 1" not in captured.err, "nothing was learned twice"
    assert not list(out.glob(".*.part")) and not (out / "checkpoints").exists()
    assert main([*args, "--resume"]) == 0
    finished = capsys.readouterr()
    assert "finished before" in finished.err and finished.out == captured.out
    other = ["tune", files["bert"], files["numbers"], "--passes", "3", "--out", str(out), "--resume"]
    assert main(other) == 2
    assert "(not the same: train rows, dev rows, test rows, --passes)" in capsys.readouterr().err


# What is refused


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--out", "{file}"], "is a file; name a folder"),
        (["--out", "{full}"], "holds other things (notes.txt)"),
        (["--out", "{full}", "--resume"], "holds other things (notes.txt)"),
        (["--out", "{file}/inside"], "file is no folder that you may write to"),
        (["--out", "{new}", "--label", "lable"], "no column 'lable'"),
        (["--out", "{new}", "--freeze", "some"], "--freeze is 'some'; give a number of layers, or all"),
        (["--out", "{new}", "--freeze", "7"], "--freeze 7 is too many: the model has 1 block;"),
        (
            ["--out", "{new}", "--size", "mini"],
            "--size mini is for new networks, such as new:gpt2; bert has a size of its own",
        ),
        (["--out", "{new}", "--passes", "0"], "--passes 0 must be a whole number"),
        (["--out", "{new}", "--learning-rate", "-1"], "--learning-rate -1.0 must be more than 0"),
        (["--out", "{new}", "--class-weights", "even"], "--class-weights even must be"),
        (["--out", "{new}", "--checkpoint-every", "0"], "--checkpoint-every 0 must be"),
        (["--out", "{new}", "--pooling", "max"], "--pooling max is none; choose"),
        (
            ["--out", "{new}", "--long", "short"],
            "--long short is none; where texts are too long, choose cut, windows",
        ),
        (["--out", "{new}", "--mask", "causal", "--pooling", "first"], "'first' means nothing here"),
        (["--out", "{new}", "--mask", "cauzal"], "cauzal"),
        (["--out", "{new}", "--max-length", "2000"], "--max-length 2000 cannot be; choose 1 to 24"),
    ],
)
def test_what_cannot_be_is_one_line(
    args: list[str], says: str, files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").mkdir()
    for name in ("full/notes.txt", "file"):
        (tmp_path / name).write_text("mine")
    places = {name: tmp_path / name for name in ("file", "full", "new")}
    assert main(["tune", files["bert"], files["classes"], *(arg.format(**places) for arg in args)]) == 2
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("sightline: ")]
    assert len(errors) == 1 and says in errors[0] and captured.out == ""
    assert not (tmp_path / "new").exists() and [path.name for path in (tmp_path / "full").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("model", "args", "says"),
    [
        ("new:xlnt", [], "did you mean 'xlnet'"),
        ("new:", [], "there is no model type ''"),
        ("new:xlnet", ["--size", "huge"], "no size 'huge' of 'xlnet'; choose one of tiny"),
        ("new:xlnet", ["--mask", "cauzal"], "did you mean causal"),
        (
            "new:xlnet",
            ["--device", "nowhere"],
            "(there is no such device; cpu, cuda and mps are some)",
        ),
        ("xlnet", [], "'xlnet' is a family and no checkpoint: new:xlnet is a new network of it"),
    ],
)
def test_what_no_rows_could_help_is_said_before_they_are_read(
    model: str, args: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", model, str(tmp_path / "absent.csv"), "--out", str(tmp_path / "new"), *args]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and len(captured.err.splitlines()) == 1 and captured.out == ""


def test_other_settings_do_not_go_on(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ["tune", files["bert"], files["classes"], "--passes", "2", "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr("sightline.weights.files.write_json", lambda *given: (_ for _ in ()).throw(CheckpointError("no")))
        assert main(args) == 2
    for change in (["--seed", "1"], ["--learning-rate", "0.1"], ["--mask", "causal"], ["--class-weights", "balanced"]):
        capsys.readouterr()
        assert main([*args, *change, "--resume"]) == 2
        assert "another training" in capsys.readouterr().err
    assert main([*args, "--resume"]) == 0


# Real rows


def test_real_rows(data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sample of SMS messages, spam or not: a network of 2 layers is better than the commonest class."""
    lines = (data_folder / "classification" / "sms-spam" / "sms.tsv").read_text(encoding="utf-8").splitlines()[:500]
    rows = [(text, label) for label, _, text in (line.partition("\t") for line in lines)]
    file = write(tmp_path / "sms.csv", ["text", "label"], rows)
    args = ["--size", "tiny", "--passes", "3", "--json", "--max-length", "32", "--learning-rate", "2e-3"]
    assert main(["tune", "new:gpt2", file, *args, "--out", str(tmp_path / "out")]) == 0
    said = json.loads(capsys.readouterr().out)
    commonest = numpy.mean([label == "ham" for _, label in rows])
    assert said["test"]["accuracy"] > commonest + 0.03
