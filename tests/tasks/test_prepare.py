"""A corpus from raw text: what is in it, what is not, and that it does not depend on how often it was interrupted."""

import gzip
import json
import lzma
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy
import polars
import pytest

from sightline.errors import CheckpointError, ConfigError, InputError, NotFoundError
from sightline.tasks import prepare_reading, prepare_work, shards
from sightline.tasks.prepare import Preparation, prepare
from sightline.tasks.prepare_config import PrepareConfig
from sightline.tasks.prepare_reading import Chunk
from sightline.text.clean import clean
from sightline.text.corpus import Corpus, open_corpus
from sightline.text.learn import learn_tokenizer
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer
from text.test_unpack import tar, zipped

WORDS = "the a of and to in is it cat dog house tree runs sleeps sees likes red small old because while never".split()


def sentences(count: int, seed: int = 0) -> list[str]:
    random = numpy.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(4, 15))) + f" {number}." for number in range(count)]


def write(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def run(files: Sequence[object], out: Path, **settings: object) -> Corpus:
    for _ in prepare(
        [str(file) for file in files], out, PrepareConfig(**{"vocabulary": 400, "valid": 0.1, **settings})
    ):
        pass
    return open_corpus(out)


def texts_of(corpus: Corpus, part: str) -> list[str]:
    """Without the tokens around them."""
    return [corpus.tokenizer.decode(ids[1:-1].tolist()) for ids in getattr(corpus, part)]


def both(corpus: Corpus) -> list[str]:
    return texts_of(corpus, "train") + texts_of(corpus, "valid")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few documents at a time, committed every few times, in many shards."""
    monkeypatch.setattr(prepare_reading, "CHUNK_BYTES", 600)
    monkeypatch.setattr(prepare_work, "COMMIT_BYTES", 1500)
    monkeypatch.setattr(shards, "SHARD_TOKENS", 1000)


# What is in it


def test_every_kind_of_file_in_one_corpus(tmp_path: Path) -> None:
    kinds = ("txt", "jsonl", "csv", "parquet", "txt.xz", "jsonl.gz", "zip", "tar.xz")
    texts = {kind: sentences(5, seed) for seed, kind in enumerate(kinds)}
    path = {kind: tmp_path / f"text.{kind}" for kind in kinds}
    rows = {kind: "".join(json.dumps({"text": text}) + "\n" for text in texts[kind]) for kind in kinds}
    write(path["txt"], texts["txt"])
    path["jsonl"].write_text(rows["jsonl"])
    path["csv"].write_text("text\n" + "\n".join(texts["csv"]) + "\n")
    polars.DataFrame({"text": texts["parquet"]}).write_parquet(path["parquet"])
    path["txt.xz"].write_bytes(lzma.compress("\n".join(texts["txt.xz"]).encode()))
    path["jsonl.gz"].write_bytes(gzip.compress(rows["jsonl.gz"].encode()))
    path["zip"].write_bytes(zipped({f"{number}.txt": text.encode() for number, text in enumerate(texts["zip"])}))
    path["tar.xz"].write_bytes(lzma.compress(tar({"rows.jsonl": rows["tar.xz"].encode()})))
    corpus = run(path.values(), tmp_path / "out", documents="lines", licences=("CC0",))
    assert sorted(both(corpus)) == sorted(text for some in texts.values() for text in some)
    assert [(source["name"], source["documents"], source["licence"]) for source in corpus.manifest["sources"]] == [
        (str(path[kind]), 5, "CC0") for kind in kinds
    ]
    for source in corpus.manifest["sources"]:
        assert source["bytes"] == Path(source["name"]).stat().st_size and len(source["sha256"]) == 64


def test_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    for name, text in {"b/2.txt": "two", "a.txt": "one", "c.md": "three", ".hidden": "no", "b/.git/x": "no"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    corpus = run([folder], folder / "out", valid=0.0)
    assert texts_of(corpus, "train") == ["one", "two", "three"]
    assert len(corpus.valid) == 0 and corpus.valid.tokens == 0
    again = Preparation([folder], folder / "out", PrepareConfig(vocabulary=400, valid=0.0))
    assert list(again.run()) == []  # what it wrote itself is no source


def test_documents_are_cleaned_and_come_once(tmp_path: Path) -> None:
    odd = ["one ", "", "two\x01", "one", "cafe\u0301", " \t", "caf\u00e9", "three", "two"]
    one = write(tmp_path / "one.txt", odd)
    two = write(tmp_path / "two.txt", ["three", "four"])
    corpus = run([one, two], tmp_path / "out", documents="lines", valid=0.0)
    assert texts_of(corpus, "train") == ["one", "two", "caf\u00e9", "three", "four"]
    says = corpus.manifest
    assert says["documents"] == {"read": 11, "bad": 0, "empty": 2, "duplicates": 4}
    assert says["cleaned"] == {"line_ends": 0, "controls": 1, "unicode": 1, "blanks": 2}
    assert [source["documents"] for source in says["sources"]] == [4, 1]


def test_what_is_assumed_about_text_files_is_said(tmp_path: Path) -> None:
    one, two = tmp_path / "one.txt", write(tmp_path / "two.txt", ["three", "", "four"])
    for text, parting, word in (("a\nb", "lines", "a line"), ("a\n\nb", "blank-lines", "what blank lines part")):
        one.write_text(text)
        preparation = Preparation([one], tmp_path / "out")
        assert preparation.parting == parting
        assert preparation.assumed == (f"A document of {one} is {word}; documents=… says otherwise.",)
    preparation = Preparation([one, two], tmp_path / "out")
    assert (preparation.parting, *preparation.assumed) == (
        "files",
        "Each text file is one document; documents=… says otherwise.",
    )
    asked = Preparation([one], tmp_path / "out", PrepareConfig(documents="files"))
    assert (asked.parting, asked.assumed) == ("files", ())


def test_more_files_move_no_document(tmp_path: Path) -> None:
    one, two = (write(tmp_path / f"{seed}.txt", sentences(200, seed)) for seed in range(2))
    alone = run([one], tmp_path / "alone", documents="lines", valid=0.3)
    together = run([two, one], tmp_path / "together", documents="lines", valid=0.3)
    assert set(texts_of(alone, "valid")) < set(texts_of(together, "valid"))
    assert set(texts_of(alone, "train")) < set(texts_of(together, "train"))
    assert not set(texts_of(together, "valid")) & set(texts_of(together, "train"))
    other = run([one], tmp_path / "other", documents="lines", valid=0.3, seed=1)
    assert set(texts_of(other, "valid")) != set(texts_of(alone, "valid"))


def test_so_many_documents_are_kept_to_judge_by() -> None:
    chunk = Chunk(place=(0, 0), seed=3)
    for number in range(20_000):
        chunk.take(0, f"text {number}")
    for share in (0.0, 0.02, 0.5):
        found = sum(each.is_for_valid(share) for each in chunk.documents) / 20_000
        assert abs(found - share) <= 4 * (share * (1 - share) / 20_000) ** 0.5
    more = {each.text for each in chunk.documents if each.is_for_valid(0.3)}
    assert {each.text for each in chunk.documents if each.is_for_valid(0.1)} < more
    assert len({each.digest for each in chunk.documents}) == 20_000


# Its tokens


@pytest.mark.parametrize(
    ("kind", "around"),
    [("roberta-bpe", "<s> </s>"), ("wordpiece", "[CLS] [SEP]"), ("bytelevel-bpe", "<|endoftext|> " * 2)],
)
def test_each_kind_of_tokenizer_is_learned_from_the_training_part(kind: str, around: str, tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", sentences(300))
    corpus = run([one], tmp_path / "out", documents="lines", kind=kind)
    train = [text for text in sentences(300) if text in set(texts_of(corpus, "train"))]
    if kind != "wordpiece":
        learned = learn_tokenizer(sorted(train), kind=kind, vocabulary=400)
        assert learned.backend.get_vocab() == corpus.tokenizer.backend.get_vocab()
    assert corpus.manifest["tokenizer"]["learned_from"] == {
        "documents": len(corpus.train),
        "text_bytes": corpus.train.text_bytes,
    }
    opening, closing = (corpus.tokenizer.id(token) for token in around.split())
    assert {(int(ids[0]), int(ids[-1])) for ids in corpus.train} == {(opening, closing)}


def test_a_tokenizer_that_is_given_is_used_and_saved(tmp_path: Path) -> None:
    given = learn_tokenizer(sentences(50), kind="wordpiece", vocabulary=200)
    save_tokenizer(given, tmp_path / "tokenizer")
    (tmp_path / "tokenizer" / "config.json").write_text('{"model_type": "bert"}')
    one = write(tmp_path / "one.txt", sentences(50))
    corpus = run([one], tmp_path / "out", documents="lines", tokenizer=tmp_path / "tokenizer")
    assert corpus.train[0].tolist() == given.encode(sentences(50)[0])
    assert corpus.manifest["tokenizer"]["learned_from"] is None
    assert corpus.manifest["tokenizer"]["model_type"] == "bert"
    assert load_tokenizer(tmp_path / "out").encode("the cat") == given.encode("the cat")


def test_tokens_that_are_written_out_in_a_text_are_text(tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", [*sentences(50), "a <mask> and </s> in a text"])
    corpus = run([one], tmp_path / "out", documents="lines", valid=0.0)
    last = corpus.train[len(corpus.train) - 1]
    assert corpus.tokenizer.decode(last[1:-1].tolist()) == "a <mask> and </s> in a text"
    assert not set(last[1:-1].tolist()) & corpus.tokenizer.special.ids


def test_a_large_vocabulary_takes_wider_tokens(tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", ["the last"])
    for size, kind in ((2**16, numpy.uint16), (2**16 + 1, numpy.uint32)):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "bert"}')
        words = [f"w{number}" for number in range(size - 6)]
        write(folder / "vocab.txt", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, "last"])
        corpus = run([one], tmp_path / f"out{size}", documents="lines", valid=0.0, tokenizer=folder)
        assert corpus.train[0].dtype == kind
        assert corpus.train[0].tolist() == [2, 1, size - 1, 3]


def test_a_tokenizer_is_learned_from_no_more_than_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And from the same texts, in whatever order they come."""
    monkeypatch.setattr(prepare_work, "MEBIBYTE", 2000)
    texts = sentences(300)
    one, two = write(tmp_path / "one.txt", texts), write(tmp_path / "two.txt", texts[::-1])
    found = [run([path], tmp_path / path.stem, documents="lines", sample_mib=1) for path in (one, two)]
    (learned,) = {json.dumps(corpus.manifest["tokenizer"]["learned_from"]) for corpus in found}
    assert 1900 < json.loads(learned)["text_bytes"] <= 2000
    (_,) = {corpus.manifest["tokenizer"]["sha256"] for corpus in found}


@pytest.mark.usefixtures("small_chunks")
def test_many_shards_hold_the_same_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "one.txt", sentences(300))
    many = run([one], tmp_path / "many", documents="lines")
    monkeypatch.undo()
    few = run([one], tmp_path / "few", documents="lines")
    entries = many.manifest["parts"]["train"]["shards"]
    assert len(entries) > 3 and len(few.manifest["parts"]["train"]["shards"]) == 1
    assert all(1000 <= entry["tokens"] < 1100 for entry in entries[:-1])
    for part in ("train", "valid"):
        one_part, other = getattr(many, part), getattr(few, part)
        assert [ids.tolist() for ids in one_part] == [ids.tolist() for ids in other]
        assert (one_part.words, one_part.text_bytes) == (other.words, other.text_bytes)
        expected = [clean(text) for text in texts_of(few, part)]
        assert one_part.text_bytes == sum(len(text.encode()) for text in expected)


