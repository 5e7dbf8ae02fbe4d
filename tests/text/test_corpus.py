"""A corpus that is opened is the corpus that was written, or says which file is not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from sightline.errors import CheckpointError, NotFoundError
from sightline.tasks.prepare import prepare
from sightline.tasks.prepare_config import PrepareConfig
from sightline.text.corpus import documents_of, open_corpus

TEXTS = [f"document {number} has so many words: " + "word " * (number % 7) for number in range(60)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "text.txt").write_text("\n".join(TEXTS))
    for _ in prepare([folder / "text.txt"], folder / "corpus", PrepareConfig(vocabulary=300, valid=0.2)):
        pass
    return folder / "corpus"


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    """A copy that may be harmed."""
    return shutil.copytree(made, tmp_path / "corpus")


def test_documents_are_the_texts_between_their_tokens(made: Path) -> None:
    corpus = open_corpus(made)
    texts = [corpus.tokenizer.decode(ids) for part in (corpus.train, corpus.valid) for ids in map(list, part)]
    assert sorted(texts) == sorted(f"<s>{text.strip()}</s>" for text in TEXTS)
    for part in (corpus.train, corpus.valid):
        assert 0 < len(part) < 60
        assert part.lengths.tolist() == [len(part[index]) for index in range(len(part))]
        assert part.tokens == part.lengths.sum()
        decoded = [corpus.tokenizer.decode(list(ids)[1:-1]) for ids in part]
        assert part.text_bytes == sum(len(text.encode()) for text in decoded)
        assert part.words == sum(len(text.split()) for text in decoded)
    assert corpus.vocabulary == 300 == len(corpus.tokenizer)
    assert corpus.train[-1].tolist() == corpus.train[len(corpus.train) - 1].tolist()
    with pytest.raises(IndexError):
        corpus.train[len(corpus.train)]
    assert corpus.fingerprint == open_corpus(made, verify=False).fingerprint


def test_nothing_that_is_mapped_can_be_written_to(made: Path) -> None:
    ids = open_corpus(made).train[0]
    assert isinstance(ids.base, numpy.memmap) or isinstance(ids, numpy.memmap)
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 1


def test_documents_in_memory() -> None:
    documents = documents_of([[5, 6], [], [7, 8, 9]], text_bytes=20, words=4)
    assert [documents[index].tolist() for index in range(3)] == [[5, 6], [], [7, 8, 9]]
    assert documents.lengths.tolist() == [2, 0, 3]
    assert (documents.tokens, documents.text_bytes, documents.words) == (5, 20, 4)
    prints = {documents_of(rows).fingerprint for rows in ([[1, 2]], [[1], [2]], [[2, 1]])}
    assert len(prints) == 3


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0\0")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [cut, lengthen, flip, Path.unlink])
@pytest.mark.parametrize("name", ["train-00000.bin", "train-00000.idx", "valid-00000.bin", "tokenizer.json"])
def test_a_file_that_was_harmed_is_named(corpus: Path, name: str, harm: Callable[[Path], None]) -> None:
    harm(corpus / name)
    with pytest.raises(CheckpointError, match=r"prepare the corpus again") as caught:
        open_corpus(corpus)
    assert name in str(caught.value) or "the tokenizer in" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_verifying_bounds_are_looked_at_all_the_same(corpus: Path) -> None:
    ends = numpy.fromfile(corpus / "train-00000.idx", "<i8")
    for wrong in (ends + 1, numpy.concatenate([ends[1:2], ends[:1], ends[2:]]), numpy.where(ends == ends[0], -1, ends)):
        wrong.tofile(corpus / "train-00000.idx")
        with pytest.raises(
            CheckpointError, match=r"train-00000.idx does not end its documents where train-00000.bin has"
        ):
            open_corpus(corpus, verify=False)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("format",), 2, "has the format 2, not 1"),
        (("token_type",), "int8", "has the token type 'int8', which is neither of uint16, uint32"),
        (("tokenizer",), None, "names no tokenizer"),
        (("tokenizer", "vocabulary"), 299, "has 300 tokens, its corpus 299"),
        (("parts",), [], "is no manifest of a corpus"),
        (("parts", "train"), {}, "names no shards of 'train'"),
        (("parts", "train", "words"), -1, "says words -1, which is no count"),
        (("parts", "train", "tokens"), 7, "counts other documents of 'train' than its shards hold"),
        (
            ("parts", "train", "shards", 0, "file"),
            "../train-00000.bin",
            "does not name train-00000.bin where it belongs",
        ),
        (("parts", "train", "shards", 0, "tokens"), 2**70, r"says tokens 1180591620717411303424, which is no count"),
        (("parts", "train", "shards", 0, "tokens"), True, r"says tokens True, which is no count"),
    ],
)
def test_a_manifest_that_says_something_else(
    corpus: Path, path: tuple[str | int, ...], value: object, says: str
) -> None:
    manifest = json.loads((corpus / "manifest.json").read_text())
    place = manifest
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (corpus / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=says):
        open_corpus(corpus, verify=False)


def test_what_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no such folder"):
        open_corpus(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match="preparing it was not finished: give that command again"):
        open_corpus(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest.json is not JSON"):
        open_corpus(tmp_path)
