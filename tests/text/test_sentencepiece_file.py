"""A model file is read as sentencepiece reads it; a damaged one is named, whatever is wrong with it."""

import struct
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from sentencepiece_models import message, number, reviews, train, written
from sightline.errors import CheckpointError, SightlineError, UnsupportedError
from sightline.text.sentencepiece_file import Kind, Normalization, SentencePieceModel, read_sentencepiece
from sightline.text.sentencepiece_rules import Rules
from sightline.text.tokenizer_files import load_tokenizer

SMALL = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("▁", -2.0, 1), ("a", -1.5, 1), ("b", -2.5, 1)]


def read(folder: Path, content: bytes) -> SentencePieceModel:
    (folder / "spiece.model").write_bytes(content)
    return read_sentencepiece(folder / "spiece.model")


@pytest.fixture(scope="module")
def trained() -> bytes:
    return train(byte_fallback=True, user_defined_symbols=["<x>"], control_symbols=["<c>"], pad_id=3)


def test_pieces_are_those_that_sentencepiece_reads(trained: bytes, tmp_path: Path) -> None:
    ours = read(tmp_path, trained)
    theirs = sentencepiece.SentencePieceProcessor(model_proto=trained)
    ids = range(theirs.get_piece_size())
    assert list(ours.pieces) == [theirs.id_to_piece(id) for id in ids]
    assert list(ours.scores) == [theirs.get_score(id) for id in ids]
    assert [kind is Kind.CONTROL for kind in ours.kinds] == [theirs.is_control(id) for id in ids]
    assert [kind is Kind.BYTE for kind in ours.kinds] == [theirs.is_byte(id) for id in ids]
    assert ours.unknown == theirs.unk_id() and ours.of_kind(Kind.USER_DEFINED) == ["<x>"]
    roles = {"bos": theirs.bos_id(), "eos": theirs.eos_id(), "pad": theirs.pad_id(), "unk": theirs.unk_id()}
    assert ours.roles == {role: theirs.id_to_piece(id) for role, id in roles.items()}
    assert (ours.algorithm, ours.byte_fallback, ours.normalization.name) == ("unigram", True, "nmt_nfkc")


def test_what_a_file_leaves_out_has_sentencepieces_defaults(tmp_path: Path) -> None:
    ours = read(tmp_path, written(SMALL))
    assert ours.normalization == Normalization() and ours.algorithm == "unigram" and not ours.byte_fallback
    assert ours.roles == {"unk": "<unk>", "bos": "<s>", "eos": "</s>"}
    none = read(tmp_path, written(SMALL, trainer=((41, -1), (42, 4), (3, 2)), normalizer=((3, 0), (4, 0), (5, 0))))
    assert none.roles == {"unk": "<unk>"}, "-1 is none, and a piece of text is no end of a text"
    assert none.normalization == Normalization(
        add_dummy_prefix=False, remove_extra_whitespaces=False, escape_whitespaces=False
    )
    assert none.algorithm == "bpe"
    more = message((4, b"self test"), (200, 7), (201, b"another's")) + number(202 << 3 | 1) + bytes(8)
    assert read(tmp_path, written(SMALL, more=more)) == ours, "unknown fields are passed over"


