"""Labelled rows from files: columns are found or asked for, what is left out is counted, what is wrong is named."""

import csv
import json
import lzma
import random
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError, NotFoundError, SightlineError
from sightline.text import records
from sightline.text.columns import looks_like_an_id
from sightline.text.duplicates import normalized
from sightline.text.labelled import Table, read_examples
from sightline.text.labels import sorted_classes
from sightline.text.learn import learn_tokenizer
from sightline.text.windows import encode_rows

TEXTS = [
    "The soup was cold and the waiter colder",
    "A fine evening, all in all",
    "We shall certainly come again soon",
    "Never again will I order here",
    "Bread fresh from the oven, good coffee",
    "It took an hour to get a table",
]


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    """A table, in the format of the file's suffix, by libraries that nobody here wrote."""
    frame = polars.DataFrame(columns)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.iter_rows(named=True)), encoding="utf-8")
    elif path.suffix == ".tsv":
        frame.write_csv(path, separator="\t", quote_style="never")
    else:
        frame.write_csv(path)
    return path


def classes_of(table: Table) -> list[str]:
    labels = table.examples.labels
    assert labels is not None
    return [labels[target] for target in table.examples.targets]


def error_of(path: Path, **options: Any) -> str:
    with pytest.raises(SightlineError) as caught:
        read_examples(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Every format gives the same rows


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"rows{suffix}", {"id": [3, 4, 5, 6], "text": TEXTS[:4], "label": ["b", "a", "b", "a"]})
    table = read_examples(path)
    assert table.examples.texts == TEXTS[:4]
    assert table.examples.pairs is None
    assert table.examples.labels == ("a", "b")
    assert table.examples.targets.dtype == numpy.int64
    assert table.examples.targets.tolist() == [1, 0, 1, 0]
    assert table.examples.rows == [1, 2, 3, 4]
    assert (table.text_columns, table.label_column) == (("text",), "label")
    assert (table.read, table.empty, table.unlabelled, table.duplicates, table.conflicting) == (4, 0, 0, 0, 0)
    assert table.sampled_from is None
    assert table.name == str(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("values", "labels"),
    [([True, False, True, True], ("false", "true")), ([2, 10, 2, 10], ("2", "10")), ([-1, 1, 1, -1], ("-1", "1"))],
)
def test_typed_labels(tmp_path: Path, suffix: str, values: list[Any], labels: tuple[str, ...]) -> None:
    table = read_examples(write(tmp_path / f"rows{suffix}", {"text": TEXTS[:4], "label": values}))
    assert table.examples.labels == labels
    assert classes_of(table) == [str(value).lower() for value in values]


def test_pairs(tmp_path: Path) -> None:
    columns = {"premise": TEXTS[:4], "hypothesis": TEXTS[2:6], "label": ["y", "n", "y", "n"]}
    table = read_examples(write(tmp_path / "rows.csv", columns))
    assert table.text_columns == ("premise", "hypothesis")
    assert (table.examples.texts, table.examples.pairs) == (TEXTS[:4], TEXTS[2:6])
    chosen = read_examples(tmp_path / "rows.csv", text=["hypothesis", "premise"])
    assert (chosen.examples.texts, chosen.examples.pairs) == (TEXTS[2:6], TEXTS[:4])
    single = read_examples(tmp_path / "rows.csv", text="premise")
    assert (single.examples.texts, single.examples.pairs) == (TEXTS[:4], None)


def test_take(tmp_path: Path) -> None:
    columns = {"text1": TEXTS[:4], "text2": TEXTS[2:6], "label": ["y", "n", "y", "n"]}
    examples = read_examples(write(tmp_path / "rows.csv", columns)).examples
    some = examples.take(numpy.array([3, 0]))
    assert len(some) == 2
    assert some.texts == [TEXTS[3], TEXTS[0]]
    assert some.pairs == [TEXTS[5], TEXTS[2]]
    assert some.targets.tolist() == [0, 1]
    assert (some.labels, some.rows) == (("n", "y"), [4, 1])
    assert len(examples.take([])) == 0


# Columns

