"""Turning the texts of a file, or one word of a sentence, into vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.app import talk
from sightline.tasks.embed import Vectors, embed_batches
from sightline.tasks.embed_word import embed_word
from sightline.tasks.vectors import check_vectors_path, save_vectors
from sightline.text.tables import read_texts

if TYPE_CHECKING:
    from sightline.model.model import Model


class _Counted:
    """Vectors on their way to a file, counted."""

    def __init__(self, vectors: Iterable[Vectors]) -> None:
        self.vectors, self.rows, self.width = vectors, 0, 0

    def __iter__(self) -> Iterator[Vectors]:
        for some in self.vectors:
            self.rows, self.width = self.rows + len(some), some.shape[1]
            yield some


def _say_written(out: Path, rows: int, width: int, *, json: bool) -> None:
    if json:
        talk.answer_json({"out": str(out), "rows": rows, "width": width})
    else:
        talk.answer(f"{rows} vector{'' if rows == 1 else 's'} of {width} numbers in {out}")


def embed_file(
    model: Model, file: str, out: Path, *, column: str | None, pooling: str | None, normalize: bool | None, json: bool
) -> None:
    """A vector for each text of `file`, written to `out` as they come."""
    check_vectors_path(out)
    with talk.progress("Embedding") as advance_to:
        found = _Counted(
            embed_batches(model, read_texts(file, column), pooling=pooling, normalize=normalize, progress=advance_to)
        )
        save_vectors(out, found)
    _say_written(out, found.rows, found.width, json=json)


def embed_one_word(model: Model, sentence: str, word: str, *, out: Path | None, json: bool) -> None:
    """The vector of `word` in `sentence`, on stdout, or as the one row of `out`."""
    if out is not None:
        check_vectors_path(out)
    vector = embed_word(model, sentence, word)
    if out is not None:
        save_vectors(out, vector[None])
        _say_written(out, 1, len(vector), json=json)
    elif json:
        talk.answer_json({"sentence": sentence, "word": word, "vector": vector.tolist()})
    else:
        talk.answer(" ".join(f"{number:.6g}" for number in vector))
