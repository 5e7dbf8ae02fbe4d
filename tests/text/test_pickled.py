"""Plain values are read as pickle itself reads them, from every protocol; what is more is refused by name, unrun."""

import collections
import io
import pickle
import random
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import CheckpointError
from sightline.text import pickled
from sightline.text.pickled import read_plain

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=20,
)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "vocab.pkl"
    path.write_bytes(content)
    return path


@given(value=plain, protocol=st.integers(0, 5))
def test_it_reads_what_pickle_wrote(value: Any, protocol: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    if protocol < 3:
        value = repr(value)  # there bytes are a call of codecs.encode
    path = written(tmp_path_factory.mktemp("pickle"), pickle.dumps(value, protocol))
    found = read_plain(path)
    assert found == value
    assert repr(found) == repr(value)


VOCABULARY = {
    "counter": collections.Counter({"the": 3, "ä": 1}),
    "special": ["<eos>"],
    "min_freq": 0,
    "max_size": None,
    "lower_case": False,
    "idx2sym": ["<eos>", "the", "ä"],
    "sym2idx": collections.OrderedDict([("<eos>", 0), ("the", 1), ("ä", 2)]),
}


@pytest.mark.parametrize("protocol", range(6))
def test_a_vocabulary_of_every_protocol(protocol: int, tmp_path: Path) -> None:
    found = read_plain(written(tmp_path, pickle.dumps(VOCABULARY, protocol)))
    assert found == VOCABULARY
    assert type(found["counter"]) is dict and type(found["sym2idx"]) is dict
    assert list(found["sym2idx"]) == ["<eos>", "the", "ä"]


@pytest.mark.parametrize("zipped", [True, False])
def test_a_vocabulary_of_torch_save(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "vocab.bin"
    torch.save(VOCABULARY, path, _use_new_zipfile_serialization=zipped)
    assert read_plain(path) == VOCABULARY


class Touch:
    """What a hostile file does when it is opened."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


HOSTILE = {
    "a call of os.system": b"cos\nsystem\n(S'touch broken'\ntR.",
    "the same through the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch broken\x85R.",
    "eval": b"\x80\x02cbuiltins\neval\nX\x03\x00\x00\x001+1\x85R.",
    "an object of a class": pickle.dumps(random.Random(0), 2),
    "a compiled pattern": pickle.dumps(__import__("re").compile("a")),
    "an instance made the old way": b"(i__main__\nThing\n.",
    "a persistent object": b"\x80\x02U\x03abcQ.",
    "an extension code": b"\x80\x02\x82\x01.",
    "a state that is set": b"\x80\x02ccollections\nOrderedDict\n)R}U\x01aK\x01sb.",
    "a name within a name": b"\x80\x04\x8c\x0bcollections\x8c\x10Counter.fromkeys\x93.",
    "a set": pickle.dumps({1}, 4),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_wants_more_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"vocab\.pkl") as caught:
        read_plain(written(tmp_path, HOSTILE[what]))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "broken").exists()


def test_the_name_is_said_and_nothing_is_done(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    with pytest.raises(CheckpointError, match=r"asks for 'pathlib.*Path\.touch'|asks for '(builtins\.)?getattr'"):
        read_plain(written(tmp_path, pickle.dumps({"sym2idx": Touch(target)})))
    assert not target.exists()
    with pytest.raises(
        CheckpointError, match=r"asks for 're\._compile', and nothing .* write the words into vocab\.txt"
    ):
        read_plain(written(tmp_path, HOSTILE["a compiled pattern"]))


def test_tensors_are_no_plain_values(tmp_path: Path) -> None:
    path = tmp_path / "vocab.bin"
    torch.save({"sym2idx": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match=r"asks for 'torch\._utils\._rebuild_tensor_v2'"):
        read_plain(path)


@given(cut=st.integers(0, 400), flipped=st.integers(0, 400), bit=st.integers(0, 7))
def test_damage_is_always_a_checkpoint_error(
    cut: int, flipped: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(pickle.dumps(VOCABULARY, 4))
    content[flipped % len(content)] ^= 1 << bit
    damaged = bytes(content)[: cut if cut < len(content) else None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read_plain(written(tmp_path_factory.mktemp("damaged"), damaged))
        except CheckpointError as error:
            assert "\n" not in str(error)


BROKEN = {
    "empty": b"",
    "a web page": b"<!doctype html>",
    "no end": b"\x80\x02}",
    "nothing on the stack": b"\x80\x02.",
    "two without a mark": b"\x80\x02u.",
    "a key that is a list": b"\x80\x02}]K\x01s.",
    "an odd number": b"\x80\x02}(K\x01u.",
    "appended to a dict": b"\x80\x02}K\x01a.",
    "a memory that is not there": b"\x80\x02h\x07.",
    "a mark as a value": b"\x80\x02(q\x01.",
    "a call of a number": b"\x80\x02K\x01)R.",
    "pairs that are none": b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
    "pairs of one": b"\x80\x02ccollections\nOrderedDict\n]]K\x01aa\x85R.",
    "pairs of three": b"\x80\x02ccollections\nOrderedDict\n](K\x01K\x01K\x01ta\x85R.",
    "a name that is a list": b"\x80\x04]]\x93.",
    "a text that is cut": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "an endless whole number": b"I" + b"9" * 5000 + b"\n.",
    "no zip archive": b"PK\x03\x04abc",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken(what: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"vocab\.pkl is damaged or no pickle"):
        read_plain(written(tmp_path, BROKEN[what]))


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickled, "LARGEST", 1000)
    with pytest.raises(CheckpointError, match="more than 1,000 bytes"):
        read_plain(written(tmp_path, pickle.dumps("a" * 1000)))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", b"\x80\x02" + struct.pack("<cI", b"X", 10**6) + b"a" * 10**6 + b".")
    assert len(archive.getvalue()) < 2000
    monkeypatch.setattr(pickled, "LARGEST", 5000)
    with pytest.raises(CheckpointError, match="unpacks to 1,000,008 bytes"):
        read_plain(written(tmp_path, archive.getvalue()))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_plain(tmp_path / "vocab.pkl")


def test_what_repeats_itself_stays_small(tmp_path: Path) -> None:
    """A list in a list in a list, twice each time: as large as it is written, not as it would be spelled out."""
    content = b"\x80\x02]q\x00" + b"".join(
        b"]" + bytes((0x71, number)) + b"(h" + bytes((number - 1,)) + b"h" + bytes((number - 1,)) + b"e"
        for number in range(1, 60)
    )
    value = read_plain(written(tmp_path, content + b"."))
    for _ in range(59):
        value = value[0]
    assert value == []
