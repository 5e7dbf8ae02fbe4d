"""Sentencepiece model files for tests: trained with sentencepiece on the demo rows, or written piece by piece."""

import csv
import io
import struct
from functools import cache
from importlib.resources import files
from typing import Any

import sentencepiece

Piece = tuple[str, float, int]  # text, score, type


@cache
def reviews() -> tuple[str, ...]:
    """The texts of the demo rows, which are real and always there."""
    text = files("sightline").joinpath("data/reviews.csv").read_text(encoding="utf-8")
    return tuple(row["text"] for row in csv.DictReader(io.StringIO(text)))


def train(texts: tuple[str, ...] | list[str] | None = None, **settings: Any) -> bytes:
    """A model file as sentencepiece's trainer writes it, of 600 pieces unless told otherwise."""
    content = io.BytesIO()
    usual: dict[str, Any] = {"vocab_size": 600, "minloglevel": 2, "num_threads": 1, "hard_vocab_limit": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(reviews() if texts is None else texts), model_writer=content, **{**usual, **settings}
    )
    return content.getvalue()


def number(value: int) -> bytes:
    """A number of variable length."""
    value %= 2**64
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def message(*fields: tuple[int, bytes | int]) -> bytes:
    """Fields as they stand in a protocol buffer."""
    out = b""
    for field, value in fields:
        if isinstance(value, int):
            out += number(field << 3) + number(value)
        else:
            out += number(field << 3 | 2) + number(len(value)) + value
    return out


def piece(text: str, score: float, kind: int) -> bytes:
    """One piece of a model file."""
    return message((1, text.encode())) + b"\x15" + struct.pack("<f", score) + message((3, kind))


def written(
    pieces: list[Piece],
    *,
    trainer: tuple[tuple[int, bytes | int], ...] = (),
    normalizer: tuple[tuple[int, bytes | int], ...] = (),
    more: bytes = b"",
) -> bytes:
    """A model file with these pieces."""
    body = b"".join(message((1, piece(*each))) for each in pieces)
    return body + message((2, message(*trainer)), (3, message(*normalizer))) + more
