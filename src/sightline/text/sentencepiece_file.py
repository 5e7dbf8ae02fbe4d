"""A sentencepiece model file (Kudo & Richardson 2018, arXiv:1808.06226): pieces, scores, how text is normalized.

The file is a protocol buffer whose fields are listed in sentencepiece's `src/sentencepiece_model.proto`. It is read by
hand, so that neither sentencepiece nor protobuf is needed: of the format only what such files use, every length checked
against what is left of the file, nothing executed.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Literal

from sightline.errors import CheckpointError, UnsupportedError
from sightline.text.sentencepiece_rules import BrokenRules, Rules
from sightline.text.tokenizer_settings import AGAIN, check_file

LARGEST_MODEL = 64 * 2**20  # bytes; the largest published ones, with 256,000 pieces, have about 5 MB
MOST_PIECES = 2_000_000
LONGEST_PIECE = (
    1024  # letters; training makes none above 16 unless asked to, and the library's trie falls over a million
)
Algorithm = Literal["unigram", "bpe"]
Value = int | bytes


class Kind(IntEnum):
    """What a piece is: `Type` in the proto."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """What is done to a text before it is cut into pieces: `NormalizerSpec` in the proto."""

    name: str = ""
    charsmap: bytes = b""  # replacement rules as a trie; empty: none
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True


@dataclass(frozen=True, kw_only=True)
class SentencePieceModel:
    """A model file's content; the place of a piece in `pieces` is its id."""

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    kinds: tuple[Kind, ...]
    algorithm: Algorithm = "unigram"
    byte_fallback: bool = False
    normalization: Normalization = field(default_factory=Normalization)
    roles: dict[str, str]  # the piece of each of unk, bos, eos, pad that there is

    @property
    def unknown(self) -> int:
        """The id of what no piece covers."""
        return self.kinds.index(Kind.UNKNOWN)

    def scores_of(self, kind: Kind) -> list[float]:
        """The scores of the pieces of this kind."""
        return [score for score, each in zip(self.scores, self.kinds, strict=True) if each is kind]

    def of_kind(self, *kinds: Kind) -> list[str]:
        """The pieces of these kinds, in the order of their ids."""
        return [piece for piece, kind in zip(self.pieces, self.kinds, strict=True) if kind in kinds]