DAMAGED = {
    "empty": (b"", "has no pieces"),
    "text": (b"not a model at all", "no field of a message"),
    "json": (b'{"model": {}}', "no field of a message"),
    "long field": (b"\x0a\xff\xff\xff\xff\x0f", "4,294,967,295 bytes are announced at byte 6, 0 are left"),
    "endless number": (b"\xff" * 20, "a number does not end"),
    "group": (b"\x0b", "no field of a message"),
    "no unknown": (written(SMALL[1:]), "0 pieces stand for the unknown"),
    "two unknown": (written([*SMALL, ("<unk2>", 0.0, 2)]), "2 pieces stand for the unknown"),
    "twice": (written([*SMALL, ("a", -3.0, 1)]), "the piece 'a' stands there 2 times"),
    "empty piece": (written([*SMALL, ("", -3.0, 1)]), "piece 6 is empty"),
    "long piece": (written([*SMALL, ("c" * 1025, -3.0, 1)]), "piece 6 has 1,025 letters, more than 1,024"),
    "no number": (written([*SMALL, ("c", float("nan"), 1)]), r"the score of piece 6 \('c'\) is nan"),
    "type": (written([*SMALL, ("c", -3.0, 9)]), r"piece 6 \('c'\) has the unknown type 9"),
    "not UTF-8": (message((1, message((1, b"\xff")))), r"piece 0 b'\\xff' is not UTF-8"),
    "score": (message((1, message((1, b"a"), (2, 3)))), "the score of piece 0 is no number of 4 bytes"),
    "piece": (message((1, 5)), "a piece is the number 5"),
    "map": (written(SMALL, normalizer=((2, b"abc"),)), "its character map announces"),
    "short map": (written(SMALL, normalizer=((2, struct.pack("<I", 4096) + bytes(100)),)), "announces 4,096 bytes"),
    "wild map": (
        written(SMALL, normalizer=((2, struct.pack("<257I", 1024, *[0x7FFFFFFF] * 256) + b"a\0"),)),
        "points beyond its end",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    content, reason = DAMAGED[name]
    with pytest.raises(CheckpointError, match=rf"spiece.model is damaged .*{reason}.*; download"):
        read(tmp_path, content)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.text.sentencepiece_file.LARGEST_MODEL", 50)
    with pytest.raises(CheckpointError, match="too many for a sentencepiece model"):
        read(tmp_path, written(SMALL))
    monkeypatch.setattr("sightline.text.sentencepiece_file.LARGEST_MODEL", 5000)
    monkeypatch.setattr("sightline.text.sentencepiece_file.MOST_PIECES", 5)
    with pytest.raises(CheckpointError, match="more than 5 pieces"):
        read(tmp_path, written(SMALL))


def test_a_message_in_many_parts_is_their_sum(tmp_path: Path) -> None:
    parts = message((2, message((35, 1)))) + message((2, message((3, 2))))
    model = read(tmp_path, written(SMALL, more=parts))
    assert model.byte_fallback and model.algorithm == "bpe"


def test_models_that_cut_otherwise_are_refused(tmp_path: Path) -> None:
    for content, reason in (
        (written(SMALL, trainer=((3, 3),)), "cuts text by words"),
        (written(SMALL, trainer=((3, 4),)), "cuts text by characters"),
        (written(SMALL, trainer=((24, 1),)), "treat_whitespace_as_suffix"),
        (written([*SMALL, ("c", -3.0, 5)]), "unused pieces, the first with id 6"),
        (written(SMALL, more=message((5, message((2, b"rules"))))), "denormalizer_spec"),
    ):
        with pytest.raises(
            UnsupportedError, match=rf"spiece.model .*{reason}.*; encode with the sentencepiece library"
        ):
            read(tmp_path, content)


@given(st.data())
def test_bytes_turned_or_cut_off_end_in_a_named_error(
    trained: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    charsmap = read(tmp_path_factory.mktemp("whole"), trained).normalization.charsmap
    rules = trained.index(charsmap)
    damaged = bytearray(trained)
    # Half of the damage stands where the pieces are, half among the rules, which are most of the file.
    places = st.one_of(st.integers(0, rules - 1), st.integers(rules, len(trained) - 1))
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(places)] = data.draw(st.integers(0, 255))
    content = bytes(damaged[: data.draw(st.just(len(trained)) | st.integers(0, len(trained)))])
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "spiece.model").write_bytes(content)
    try:
        tokenizer = load_tokenizer(folder)
    except SightlineError as error:
        assert "piece" in str(error) and "\n" not in str(error)
        return
    # What is left is a model: another one, perhaps, but one that reads any text.
    for text in ("a text e\u0301 \u00bd \ufb01 \u3000\uff21 \uac01", reviews()[0]):
        tokenizer.decode(tokenizer.encode(text))


def test_the_longest_rule_is_found(trained: bytes, tmp_path: Path) -> None:
    rules = Rules(read(tmp_path, trained).normalization.charsmap)
    assert rules.longest("x\ufb01".encode(), 1) == (3, "fi")
    assert rules.longest("e\u0302\u0301x".encode(), 0) == (5, "\u1ebf")
    assert rules.longest(b"e", 0) is None
    assert rules.compositions("e\u0302\u0301 \ufb01 e\u0301") == {"e\u0302\u0301": "\u1ebf", "e\u0301": "\u00e9"}
    assert rules.compositions("e\u0301", ("e\u0301".encode(),)) == {}
