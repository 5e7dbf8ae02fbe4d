"""The files at a path, whatever they are packed in: found by how they end, bounded, and read as rows.

What unpackers do with damaged files: test_unpack.py.
"""

import bz2
import gzip
import lzma
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars
import pytest

from sightline.errors import InputError, NotFoundError
from sightline.text import packed_files as module
from sightline.text.packed_files import PackedFile, packed_files

ROWS = b'{"text": "one"}\n{"text": "two"}\n'
SUFFIXES = (".jsonl", ".txt")


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".xz", lzma.compress), (".gz", gzip.compress), (".bz2", bz2.compress)]
)
def test_a_file_is_itself_however_it_is_packed(suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    path.write_bytes(pack(ROWS))
    (file,) = packed_files(path, SUFFIXES)
    assert (file.name, file.suffix, file.content) == ("rows.jsonl", ".jsonl", ROWS)
    assert list(file.texts("text")) == [("one",), ("two",)]


def test_a_file_that_is_named_needs_no_ending(tmp_path: Path) -> None:
    path = tmp_path / "rows.raw"
    path.write_bytes(b"one\r\n\ntwo\n")
    (file,) = packed_files(path, SUFFIXES)
    assert list(file.texts("text")) == [("one",), ("",), ("two",)]


def test_of_a_folder_or_an_archive_those_that_end_so(tmp_path: Path) -> None:
    names = ["b/rows.jsonl", "a.txt", "README.md", "b/.hidden.txt", "c.txt.xz"]
    folder = tmp_path / "folder"
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        for name in names:
            content = lzma.compress(ROWS) if name.endswith(".xz") else ROWS
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            archive.writestr(name, content)
    for path in (folder, tmp_path / "rows.zip"):
        found = packed_files(path, SUFFIXES)
        assert sorted(file.name.rsplit("/", 1)[-1] for file in found) == ["a.txt", "c.txt", "rows.jsonl"]
        assert {file.content for file in found} == {ROWS}


def test_what_is_not_there_or_too_much_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match="there is no file or folder"):
        packed_files(tmp_path / "missing", SUFFIXES)
    with pytest.raises(InputError, match=r"holds no file that ends in .jsonl, .txt"):
        packed_files(tmp_path, SUFFIXES)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(ROWS)
    monkeypatch.setattr(module, "LARGEST", 2 * len(ROWS))
    assert len(packed_files(tmp_path, SUFFIXES)) == 2
    monkeypatch.setattr(module, "LARGEST", 2 * len(ROWS) - 1)
    with pytest.raises(InputError, match="more than 63 bytes"):
        packed_files(tmp_path, SUFFIXES)


def packed(path: Path) -> PackedFile:
    (file,) = packed_files(path, (".jsonl", ".parquet"))
    return file


def test_the_columns_that_are_asked_for_in_their_order(tmp_path: Path) -> None:
    rows = {"a": ["one", "two"], "number": [1, 2], "b": ["three", "four"]}
    polars.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_text('{"a": "one", "b": "three"}\n{"b": "four", "a": "two"}\n')
    for name in ("rows.parquet", "rows.jsonl"):
        assert list(packed(tmp_path / name).texts("b", "a")) == [("three", "one"), ("four", "two")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"a": "one"}', r"row 2 of rows\.jsonl has no text 'text'; it has 'a'"),
        ('{"text": 3}', r"row 2 of rows\.jsonl has no text 'text'; there it has 3"),
        ("{}", r"row 2 of rows\.jsonl has no text 'text'; it has nothing"),
        ('{"text": "a \\ud800 b"}', r"row 2 of rows\.jsonl is not valid Unicode at character 3"),
    ],
)
def test_a_row_that_has_no_text_is_named(row: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n' + row + "\n")
    with pytest.raises(InputError, match=said):
        list(packed(tmp_path / "rows.jsonl").texts("text"))


def test_a_table_without_the_column(tmp_path: Path) -> None:
    polars.DataFrame({"a": ["one"], "text": [None]}, schema_overrides={"text": polars.String}).write_parquet(
        tmp_path / "rows.parquet"
    )
    for column, there in (("b", "it has 'a', 'text'"), ("text", "there it has None")):
        with pytest.raises(InputError, match=f"row 1 of rows.parquet has no text '{column}'; {there}"):
            list(packed(tmp_path / "rows.parquet").texts(column))
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(InputError, match=r"cannot read rows\.parquet: "):
        list(packed(tmp_path / "rows.parquet").texts("text"))


def test_a_small_file_that_holds_a_lot_is_refused_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    polars.DataFrame({"text": ["the same" * 10] * 100_000}).write_parquet(tmp_path / "rows.parquet")
    monkeypatch.setattr(module, "LARGEST", 10**6)
    read = packed(tmp_path / "rows.parquet").texts("text")
    seen = 0
    with pytest.raises(InputError, match="more than 1,000,000 bytes of text"):
        for _ in read:
            seen += 1
    assert seen < 10_000


def test_a_long_text_that_comes_often_is_not_read_often_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand times a MiB in a file of a few KiB."""
    polars.DataFrame({"text": ["a" * 2**20] * 1000, "n": [1] * 1000}).write_parquet(tmp_path / "rows.parquet")
    assert (tmp_path / "rows.parquet").stat().st_size < 2**20
    monkeypatch.setattr(module, "LARGEST", 2**25)
    read = packed(tmp_path / "rows.parquet").texts("text")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="more than 33,554,432 bytes of text"):
            list(read)
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()
