"""The rows of a comparison: divided once, the same for everyone."""

import csv
from pathlib import Path

import pytest

from sightline.comparison.rows import FEW, Rows, read_rows
from sightline.errors import InputError

WORDS = "soup bread table waiter lamp chair box parcel bill queue".split()


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def some(count: int, first: int = 0) -> list[tuple[str, str]]:
    """Different texts of two classes in turn."""
    return [
        (f"{WORDS[i % 10]} {WORDS[i // 10 % 10]} {i}", "good" if i % 2 else "bad") for i in range(first, first + count)
    ]


def texts(rows: Rows) -> list[set[str]]:
    return [set(part.texts) for part in (rows.train, rows.dev, rows.test)]


def test_parts_share_no_text_and_lose_none(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.csv", some(400)))
    train, dev, test = texts(rows)
    assert not train & dev and not train & test and not dev & test
    assert len(train | dev | test) == 400
    assert (len(dev), len(test)) == (60, 80)
    assert any("Split at random with seed 0" in sentence for sentence in rows.assumed)


def test_many_rows_need_a_smaller_share_apart(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.csv", some(FEW)))
    assert len(rows.test) == FEW // 10


@pytest.mark.parametrize("given", ["dev", "test"])
def test_what_is_not_given_is_set_apart(tmp_path: Path, given: str) -> None:
    held = write(tmp_path / "held.csv", some(40, first=1000))
    rows = read_rows(write(tmp_path / "rows.csv", some(400)), **{given: held})
    assert set(getattr(rows, given).texts) == {text for text, _ in some(40, first=1000)}
    train, dev, test = texts(rows)
    assert not train & dev and not train & test and not dev & test


def test_a_training_row_that_is_also_held_out_is_left_out_of_training(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", some(100))
    dev, test = write(tmp_path / "dev.csv", some(10, first=90)), write(tmp_path / "test.csv", some(10, first=85))
    rows = read_rows(train, dev=dev, test=test)
    assert (len(rows.train), len(rows.dev), len(rows.test)) == (85, 5, 10)
    assert any("10 training rows whose text is also in test" in sentence for sentence in rows.assumed)


def test_the_same_rows_are_the_same_comparison_and_others_are_not(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", some(100))
    again = write(tmp_path / "again.csv", some(100))
    other = write(tmp_path / "other.csv", [*some(99), ("other", "good")])
    assert read_rows(path).fingerprint() == read_rows(again).fingerprint()
    assert (
        len({read_rows(path).fingerprint(), read_rows(other).fingerprint(), read_rows(path, seed=1).fingerprint()}) == 3
    )


def test_facts_count_what_was_left_out(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.csv", [*some(100), ("", "good"), ("unlabelled", ""), some(1)[0]]))
    facts = rows.facts()
    counted = {key: facts["rows"][key] for key in ("read", "empty", "unlabelled", "duplicates", "conflicting")}
    assert counted == {"read": 103, "empty": 1, "unlabelled": 1, "duplicates": 1, "conflicting": 0}
    assert facts["counts"] == {"bad": 50, "good": 50} and facts["labels"] == ["bad", "good"]


def test_numbers_are_divided_too(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.csv", [(text, f"{i * 0.37:.2f}") for i, (text, _) in enumerate(some(200))]))
    assert rows.labels is None and rows.facts()["kind"] == "numbers" and rows.facts()["counts"] is None


def test_sampling_says_so_and_keeps_the_rest(tmp_path: Path) -> None:
    rows = read_rows(write(tmp_path / "rows.csv", some(200)))
    fewer = rows.sampled(50, 0, "because")
    assert set(fewer.train.texts) < set(rows.train.texts) and len(fewer.train) == 50
    assert fewer.test is rows.test and "50 of 130 training rows, drawn with seed 0: because." in fewer.assumed


def test_five_rows_are_too_few_and_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too few"):
        read_rows(write(tmp_path / "rows.csv", some(5)))
