"""Texts from files: what other libraries wrote is read back, a few rows at a time; what cannot be read is named."""

import csv
import io
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import polars
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.errors import InputError, NotFoundError, SightlineError
from sightline.text.tables import read_texts

# Any text: quotes, commas, line breaks, null characters excepted (no table of text files can hold them).
ANY = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, max_size=6)
LINES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\ufeff"), min_size=1), min_size=1, max_size=6
)
FIELDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t\0\ufeff"), min_size=1), min_size=1, max_size=6
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@given(texts=LINES, ending=st.sampled_from(["\n", "\r\n"]), blank=st.integers(0, 3), bom=st.booleans())
def test_lines(folder: Path, texts: list[str], ending: str, blank: int, bom: bool) -> None:
    path = folder / "lines.txt"
    content = ending.join(texts) + ending * blank
    path.write_bytes(("\ufeff" if bom else "").encode() + content.encode())
    assert list(read_texts(path)) == texts


def test_a_blank_line_is_a_row_unless_nothing_follows(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_bytes(b"\none\n\n\r\ntwo\nthree\n\n\r\n")
    assert list(read_texts(tmp_path / "lines.txt")) == ["", "one", "", "", "two", "three"]


@given(texts=ANY, named=st.booleans())
def test_jsonl(folder: Path, texts: list[str], named: bool) -> None:
    path = folder / "rows.jsonl"
    rows = [{"id": row, "text": text, "other": "x"} if named else text for row, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert list(read_texts(path)) == texts


@given(texts=ANY)
def test_csv_of_polars_and_of_python(folder: Path, texts: list[str]) -> None:
    path = folder / "rows.csv"
    polars.DataFrame({"id": range(len(texts)), "review, long": texts}).write_csv(path)
    assert list(read_texts(path, "review, long")) == texts
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["review"], *[[text] for text in texts]])
    assert list(read_texts(path)) == texts


@given(texts=FIELDS)
@example(texts=['"quoted" at first', '"', 'and " last"'])
def test_tsv_takes_quotes_as_they_are(folder: Path, texts: list[str]) -> None:
    path = folder / "rows.tsv"
    path.write_text("id\tsentence\n" + "".join(f"{row}\t{text}\n" for row, text in enumerate(texts)), encoding="utf-8")
    assert list(read_texts(path)) == texts


@given(texts=ANY)
def test_parquet(folder: Path, texts: list[str]) -> None:
    path = folder / "rows.parquet"
    polars.DataFrame({"id": range(len(texts)), "review": texts}).write_parquet(path)
    assert list(read_texts(path)) == list(read_texts(path, "review")) == texts