LABELS = ["x", "y"] * 3
FOUND: list[tuple[dict[str, list[Any]], tuple[str, ...], str, list[str]]] = [
    ({"text": TEXTS, "label": LABELS}, ("text",), "label", ["'text', by its name", "'label', by its name"]),
    ({"Review_Text": TEXTS, "SENTIMENT": LABELS}, ("Review_Text",), "SENTIMENT", ["by its name"] * 2),
    ({"id": [*"abcdef"], "bla": TEXTS, "blu": LABELS}, ("bla",), "blu", ["running text", "few different values"]),
    ({"text": TEXTS, "mood": LABELS}, ("text",), "mood", ["'text', by its name", "few different values"]),
    ({"words": TEXTS, "label": LABELS}, ("words",), "label", ["the only one of running text", "by its name"]),
    (
        {
            "note": [f"{text[:12]} {n}" for n, text in enumerate(TEXTS)],
            "body2": [t * 4 for t in TEXTS],
            "label": LABELS,
        },
        ("body2",),
        "label",
        ["'body2', the longest one"],
    ),
    ({"text": TEXTS, "label": LABELS, "label_text": LABELS}, ("text",), "label", []),
    ({"text": TEXTS, "rating": LABELS, "class": LABELS}, ("text",), "class", []),
    ({"title": TEXTS, "text": TEXTS[::-1], "label": LABELS}, ("text",), "label", []),
    ({"sentence1": TEXTS, "sentence2": TEXTS[::-1], "label": LABELS}, ("sentence1", "sentence2"), "label", ["a pair"]),
    ({"question": TEXTS, "sentence": TEXTS[::-1], "label": LABELS}, ("question", "sentence"), "label", ["a pair"]),
    ({"text_a": TEXTS, "text_b": TEXTS[::-1], "label": LABELS}, ("text_a", "text_b"), "label", ["a pair"]),
    ({"s1": TEXTS, "s2": TEXTS[::-1], "score": [0.5, 1, 2, 3, 4, 5.25]}, ("s1", "s2"), "score", ["a regression"]),
    ({"text": TEXTS, "toxicity": [0.5, 1, 2, 3, 4, 5.25]}, ("text",), "toxicity", ["with numbers", "a regression"]),
    ({"name": [*"abcdef"], "label": LABELS}, ("name",), "label", ["the only one left"]),
    ({"index": [0, 1] * 3, "text": TEXTS, "mood": LABELS}, ("text",), "mood", []),
]


@pytest.mark.parametrize(("columns", "text", "label", "said"), FOUND, ids=[str(list(case[0])) for case in FOUND])
def test_obvious_columns(
    tmp_path: Path, columns: dict[str, list[Any]], text: tuple[str, ...], label: str, said: list[str]
) -> None:
    table = read_examples(write(tmp_path / "rows.csv", columns))
    assert (table.text_columns, table.label_column) == (text, label)
    for words in said:
        assert any(words in sentence for sentence in table.assumed), table.assumed


def test_nothing_is_assumed_of_what_was_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", {"bla": TEXTS, "blu": LABELS})
    assert read_examples(path, text=["bla"], label="blu").assumed == ()


