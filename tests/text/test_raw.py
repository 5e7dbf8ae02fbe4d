"""Documents as they stand in files: what parts them, and what becomes of those that cannot be read."""

import json
import lzma
from pathlib import Path

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.text import raw
from sightline.text.raw import Bad, holds_text, obvious_parting, raw_documents
from text.test_unpack import tar, zipped


def read(path: Path, content: bytes | str | None = None, **settings: object) -> list[object]:
    """The documents of a file with this content; of those that cannot be read, what is wrong."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = raw_documents(path, **{"parting": "files", **settings})
    return [(each.why,) if isinstance(each, Bad) else each for each in found]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tmp_path / "text.txt"


def test_what_parts_documents(text: Path) -> None:
    content = "one\ntwo\n\n \t\nthree\r\nfour\n<|endoftext|>\nfive"
    assert read(text, content) == [content]
    lines = ["one\n", "two\n", "\n", " \t\n", "three\r\n", "four\n", "<|endoftext|>\n", "five"]
    assert read(text, content, parting="lines") == lines
    assert read(text, content, parting="blank-lines") == ["one\ntwo\n", "three\r\nfour\n<|endoftext|>\nfive"]
    assert read(text, content, parting="endoftext") == ["one\ntwo\n\n \t\nthree\r\nfour\n", "five"]
    for parting in ("files", "lines", "blank-lines"):
        assert read(text, "\ufeffone", parting=parting) == ["one"]
        assert "".join(map(str, read(text, "", parting=parting))) == ""


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=60))
def test_nothing_is_lost_between_documents(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    text = tmp_path_factory.mktemp("raw") / "text.txt"
    for parting in ("files", "lines"):
        assert "".join(map(str, read(text, content, parting=parting))) == content
    kept = "".join(line for line in content.split("\n") if line.strip(" \t\r\x0b\x0c"))
    assert "".join(map(str, read(text, content, parting="blank-lines"))).replace("\n", "") == kept


def test_bytes_that_are_no_utf8_are_named_by_line_and_byte(text: Path) -> None:
    bad = b"one\n\ntwo\nthr\xe9e\n\nfour\n"
    where = f"{text} is not UTF-8 text: byte 4 of line 4 is 0xe9; save it as UTF-8"
    assert read(text, bad) == [(where,)]
    assert read(text, bad, parting="lines") == ["one\n", "\n", "two\n", (where,), "\n", "four\n"]
    assert read(text, bad, parting="blank-lines") == ["one\n", (where,), "four\n"]
    wide = "one\ntwo\n".encode("utf-16-le")
    assert read(text, wide) == [(f"{text} has a zero byte in line 1, so it is no UTF-8 text; save it as UTF-8",)]


def test_what_is_too_long_is_left_out_and_reading_goes_on(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw, "LONGEST", 2**20)
    long = "x" * (2**20 + 5)
    assert read(text, "x" * 2**20) == ["x" * 2**20]
    (whole,) = read(text, long)
    assert "has more than 1 MiB, too many for one document; say what else parts documents with documents=…" in whole[0]
    one, line, two = read(text, f"one\n{long}\ntwo\n", parting="lines")
    assert (one, two) == ("one\n", "two\n") and "line 2 of" in line[0]
    lines = "y" * 1000 + "\n"
    one, many, line, two = read(text, f"one\n\n{lines * 2000}\n{long}\n\n\ntwo", parting="blank-lines")
    assert (one, two) == ("one\n", "two")
    assert "what begins in line 3 of" in many[0] and "what begins in line 2004 of" in line[0]
    jsonl = text.with_suffix(".jsonl")
    found = read(jsonl, json.dumps({"text": "one"}) + "\n" + json.dumps(long) + "\n" + json.dumps("two"))
    assert found[0] == "one" and "row 2 of" in found[1][0] and found[2] == "two"
    (table,) = read(text.with_suffix(".csv"), f"text\n{long}\n")
    assert "line 2 of" in table[0]
    polars.DataFrame({"text": ["one", long, "two"]}).write_parquet(text.with_suffix(".parquet"))
    one, row, two = read(text.with_suffix(".parquet"))
    assert (one, two) == ("one", "two") and "row 2 of" in row[0]


def test_rows_of_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = ['{"id": "1", "text": "one"}', "", '"two"', '{"text": null}', '{"text": 4}', '{"id": 5}', "{", "[6]", "\xff"]
    found = read(path, "\n".join([*rows, '{"text": "seven"}']).encode("latin-1"))
    assert [each for each in found if isinstance(each, str)] == ["one", "two", "", "seven"]
    wrong = [each[0] for each in found if isinstance(each, tuple)]
    for why, says in zip(
        wrong,
        [
            f"row 5 of {path} has int 4 in column 'text', not text",
            f"row 6 of {path} has no column 'text': its columns are 'id'",
            f"row 7 of {path} is not JSON (",
            f"row 8 of {path} is [6]; write one JSON object a line",
            f"{path} is not UTF-8 text: byte 1 of line 9 is 0xff",
        ],
        strict=True,
    ):
        assert why.startswith(says)
    assert read(path, '{"id": "1", "body": "one"}\n{"id": "2", "body": "two"}', column="body") == ["one", "two"]
    (quoted,) = read(path, '"one"', column="body")
    assert quoted[0] == f"row 1 of {path} is a text, without a column 'body'; leave out column=…"
    (which,) = read(path, '{"id": "1", "body": "one"}')
    assert which[0].endswith("has the columns 'id', 'body'; say which one holds the texts with column=…")


def test_tables(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", 'id,text\n1,"one, or\ntwo"\n2,three\n') == ["one, or\ntwo", "three"]
    assert read(tmp_path / "a.tsv", "id\tbody\n1\tone\n", column="body") == ["one"]
    first, why = read(tmp_path / "a.csv", 'text,id\none,1\n"two,2\n')
    assert first == "one" and "is a quote in it or before it left open?" in why[0]
    path = tmp_path / "a.parquet"
    polars.DataFrame({"id": [1, 2, 3], "text": ["one", None, "three"]}).write_parquet(path)
    assert read(path) == ["one", "", "three"]
    assert read(path, column="id")[0] == (f"row 1 of {path} has int 1 in column 'id', not text",)
    assert read(path, column="body") == [(f"{path} has no column 'body': its columns are 'id', 'text'",)]
    packed = tmp_path / "a.parquet.xz"
    assert read(packed, lzma.compress(path.read_bytes())) == ["one", "", "three"]
    (why,) = read(tmp_path / "b.zip", zipped({"b.parquet": b"PAR1 it is not"}))
    assert "b.zip, in it 'b.parquet'" in why[0] and "is it a Parquet file?" in why[0]


def test_archives_give_the_documents_of_each_file_and_go_on_behind_a_bad_one(tmp_path: Path) -> None:
    files = {
        "1.txt": b"one",
        "2.jsonl": b'{"text": "two"}\n',
        "3.txt": b"\xff",
        "4.pdf": b"%PDF",
        "5.txt": b"five\n\nsix",
    }
    for name, content in {"a.zip": zipped(files), "a.tar": tar(files)}.items():
        found = read(tmp_path / name, content)
        assert [each for each in found if isinstance(each, str)] == ["one", "two", "five\n\nsix"]
        assert [each[0] for each in found if isinstance(each, tuple)] == [
            f"{tmp_path / name}, in it '3.txt' is not UTF-8 text: byte 1 of line 1 is 0xff; save it as UTF-8",
            f"{tmp_path / name}, in it '4.pdf' is neither text nor a table that is read here; save it as plain text",
        ]


def test_a_file_that_is_cut_off_gives_what_is_whole(tmp_path: Path) -> None:
    content = "".join(f"line {number}\n" for number in range(200_000)).encode()
    packed = lzma.compress(content)
    path = tmp_path / "text.txt.xz"
    *lines, why = read(path, packed[: len(packed) // 2], parting="lines")
    assert len(lines) > 10_000 and "".join(map(str, lines)).encode() == content[: len("".join(map(str, lines)))]
    assert why == (f"{path} is cut off; copy or download it again",)


def test_what_is_obvious_about_a_text_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    for content, parting in {
        "one\ntwo\n": "lines",
        "one\n\ntwo\n": "blank-lines",
        "\n\none\ntwo\n\n": "lines",
        "one\n\n<|endoftext|>\ntwo": "endoftext",
        "": "blank-lines",
    }.items():
        path.write_text(content)
        assert obvious_parting(path) == parting
    path.with_suffix(".xz").write_bytes(lzma.compress(b"one\n\ntwo"))
    assert obvious_parting(path.with_suffix(".xz")) == "blank-lines"
    texts = ("a", "a.txt", "a.md.gz")
    assert all(holds_text(Path(name)) for name in texts)
    others = ("a.zip", "a.tar.xz", "a.tgz", "a.jsonl.xz", "a.CSV", "a.parquet")
    assert not any(holds_text(Path(name)) for name in others)
