"""The comparison as a whole: what it gives, what is held equal, what goes on and what fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import polars
import pytest
import torch

import sightline as sl
from comparison.compared import small_model, texts, without_times, write
from sightline.comparison import contend as contending
from sightline.comparison import learners, measure, networks
from sightline.comparison.compare import compare
from sightline.comparison.question import Question
from sightline.comparison.running import Comparison
from sightline.errors import ConfigError, InputError
from sightline.tasks import fresh
from sightline.tasks.classify import ModelClassifier, open_classifier

SMALL: dict[str, Any] = {"passes": 1, "size": "tiny", "budget": None}


@pytest.fixture(scope="module", autouse=True)
def answers_are_timed_in_no_time() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "LEAST_SECONDS", 0.01)
        patch.setattr(measure, "ALONE", 3)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Any]:
    """A comparison of all kinds of contenders."""
    folder = tmp_path_factory.mktemp("finished")
    rows = write(folder / "rows.csv", texts(120))
    return compare(rows, contenders=all_kinds(model), seeds=2, out=folder / "out", **SMALL).results()


def all_kinds(model: Path) -> list[str]:
    return ["majority", "tfidf", "encoder", str(model), f"{model}@causal", f"{model}#frozen"]


def test_every_contender_has_its_numbers(finished: dict[str, Any]) -> None:
    found = finished["contenders"]
    assert [each["name"] for each in found] == ["majority", "tfidf", "encoder", "small", "small@causal", "small#frozen"]
    for each in found:
        assert each["status"] == "ok" and each["error"] is None
        assert 0 <= each["accuracy_low"] <= each["accuracy"] <= each["accuracy_high"] <= 1
        assert each["ms_per_row"] > 0 and each["ms_per_row_p95"] >= each["ms_per_row"] and each["rows_per_second"] > 0
        assert each["labels"] == finished["data"]["rows"]["train"]
        assert numpy.sum(each["confusion"]) == finished["data"]["rows"]["test"]
    assert [len(each["tries"]) for each in found] == [1, 4, 4, 4, 4, 4]
    assert [len(each["seeds"]) for each in found] == [1, 1, 2, 2, 2, 1]
    assert [each["mask"] for each in found] == [None, None, "bidirectional", "bidirectional", "causal", "bidirectional"]
    assert len(finished["comparisons"]) == 15


def test_who_was_tuned_to_an_end_of_what_was_tried_is_named(finished: dict[str, Any]) -> None:
    named = re.findall(r"([\w@#]+) \(([\w ]+) (\S+), the (\w+)\)", " ".join(finished["held_equal"]))
    ends = []
    for each in finished["contenders"]:
        if len(each["settings"]) == 1:
            [(name, chosen)] = each["settings"].items()
            tried = sorted(attempt["settings"][name] for attempt in each["tries"])
            if chosen in (tried[0], tried[-1]):
                end = "largest" if chosen == tried[-1] else "smallest"
                ends.append((each["name"], name.replace("_", " "), f"{chosen:g}", end))
    assert named == ends and 0 < len(ends) < 6


def test_the_folder_holds_results_report_predictions_and_the_winner(finished: dict[str, Any]) -> None:
    folder = Path(finished["folder"])
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == finished
    assert finished["verdict"].split(";")[0][:20] in (folder / "report.html").read_text(encoding="utf-8")
    table = polars.read_parquet(folder / "predictions.parquet")
    assert len(table) == finished["data"]["rows"]["test"] * sum(len(each["seeds"]) for each in finished["contenders"])
    for each in finished["contenders"]:
        own = table.filter(polars.col("contender") == each["name"])
        assert (own["truth"] == own["prediction"]).mean() == pytest.approx(each["accuracy"])
    best = next(each for each in finished["contenders"] if each["name"] == finished["best"])
    classifier = open_classifier(folder / finished["model"])
    assert classifier.labels == ("bad", "good") and classifier.parameters == best["parameters"]
    assert not list(folder.glob("runs/*/*-model")), "models that did not win take no room"


def test_the_winner_gives_the_predictions_that_were_judged(finished: dict[str, Any]) -> None:
    folder = Path(finished["folder"])
    table = polars.read_parquet(folder / "predictions.parquet").filter(polars.col("contender") == finished["best"])
    given = open_classifier(folder / "winner").predict(table["text"].unique(maintain_order=True).to_list())
    kept = [numpy.array(group["probabilities"].to_list()) for _, group in table.group_by("seed", maintain_order=True)]
    assert any(numpy.allclose(given, each, atol=1e-6) for each in kept)


def test_started_again_a_finished_comparison_answers_without_work(
    finished: dict[str, Any], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline.comparison.running.learner_of", None)
    folder = Path(finished["folder"])
    again = compare(folder.parent / "rows.csv", contenders=all_kinds(model), seeds=2, out=folder, **SMALL).results()
    assert again == finished


def test_a_contender_that_joins_is_all_that_has_to_learn(tmp_path: Path, model: Path) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    settings = {"seeds": 1, "command": "", **SMALL}
    whole = compare(rows, contenders=["tfidf", "decoder", str(model)], out=tmp_path / "whole", **settings).results()
    compare(rows, contenders=["tfidf", str(model)], out=tmp_path / "grown", **settings).results()
    events = list(compare(rows, contenders=["tfidf", "decoder", str(model)], out=tmp_path / "grown", **settings))
    assert {each.contender for each in events if each.what in ("timing", "tried", "judged")} == {"decoder"}
    grown = json.loads((tmp_path / "grown" / "results.json").read_text(encoding="utf-8"))
    assert without_times({**grown, "folder": ""}) == without_times({**whole, "folder": ""})
    assert (tmp_path / "grown" / "winner").is_dir()


def test_a_start_that_is_refused_leaves_the_plan_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was started with a contender more while another process compares in the folder."""

    def taken(folder: Path, doing: str) -> None:
        raise ConfigError(f"another process is {doing} in {folder}")

    rows, out = write(tmp_path / "rows.csv", texts(60)), tmp_path / "out"
    compare(rows, contenders=["majority"], out=out, **SMALL).results()
    before = (out / "plan.json").read_bytes()
    monkeypatch.setattr("sightline.comparison.running.alone", taken)
    with pytest.raises(ConfigError, match="another process is comparing"):
        compare(rows, contenders=["majority", "tfidf"], out=out, **SMALL).results()
    assert (out / "plan.json").read_bytes() == before