NOT_OBVIOUS: list[tuple[dict[str, list[Any]], dict[str, Any], str]] = [
    (
        {"text": TEXTS, "class": LABELS, "target": LABELS},
        {},
        "which one holds the labels. 'class', 'target' may each hold them; name it with label=…",
    ),
    (
        {"text": TEXTS, "a": LABELS, "b": LABELS},
        {},
        "has the columns 'text', 'a', 'b': which one holds the labels. 'a', 'b' may each",
    ),
    (
        {"review": TEXTS, "comment": TEXTS, "label": LABELS},
        {},
        "which one holds the texts. 'review', 'comment' may each hold them; name one",
    ),
    (
        {"a": TEXTS, "b": TEXTS, "label": LABELS},
        {},
        "which one holds the texts. 'a', 'b' may each hold them; name one, or two",
    ),
    (
        {"s1": TEXTS, "s2": TEXTS, "text1": TEXTS, "text2": TEXTS, "label": LABELS},
        {},
        "which pair of them holds the texts",
    ),
    (
        {"text": TEXTS, "id": [0, 1] * 3},
        {},
        "has the columns 'text', 'id': which one holds the labels. none is obvious; name it",
    ),
    ({"text": TEXTS, "answer_id": LABELS}, {}, "which one holds the labels. none is obvious"),
    ({"n": [1, 2, 3, 4, 5, 6], "label": LABELS}, {}, "which one holds the texts. none is obvious"),
    ({"text": TEXTS}, {}, "has only the column 'text'; labelled rows need one column of texts and one"),
    ({"text": TEXTS, "label": LABELS}, {"text": ["txt"]}, "no column 'txt' .for text=….: did you mean 'text'"),
    ({"text": TEXTS, "label": LABELS}, {"label": "stars"}, "no column 'stars' .*its columns are 'text', 'label'"),
    ({"text": TEXTS, "label": LABELS}, {"text": ["text"], "label": "text"}, "cannot hold both texts and labels"),
    ({"text": TEXTS, "label": LABELS}, {"text": ["text", "text"]}, "in one column, or in two for pairs"),
    ({"text": TEXTS, "label": LABELS}, {"text": []}, "in one column, or in two for pairs"),
    ({"text": TEXTS, "label": LABELS}, {"kind": "class"}, "kind='class' is none; labels are 'classes' or 'numbers'"),
    ({"text": TEXTS, "label": LABELS}, {"most": 0}, "most=0 cannot be; give at least 1 row"),
]


@pytest.mark.parametrize(("columns", "options", "message"), NOT_OBVIOUS, ids=[case[2][:40] for case in NOT_OBVIOUS])
def test_what_is_not_obvious_is_asked_for(
    tmp_path: Path, columns: dict[str, list[Any]], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_examples(write(tmp_path / "rows.csv", columns), **options)


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(TEXTS), st.sampled_from("pqr"), st.integers(0, 3), st.sampled_from(["", "u v w", "z"])
        ),
        min_size=2,
        max_size=12,
    ),
    shuffled=st.randoms(use_true_random=False),
)
def test_the_order_of_rows_does_not_choose(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], shuffled: random.Random
) -> None:
    def outcome(rows: list[tuple[Any, ...]]) -> tuple[object, ...]:
        path = tmp_path_factory.getbasetemp() / "order.csv"
        write(path, dict(zip("abcd", map(list, zip(*rows, strict=True)), strict=True)))
        try:
            table = read_examples(path)
        except InputError as error:
            return (str(error),)
        counts = table.read, table.empty, table.unlabelled, table.duplicates, table.conflicting
        return table.text_columns, table.label_column, table.examples.labels, counts, table.assumed

    other = list(rows)
    shuffled.shuffle(other)
    assert outcome(rows) == outcome(other)


# Counting


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    rows = [
        *(("Good soup.", "pos"), ("", "pos"), (" \t", "neg"), ("Bad soup.", ""), ("Cold bread.", " neg ")),
        *(("good  SOUP. ", "pos"), ("Good soup.", "neg"), ("Good soup.", "neg"), ("", ""), ("Warm bread.", "pos")),
    ]
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
        file.write("\r\n\r\nA last soup.,pos\r\n\r\n")
    table = read_examples(tmp_path / "rows.csv")
    assert (table.read, table.empty, table.unlabelled, table.duplicates, table.conflicting) == (13, 5, 1, 2, 2)
    assert table.examples.rows == [1, 5, 7, 10, 13]
    assert classes_of(table) == ["pos", "neg", "neg", "pos", "pos"]
    assert table.examples.texts[0] == "Good soup."


