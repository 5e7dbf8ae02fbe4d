"""`sightline classify`: answers in the order of the rows, from files and pipes, in little memory."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy
import polars
import pytest

import sightline as sl
from sightline.app.cli import main
from sightline.app.texts import ROWS_AT_ONCE, lines_as_they_come
from sightline.errors import InputError
from sightline.tasks.baseline import Majority
from tasks.labelled_rows import LABELS, SIZES, classes, numbers

MADE = "sightline-training.json"


def write(path: Path, header: list[str], rows: Iterable[tuple[object, ...]]) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Classifiers with random weights, of texts, of pairs and for numbers, and a baseline."""
    place = tmp_path_factory.mktemp("classifiers")
    rows = classes(60)
    tokenizer = sl.learn_tokenizer(rows.texts, vocabulary=150)
    model = sl.build("bert", "tiny", tokenizer=tokenizer, heads=(), positions=32, init_std=0.3, **SIZES)
    for name, labels, columns in (
        ("texts", LABELS, ["review"]),
        ("pairs", LABELS, ["premise", "hypothesis"]),
        ("numbers", None, ["text"]),
    ):
        sl.with_classifier(model, labels, seed=3).save(place / name)
        (place / name / MADE).write_text(json.dumps({"columns": {"text": columns, "label": "label"}}))
    Majority.fit(rows).save(place / "majority")
    Majority.fit(numbers(30)).save(place / "mean")
    return {name: str(place / name) for name in ("texts", "pairs", "numbers", "majority", "mean")}