# What cannot be


def test_what_cannot_be_read_is_named_and_left_out_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "one"}\n{"text": \n"two"\n{"text": 3}\n"four"\n')
    config = {"vocabulary": 300, "valid": 0.0}
    with pytest.raises(InputError, match=r"row 2 of .*rows.jsonl is not JSON .*; or leave out .* with skip_bad=True"):
        run([path], tmp_path / "out", **config)
    corpus = run([path], tmp_path / "out", **config, skip_bad=True)  # and goes on there
    assert texts_of(corpus, "train") == ["one", "two", "four"]
    assert corpus.manifest["documents"] == {"read": 5, "bad": 2, "empty": 0, "duplicates": 0}
    assert [why.partition(" of ")[0] for why in corpus.manifest["bad"]] == ["row 2", "row 4"]
    fresh = run([path], tmp_path / "fresh", **config, skip_bad=True)
    assert content(tmp_path / "fresh") == content(tmp_path / "out")
    assert fresh.fingerprint == corpus.fingerprint


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"valid": 1.0}, ConfigError, "valid=1.0 must be a number from 0 up to, not including, 1"),
        ({"kind": "unigram"}, ConfigError, "kind='unigram' must be one of wordpiece,"),
        (
            {"documents": "pages"},
            ConfigError,
            "='pages' must be one of files, blank-lines, lines, endoftext, auto",
        ),
        ({"vocabulary": 0}, ConfigError, "vocabulary=0 must be a whole number"),
        ({"split": "test"}, InputError, r"only a data set on the hub takes split=…: give"),
        ({"licences": ("a", "b")}, InputError, "there are 2 licences and 1 sources; give licences=…"),
        (
            {"documents": "files"},
            InputError,
            r"of all documents \(1\) none is there to judge by, with valid=0.1; give another",
        ),
        ({"vocabulary": 20}, ConfigError, "ask for at least"),
        ({"tokenizer": Path("nowhere")}, NotFoundError, "no folder nowhere"),
    ],
)
def test_what_was_asked_for_cannot_be(
    settings: dict[str, object], error: type[Exception], says: str, tmp_path: Path
) -> None:
    one = write(tmp_path / "one.txt", sentences(30))
    with pytest.raises(error, match=says):
        run([one], tmp_path / "out", **{"documents": "lines", **settings})
    assert len(run([one], tmp_path / "out", documents="lines").valid)  # in the same folder: nothing is in its way