def test_networks_are_made_and_opened_on_the_device_that_is_asked_for(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    seen: list[object] = []

    def note(real: Any) -> Any:
        def noting(*given: Any, device: object = None, **more: Any) -> Any:
            seen.append(device)
            return real(*given, device=device, **more)

        return noting

    for place, name in ((networks, "build"), (networks, "load"), (learners, "load"), (contending, "open_classifier")):
        monkeypatch.setattr(place, name, note(getattr(place, name)))
    asked = ["tfidf", "encoder", str(model), f"{model}#frozen"]
    results = compare(rows, contenders=asked, device="cpu", out=tmp_path / "out", seeds=1, **SMALL).results()
    assert results["protocol"]["device"] == "cpu" and all(each["status"] == "ok" for each in results["contenders"])
    assert len(seen) > 8 and set(seen) == {torch.device("cpu")}
    with pytest.raises(ConfigError, match="device='nowhere' cannot be used here"):
        compare(rows, device="nowhere")


def test_other_settings_do_not_go_into_the_same_folder(finished: dict[str, Any]) -> None:
    folder = Path(finished["folder"])
    with pytest.raises(ConfigError, match=r"another comparison \(not the same: contenders, seeds\)"):
        compare(folder.parent / "rows.csv", contenders=["tfidf"], seeds=1, out=folder, **SMALL).results()
    with pytest.raises(ConfigError, match="holds no comparison"):
        compare(folder.parent / "rows.csv", out=folder.parent, **SMALL).results()


class _Stop(Exception):
    pass


def _runs(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.glob("runs/*/*.json")}


def test_stopped_anywhere_and_started_again_the_results_are_the_same(tmp_path: Path, model: Path) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    settings = {"contenders": ["tfidf", str(model)], "seeds": 2, "command": "", **SMALL}
    whole = compare(rows, out=tmp_path / "whole", **settings).results()
    events = sum(1 for _ in compare(rows, out=tmp_path / "counted", **settings))
    folder, starts = tmp_path / "stopped", 0
    while True:
        starts += 1
        comparison, before = compare(rows, out=folder, **settings), _runs(folder)
        fresh = 0
        for event in comparison:
            fresh += event.what in ("tried", "judged")
            if fresh == 2:  # two more runs than the start before, then the process is gone
                break
        else:
            break
        assert before < _runs(folder)
        assert "finished and kept in" in comparison.kept()
        comparison._events.close()  # type: ignore[attr-defined]  # as a killed process: nothing is tidied up
    assert 3 <= starts < events
    found = comparison.results()
    assert {**without_times(found), "folder": ""} == {**without_times(whole), "folder": ""}


def test_a_model_that_was_being_written_is_trained_again(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    settings = {"contenders": [str(model)], "seeds": 1, **SMALL}
    whole = compare(rows, out=tmp_path / "whole", **settings).results()
    real = ModelClassifier.save

    def torn(self: ModelClassifier, folder: Path) -> Path:
        real(self, folder)
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(ModelClassifier, "save", torn)
    with pytest.raises(KeyboardInterrupt):
        compare(rows, out=tmp_path / "torn", **settings).results()
    monkeypatch.setattr(ModelClassifier, "save", real)
    found = compare(rows, out=tmp_path / "torn", **settings).results()
    assert without_times(found["contenders"]) == without_times(whole["contenders"])


def test_one_that_fails_does_not_lose_the_others(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))

    def crash(*given: object, **settings: object) -> Iterator[float]:
        yield 0.5
        raise RuntimeError("out of luck")

    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "config.json").write_text("{")
    monkeypatch.setattr(networks.NetworkLearner, "learn", crash)
    asked = ["tfidf", str(model), str(tmp_path / "missing"), str(damaged), "majority"]
    comparison = compare(rows, contenders=asked, seeds=1, out=tmp_path / "out", **SMALL)
    said = [event.text for event in comparison if event.what == "failed"]
    found = comparison.results()
    by_name = {each["name"]: each for each in found["contenders"]}
    assert [each["status"] for each in by_name.values()] == ["ok", "failed", "failed", "failed", "ok"]
    assert by_name["small"]["error"] == "RuntimeError: out of luck (more in runs/small/error.txt)"
    assert "Traceback" in (tmp_path / "out" / "runs" / "small" / "error.txt").read_text()
    assert len(said) == 3 and found["best"] in ("tfidf", "majority")
    monkeypatch.undo()
    again = compare(rows, contenders=asked, seeds=1, out=tmp_path / "out", **SMALL).results()
    assert [each["status"] for each in again["contenders"]] == ["ok", "ok", "failed", "failed", "ok"]