@given(text=st.text(min_size=1), spaces=st.sampled_from([" ", "\t\n", "\u00a0"]))
def test_the_same_text(text: str, spaces: str) -> None:
    assert normalized(normalized(text)) == normalized(text)
    assert normalized(spaces + text.swapcase().swapcase() + spaces) == normalized(text.swapcase().swapcase())
    assert normalized("Straße  ﬁn") == normalized("STRASSE fin")
    assert normalized("Cafe\u0301") == normalized("caf\u00e9")


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a b", "A  b", "c", " ", "d e"]), st.sampled_from(["x", "y", ""])), max_size=30
    )
)
def test_rows_add_up(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "sum.jsonl"
    rows = [*rows, ("first", "x"), ("second", "y")]
    write(path, {"text": [text for text, _ in rows], "label": [label for _, label in rows]})
    table = read_examples(path)
    left = len(table.examples)
    assert table.read == len(rows) == left + table.empty + table.unlabelled + table.duplicates
    keys = [(normalized(text), label) for text, label in zip(table.examples.texts, classes_of(table), strict=True)]
    assert len(set(keys)) == left
    times = Counter(text for text, _ in keys)
    assert table.conflicting == sum(times[text] > 1 for text, _ in keys)
    for place, row in enumerate(table.examples.rows):
        assert table.examples.texts[place] == rows[row - 1][0]


# Labels


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b10", "b9", "a", "B9"], ("a", "B9", "b9", "b10")),
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["2.0", "10.0", "2.0"], ("2.0", "10.0")),
        (["5 stars", "10 stars", "1 star"], ("1 star", "5 stars", "10 stars")),
        (["9" * 5000, "x"], ("9" * 5000, "x")),
    ],
)
def test_classes_are_in_natural_order(labels: list[str], classes: tuple[str, ...]) -> None:
    assert sorted_classes(labels) == sorted_classes(labels[::-1]) == classes


def numbered(path: Path, labels: list[Any]) -> Path:
    return write(path, {"text": [f"row number {row}" for row in range(len(labels))], "label": labels})


@pytest.mark.parametrize(
    ("labels", "kind", "classes"),
    [
        ([0, 1] * 5, "auto", ("0", "1")),
        ([1, 2, 3, 4, 5] * 2, "auto", ("1", "2", "3", "4", "5")),
        (["1.0", "2.0"] * 3, "auto", ("1.0", "2.0")),
        ([1, 2, 3, 4, 5], "auto", None),
        (list(range(21)) * 4, "auto", None),
        ([0.5, 1.5] * 9, "auto", None),
        (["1e-3", ".5", "+2."] * 9, "auto", None),
        (["1", "2", "good"] * 3, "auto", ("1", "2", "good")),
        ([0, 1] * 5, "numbers", None),
        (list(range(1000)) * 2, "classes", tuple(map(str, range(1000)))),
        ([0.5, 1.5] * 9, "classes", ("0.5", "1.5")),
    ],
)
def test_numbers_as_labels(tmp_path: Path, labels: list[Any], kind: Any, classes: tuple[str, ...] | None) -> None:
    table = read_examples(numbered(tmp_path / "rows.csv", labels), kind=kind)
    assert table.examples.labels == classes
    if classes is None:
        assert table.examples.targets.dtype == numpy.float64
        assert table.examples.targets.tolist() == [float(label) for label in labels]
    else:
        assert classes_of(table) == [str(label) for label in labels]
    said = [sentence for sentence in table.assumed if sentence.startswith("The labels are ") and "unless" in sentence]
    assert len(said) == (kind == "auto" and "good" not in labels)


def test_a_number_may_be_spelled_in_two_ways(tmp_path: Path) -> None:
    table = read_examples(numbered(tmp_path / "rows.csv", ["1", "2", "1.0", "02", "1", "2"]))
    assert table.examples.labels == ("1", "02")
    assert table.examples.targets.tolist() == [0, 1, 0, 1, 0, 1]