def expected(folder: str, texts: list[str], pairs: list[str] | None = None) -> list[dict[str, float]]:
    found = sl.classify(sl.load(folder), texts, pairs)
    return [dict(zip(LABELS, row, strict=True)) for row in found.array.tolist()]


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_answers_are_in_order_with_all_probabilities(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = classes(40, seed=1)
    file = write(tmp_path / "rows.csv", ["id", "review"], enumerate(rows.texts))
    assert main(["classify", folders["texts"], file, "--json"]) == 0
    found = records(capsys.readouterr().out)
    assert [row["row"] for row in found] == [*range(1, 41)] and [row["text"] for row in found] == rows.texts
    for row, want in zip(found, expected(folders["texts"], rows.texts), strict=True):
        assert row["probabilities"] == pytest.approx(want) and row["label"] == max(want, key=want.__getitem__)
    assert main(["classify", folders["texts"], file]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [row["label"] for row in found]
    assert [line[2] for line in lines] == rows.texts
    shares = [max(want.values()) for want in expected(folders["texts"], rows.texts)]
    assert [float(line[1]) for line in lines] == pytest.approx(shares, abs=1e-4)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_answers_go_to_a_file(
    suffix: str, folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [*classes(10, seed=1).texts, 'quoted "soup", and\nmore']
    file = write(tmp_path / "rows.csv", ["review"], [(text,) for text in texts])
    out = tmp_path / f"answers{suffix}"
    assert main(["classify", folders["texts"], file, "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"11 answers in {out} (")
    assert [path.name for path in tmp_path.iterdir() if path.name != "rows.csv"] == [out.name]
    want = expected(folders["texts"], texts)
    if suffix == ".jsonl":
        found = records(out.read_text(encoding="utf-8"))
        assert [row["probabilities"] for row in found] == [pytest.approx(row) for row in want]
    else:
        table = polars.read_csv(out) if suffix == ".csv" else polars.read_parquet(out)
        assert table.columns == ["row", "text", "label", *(f"probability_{label}" for label in LABELS)]
        assert table["text"].to_list() == texts and table["row"].to_list() == [*range(1, 12)]
        for label in LABELS:
            assert table[f"probability_{label}"].to_list() == pytest.approx([row[label] for row in want])


def test_pairs_numbers_and_baselines(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = classes(12, seed=2, pairs=True)
    assert rows.pairs is not None
    columns = zip(rows.pairs, rows.texts, rows.pairs, strict=True)
    file = write(tmp_path / "rows.csv", ["hypothesis", "premise", "text"], columns)
    assert main(["classify", folders["pairs"], file, "--json"]) == 0
    found = records(capsys.readouterr().out)
    want = expected(folders["pairs"], rows.texts, rows.pairs)
    assert [row["probabilities"] for row in found] == [pytest.approx(row) for row in want]
    assert found[0]["text"] == rows.texts[0] and found[0]["pair"] == rows.pairs[0]
    assert main(["classify", folders["pairs"], file, "--column", "hypothesis,premise", "--json"]) == 0
    assert [row["text"] for row in records(capsys.readouterr().out)] == rows.pairs
    assert main(["classify", folders["numbers"], file, "--json"]) == 0
    values = sl.classify(sl.load(folders["numbers"]), rows.pairs).array
    assert [row["value"] for row in records(capsys.readouterr().out)] == pytest.approx(values.tolist())
    assert main(["classify", folders["majority"], file, "--json"]) == 0
    assert {row["label"] for row in records(capsys.readouterr().out)} == {
        max(LABELS, key=lambda label: list(classes(60).targets).count(LABELS.index(label)))
    }
    assert main(["classify", folders["mean"], file]) == 0
    assert len({line.split("\t")[0] for line in capsys.readouterr().out.splitlines()}) == 1


@pytest.mark.parametrize("kind", ["txt", "jsonl", "tsv without header", "parquet"])
def test_every_kind_of_file(
    kind: str, folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = classes(5, seed=3).texts
    file, args = tmp_path / f"rows.{kind.split()[0]}", list[str]()
    if kind == "txt":
        file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    elif kind == "jsonl":
        file.write_text("".join(json.dumps({"review": text, "n": 1}) + "\n" for text in texts), encoding="utf-8")
    elif kind == "parquet":
        polars.DataFrame({"n": [1] * 5, "review": texts}).write_parquet(file)
    else:
        file.write_text("".join(f"{text}\tx\n" for text in texts), encoding="utf-8")
        args = ["--no-header", "--column", "column1"]
    assert main(["classify", folders["texts"], str(file), "--json", *args]) == 0
    found = records(capsys.readouterr().out)
    assert [row["probabilities"] for row in found] == [pytest.approx(row) for row in expected(folders["texts"], texts)]


def test_a_pipe_that_stays_open_is_answered_line_by_line(folders: dict[str, str]) -> None:
    command = [sys.executable, "-m", "sightline", "classify", folders["texts"], "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None and process.stdout is not None
        for text in ("a lovely soup", "an awful lamp", "tea"):
            process.stdin.write(text + "\n")
            assert process.stdout.readline().endswith(f"\t{text}\n")  # before the next is written
        process.stdin.write("no line end")
        process.stdin.close()
        assert process.stdout.read().endswith("\tno line end\n")
    assert process.returncode == 0


def test_pairs_on_standard_input_are_parted_by_tabs(folders: dict[str, str]) -> None:
    command = [sys.executable, "-m", "sightline", "classify", folders["pairs"], "-", "--json"]
    given = "so a lamp\tthe soup\r\nthe tea\tis cold\n\n\n"
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=120)
    assert [row["pair"] for row in records(done.stdout)] == ["the soup", "is cold"]
    done = subprocess.run(command, input="one\ttwo\nthree\n", capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "line 2 has 0 tabs" in done.stderr
    done = subprocess.run(command, input="one\ttwo\n\n\tfour\n", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "note: 2 of 3 rows have an empty text and got no answer\n"
    found = records(done.stdout)
    assert [row["label"] is None for row in found] == [False, True, True] and found[2]["pair"] == "four"


class _Input:
    """Standard input that comes in parts."""

    def __init__(self, *parts: bytes) -> None:
        self.buffer, self.parts = self, [*parts, b""]

    def read1(self, most: int) -> bytes:
        return self.parts.pop(0)


def test_a_line_may_come_in_parts_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Input(b"\xef\xbb\xbfon", b"e", b" line\ntwo\n\nfo", b"ur"))
    assert list(lines_as_they_come()) == [[("one line",), ("two",)], [("",), ("four",)]]
    monkeypatch.setattr(sys, "stdin", _Input(*[b"x" * 2**20] * 65, b"\n"))
    with pytest.raises(InputError, match="longer than 67,108,864 bytes"):
        list(lines_as_they_come())


def test_what_a_terminal_would_obey_is_not_printed(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ("a\nb", "c\x1b[2Jd")
    Majority(labels=labels, answer=numpy.array([0.4, 0.6]), paired=False).save(tmp_path / "odd")
    (tmp_path / "rows.txt").write_text("so\x1b[31m red\n", encoding="utf-8")
    assert main(["classify", str(tmp_path / "odd"), str(tmp_path / "rows.txt")]) == 0
    assert capsys.readouterr().out == "c [2Jd\t0.6000\tso [31m red\n"


def test_little_is_held_at_once(folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 3 * ROWS_AT_ONCE + 5
    (tmp_path / "rows.txt").write_text("a soup\n" * rows, encoding="utf-8")
    sizes: list[int] = []
    real = Majority.predict

    def predict(self: Majority, texts: list[str], pairs: list[str] | None = None) -> object:
        sizes.append(len(texts))
        return real(self, texts, pairs)

    monkeypatch.setattr(Majority, "predict", predict)
    out = tmp_path / "answers.parquet"
    assert main(["classify", folders["majority"], str(tmp_path / "rows.txt"), "--out", str(out)]) == 0
    assert sizes == [ROWS_AT_ONCE] * 3 + [5]
    assert polars.read_parquet(out)["row"].to_list() == [*range(1, rows + 1)]


@pytest.mark.parametrize("suffix", ["", ".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("classifier", ["texts", "numbers", "majority"])
def test_an_empty_text_gets_an_empty_answer(
    classifier: str, suffix: str, folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["", "  ", "a lovely soup", None, *["tea"] * (ROWS_AT_ONCE - 4), "\u200b"]  # the last in a part of its own
    file, out = str(tmp_path / "rows.parquet"), tmp_path / f"answers{suffix}"
    polars.DataFrame({"text": given}).write_parquet(file)
    args = ["--out", str(out)] if suffix else ["--json"]
    assert main(["classify", folders[classifier], file, "--column", "text", *args]) == 0
    printed, said = capsys.readouterr()
    assert said == f"note: 4 of {len(given)} rows have an empty text and got no answer\n"
    text = printed if not suffix else "" if suffix == ".parquet" else out.read_text(encoding="utf-8")
    tables = {".csv": polars.read_csv, ".parquet": polars.read_parquet}
    found = tables[suffix](out).to_dicts() if suffix in tables else records(text)
    assert [row["row"] for row in found] == [*range(1, len(given) + 1)]
    told = [{name: said for name, said in row.items() if name not in ("row", "text")} for row in found]
    nothing = [place for place, row in enumerate(told) if all(said is None for said in row.values())]
    assert nothing == [0, 1, 3, len(given) - 1]
    assert not any(None in told[place].values() for place in range(len(given)) if place not in nothing)
    assert set(told[0]) >= ({"value"} if classifier == "numbers" else {"label"})


def test_an_empty_text_on_a_line_and_alone(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, table = tmp_path / "rows.txt", tmp_path / "rows.parquet"
    lines.write_text("tea\n\nsoup\n\n\n", encoding="utf-8")  # blank lines at the end are no rows
    for classifier, second in {"majority": "\t\t", "mean": "\t"}.items():
        assert main(["classify", folders[classifier], str(lines)]) == 0
        printed, said = capsys.readouterr()
        assert len(printed.splitlines()) == 3 and printed.splitlines()[1] == second
        assert said == "note: 1 of 3 rows has an empty text and got no answer\n"
    polars.DataFrame({"other": [1], "text": [None]}, schema_overrides={"text": polars.String}).write_parquet(table)
    for args in ([], ["--out", str(tmp_path / "answers.parquet")]):
        assert main(["classify", folders["majority"], str(table), *args]) == 0
    assert polars.read_parquet(tmp_path / "answers.parquet")["label"].to_list() == [None]


def test_a_wrong_row_after_empty_ones_is_named_by_its_own_number(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": ""}\n{"text": "tea"}\n{"text": "a\\ud800"}\n', encoding="utf-8")
    for classifier in ("texts", "majority"):
        assert main(["classify", folders[classifier], str(tmp_path / "rows.jsonl"), "--column", "text"]) == 2
        assert "row 3 is not valid Unicode" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "args", "says"),
    [
        ("review\n", [], "there are no rows"),
        ("review,other\na,b\n", ["--column", "reviews"], "did you mean 'review'?"),
        ("review,other\na,b\n", ["--column", "review,other,third"], "names 3 columns"),
        ("review\na\n", ["--out", "{out}.npy"], "ends in .csv, .jsonl, .parquet"),
        ("review\na,b\n", [], "has 2 fields"),
    ],
)
@pytest.mark.parametrize("classifier", ["texts", "majority"])
def test_what_cannot_be_is_one_line(
    classifier: str,
    given: str,
    args: list[str],
    says: str,
    folders: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "rows.csv").write_text(given, encoding="utf-8")
    column = ["--column", "review"] if classifier == "majority" and "--column" not in args else []
    args = [arg.format(out=tmp_path / "out") for arg in args]
    assert main(["classify", folders[classifier], str(tmp_path / "rows.csv"), *args, *column]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and err[0].startswith("sightline: ") and says in err[0]


def test_answers_do_not_take_the_place_of_the_rows(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "rows.csv", ["review"], [("tea",), ("soup",)])
    before = Path(file).read_bytes()
    (tmp_path / "link.csv").symlink_to(file)
    for out in (file, str(tmp_path / "link.csv")):
        assert main(["classify", folders["texts"], file, "--out", out]) == 2
        assert "the rows are in it; name another file" in capsys.readouterr().err
    assert Path(file).read_bytes() == before


def test_columns_that_it_was_not_taught_on_are_asked_for(
    folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("one,other\na,b\n", encoding="utf-8")
    assert main(["classify", folders["texts"], str(tmp_path / "rows.csv")]) == 2
    assert "say which one holds the texts with --column\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("classifier", "file", "args", "says"),
    [
        ("pairs", "rows.csv", ["--column", "one"], "pairs of texts, in 'premise' and 'hypothesis'; name two columns"),
        ("pairs", "rows.csv", [], "name two columns of a table with --column"),
        ("pairs", "rows.txt", [], "name two columns of a table with --column"),
        ("texts", "rows.csv", ["--column", "one,other"], "taught on texts, in 'review'; name one column"),
    ],
)
def test_texts_are_not_given_to_a_classifier_of_pairs_nor_pairs_to_one_of_texts(
    classifier: str,
    file: str,
    args: list[str],
    says: str,
    folders: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / file).write_text("one,other\na,b\n" if file == "rows.csv" else "a text\n", encoding="utf-8")
    assert main(["classify", folders[classifier], str(tmp_path / file), *args]) == 2
    assert says in capsys.readouterr().err


def test_a_wrong_row_leaves_no_half_file(folders: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("review\n" + "fine\n" * 1200 + "two,fields\n", encoding="utf-8")
    for suffix in (".csv", ".jsonl", ".parquet"):
        out = tmp_path / f"answers{suffix}"
        assert main(["classify", folders["texts"], str(tmp_path / "rows.csv"), "--out", str(out)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_what_is_cut_is_said_once(folders: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.txt").write_text(("the soup " * 40 + "\nfine\n") * 2, encoding="utf-8")
    assert main(["classify", folders["texts"], str(tmp_path / "rows.txt")]) == 0
    assert capsys.readouterr().err == "note: 2 of 4 rows are longer than the model reads and were cut\n"
    (tmp_path / "rows.txt").write_text("the soup " * 40 + "\nfine\n", encoding="utf-8")
    assert main(["classify", folders["texts"], str(tmp_path / "rows.txt")]) == 0
    assert capsys.readouterr().err == "note: 1 of 2 rows is longer than the model reads and was cut\n"


def test_a_model_without_such_a_head_says_what_to_do(
    tmp_path: Path, folders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    sl.build("bert", "tiny", tokenizer=sl.load(folders["texts"]).tokenizer, **SIZES).save(tmp_path / "plain")
    (tmp_path / "rows.txt").write_text("fine\n", encoding="utf-8")
    assert main(["classify", str(tmp_path / "plain"), str(tmp_path / "rows.txt")]) == 2
    assert "no head that classifies (it has: lm); `sightline tune` teaches one" in capsys.readouterr().err