def test_where_all_fail_the_folder_and_the_reasons_are_kept(tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    asked = [str(tmp_path / "a"), str(tmp_path / "b")]
    found = compare(rows, contenders=asked, out=tmp_path / "out", **SMALL).results()
    assert (found["best"], found["model"], found["predictions"]) == (None, None, None)
    assert all(each["error"] for each in found["contenders"])
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == found


class _Spy:
    """A classifier that notes what it is asked."""

    def __init__(self, classifier: Any, asked: list[list[str]]) -> None:
        self._classifier, self._asked = classifier, asked

    def predict(self, given: list[str], pairs: list[str] | None = None) -> Any:
        self._asked.append(list(given))
        return self._classifier.predict(given, pairs)


def test_the_test_rows_are_read_once_for_each_seed_and_after_all_choices(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    asked: list[list[str]] = []
    monkeypatch.setattr(contending, "open_classifier", lambda folder, device: _Spy(open_classifier(folder), asked))
    compare(rows, contenders=[str(model)], seeds=2, out=tmp_path / "out", **SMALL).results()
    test = set(polars.read_parquet(tmp_path / "out" / "predictions.parquet")["text"])
    touched = [given for given in asked if test & set(given)]
    assert [set(given) for given in touched] == [test, test]


class _Other(_Spy):
    """A classifier that a folder has changed."""

    def predict(self, texts: list[str], pairs: list[str] | None = None) -> Any:
        return super().predict(texts, pairs)[:, ::-1]


def test_a_model_that_answers_otherwise_when_it_was_saved_is_not_judged(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    asked: list[list[str]] = []
    monkeypatch.setattr(contending, "open_classifier", lambda folder, device: _Other(open_classifier(folder), asked))
    found = compare(rows, contenders=["tfidf"], seeds=1, out=tmp_path / "out", **SMALL).results()
    assert found["contenders"][0]["error"] == "the saved model of tfidf answers otherwise than before it was saved"
    assert len(asked) == 1, "test rows were not touched"


def test_other_test_rows_change_test_scores_and_nothing_else(tmp_path: Path, model: Path) -> None:
    train, dev = write(tmp_path / "train.csv", texts(60)), write(tmp_path / "dev.csv", texts(20, seed=1))
    held = texts(30, seed=2)
    turned = [(f"{text} {text}", "good" if label == "bad" else "bad") for text, label in held]
    asked = ["majority", "tfidf", "encoder", f"{model}#frozen"]
    found = [
        compare(
            train, dev=dev, test=write(tmp_path / f"{name}.csv", rows), contenders=asked, seeds=1,
            out=tmp_path / name, **SMALL,
        ).results()
        for name, rows in (("held", held), ("turned", turned))
    ]  # fmt: skip
    for a, b in zip(*(without_times(each)["contenders"] for each in found), strict=True):
        for key in ("settings", "tries", "dev", "parameters", "method"):
            assert a[key] == b[key]
    assert found[0]["best"] == found[1]["best"]
    weights = [sorted((tmp_path / name / "winner").rglob("*.safetensors")) for name in ("held", "turned")]
    for a, b in zip(*weights, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert [each["accuracy"] for each in found[0]["contenders"]] != [
        each["accuracy"] for each in found[1]["contenders"]
    ]


def test_encoder_and_decoder_begin_alike_and_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write(tmp_path / "rows.csv", texts(100))
    seen: dict[str, list[Any]] = {"models": [], "batches": []}
    real = networks.Finetuning

    def spy(model: sl.Model, *given: Any, **more: Any) -> Any:
        made = real(model, *given, **more)
        if given[1] is not None:  # a first timing has no dev rows
            seen["models"].append(({name: p.detach().clone() for name, p in model.named_parameters()}, model))
            seen["batches"].append([made.steps.indices(step) for step in range(len(made.steps))])
        return made

    monkeypatch.setattr(networks, "Finetuning", spy)
    settings = {"seeds": 2, "passes": 2, "size": "tiny", "budget": None}
    compare(rows, contenders=["encoder", "decoder"], out=tmp_path / "out", **settings).results()
    half = len(seen["models"]) // 2
    assert half == 5
    for (encoder, one), (decoder, other) in zip(seen["models"][:half], seen["models"][half:], strict=True):
        assert encoder.keys() == decoder.keys() and any("classifier" in name for name in encoder)
        assert all((encoder[name] == decoder[name]).all() for name in encoder)
        assert one.tokenizer.backend.to_str() == other.tokenizer.backend.to_str()
        assert one.config == other.config and (str(one.mask), str(other.mask)) == ("bidirectional", "causal")
        assert (one.head("classifier").pooling, other.head("classifier").pooling) == ("mean", "last")
    assert seen["batches"][:half] == seen["batches"][half:]
    first, second = seen["models"][0][0], seen["models"][4][0]  # another seed begins elsewhere
    assert any((first[name] != second[name]).any() for name in first)


def test_the_tokenizer_knows_no_word_of_dev_or_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = fresh.learn_tokenizer
    monkeypatch.setattr(fresh, "learn_tokenizer", lambda given, **more: (read.extend(given), real(given, **more))[1])
    rows = write(tmp_path / "rows.csv", texts(60))
    found = compare(rows, contenders=["encoder"], seeds=1, out=tmp_path / "out", **SMALL).results()
    test = set(polars.read_parquet(tmp_path / "out" / "predictions.parquet")["text"])
    assert len(set(read)) == found["data"]["rows"]["train"] and not test & set(read)


def test_a_text_that_stands_twice_is_in_one_part(tmp_path: Path) -> None:
    some = texts(40)
    rows = write(tmp_path / "rows.csv", [*some, *((text.upper(), "good") for text, _ in some)])
    comparison = compare(rows, contenders=["majority"], out=tmp_path / "out", **SMALL)
    divided = comparison.question.rows()
    parts = [{text.lower() for text in part.texts} for part in (divided.train, divided.dev, divided.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    test = polars.read_parquet(comparison.results()["folder"] + "/predictions.parquet")["text"]
    assert {text.lower() for text in test} == parts[2]


def test_a_file_that_is_given_to_learn_and_to_judge_is_refused(tmp_path: Path) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    with pytest.raises(InputError, match="every training row's text is also in test"):
        compare(rows, test=rows, out=tmp_path / "out", **SMALL).results()


def test_a_folder_that_cannot_be_made_is_named_before_any_learning(tmp_path: Path) -> None:
    rows, file = write(tmp_path / "rows.csv", texts(60)), tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        compare(rows, out=file, **SMALL).results()
    with pytest.raises(sl.SightlineError, match="cannot make the folder"):
        compare(rows, out=file / "below", **SMALL).results()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": 0.0}, "budget"),
        ({"passes": 0}, "passes=0 must"),
        ({"seeds": 0}, "seeds=0 must"),
        ({"most": 0}, "rows=0 must"),
        ({"size": "huge"}, "no size 'huge'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_that_cannot_work_say_so_at_once(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Question(path="rows.csv", **settings)


def test_a_comparison_is_an_iterator_of_events_that_count_up(tmp_path: Path, model: Path) -> None:
    rows = write(tmp_path / "rows.csv", texts(60))
    comparison = compare(rows, contenders=["majority", str(model)], seeds=1, out=tmp_path / "out", **SMALL)
    assert isinstance(comparison, Comparison) and "Nothing was finished" in comparison.kept()
    events = list(comparison)
    shares = [event.share for event in events if event.what in ("learning", "tried", "judged")]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert events[0].what == "reading" and events[-1].what == "finished"
    assert all(event.left is not None for event in events if event.what == "tried")


def test_settings_of_any_kind_are_said() -> None:
    said = contending._said("try 1 of 4", {"settings": {"C": 10.0, "kind": "char"}, "dev": {"pearson": 0.5}})
    assert said == "try 1 of 4 (C 10, kind char): dev Pearson 0.500"


def _keys(value: Any, names: set[str]) -> set[str]:
    """Every key in a JSON value, but those that are names of classes or contenders."""
    if isinstance(value, list):
        return set().union(*(_keys(each, names) for each in value))
    if isinstance(value, dict):
        return (set(value) - names).union(*(_keys(each, names) for each in value.values()))
    return set()


def test_every_key_that_is_written_is_documented(finished: dict[str, Any], tmp_path: Path) -> None:
    numbers = write(tmp_path / "rows.csv", [(text, f"{len(text) + 0.5}") for text, _ in texts(60)])
    other = compare(numbers, contenders=["majority", "tfidf"], out=tmp_path / "out", **SMALL).results()
    section = (
        (Path(__file__).parents[2] / "docs" / "compare.md").read_text(encoding="utf-8").split("## results.json")[1]
    )
    documented = {word.strip('"') for word in re.findall(r"`([^`]+)`", section)}
    for results in (finished, other):
        names = {each["name"] for each in results["contenders"]} | set(results["data"]["labels"] or ())
        assert _keys(results, names) <= documented
    assert set(polars.read_parquet(Path(finished["folder"]) / "predictions.parquet").columns) <= documented
