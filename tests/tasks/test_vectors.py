"""Vectors in files: what was given comes back, as it came, whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import numpy
import polars
import pytest

from sightline.errors import CheckpointError, InputError
from sightline.tasks.vectors import save_vectors


def parts(kind: type = numpy.float32) -> list[numpy.ndarray]:
    rng = numpy.random.default_rng(0)
    return [rng.normal(size=(rows, 5)).astype(kind) for rows in (4, 1, 7)]


@pytest.mark.parametrize("kind", [numpy.float32, numpy.float64])
def test_npy_holds_the_array(tmp_path: Path, kind: type) -> None:
    want = numpy.concatenate(parts(kind))
    for name, given in {"one": want, "several": iter(parts(kind)), "turned": numpy.asfortranarray(want)}.items():
        save_vectors(tmp_path / f"{name}.npy", given)
        got = numpy.load(tmp_path / f"{name}.npy", allow_pickle=False)
        assert got.dtype == kind
        assert numpy.array_equal(got, want)
        assert numpy.array_equal(numpy.load(tmp_path / f"{name}.npy", mmap_mode="r"), want)


@pytest.mark.parametrize("kind", [numpy.float32, numpy.float64])
def test_parquet_holds_rows_of_fixed_width(tmp_path: Path, kind: type) -> None:
    want = numpy.concatenate(parts(kind))
    for name, given in {"one": want, "several": iter(parts(kind))}.items():
        save_vectors(tmp_path / f"{name}.parquet", given)
        table = polars.read_parquet(tmp_path / f"{name}.parquet")
        assert table.columns == ["row", "embedding"]
        assert table["row"].to_list() == list(range(1, 13))
        assert table["embedding"].dtype.shape == (5,)
        assert table["embedding"].to_numpy().dtype == kind
        assert numpy.array_equal(table["embedding"].to_numpy(), want)


def test_parquet_holds_the_texts_too(tmp_path: Path) -> None:
    texts = [f"text {row}, \N{GRINNING FACE}" for row in range(12)]
    save_vectors(tmp_path / "texts.parquet", iter(parts()), texts=iter(texts))
    assert polars.read_parquet(tmp_path / "texts.parquet")["text"].to_list() == texts
    for wrong, message in ((texts[:-1], "11 texts for more vectors"), ([*texts, "more"], "more texts than the 12")):
        with pytest.raises(InputError, match=message):
            save_vectors(tmp_path / "wrong.parquet", iter(parts()), texts=wrong)
    assert [file.name for file in tmp_path.iterdir()] == ["texts.parquet"]


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, suffix: str) -> None:
    def breaks() -> Iterator[numpy.ndarray]:
        yield parts()[0]
        raise InputError("row 5 is empty")

    path = tmp_path / f"vectors{suffix}"
    with pytest.raises(InputError, match="row 5 is empty"):
        save_vectors(path, breaks())
    assert not list(tmp_path.iterdir())
    save_vectors(path, parts()[0])
    before = path.read_bytes()
    with pytest.raises(InputError, match="row 5 is empty"):
        save_vectors(path, breaks())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["vectors.csv", "vectors", "vectors.npz"])
def test_another_format_is_refused_before_anything_is_computed(tmp_path: Path, name: str) -> None:
    def computed() -> Iterator[numpy.ndarray]:
        pytest.fail("computed")
        yield

    with pytest.raises(InputError, match=rf"{name}: name a file that ends in \.npy or \.parquet"):
        save_vectors(tmp_path / name, computed())


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_what_cannot_be_written_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"vectors{suffix}"
    with pytest.raises(InputError, match=r"shape \(3, 4\) cannot be written; give arrays of shape \(rows, 5\)"):
        save_vectors(path, [*parts(), numpy.zeros((3, 4), dtype=numpy.float32)])
    with pytest.raises(InputError, match=r"shape \(3,\) cannot be written; give arrays of shape \(rows, width\)"):
        save_vectors(path, numpy.zeros(3, dtype=numpy.float32))
    with pytest.raises(InputError, match="no vectors to write"):
        save_vectors(path, [])
    assert not list(tmp_path.iterdir())
    path.mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        save_vectors(path, parts())
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        save_vectors(tmp_path / "file" / f"vectors{suffix}", parts())