def test_classes_that_differ_in_case_are_mentioned(tmp_path: Path) -> None:
    table = read_examples(numbered(tmp_path / "rows.csv", ["Good", "good", "bad"] * 3))
    assert table.examples.labels == ("bad", "Good", "good")
    assert any("'Good' and 'good'" in sentence for sentence in table.assumed)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["a"] * 5, {}, r"every labelled row of .* has the label 'a' \(5 rows\); there is nothing to tell apart"),
        ([1] * 5, {}, "every labelled row of .* has the label '1'"),
        ([1.5] * 5, {}, "every labelled row of .* has the number 1.5; there is nothing to predict"),
        (["1", "x", "2"], {"kind": "numbers"}, "row 2 of .* has the label 'x', which is no number; correct it, or use"),
        (["1.5", "2.5", "nan"], {}, "row 3 of .* has the label 'nan', no finite number"),
        (["1.5", "-inf", "2"], {"kind": "numbers"}, "row 2 of .* has the label '-inf', no finite number"),
        (["1.5", "1e999", "2"], {}, "row 2 of .* has the label '1e999', no finite number"),
        (["1.5", "2", "-1e300"], {}, "row 3 of .* has the label '-1e300', too large to be learned"),
        (
            ["a", "b", "c"],
            {"labels": ("a", "b")},
            "row 3 of .* has the label 'c', which no training row has: they have",
        ),
        (["", "", ""], {}, "has no labelled row: 3 read, 0 without text, 3 without label"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, labels: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_examples(numbered(tmp_path / "rows.csv", labels), **options)


def test_a_second_file_has_the_classes_of_the_first(tmp_path: Path) -> None:
    train = read_examples(numbered(tmp_path / "train.csv", [3, 1, 2] * 3))
    test = read_examples(numbered(tmp_path / "test.parquet", [2, 2]), labels=train.examples.labels)
    assert train.examples.labels == test.examples.labels == ("1", "2", "3")
    assert test.examples.targets.tolist() == [1, 1]
    spelled = read_examples(numbered(tmp_path / "other.csv", ["2.0", "1"]), labels=train.examples.labels)
    assert spelled.examples.targets.tolist() == [1, 0]


# Files


def test_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "sms.tsv"
    path.write_text("".join(f'{label}\t"{text}\n' for text, label in zip(TEXTS, LABELS, strict=True)), encoding="utf-8")
    message = error_of(path)
    assert "looks like data, not like names of columns ('x')" in message
    assert "header=False" in message
    table = read_examples(path, header=False)
    assert (table.text_columns, table.label_column) == (("column2",), "column1")
    assert table.examples.texts == ['"' + text for text in TEXTS]
    assert table.examples.rows == [1, 2, 3, 4, 5, 6]


def test_names_that_are_said_to_be_data(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", {"id": list("abcdef"), "Text": TEXTS, "label": LABELS})
    assert "has names of columns, 'id', 'Text', 'label'; leave out header=False" in error_of(path, header=False)


@pytest.mark.parametrize(
    ("name", "identifies"),
    [
        *((name, True) for name in ("id", "ID", "user_id", "userId", "#1 ID", "qid1", "Unnamed: 0", "", "old_index")),
        *((name, False) for name in ("valid", "paid", "covid", "said", "text", "label", "Idea", "1", "android")),
    ],
)
def test_names_of_keys(name: str, identifies: bool) -> None:
    assert looks_like_an_id(name) == identifies


def test_a_header_of_questions_or_numbers_is_a_header(tmp_path: Path) -> None:
    columns = {"What did you think of our new restaurant?": TEXTS, "Would you ever come to us again?": LABELS}
    assert len(read_examples(write(tmp_path / "survey.csv", columns)).examples) == 6
    polars_names = {"0": TEXTS, "1": [0, 1] * 3}
    assert read_examples(write(tmp_path / "numbers.csv", polars_names)).examples.labels == ("0", "1")


JSON: list[tuple[list[Any], str]] = [
    ([{"text": "a", "label": 1}, {"text": "b"}], r"row 2 of .* has no 'label', it has 'text'; give every row the same"),
    ([{"text": "a", "label": 1}, {"label": 2}], "row 2 of .* has no 'text', it has 'label'"),
    ([{"text": "a", "label": 1}, "b"], "row 2 of .* is a text without a label"),
    ([{"text": 7, "label": 1}], r"row 1 of .* has int 7 where a text belongs; name another column with text=…"),
    (
        [{"text": "a", "label": ["x", "y"]}],
        r"row 1 of .* has the label \['x', 'y'\]; a label is one text or one number",
    ),
    ([{"text": "half \ud83d", "label": "x"}, {"text": "a", "label": "y"}], "row 1 of .* is not valid Unicode"),
    ([{"text": "a", "label": float("nan")}, {"text": "b", "label": 1}], "row 1 of .* has the label 'nan', no finite"),
]


@pytest.mark.parametrize(("rows", "message"), JSON, ids=[message[:40] for _, message in JSON])
def test_json_rows_that_do_not_fit(tmp_path: Path, rows: list[Any], message: str) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_examples(tmp_path / "rows.jsonl")


def test_a_text_that_shows_nothing_is_empty(tmp_path: Path) -> None:
    """BERT's tokenizer makes no token of these, so that one such row would end a training."""
    nothing = ["\u200b", "\ufeff", " \u00ad\u2060 ", "\x00", "\ue000", "\u0301", "\u3000", "\ufffd\ufffd"]
    something = ["a", "\u200ba", "?!", "❤\ufe0f", "あ", "é", "1", "\U0001f600"]
    lines = [json.dumps({"text": text, "label": f"{place % 2}"}) for place, text in enumerate(nothing + something)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    table = read_examples(tmp_path / "rows.jsonl")
    assert table.examples.texts == something and table.empty == len(nothing)
    tokenizer = learn_tokenizer(["a few words", "and others"], vocabulary=60)
    assert not any(row.new for row in encode_rows(tokenizer, nothing))
    assert all(row.new for row in encode_rows(tokenizer, something))


def test_nothing_in_json_and_parquet_is_empty_and_unlabelled(tmp_path: Path) -> None:
    columns = {"text": ["a", None, "c", "d"], "label": ["x", "x", None, "y"]}
    for suffix in (".jsonl", ".parquet"):
        table = read_examples(write(tmp_path / f"rows{suffix}", columns))
        assert (table.read, table.empty, table.unlabelled, len(table.examples)) == (4, 1, 1, 2)


WRONG: list[tuple[str, bytes, type[SightlineError], str]] = [
    ("a.csv", b"text,label\ngood,1\ncaf\xe9,2\n", InputError, "not UTF-8 text: byte 4 of line 3 is 0xe9"),
    ("a.csv", b"text,label\ngood,1\nfine, but,2\n", InputError, r"row 2 of .* \(line 3\) has 3 fields, its header 2"),
    ("a.csv", b"text;label\ngood;1\n", InputError, "separate columns by commas"),
    ("a.csv", b"text,label\rgood,1\rfine,2\r", InputError, r"line 1 of .* carriage return .* LF or CRLF"),
    ("a.csv", b"text,text,label\na,b,c\n", InputError, "has 2 columns called 'text'; give each its own name"),
    ("a.csv", b"", InputError, "has no column; labelled rows need one"),
    ("a.csv", b"text,label\n", InputError, "has no labelled row: 0 read"),
    ("a.txt", b"good\n", InputError, r"is no table that is read here: give a \.csv"),
    ("a.json", b"[]", InputError, r"with a JSON object a line it is a \.jsonl"),
    ("a.csv.xz", b"", InputError, "unpack it first"),
    ("a.xlsx", b"", InputError, r"save the sheet as \.csv"),
    ("a.parquet", b"text,label\n", InputError, "is it a Parquet file"),
]


@pytest.mark.parametrize(("name", "content", "kind", "message"), WRONG, ids=[case[3][:40] for case in WRONG])
def test_files_that_cannot_be_read(
    tmp_path: Path, name: str, content: bytes, kind: type[SightlineError], message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=message):
        read_examples(tmp_path / name)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["text", " long"], ("text, long",)),
        ([" note "], (" note ",)),
        (["note"], ("note",)),
        (["note", " more"], ("note", "more")),
        (["text", "more"], ("text", "more")),
    ],
)
def test_names_with_commas_and_spaces_can_be_asked_for(
    tmp_path: Path, asked: list[str], found: tuple[str, ...]
) -> None:
    names = ["text, long", " note ", "note", "more", "text", "label"]
    path = write(tmp_path / "rows.csv", {name: [f"a {name}", f"b {name}"] for name in names[:-1]} | {"label": [1, 2]})
    assert read_examples(path, text=asked, label="label", kind="classes").text_columns == found