def test_what_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file .*nowhere.txt; name a file of text, JSONL"):
        run([tmp_path / "nowhere.txt"], tmp_path / "out")
    with pytest.raises(InputError, match="there is nothing to prepare"):
        run([], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"the folder .*empty holds no files"):
        run([tmp_path / "empty"], tmp_path / "out")
    with pytest.raises(InputError, match=r"there is no document in '.*blank.txt': all of it is empty"):
        run([write(tmp_path / "blank.txt", ["", " "])], tmp_path / "out")


def test_why_there_is_nothing_to_learn_a_tokenizer_from(tmp_path: Path) -> None:
    """Told apart, and nothing is left in the way of another attempt."""
    out, cut = tmp_path / "out", tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"text": "one"}')[:15])
    for _ in range(2):
        with pytest.raises(InputError, match=r"no document in '.*gz': what cannot be read was left out: .* is cut off"):
            run([cut], out, skip_bad=True)
    one = write(tmp_path / "one.txt", ["one text"])
    with pytest.raises(InputError, match=r"of all documents \(1\) none is there to train on, with valid=0.99"):
        run([one], out, documents="files", valid=0.99)
    large = write(tmp_path / "large.txt", ["a word " * 200_000])
    with pytest.raises(InputError, match=r"each document is larger .*; raise sample_mib=…"):
        run([large], out, documents="files", sample_mib=1, valid=0.0)
    assert len(run([write(tmp_path / "some.txt", sentences(30))], out, documents="lines").valid)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", sentences(30))
    with pytest.raises(ConfigError, match=r"holds 'one.txt' and no corpus; name a new folder with out=…"):
        run([one], tmp_path)
    with pytest.raises(CheckpointError, match=r"cannot write .*one.txt"):
        run([one], one)
    with pytest.raises(CheckpointError, match=r"cannot write /proc/"):
        run([one], Path("/proc/corpus"))


