"""What a comparison keeps, so that it can go on."""

import json
from pathlib import Path

import numpy
import pytest

from sightline.comparison.store import CHOSEN, PLAN, WINNER, Store
from sightline.errors import ConfigError


def test_a_finished_run_is_found_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    store = Store.open(folder, {"seeds": 3, "contenders": ("a",)})
    predictions = numpy.random.default_rng(0).random((4, 2))
    store.keep("a", "try-1", {"dev": {"accuracy": 0.5}}, {"dev": predictions})
    again = Store.open(folder, {"seeds": 3, "contenders": ("a",)})
    assert again.finished("a", "try-1") == {"dev": {"accuracy": 0.5}}
    assert (again.predictions("a", "try-1")["dev"] == predictions).all()
    assert again.finished("a", "try-2") is None


def test_a_damaged_record_counts_as_not_finished(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "out", {})
    store.keep("a", "try-1", {"x": 1}, {})
    (store.place("a") / "try-1.json").write_text('{"x": ')
    assert store.finished("a", "try-1") is None


def test_names_that_are_no_file_names_get_folders_of_their_own(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "out", {})
    names = ["a/b", "a-b", "a:b", "..", ".", "a@causal#frozen", "x" * 300, "é"]
    places = [store.place(name) for name in names]
    assert len(set(places)) == len(names)
    assert all(place.parent == tmp_path / "out" / "runs" for place in places)
    assert all(place.name.strip(".") for place in places)


def test_another_comparison_does_not_go_into_the_same_folder(tmp_path: Path) -> None:
    Store.open(tmp_path / "out", {"seeds": 3, "size": "mini"})
    with pytest.raises(ConfigError, match=r"another comparison \(not the same: seeds\)"):
        Store.open(tmp_path / "out", {"seeds": 5, "size": "mini"})


def test_what_is_no_comparison_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        Store.open(tmp_path / "notes", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        Store.open(tmp_path / "file", {})
    assert sorted(path.name for path in (tmp_path / "notes").iterdir()) == ["mine.txt"]


def test_a_lock_alone_is_what_a_killed_start_leaves(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    Store.open(tmp_path, {})
    assert (tmp_path / PLAN).is_file()


def test_one_model_is_crowned_and_the_others_go(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "out", {})
    for contender, run in (("a", "seed-0"), ("a", "seed-1"), ("b", "seed-0")):
        store.model(contender, run).mkdir(parents=True)
        (store.model(contender, run) / "which").write_text(f"{contender} {run}")
    store.forget_models("a", but="seed-1")
    assert not store.model("a", "seed-0").exists() and store.model("b", "seed-0").exists()
    assert store.crown("a", "seed-1", {"contender": "a"})
    assert json.loads((store.folder / WINNER / CHOSEN).read_text()) == {"contender": "a"}
    assert (store.folder / WINNER / "which").read_text() == "a seed-1"
    assert (store.folder / PLAN).is_file()
