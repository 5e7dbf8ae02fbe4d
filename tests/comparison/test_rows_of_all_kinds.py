"""Rows that are odd, few, many, long or wrong: a clear message, or a correct run."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from comparison.compared import small_model, texts, write
from sightline.comparison import measure
from sightline.comparison.compare import compare
from sightline.errors import InputError

SMALL: dict[str, Any] = {"passes": 1, "seeds": 1, "budget": None}


@pytest.fixture(autouse=True)
def answers_are_timed_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(measure, "ALONE", 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(small_model(tmp_path_factory.mktemp("models") / "small"))


def found_in(path: Path, *contenders: str, **settings: Any) -> dict[str, Any]:
    """The results of comparing these contenders on these rows; no contender failed."""
    results = compare(path, contenders=contenders, out=path.parent / "out", **{**SMALL, **settings}).results()
    assert [each["error"] for each in results["contenders"]] == [None] * len(contenders)
    assert all(math.isfinite(each["dev"][key]) for each in results["contenders"] for key in each["dev"])
    return results


WRONG = {
    "five rows": (texts(5), "too few"),
    "one class": ([(text, "good") for text, _ in texts(60)], "the label 'good'"),
    "a class with fewer rows than parts": ([*texts(60), ("odd", "rare"), ("odder", "rare")], "the class 'rare' has 2"),
    "a class whose texts are all one": ([*texts(60), *[("Odd.", "rare"), ("odd.", "rare")] * 3], "the class 'rare'"),
    "no rows": ([], "no labelled row|has no row"),
    "no labels": ([(text, "") for text, _ in texts(60)], "label"),
    "numbers that are all one": ([(text, "2.5") for text, _ in texts(60)], "nothing to predict"),
}


@pytest.mark.parametrize(("rows", "words"), WRONG.values(), ids=WRONG)
def test_rows_that_cannot_be_compared_on_say_why_and_leave_nothing(
    tmp_path: Path, rows: list[tuple[str, str]], words: str
) -> None:
    path = write(tmp_path / "rows.csv", rows)
    with pytest.raises(InputError, match=words):
        compare(path, text="text", label="label", out=tmp_path / "out").results()
    assert not (tmp_path / "out").exists()


def test_bytes_that_are_no_text_are_named_with_their_row(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", texts(60))
    path.write_bytes(path.read_bytes() + b"caf\xe9 closed,bad\r\n")
    with pytest.raises(InputError, match=r"rows.csv.*UTF-8|UTF-8.*rows.csv"):
        compare(path, out=tmp_path / "out").results()


def test_what_is_left_out_is_counted_and_said(tmp_path: Path) -> None:
    some = texts(60)
    path = write(tmp_path / "rows.csv", [*some, ("", "good"), ("  ", "bad"), ("no label", ""), *some[:3]])
    found = found_in(path, "majority")
    assert (
        "Left out of 66 rows in rows.csv: 2 without text, 1 without label, 3 that repeat an earlier one."
        in (found["assumed"])
    )
    assert {"empty": 2, "unlabelled": 1, "duplicates": 3}.items() <= found["data"]["rows"].items()


def test_one_text_with_two_labels_is_kept_and_said(tmp_path: Path) -> None:
    some = texts(60)
    found = found_in(write(tmp_path / "rows.csv", [*some, (some[0][0], "good"), (some[1][0], "bad")]), "majority")
    assert found["data"]["rows"]["conflicting"] == 4
    assert any(
        "4 rows of rows.csv have a text that also stands with another label" in each for each in found["assumed"]
    )


def test_integers_are_classes_and_fractions_are_numbers(tmp_path: Path, model: str) -> None:
    some = texts(60)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    stars = write(tmp_path / "a" / "rows.csv", [(text, "1" if label == "bad" else "5") for text, label in some])
    lengths = write(tmp_path / "b" / "rows.csv", [(text, f"{len(text) / 7:.2f}") for text, _ in some])
    found, other = found_in(stars, "tfidf", model), found_in(lengths, "majority", "tfidf", model, f"{model}#frozen")
    assert (found["data"]["kind"], found["data"]["labels"]) == ("classes", ["1", "5"])
    assert (other["data"]["kind"], other["data"]["labels"]) == ("numbers", None)
    assert any("unless kind='numbers'" in each for each in found["assumed"])
    assert all(len(each["scatter"]) == other["data"]["rows"]["test"] for each in other["contenders"])


def test_a_thousand_classes_run_and_what_is_written_stays_small(tmp_path: Path, model: str) -> None:
    rows = [(f"thing {label} of kind {place}", f"class {label}") for label in range(1000) for place in range(3)]
    found = found_in(write(tmp_path / "rows.csv", rows), "majority", model)
    assert len(found["data"]["labels"]) == 1000
    assert all(each["confusion"] is None for each in found["contenders"])
    assert (tmp_path / "out" / "results.json").stat().st_size < 200_000
    assert (tmp_path / "out" / "report.html").stat().st_size < 500_000


def test_a_text_of_a_hundred_thousand_words_is_cut_and_said(tmp_path: Path, model: str) -> None:
    draw = random.Random(0)
    longest = " ".join(draw.choice(["soup", "chair", "fine", "stale"]) for _ in range(100_000))
    train, rest = write(tmp_path / "rows.csv", [*texts(60), (longest, "good")]), texts(20, seed=1)
    test = write(tmp_path / "test.csv", [*rest[8:], (f"{longest} indeed", "bad")])
    found = found_in(
        train, "majority", "encoder", model, dev=write(tmp_path / "dev.csv", rest[:8]), test=test, size="tiny"
    )
    said = [each for each in found["assumed"] if "longer" in each]
    assert [each.split()[0] for each in said] == ["encoder", "small"] and all(
        "is longer and loses" in each for each in said
    )
    assert all(len(each["text"]) <= 1000 for each in found["disagreements"])


def test_texts_without_a_word_can_be_learned_from(tmp_path: Path) -> None:
    draw = random.Random(0)
    signs = {"good": "😀👍🎉🍕💖", "bad": "😡👎💩🤢🗑️"}
    rows = [("".join(draw.choice(signs[label]) for _ in range(12)), label) for label in [*signs] * 40]
    found = found_in(write(tmp_path / "rows.csv", rows), "majority", "encoder", size="tiny")
    assert "😀" in (tmp_path / "out" / "results.json").read_text(encoding="utf-8") or not found["disagreements"]


@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
def test_pairs_are_read_in_the_order_that_is_asked_for(tmp_path: Path, model: str, suffix: str) -> None:
    draw, path = random.Random(0), tmp_path / f"rows.{suffix}"
    words = "soup bread tea lamp chair".split()
    rows = []
    for number in range(80):
        first, second = draw.choice(words), draw.choice(words)
        label = "same" if first == second or number % 2 else "other"
        rows.append((f"{number} has {first}", f"{number} has {first if number % 2 else second}", label))
    head = ("hypothesis", "premise", "answer")
    if suffix == "tsv":
        path.write_text("\n".join("\t".join(row) for row in [head, *rows]) + "\n", encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(dict(zip(head, row, strict=True))) + "\n" for row in rows), encoding="utf-8")
    asked = ("tfidf", model, f"{model}#frozen", "encoder", "gpt2")
    found = found_in(path, *asked, text=["premise", "hypothesis"], label="answer", size="tiny")
    assert found["data"]["text"] == ["premise", "hypothesis"]
    assert all(each["pair"] for each in found["disagreements"])