def test_a_corpus_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    one = write(tmp_path / "one.txt", sentences(100))
    run([one], tmp_path / "out", documents="lines")
    before = content(tmp_path / "out")
    run([one], tmp_path / "out", documents="lines")
    assert content(tmp_path / "out") == before
    with pytest.raises(CheckpointError, match="was begun with seed=0, and now it is 1; give the same, or name another"):
        run([one], tmp_path / "out", documents="lines", seed=1)
    two = write(tmp_path / "two.txt", ["more"])
    with pytest.raises(CheckpointError, match=r"was begun with the sources '.*one.txt', and now it is '.*two.txt'"):
        run([one, two], tmp_path / "out", documents="lines")
    write(one, sentences(101))
    with pytest.raises(CheckpointError, match=r"one.txt has changed since the corpus in .* was made of it"):
        run([one], tmp_path / "out", documents="lines")
    assert content(tmp_path / "out") == before


MEASURED = """
import sys
from pathlib import Path
from sightline.tasks import prepare_reading, prepare_work
from sightline.tasks.prepare import prepare
from sightline.tasks.prepare_config import PrepareConfig
prepare_reading.CHUNK_BYTES, prepare_work.COMMIT_BYTES = 2**16, 2**18
config = PrepareConfig(tokenizer=Path(sys.argv[1]), documents="lines")
for _ in prepare([sys.argv[2]], sys.argv[3], config):
    pass
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the peak of a process's own memory")
def test_more_text_takes_no_more_memory(tmp_path: Path) -> None:
    """Six times the text; held at once, its encodings alone would be some hundred MB more."""
    save_tokenizer(learn_tokenizer(sentences(500), kind="bytelevel-bpe", vocabulary=300), tmp_path / "tokenizer")
    peaks, some = [], sentences(6000)
    for copies in (1, 6):
        text = write(tmp_path / f"{copies}.txt", [f"{each} {copy}" for copy in range(copies) for each in some])
        command = [
            sys.executable,
            "-c",
            MEASURED,
            str(tmp_path / "tokenizer"),
            str(text),
            str(tmp_path / f"out{copies}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 20, peaks