def test_many_rows_of_parquet_keep_their_order(tmp_path: Path) -> None:
    texts = [f"row {row}" for row in range(10_000)]
    polars.DataFrame({"text": texts}).write_parquet(tmp_path / "rows.parquet", row_group_size=700)
    assert list(read_texts(tmp_path / "rows.parquet")) == texts


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("a\nZwölf\n".encode())))
    assert list(read_texts("-")) == ["a", "Zwölf"]


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl"])
def test_a_file_is_never_in_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large{suffix}"
    with path.open("w", encoding="utf-8") as file:
        file.write("text\n" if suffix == ".csv" else "")
        for row in range(100_000):
            file.write(json.dumps(f"this is row number {row} of a file of several megabytes") + "\n")
    tracemalloc.start()
    try:
        rows = sum(1 for _ in read_texts(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == 100_000
    assert peak < path.stat().st_size / 20


WRONG: list[tuple[str, bytes, str | None, str]] = [
    ("a.txt", b"one\ntwo \xe9\n", None, r"a\.txt is not UTF-8 text: byte 5 of line 2 is 0xe9; save it as UTF-8"),
    ("a.csv", b"text\none\ncaf\xe9\n", None, "byte 4 of line 3 is 0xe9"),
    ("a.jsonl", b'"one"\n"\xff"\n', None, "byte 2 of line 2 is 0xff"),
    ("a.txt", "zwei".encode("utf-16"), None, "byte 1 of line 1 is 0xff"),
    ("a.txt", b"", None, "a.txt has no rows"),
    ("a.txt", b"\n\n", None, "a.txt has no rows"),
    ("a.csv", b"text\n", None, "a.csv has no rows"),
    ("a.csv", b"", None, "a.csv has no column"),
    ("a.txt", b"one\n", "text", "has lines and no columns, so none is called 'text'"),
    ("a.csv", b"id,review\n1,good\n", "revue", "has no column 'revue': did you mean 'review'"),
    ("a.csv", b"id,review\n1,good\n", "zzz", "has no column 'zzz': its columns are 'id', 'review'"),
    ("a.csv", b"id,review\n1,good\n", None, r"has the columns 'id', 'review'; say which one holds the texts"),
    ("a.csv", b"text;label\ngood;1\n", None, "is one column, 'text;label', with ';' in it: separate columns by commas"),
    ("a.csv", b"text\tlabel\ngood\t1\n", None, "is one column, .* by tabs in a .tsv"),
    ("a.csv", b"id,text\n1,good\n2,fine, but\n", None, r"row 2 of .*a\.csv \(line 3\) has 3 fields, its header 2"),
    ("a.csv", b"id,text\n1,good\n\n2,fine\n", None, r"row 2 of .* \(line 3\) has 0 fields"),
    ("a.csv", b'id,text\n1,"good\n', None, r"row 1 of .* cannot be read: unexpected end of data"),
    ("a.tsv", b"id\ttext\n1\ta\tb\n", None, r"row 1 of .* has 3 fields, its header 2; take tabs out of texts"),
    ("a.jsonl", b'{"text": "a"}\n{"text": \n', None, "row 2 of .* is not JSON"),
    ("a.jsonl", b'{"text": "a"}\n\n{"text": "b"}\n', None, "row 2 of .* is not JSON"),
    ("a.jsonl", b'{"text": "a"}\n{"body": "b"}\n', None, "row 2 of .* has no column 'text'"),
    ("a.jsonl", b'{"text": "a"}\n{"text": null}\n', "text", "row 2 of .* has nothing in column 'text'"),
    ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', None, "row 2 of .* has int 3 in column 'text', where text belongs"),
    ("a.jsonl", b'{"a": "x", "b": "y"}\n', None, "row 1 of .* has the columns 'a', 'b'; say which"),
    ("a.jsonl", b'{"a": 1}\n', None, "row 1 of .* has no column of texts"),
    ("a.jsonl", b"[1]\n", None, r"row 1 of .* is \[1\]; write one JSON object a line"),
    ("a.jsonl", b"[" * 100_000, None, "row 1 of .* is not JSON"),
    ("a.parquet", b"id,text\n", None, "cannot read .*a.parquet: .*; is it a Parquet file"),
]


@pytest.mark.parametrize(("name", "content", "column", "message"), WRONG, ids=[message[:50] for *_, message in WRONG])
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, column: str | None, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(read_texts(tmp_path / name, column))
    assert "\n" not in str(caught.value)


PARQUET: list[tuple[dict[str, list[object]], str | None, str]] = [
    ({"text": ["a", None]}, None, "row 2 of .* has nothing in column 'text'"),
    ({"text": ["a"], "stars": [3]}, "stars", "row 1 of .* has int 3 in column 'stars'"),
    ({"text": ["a"], "stars": [3]}, "txt", "has no column 'txt': did you mean 'text'"),
    ({"stars": [3]}, None, "has no column of texts"),
    ({"a": ["x"], "b": ["y"]}, None, "has the columns 'a', 'b'; say which one"),
    ({"text": []}, "text", "has no rows"),
]


@pytest.mark.parametrize(("table", "column", "message"), PARQUET, ids=[message[:40] for *_, message in PARQUET])
def test_what_parquet_lacks_is_named(
    tmp_path: Path, table: dict[str, list[object]], column: str | None, message: str
) -> None:
    polars.DataFrame(table).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        list(read_texts(tmp_path / "a.parquet", column))


NO_FILE: list[tuple[Callable[[Path], Path], type[SightlineError], str]] = [
    (lambda folder: folder / "no.txt", NotFoundError, r"there is no file .*no\.txt"),
    (lambda folder: folder / "no.parquet", NotFoundError, r"there is no file .*no\.parquet"),
    (lambda folder: folder, InputError, "is a folder; give the path of a file in it"),
]


@pytest.mark.parametrize(("path", "kind", "message"), NO_FILE)
def test_a_file_that_is_not_there_is_named_at_once(
    tmp_path: Path, path: Callable[[Path], Path], kind: type[SightlineError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_texts(path(tmp_path))