class _Damage(Exception):
    """What is wrong with the bytes; the caller knows which file it is."""


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """The number of variable length at `place`, and where it ends."""
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise _Damage(f"a number does not end at byte {place}")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message: number and value. Numbers are ints; texts, messages and fixed-size numbers are bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _varint(data, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise _Damage(f"byte {place - 1} is no field of a message")
        if length > len(data) - place:
            raise _Damage(f"{length:,} bytes are announced at byte {place}, {len(data) - place:,} are left")
        yield number, data[place : place + length]
        place += length


def _bytes(value: Value, name: str) -> bytes:
    if isinstance(value, bytes):
        return value
    raise _Damage(f"{name} is the number {value}")


def _text(value: Value, name: str) -> str:
    try:
        return _bytes(value, name).decode()
    except UnicodeDecodeError:
        raise _Damage(f"{name} {value!r:.40} is not UTF-8") from None


def _number(value: Value, name: str) -> int:
    """An int32 or a bool, which have at most 64 bits in the file."""
    if not isinstance(value, int):
        raise _Damage(f"{name} is no number")
    return value - 2**64 if value >= 2**63 else value


def _piece(data: bytes, id: int) -> tuple[str, float, Kind]:
    piece, score, kind = "", 0.0, 1
    for number, value in _fields(data):
        if number == 1:
            piece = _text(value, f"piece {id}")
        elif number == 2:
            if not isinstance(value, bytes) or len(value) != 4:
                raise _Damage(f"the score of piece {id} is no number of 4 bytes")
            score = struct.unpack("<f", value)[0]
        elif number == 3:
            kind = _number(value, f"the type of piece {id}")
    if not piece:
        raise _Damage(f"piece {id} is empty")
    if len(piece) > LONGEST_PIECE:
        raise _Damage(f"piece {id} has {len(piece):,} letters, more than {LONGEST_PIECE:,}")
    if not math.isfinite(score):
        raise _Damage(f"the score of piece {id} ({piece!r:.40}) is {score}")
    if kind not in {known.value for known in Kind}:
        raise _Damage(f"piece {id} ({piece!r:.40}) has the unknown type {kind}")
    return piece, score, Kind(kind)


def _normalization(data: bytes) -> Normalization:
    flags: dict[int, Value] = dict(_fields(data))
    charsmap = _bytes(flags.get(2, b""), "the character map")
    if charsmap:
        try:
            Rules(charsmap)
        except BrokenRules as error:
            raise _Damage(str(error)) from None
    return Normalization(
        name=_text(flags.get(1, b""), "the name of the normalization"),
        charsmap=charsmap,
        add_dummy_prefix=_number(flags.get(3, 1), "add_dummy_prefix") != 0,
        remove_extra_whitespaces=_number(flags.get(4, 1), "remove_extra_whitespaces") != 0,
        escape_whitespaces=_number(flags.get(5, 1), "escape_whitespaces") != 0,
    )


def _refuse_what_is_not_read(trainer: dict[int, Value], denormalizer: bytes, kinds: list[Kind], path: Path) -> None:
    algorithm = _number(trainer.get(3, 1), "model_type")
    reason = ""
    if algorithm not in (1, 2):
        reason = f"cuts text by {({3: 'words', 4: 'characters'}).get(algorithm, algorithm)}, not by unigram or BPE"
    elif _number(trainer.get(24, 0), "treat_whitespace_as_suffix"):
        reason = "puts the space behind a word (treat_whitespace_as_suffix)"
    elif dict(_fields(denormalizer)).get(2):
        reason = "has rules that change decoded text (denormalizer_spec)"
    elif Kind.UNUSED in kinds:
        reason = f"has unused pieces, the first with id {kinds.index(Kind.UNUSED)}"
    if reason:
        raise UnsupportedError(
            f"{path} {reason}, which the tokenizers library has no way to do; "
            "encode with the sentencepiece library and hand over ids"
        )


def _checked(pieces: list[str], kinds: list[Kind]) -> None:
    """`_Damage` where sentencepiece itself would refuse the pieces."""
    if not pieces:
        raise _Damage("it has no pieces")
    if len(set(pieces)) < len(pieces):
        twice, count = Counter(pieces).most_common(1)[0]
        raise _Damage(f"the piece {twice!r:.40} stands there {count} times")
    if kinds.count(Kind.UNKNOWN) != 1:
        raise _Damage(f"{kinds.count(Kind.UNKNOWN)} pieces stand for the unknown, one should")


def _parse(data: bytes, path: Path) -> SentencePieceModel:
    pieces: list[str] = []
    scores: list[float] = []
    kinds: list[Kind] = []
    parts: dict[int, list[bytes]] = {2: [], 3: [], 5: []}  # of trainer, normalizer, denormalizer
    for number, value in _fields(data):
        if number == 1:
            piece, score, kind = _piece(_bytes(value, "a piece"), len(pieces))
            pieces.append(piece)
            scores.append(score)
            kinds.append(kind)
            if len(pieces) > MOST_PIECES:
                raise _Damage(f"it has more than {MOST_PIECES:,} pieces")
        elif number in parts:
            parts[number].append(_bytes(value, f"field {number}"))
    _checked(pieces, kinds)
    of_trainer, normalizer, denormalizer = (b"".join(each) for each in parts.values())  # a message is its parts' sum
    trainer = dict(_fields(of_trainer))
    _refuse_what_is_not_read(trainer, denormalizer, kinds, path)
    roles = {"unk": pieces[kinds.index(Kind.UNKNOWN)]}
    for role, number, usual in (("bos", 41, 1), ("eos", 42, 2), ("pad", 43, -1)):
        id = _number(trainer.get(number, usual), f"{role}_id")
        if 0 <= id < len(pieces) and kinds[id] is Kind.CONTROL:
            roles[role] = pieces[id]
    return SentencePieceModel(
        pieces=tuple(pieces),
        scores=tuple(scores),
        kinds=tuple(kinds),
        algorithm="unigram" if trainer.get(3, 1) == 1 else "bpe",
        byte_fallback=_number(trainer.get(35, 0), "byte_fallback") != 0,
        normalization=_normalization(normalizer),
        roles=roles,
    )


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a model file (`spiece.model`, `tokenizer.model`).

    Raises `CheckpointError` for a file that is damaged, too large or none of sentencepiece's, `UnsupportedError` for a
    model that cuts text in a way that is not read.

    >>> read_sentencepiece(Path("t5-base/spiece.model")).pieces[:4]
    ('<pad>', '</s>', '<unk>', '▁')
    """
    check_file(path)
    if (size := path.stat().st_size) > LARGEST_MODEL:
        raise CheckpointError(f"{path} has {size:,} bytes, too many for a sentencepiece model; {AGAIN}")
    try:
        return _parse(path.read_bytes(), path)
    except _Damage as error:
        raise CheckpointError(f"{path} is damaged or no sentencepiece model: {error}; {AGAIN}") from None
