"""The verb compare: the real command, its answers, and what happens when it is stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from comparison.compared import small_model, texts, without_times, write
from sightline.app.cli import main

TINY = ["--passes", "1", "--size", "tiny", "--budget", "0"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows and a small checkpoint."""
    folder = tmp_path_factory.mktemp("place")
    write(folder / "rows.csv", texts(60))
    small_model(folder / "small")
    return folder


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "sightline", "compare", *args, *TINY]


def run(place: Path, *args: str, largest_file: int | None = None) -> subprocess.CompletedProcess[str]:
    """The real command; `largest_file` in KiB stands for a disk that is full."""
    limited = ["bash", "-c", f'ulimit -f {largest_file} && exec "$@"', "bash"] if largest_file else []
    return subprocess.run(
        [*limited, *command(*args)], cwd=place, capture_output=True, text=True, encoding="utf-8", timeout=300
    )


def results(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(place: Path) -> subprocess.CompletedProcess[str]:
    return run(place, "rows.csv", "--contenders", "majority,tfidf,small", "--seeds", "2", "--out", "whole")


def test_the_answer_is_on_stdout_and_the_talk_on_stderr(place: Path, whole: subprocess.CompletedProcess[str]) -> None:
    assert whole.returncode == 0, whole.stderr
    found = results(place / "whole")
    blank, head, *lines = whole.stdout.splitlines()
    assert blank == "" and head.split()[0] == "accuracy"
    assert {line.split()[0] for line in lines[:3]} == {"majority", "tfidf", "small"}
    assert found["verdict"] in whole.stdout and "report  whole/report.html" in whole.stdout
    assert f"model   whole/winner ({found['best']}" in whole.stdout
    said = whole.stderr.splitlines()
    assert said[0] == "Reading rows.csv" and any("the column 'text'" in line for line in said)
    assert any("in all." in line for line in said) and any(line.startswith("100%  ") for line in said)
    assert "compare rows.csv --contenders majority,tfidf,small" in found["command"]


def test_json_is_one_line_of_the_shape_that_is_documented(
    place: Path, whole: subprocess.CompletedProcess[str], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(place)
    args = ["compare", "rows.csv", "--contenders", "majority,tfidf,small", "--seeds", "2", "--out", "whole", *TINY]
    assert main([*args, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "Reading rows.csv\nThis comparison is finished; this is the answer in whole.\n"
    found = json.loads(captured.out)
    assert list(found) == ["winner", "verdict", "contenders", "folder"] and captured.out.count("\n") == 1
    wanted = {"name", "method", "labels", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "train_seconds"}
    for each in found["contenders"]:
        assert wanted | {"ms_per_row", "parameters"} <= set(each)
        assert not any(isinstance(value, list) for value in each.values())


def test_a_model_that_was_removed_is_not_announced(
    place: Path, whole: subprocess.CompletedProcess[str], capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(place)
    shutil.copytree(place / "whole", place / "gone", ignore=shutil.ignore_patterns("winner"))
    args = ["compare", "rows.csv", "--contenders", "majority,tfidf,small", "--seeds", "2", "--out", "gone", *TINY]
    for more in ([], ["--json"]):
        assert main([*args, *more]) == 0
        captured = capsys.readouterr()
        assert "gone/winner" not in captured.out
        assert captured.err.endswith(
            "note: the model gone/winner is gone; remove gone, and the same command makes it anew\n"
        )


def test_a_winner_that_transformers_reads_otherwise_is_said_to_be_one(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(place)
    for name, differs in {"decoder": True, "encoder": False, "tfidf": False}.items():
        assert main(["compare", "rows.csv", "--contenders", name, "--seeds", "1", "--out", name, *TINY]) == 0
        captured = capsys.readouterr()
        assert f"model   {name}/winner" in captured.out
        said = "note: sightline reads the mask causal and the pooling last; transformers does not, and gives"
        assert (said in captured.err) == differs


def _stop_after(place: Path, folder: str, seconds: float, sign: int) -> subprocess.CompletedProcess[str]:
    """The command, sent a signal so long after its folder appeared."""
    args = command("rows.csv", "--contenders", "majority,tfidf,small", "--seeds", "2", "--out", folder)
    process = subprocess.Popen(args, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (place / folder / "plan.json").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(sign)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(args, process.returncode, out, err)


def test_killed_at_random_moments_it_goes_on_to_the_same_results(
    place: Path, whole: subprocess.CompletedProcess[str]
) -> None:
    draw, kills = random.Random(0), 0
    for _ in range(4):
        kills += _stop_after(place, "killed", draw.uniform(0.0, 1.5), signal.SIGKILL).returncode == -signal.SIGKILL
    last = run(place, "rows.csv", "--contenders", "majority,tfidf,small", "--seeds", "2", "--out", "killed")
    assert last.returncode == 0 and kills >= 1
    found, wanted = (without_times(results(place / name)) for name in ("killed", "whole"))
    assert {**found, "folder": ""} == {**wanted, "folder": ""}
    assert not [path for path in (place / "killed").rglob("*") if "unfinished" in path.name]


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(place: Path, seconds: float) -> None:
    done = _stop_after(place, f"stopped-{seconds}", seconds, signal.SIGINT)
    if done.returncode == 0:
        pytest.skip("it was finished before it could be stopped")
    assert done.returncode == 130 and done.stdout == ""
    assert "Traceback" not in done.stderr
    *_, kept, stopped = done.stderr.strip().splitlines()
    assert stopped == "Stopped." and "the same command" in kept


def test_a_disk_that_is_full_ends_it_and_loses_nothing(place: Path) -> None:
    args = ["rows.csv", "--contenders", "majority,small", "--seeds", "1", "--out", "full"]
    done = run(place, *args, largest_file=20)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "small failed" not in done.stderr, "a full disk is no fault of a contender's"
    assert last.startswith("sightline: cannot write full/") and "File too large" in last and "goes on" in last
    assert (place / "full" / "runs" / "majority" / "seed-0.json").is_file()
    again = run(place, *args)
    assert again.returncode == 0 and "2 training runs" not in again.stderr and "finished already" in again.stderr


def test_a_folder_on_a_read_only_disk_is_named(
    place: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["compare", "rows.csv", "--contenders", "majority", "--out", "/proc/compared", *TINY]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("sightline: cannot make the folder /proc/compared: ")


def test_all_that_fail_give_exit_code_1(place: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    assert main(["compare", "rows.csv", "--contenders", "./none,./neither", "--out", "failed", *TINY]) == 1
    captured = capsys.readouterr()
    assert "no contender finished" in captured.err.splitlines()[-1]
    assert "./none failed: " in captured.err and (place / "failed" / "results.json").is_file()


WRONG = [
    (["rows.csv", "--text", "body"], "'text', 'label'"),
    (["rows.csv", "--label", "stars"], "'text', 'label'"),
    (["none.csv"], "none.csv"),
    (["rows.csv", "--contenders", ""], "no contenders"),
    (["rows.csv", "--contenders", "tfidff"], "did you mean 'tfidf'"),
    (["rows.csv", "--size", "vast"], "no size 'vast'"),
    (["rows.csv", "--budget", "-1"], "--budget -1.0 must be"),
    (["rows.csv", "--seeds", "0"], "--seeds 0 must be"),
    (["rows.csv", "--kind", "colours"], "colours"),
    (["rows.csv", "--out", "."], "not empty"),
    (["rows.csv", "--out", "rows.csv"], "is a file"),
    (["rows.csv", "--test", "rows.csv"], "give files that share no rows"),
    (["rows.csv", "--dev", "none.csv"], "none.csv"),
    (["rows.csv", "--colour", "red"], "--colour"),
]


@pytest.mark.parametrize(("args", "says"), WRONG, ids=[" ".join(args) for args, _ in WRONG])
def test_wrong_use_gives_one_line_and_exit_code_2(
    place: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    monkeypatch.chdir(place)
    before = sorted(os.listdir(place))
    assert main(["compare", *args]) == 2
    captured = capsys.readouterr()
    last = captured.err.splitlines()[-1]
    assert last.startswith("sightline: ") and says in last and captured.out == ""
    assert sorted(os.listdir(place)) == before, "nothing is written"


@pytest.mark.slow
def test_a_file_of_two_gigabytes_is_read_in_bounded_memory(tmp_path: Path) -> None:
    rows, filler = tmp_path / "rows.csv", "and it went on and on " * 90
    with rows.open("w", encoding="utf-8") as file:
        file.write("text,label\n")
        number = 0
        while file.tell() < 2**31:
            file.writelines(f"Row {number + i} {filler},{'good' if i % 2 else 'bad'}\n" for i in range(1000))
            number += 1000
    args = ["rows.csv", "--rows", "500", "--contenders", "majority,tfidf", "--seed", "7", "--out", "out"]
    with (tmp_path / "said").open("w") as talk:
        process = subprocess.Popen(command(*args), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=talk)
        _, status, used = os.wait4(process.pid, 0)
    said = (tmp_path / "said").read_text(encoding="utf-8")
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    assert f"500 of {number:,} labelled rows, drawn with seed 7." in said
    assert used.ru_maxrss < 1_500_000, f"{used.ru_maxrss} KiB"  # torch alone takes a third of it
    found = results(tmp_path / "out")
    assert found["data"]["rows"]["sampled_from"] == number and found["data"]["rows"]["train"] < 500


def test_the_winner_of_pairs_knows_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [(text, other, label) for (text, label), (other, _) in zip(texts(60), texts(60, seed=1), strict=True)]
    rows = write(tmp_path / "rows.csv", pairs, ("premise", "hypothesis", "label"))
    folder = tmp_path / "out"
    assert main(["compare", str(rows), "--contenders", "tfidf", "--out", str(folder), *TINY]) == 0
    capsys.readouterr()
    said = json.loads((folder / "winner" / "sightline-comparison.json").read_text(encoding="utf-8"))
    assert said["contender"] == "tfidf" and said["columns"] == {"text": ["premise", "hypothesis"], "label": "label"}
    assert str(tmp_path) not in json.dumps(said), "no path of this computer"
    new = write(tmp_path / "new.csv", [("7", "a text", "another")], ("id", "premise", "hypothesis"))
    assert main(["classify", str(folder / "winner"), str(new), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["text"], answer["pair"]) == ("a text", "another")