def test_numbers_with_decimal_commas_are_not_taken_for_classes(tmp_path: Path) -> None:
    labels = [f"{row},5" for row in range(30)]
    path = write(tmp_path / "rows.csv", {"text": [f"text {row}" for row in range(30)], "label": labels})
    assert "decimal commas, such as '0,5'; write them with points" in error_of(path)
    assert read_examples(path, kind="classes").examples.labels == tuple(labels)
    few = write(tmp_path / "few.csv", {"text": list("abcd"), "label": ["0,5", "1,5", "0,5", "1,5"]})
    assert read_examples(few).examples.labels == ("0,5", "1,5")


def test_an_open_quote_does_not_take_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_LONGEST_FIELD", 10_000)
    path = tmp_path / "rows.csv"
    path.write_text('text,label\ngood,1\n"bad,2\n' + "fine,1\n" * 10_000, encoding="utf-8")
    assert re.search(r"row 2 of .* \(line 1\d{3}\) cannot be read: .* limit .*is a quote in it", error_of(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file .*no\.csv"):
        read_examples(tmp_path / "no.csv")
    assert "is a folder" in error_of(tmp_path)


def test_a_text_of_100_000_words(tmp_path: Path) -> None:
    long = "word " * 100_000
    table = read_examples(write(tmp_path / "rows.csv", {"text": [long, "short"], "label": ["x", "y"]}))
    assert table.examples.texts[0] == long


# Drawing rows


def large(path: Path, rows: int, words: int = 4) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.write("said,verdict\n")
        for row in range(rows):
            file.write(f'"row {row}{", as said" * words}",{"yes" if row % 4 else "no"}\n')
    return path


def test_rows_are_drawn_by_the_seed(tmp_path: Path) -> None:
    path = large(tmp_path / "rows.csv", 4000)
    seen: list[int] = []
    table = read_examples(path, most=1000, seed=3, progress=seen.append)
    assert len(table.examples) == 1000
    assert (table.read, table.sampled_from) == (4000, 4000)
    assert seen[-1] == 4000
    assert table.examples.rows == sorted(set(table.examples.rows))
    assert read_examples(path, most=1000, seed=3).examples.rows == table.examples.rows
    others = read_examples(path, most=1000, seed=4).examples.rows
    assert 150 < len(set(others) & set(table.examples.rows)) < 350  # 250 by chance
    assert 200 < classes_of(table).count("no") < 300  # 250 of 1000
    halves = sum(row <= 2000 for row in table.examples.rows)
    assert 420 < halves < 580
    everything = read_examples(path, most=4000)
    assert everything.sampled_from is None
    assert everything.examples.rows == read_examples(path).examples.rows


@given(most=st.integers(1, 12), seed=st.integers(-3, 10**20), shuffled=st.randoms(use_true_random=False))
def test_which_rows_are_drawn_does_not_depend_on_their_order(
    tmp_path_factory: pytest.TempPathFactory, most: int, seed: int, shuffled: random.Random
) -> None:
    rows = [(f"text {number % 9}", f"{number % 2}") for number in range(24)]

    def some(rows: list[tuple[str, str]]) -> tuple[list[tuple[str, int]], int]:
        path = tmp_path_factory.getbasetemp() / "drawn.csv"
        write(path, {"text": [text for text, _ in rows], "label": [label for _, label in rows]})
        table = read_examples(path, most=most, seed=seed, labels=("0", "1"))
        return sorted(zip(table.examples.texts, table.examples.targets.tolist(), strict=True)), table.duplicates

    drawn, duplicates = some(rows)
    assert len(drawn) == min(most, len(set(rows)))
    assert duplicates == sum((text, int(label)) in drawn for text, label in rows) - len(drawn)
    other = list(rows)
    shuffled.shuffle(other)
    assert some(other) == (drawn, duplicates)


def test_a_drawn_file_is_never_in_memory(tmp_path: Path) -> None:
    path = large(tmp_path / "rows.csv", 6_000, words=200)
    tracemalloc.start()
    try:
        table = read_examples(path, most=500)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(table.examples) == 500
    assert peak < path.stat().st_size / 8


@pytest.mark.slow
def test_a_file_of_2_gb_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    filler = "and it went on like this for quite a while, " * 12
    with path.open("w", encoding="utf-8") as file:
        file.write("review,stars\n")
        for row in range(3_750_000):
            file.write(f'"visit {row}, {filler}",{row % 5 + 1}\n')
    try:
        assert path.stat().st_size > 2 * 10**9
        program = (
            "import sys\n"
            "from sightline.text.labelled import read_examples\n"
            "table = read_examples(sys.argv[1], most=50_000, seed=1)\n"
            "(peak,) = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"
            "print(len(table.examples), table.sampled_from, peak.split()[1])"
        )
        done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
        drawn, of, kilobytes = map(int, done.stdout.split())
        assert (drawn, of) == (50_000, 3_750_000)
        assert kilobytes < 600 * 1024  # of the program's own: what rusage tells begins with its parent's
    finally:
        path.unlink()


# Real data


def unpacked(data_folder: Path, name: str, tmp_path: Path) -> Path:
    source = data_folder / "classification" / name
    if source.exists():
        return source
    path = tmp_path / Path(name).name
    path.write_bytes(lzma.decompress(source.with_name(source.name + ".xz").read_bytes()))
    return path


GLUE: list[tuple[str, tuple[str, ...], str, int, tuple[str, ...] | None]] = [
    ("glue/SST-2/dev.tsv", ("sentence",), "label", 872, ("0", "1")),
    ("glue/MRPC/dev.tsv", ("#1 String", "#2 String"), "Quality", 408, ("0", "1")),
    ("glue/QNLI/dev.tsv", ("question", "sentence"), "label", 5463, ("entailment", "not_entailment")),
    ("glue/RTE/dev.tsv", ("sentence1", "sentence2"), "label", 277, ("entailment", "not_entailment")),
    ("glue/STS-B/train.tsv", ("sentence1", "sentence2"), "score", 5749, None),
    ("glue/WNLI/dev.tsv", ("sentence1", "sentence2"), "label", 71, ("0", "1")),
    ("hate-offensive/labeled_data.csv", ("tweet",), "class", 24783, ("0", "1", "2")),
]


@pytest.mark.parametrize(("name", "text", "label", "rows", "labels"), GLUE, ids=[case[0] for case in GLUE])
def test_published_tables(
    data_folder: Path,
    tmp_path: Path,
    name: str,
    text: tuple[str, ...],
    label: str,
    rows: int,
    labels: tuple[str, ...] | None,
) -> None:
    table = read_examples(unpacked(data_folder, name, tmp_path))
    assert (table.text_columns, table.label_column, table.read) == (text, label, rows)
    assert table.examples.labels == labels
    assert table.empty == table.unlabelled == 0
    if labels is None:
        assert (table.examples.targets.min(), table.examples.targets.max()) == (0, 5)


BARE: list[tuple[str, dict[str, Any], tuple[str, ...], str, int, tuple[str, ...]]] = [
    ("sms-spam/sms.tsv", {}, ("column2",), "column1", 5574, ("ham", "spam")),
    ("agnews/train_10k.tsv", {}, ("column1",), "column2", 10001, ("Business", "Sci/Tech", "Sports", "World")),
    (
        "agnews/test.csv",
        {"text": ["column2", "column3"]},
        ("column2", "column3"),
        "column1",
        7600,
        ("1", "2", "3", "4"),
    ),
    ("glue/CoLA/dev.tsv", {"label": "column2"}, ("column4",), "column2", 1043, ("0", "1")),
]


@pytest.mark.parametrize(("name", "options", "text", "label", "rows", "labels"), BARE, ids=[case[0] for case in BARE])
def test_published_tables_without_a_header(
    data_folder: Path,
    tmp_path: Path,
    name: str,
    options: dict[str, Any],
    text: tuple[str, ...],
    label: str,
    rows: int,
    labels: tuple[str, ...],
) -> None:
    path = unpacked(data_folder, name, tmp_path)
    assert "header=False" in error_of(path)
    table = read_examples(path, header=False, **options)
    assert (table.text_columns, table.label_column, table.read) == (text, label, rows)
    assert table.examples.labels == labels
