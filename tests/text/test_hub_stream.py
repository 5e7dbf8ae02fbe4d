"""A data set that is streamed, from a double of the library and a hub of our own on 127.0.0.1."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hub_server import HubServer
from sightline.errors import InputError, NotFoundError
from sightline.tasks.prepare import Preparation, prepare
from sightline.tasks.prepare_config import PrepareConfig
from sightline.text.corpus import open_corpus
from sightline.text.hub_stream import is_stream, settle, streamed_documents
from sightline.text.raw import Bad

ADDRESS = "hf://datasets/somebody/texts"
TEXTS = [f"document number {number} of the stream" for number in range(40)]


class Rows:
    """What of `datasets.IterableDataset` is used."""

    def __init__(self, rows: list[dict[str, Any]], breaks: int | None = None) -> None:
        self.rows, self.breaks = rows, breaks

    def skip(self, n: int) -> "Rows":
        return Rows(self.rows[n:], None if self.breaks is None else self.breaks - n)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number, row in enumerate(self.rows):
            if number == self.breaks:
                raise ConnectionError("the other side hung up\nand more")
            yield row


class Library(ModuleType):
    """Its `load_dataset`, which notes how it was called."""

    def __init__(self) -> None:
        super().__init__("datasets")
        self.asked: list[tuple[object, ...]] = []
        self.rows: list[dict[str, Any]] = [{"id": "x", "text": text} for text in TEXTS]
        self.breaks: int | None = None

    def load_dataset(self, name: str, subset: str | None, *, split: str, streaming: bool, revision: str) -> Rows:
        self.asked.append((name, subset, split, streaming, revision))
        if split not in ("train", "test"):
            raise ValueError(f"Bad split: {split}. Available splits: ['train', 'test']\nmore lines")
        return Rows(self.rows, self.breaks)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    double = Library()
    monkeypatch.setitem(sys.modules, "datasets", double)
    return double


@pytest.fixture
def commit(hub: HubServer) -> str:
    return hub.commit("somebody/texts", {"README.md": b"a data set"})


def run(out: Path, **settings: object) -> None:
    for _ in prepare([ADDRESS], out, PrepareConfig(vocabulary=300, valid=0.2, **settings)):
        pass


def test_what_is_an_address_of_a_whole_data_set() -> None:
    assert is_stream(ADDRESS) and is_stream(f"{ADDRESS}@main") and is_stream(f"{ADDRESS}/")
    assert not any(is_stream(other) for other in (f"{ADDRESS}/a.jsonl", "hf://models/a/b", "texts", "hf://datasets/a"))


@pytest.mark.parametrize("revision", ["~parquet", "refs%2Fconvert%2Fparquet"])
def test_a_revision_is_spelled_as_for_a_file(revision: str, library: Library, hub: HubServer) -> None:
    commit = hub.commit("somebody/texts", {"README.md": b"converted"}, branch="refs/convert/parquet")
    assert settle(f"{ADDRESS}@{revision}", subset=None, split="train").commit == commit


def test_a_stream_becomes_a_corpus(library: Library, commit: str, tmp_path: Path) -> None:
    run(tmp_path / "out", subset="small")
    corpus = open_corpus(tmp_path / "out")
    assert len(corpus.train) + len(corpus.valid) == 40
    assert set(library.asked) == {("somebody/texts", "small", "train", True, commit)}
    (source,) = corpus.manifest["sources"]
    assert (source["name"], source["commit"], source["documents"]) == (ADDRESS, commit, 40)


def test_a_stream_that_breaks_off_goes_on_there(
    library: Library,
    commit: str,
    hub: HubServer,
    tmp_path: Path,
) -> None:
    run(tmp_path / "whole")
    library.breaks = 25
    says = r"the stream of 'somebody/texts' broke off after row 25 \(the other side hung up\); give the same command"
    with pytest.raises(InputError, match=says):
        run(tmp_path / "out")
    library.breaks = None
    hub.commit("somebody/texts", {"README.md": b"another one"})  # what is begun stays with what it was begun with
    run(tmp_path / "out")
    assert {asked[-1] for asked in library.asked} == {commit}
    assert open_corpus(tmp_path / "out").fingerprint == open_corpus(tmp_path / "whole").fingerprint


def test_a_stream_is_taken_up_at_any_row(library: Library, commit: str) -> None:
    stream = settle(ADDRESS, subset=None, split="test")
    assert list(streamed_documents(stream, begin=38)) == TEXTS[38:]
    assert list(streamed_documents(stream, column="id", begin=39)) == ["x"]
    library.rows = [{"text": None}, {"text": 3}]
    assert [each.why if isinstance(each, Bad) else each for each in streamed_documents(stream)] == [
        "",
        "row 2 of somebody/texts has int 3 in column 'text', not text",
    ]
    library.rows = [{"title": "a", "body": "b"}]
    with pytest.raises(InputError, match=r"row 1 of 'somebody/texts' has the columns 'title', 'body'; say which one"):
        list(streamed_documents(stream))


def test_what_cannot_be_streamed(
    library: Library, commit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(
        NotFoundError, match=r"cannot stream 'somebody/texts': Bad split: dev. Available splits: .*'test'"
    ):
        run(tmp_path / "out", split="dev")
    with pytest.raises(NotFoundError, match=r"there is no data set 'nobody/texts' at http"):
        Preparation(["hf://datasets/nobody/texts"], tmp_path / "out")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        NotFoundError, match=r"which the library datasets streams: pip install 'sightline\[hub\]'; or name"
    ):
        run(tmp_path / "out")
