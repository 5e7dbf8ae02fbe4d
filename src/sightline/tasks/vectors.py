"""Vectors to a file, as they come: `.npy` or Parquet, there whole or not at all.

Shapes: N vectors, W width.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy
from numpy.lib import format as npy

from sightline.core.files import replace_files
from sightline.errors import InputError
from sightline.tasks.embed import Vectors

SUFFIXES = (".npy", ".parquet")


def check_vectors_path(path: str | Path) -> Path:
    """The path, if vectors can be written in the format that its suffix names; InputError where they cannot."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write vectors to {path}: name a file that ends in {' or '.join(SUFFIXES)}")
    if path.is_dir():
        raise InputError(f"cannot write vectors to {path}: it is a folder; name a file in it")
    return path


def _checked(vectors: Iterable[Vectors]) -> Iterator[Vectors]:
    width = None
    for some in vectors:
        if some.ndim != 2 or some.shape[1] != (some.shape[1] if width is None else width):
            wanted = "(rows, width)" if width is None else f"(rows, {width})"
            raise InputError(f"vectors of shape {some.shape} cannot be written; give arrays of shape {wanted}")
        width = some.shape[1]
        yield some
    if width is None:
        raise InputError("there are no vectors to write; give at least one row")


def _write_npy(path: Path, vectors: Iterator[Vectors]) -> None:
    """The header says how many rows there are, so it is written anew, in the same room, once that is known."""
    first = next(vectors)
    about = {"descr": npy.dtype_to_descr(first.dtype), "fortran_order": False}
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, {**about, "shape": (0, first.shape[1])})
        begins, rows = file.tell(), 0
        for some in itertools.chain([first], vectors):
            file.write(numpy.ascontiguousarray(some, dtype=first.dtype).data)
            rows += len(some)
        file.seek(0)
        npy.write_array_header_1_0(file, {**about, "shape": (rows, first.shape[1])})
        if file.tell() != begins:
            raise RuntimeError(f"numpy's header grew from {begins} to {file.tell()} bytes")


def _write_parquet(path: Path, vectors: Iterator[Vectors], texts: Iterator[str] | None) -> None:
    """Each array as a file of its own, which polars then joins without holding them all."""
    import polars

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}") as folder:
        parts: list[Path] = []
        rows = 0
        for some in vectors:
            columns: dict[str, object] = {"row": numpy.arange(rows + 1, rows + len(some) + 1)}
            if texts is not None:
                columns["text"] = own = list(itertools.islice(texts, len(some)))
                if len(own) < len(some):
                    raise InputError(f"there are {rows + len(own)} texts for more vectors; give one text a vector")
            kind = polars.Float64 if some.dtype == numpy.float64 else polars.Float32
            columns["embedding"] = polars.Series(some, dtype=polars.Array(kind, some.shape[1]))
            parts.append(Path(folder) / f"{len(parts):08d}.parquet")
            polars.DataFrame(columns).write_parquet(parts[-1], compression="uncompressed")
            rows += len(some)
        if texts is not None and next(texts, None) is not None:
            raise InputError(f"there are more texts than the {rows} vectors; give one text a vector")
        polars.scan_parquet(parts).sink_parquet(path, row_group_size=4096)


def save_vectors(path: str | Path, vectors: Vectors | Iterable[Vectors], *, texts: Iterable[str] | None = None) -> None:
    """Write vectors, one (N, W) array or several one after another, to `.npy` or `.parquet`.

    A `.npy` holds the array. A Parquet file has the columns `row` (from 1), `text` where `texts` are given, and
    `embedding`, W numbers each. Several arrays (`embed_batches`) are written as they come, so that all together may be
    larger than the memory; the file takes its place when the last one is there.

    Raises InputError for another suffix, before any array is asked for, and CheckpointError where the disk refuses.

        save_vectors("reviews.npy", embed_batches(model, read_texts("reviews.csv", "text")))
    """
    path = check_vectors_path(path)
    arrays = _checked([vectors] if isinstance(vectors, numpy.ndarray) else vectors)
    if path.suffix.lower() == ".npy":
        writer = partial(_write_npy, vectors=arrays)
    else:
        writer = partial(_write_parquet, vectors=arrays, texts=None if texts is None else iter(texts))
    replace_files(path.parent, {path.name: writer})
