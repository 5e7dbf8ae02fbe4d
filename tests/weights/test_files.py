"""Checkpoint files: what is saved is read back bit for bit, and whatever is wrong is named in one line."""

import json
import pickle
import resource
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from sightline.errors import CheckpointError
from sightline.weights.files import open_tensors, read_json, save_tensors, write_json

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


def same_bits(a: Tensor, b: Tensor) -> bool:
    flat = [t.contiguous().flatten().view(torch.uint8) for t in (a, b)]
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(*flat)


def error_of(call: Callable[[], object]) -> str:
    with pytest.raises(CheckpointError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small valid safetensors file, written by the library itself."""
    path = tmp_path_factory.mktemp("plain") / "model.safetensors"
    save_file({"first": torch.arange(6.0).reshape(2, 3), "second": torch.ones(5)}, path, metadata={"format": "pt"})
    return path.read_bytes()


# Writing and reading back


@st.composite
def checkpoints(draw: st.DrawFn) -> dict[str, Tensor]:
    names = draw(st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    tensors = {}
    for name in names:
        shape = draw(st.lists(st.integers(0, 5), max_size=3))
        values = torch.randint(0, 2, shape, generator=generator) * 7
        tensors[name] = values.to(draw(st.sampled_from(DTYPES)))
    return tensors


@settings(max_examples=30, deadline=None)
@given(checkpoints(), st.sampled_from([1, 64, 5_000_000_000]))
def test_what_is_saved_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, Tensor], max_shard_bytes: int
) -> None:
    folder = tmp_path_factory.mktemp("saved")
    save_tensors(folder, tensors, max_shard_bytes=max_shard_bytes)
    opened = open_tensors(folder)
    assert set(opened) == set(tensors) and len(opened) == len(tensors)
    for name, tensor in tensors.items():
        assert opened.shape(name) == tensor.shape
        assert opened.dtype(name) == tensor.dtype
        assert same_bits(opened[name], tensor)
    by_library = {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}
    assert by_library.keys() == tensors.keys()
    assert all(same_bits(by_library[name], tensor) for name, tensor in tensors.items())
    for path in folder.glob("model-*.safetensors"):
        sizes = [tensor.nbytes for tensor in load_file(path).values()]
        assert sum(sizes) <= max_shard_bytes or sum(size > 0 for size in sizes) == 1


def test_views_transposes_and_shared_storage_are_written_out(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"base": base, "tied": base, "row": base[1], "turned": base.T, "grown": base[:1].expand(5, 4)}
    save_tensors(tmp_path, {**tensors, "parameter": torch.nn.Parameter(base)})
    opened = open_tensors(tmp_path)
    assert all(same_bits(opened[name], tensor) for name, tensor in tensors.items())
    assert same_bits(opened["parameter"], base) and not opened["parameter"].requires_grad


def test_file_layout_is_the_one_that_others_read(tmp_path: Path) -> None:
    save_tensors(tmp_path / "one", {"a": torch.ones(3)})
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["model.safetensors"]
    with safe_open(tmp_path / "one" / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    save_tensors(tmp_path / "two", {"a": torch.ones(3), "b": torch.ones(4)}, max_shard_bytes=16)
    index = json.loads((tmp_path / "two" / "model.safetensors.index.json").read_text())
    assert index == {
        "metadata": {"total_size": 28},
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"},
    }
    assert open_tensors(tmp_path / "two").file_of("b") == tmp_path / "two" / "model-00002-of-00002.safetensors"


@pytest.mark.parametrize("before", [1, 2, 3])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_new_model_replaces_the_old_one_whole(tmp_path: Path, before: int, after: int) -> None:
    (tmp_path / "config.json").write_text("{}")
    save_tensors(tmp_path, {f"old{i}": torch.zeros(4) for i in range(before)}, max_shard_bytes=16)
    mapped = open_tensors(tmp_path)["old0"]
    new = {f"new{i}": torch.full((4,), 1.0 + i) for i in range(after)}
    save_tensors(tmp_path, new, max_shard_bytes=16)
    opened = open_tensors(tmp_path)
    assert opened.keys() == new.keys() and all(torch.equal(opened[name], new[name]) for name in new)
    assert len(list(tmp_path.iterdir())) == 1 + (1 if after == 1 else after + 1)
    assert torch.equal(mapped, torch.zeros(4))


def test_a_crash_half_way_never_leaves_a_mixture_of_two_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tensors(tmp_path, {"a": torch.zeros(4), "b": torch.zeros(4)}, max_shard_bytes=16)
    moves: list[Path] = []

    def replace_once(source: Path, target: Path) -> None:
        if moves:
            raise OSError(5, "Input/output error")
        moves.append(source.rename(target))

    with monkeypatch.context() as patch:
        patch.setattr("sightline.core.files.os.replace", replace_once)
        new = {"a": torch.ones(4), "b": torch.ones(4)}
        assert "Input/output error" in error_of(lambda: save_tensors(tmp_path, new, max_shard_bytes=16))
    assert len(moves) == 1
    assert "model.safetensors.index.json" in error_of(lambda: open_tensors(tmp_path))
    assert not list(tmp_path.glob(".*"))


def test_files_get_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    save_tensors(tmp_path, {"a": torch.ones(1)})
    write_json(tmp_path / "config.json", {})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing more than `size` bytes fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("max_shard_bytes", [8_000, 10**9])
def test_a_full_disk_leaves_the_old_model_and_nothing_else(tmp_path: Path, max_shard_bytes: int) -> None:
    save_tensors(tmp_path, {"old": torch.ones(8)})
    new = {"small": torch.ones(1000), "large": torch.ones(100_000)}
    with largest_file(100_000):
        message = error_of(lambda: save_tensors(tmp_path, new, max_shard_bytes=max_shard_bytes))
    assert "model" in message and "File too large" in message and "free some space" in message
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert torch.equal(open_tensors(tmp_path)["old"], torch.ones(8))


def test_an_interrupt_leaves_the_old_model_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tensors(tmp_path, {"old": torch.ones(8)})

    def interrupted(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("safetensors.torch.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(tmp_path, {"new": torch.ones(8)})
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert list(open_tensors(tmp_path)) == ["old"]


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("ghost", torch.empty(2, device="meta"), ["'ghost'", "meta"]),
        ("sparse", torch.eye(2).to_sparse(), ["'sparse'", "sparse_coo"]),
        ("wide", torch.ones(2, dtype=torch.complex128), ["'wide'", "complex128"]),
        ("__metadata__", torch.ones(2), ["__metadata__"]),
    ],
)
def test_what_the_format_cannot_hold_is_refused_before_writing(
    tmp_path: Path, name: str, tensor: Tensor, words: list[str]
) -> None:
    message = error_of(lambda: save_tensors(tmp_path / "new", {"good": torch.ones(1), name: tensor}))
    assert all(word in message for word in words)
    assert not (tmp_path / "new").exists()


def test_saving_where_a_file_stands_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert "taken" in error_of(lambda: save_tensors(tmp_path / "taken", {"a": torch.ones(1)}))


# Reading lazily


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_opening_and_reading_one_row_leaves_the_rest_on_disk(tmp_path: Path) -> None:
    rows = 2**18  # × 1 KiB: 256 MiB, sparse on the disk
    header = safetensors_bytes({"large": entry([rows, 256], 0, rows * 1024)})
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + rows * 1024)
    before = resident_bytes()
    tensors = open_tensors(tmp_path)
    assert tensors.shape("large") == (rows, 256) and tensors.dtype("large") == torch.float32
    large = tensors["large"]
    assert large[7].sum() == 0
    assert resident_bytes() - before < 64 * 2**20


def test_a_pickle_is_mapped_too(tmp_path: Path) -> None:
    torch.save({"large": torch.zeros(2**24)}, tmp_path / "pytorch_model.bin")  # 64 MiB
    before = resident_bytes()
    large = open_tensors(tmp_path)["large"]
    assert large[7] == 0
    assert resident_bytes() - before < 32 * 2**20


def test_changing_a_tensor_changes_neither_file_nor_other_readers(tmp_path: Path) -> None:
    save_tensors(tmp_path, {"a": torch.zeros(3)})
    open_tensors(tmp_path)["a"].fill_(9.0)
    assert torch.equal(open_tensors(tmp_path)["a"], torch.zeros(3))


def test_tensors_are_a_mapping(tmp_path: Path) -> None:
    save_tensors(tmp_path, {"a": torch.zeros(3)})
    tensors = open_tensors(str(tmp_path))
    assert "a" in tensors and "b" not in tensors and tensors.get("b") is None
    with pytest.raises(KeyError):
        tensors["b"]


def test_unaligned_tensors_are_read(tmp_path: Path) -> None:
    data = bytes(3) + struct.pack("<2f", 1.5, -2.0)
    header = {"bytes": entry([3], 0, 3, "U8"), "floats": entry([2], 3, 11)}
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(header, data))
    assert open_tensors(tmp_path)["floats"].tolist() == [1.5, -2.0]


# Damaged safetensors


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], list[str]]] = {
    "empty": (lambda raw: b"", ["is empty", "download"]),
    "cut in the data": (lambda raw: raw[:-10], ["cut off", "'second'", "download"]),
    "cut in the header": (lambda raw: raw[:40], ["cut off", "header", "download"]),
    "tail": (lambda raw: raw + b"xx", ["not fully covered"]),
    "git-lfs": (lambda raw: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", ["git lfs pull"]),
    "web page": (lambda raw: b"\n<!DOCTYPE html><html>Sign in</html>", ["web page", "download"]),
    "json": (lambda raw: b'{"error": "not found"}', ["JSON"]),
    "gguf": (lambda raw: b"GGUF\3\0\0\0" + bytes(64), ["GGUF"]),
    "hdf5": (lambda raw: b"\x89HDF\r\n\x1a\n" + bytes(64), ["HDF5"]),
    "gzip": (lambda raw: b"\x1f\x8b\x08\x00" + bytes(64), ["unpack"]),
    "pickle": (lambda raw: b"PK\x03\x04" + bytes(64), ["pytorch_model.bin"]),
    "noise": (lambda raw: b"\xab\xcd\xef\x01" * 20, ["not in safetensors format"]),
    "absurd header": (lambda raw: struct.pack("<Q", 2**60) + raw[8:], [str(2**60)]),
    "bad header": (lambda raw: safetensors_bytes(b"{x}"), ["JSON"]),
    "wrong shape": (lambda raw: safetensors_bytes({"w": entry([3], 0, 8)}, bytes(8)), ["'w'", "[3]", "8 bytes"]),
    "overflow": (lambda raw: safetensors_bytes({"w": entry([2**62, 8], 0, 8)}, bytes(8)), ["'w'"]),
    "negative": (lambda raw: safetensors_bytes({"w": entry([-2], 0, 8)}, bytes(8)), ["'w'"]),
    "overlap": (
        lambda raw: safetensors_bytes({"v": entry([2], 0, 8), "w": entry([2], 0, 8)}, bytes(8)),
        ["invalid offset"],
    ),
    "unknown type": (lambda raw: safetensors_bytes({"w": entry([2], 0, 8, "F99")}, bytes(8)), ["F99"]),
    "nested": (lambda raw: safetensors_bytes(b"[" * 100_000), ["download"]),
    "control characters": (lambda raw: safetensors_bytes({"w\n\x1b[2J": entry([9], 0, 8)}, bytes(8)), ["w\\n\\x1b"]),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_named(tmp_path: Path, plain: bytes, kind: str) -> None:
    damage, words = DAMAGED[kind]
    path = tmp_path / "model.safetensors"
    path.write_bytes(damage(plain))
    message = error_of(lambda: open_tensors(tmp_path))
    assert str(path) in message
    assert all(word in message for word in words), message


def test_a_type_that_torch_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes({"w": entry([8], 0, 4, "F4")}, bytes(4)))
    tensors = open_tensors(tmp_path)
    assert "F4" in error_of(lambda: tensors["w"]) and "'w'" in error_of(lambda: tensors.dtype("w"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_an_error_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    name = data.draw(st.sampled_from(["model.safetensors", "pytorch_model.bin"]))
    path, other = folder / name, folder / "kept.bin"
    tensors = {"first": torch.arange(6.0), "second": torch.ones(3)}
    if name.endswith("bin"):
        torch.save(tensors, other, _use_new_zipfile_serialization=data.draw(st.booleans()))
    else:
        save_file(tensors, other)
    raw = bytearray(other.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw)
    try:
        opened = open_tensors(folder)
        assert all(opened[key].shape == opened.shape(key) for key in opened)
    except CheckpointError as error:
        assert path.name in str(error) and "\n" not in str(error)
    finally:
        path.unlink()


# Pickles


class Wicked:
    """Creates a file when it is unpickled by anything that executes what it reads."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_of_both_formats_are_read(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    content = {"a": base, "turned": base.T, "half": base.half(), "p": torch.nn.Parameter(base), "steps": 3}
    torch.save(content, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    tensors = open_tensors(tmp_path)
    assert set(tensors) == {"a", "turned", "half", "p"}
    assert torch.equal(tensors["turned"], base.T) and tensors.shape("turned") == (3, 2)
    assert tensors.dtype("half") == torch.float16 and not tensors["p"].requires_grad
    assert tensors.file_of("a") == tmp_path / "pytorch_model.bin"


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    torch.save({"pickled": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    assert list(open_tensors(tmp_path)) == ["pickled"]
    save_file({"safe": torch.ones(1)}, tmp_path / "model.safetensors")
    assert list(open_tensors(tmp_path)) == ["safe"]


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_pickle_is_executed(tmp_path: Path, zipped: bool) -> None:
    marker = tmp_path / "executed"
    content = {"a": torch.ones(1), "b": Wicked(marker)}
    torch.save(content, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    message = error_of(lambda: open_tensors(tmp_path))
    assert not marker.exists()
    assert "pytorch_model.bin" in message and "io.open" in message
    assert "nothing from a checkpoint is executed" in message and "save_file" in message


def test_plain_pickles_execute_nothing_either(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"b": Wicked(marker)}))
    assert "pytorch_model.bin" in error_of(lambda: open_tensors(tmp_path))
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state_dict": {"a": torch.ones(1)}, "epoch": 3}, ["'state_dict'", "'epoch'"]),
        (torch.ones(3), ["Tensor"]),
        ([torch.ones(3)], ["list"]),
        ({"a": torch.eye(2).to_sparse()}, ["'a'", "sparse_coo"]),
        ({"a": torch.ones(2, device="meta")}, ["'a'", "meta"]),
    ],
)
def test_pickles_that_hold_something_else_say_what(tmp_path: Path, content: object, words: list[str]) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    message = error_of(lambda: open_tensors(tmp_path))
    assert "pytorch_model.bin" in message and all(word in message for word in words), message


def rezip(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        records = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in records:
            archive.writestr(name, change(name, content))


def test_a_compressed_archive_is_read_right(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.arange(5000.0)}, path)
    rezip(path, lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert torch.equal(open_tensors(tmp_path)["a"], torch.arange(5000.0))


def test_a_record_shorter_than_its_tensor_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.arange(64.0)}, path)
    rezip(path, lambda name, content: content[:64] if name.endswith("data/0") else content)
    assert "pytorch_model.bin" in error_of(lambda: open_tensors(tmp_path))


@pytest.mark.parametrize("kept", [0, 60, 300, -20])
@pytest.mark.parametrize("zipped", [True, False])
def test_cut_off_pickles_are_named(tmp_path: Path, zipped: bool, kept: int) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.arange(64.0)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:kept])
    message = error_of(lambda: open_tensors(tmp_path))
    assert str(path) in message and "download" in message


# Several files and an index


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    save_tensors(tmp_path, {"a": torch.zeros(4), "b": torch.ones(4)}, max_shard_bytes=16)
    return tmp_path


INDEX = "model.safetensors.index.json"
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def test_sharded_pickles_are_read(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(4)}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({"b": torch.ones(4)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    weight_map = {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}
    write_json(tmp_path / "pytorch_model.bin.index.json", {"weight_map": weight_map})
    tensors = open_tensors(tmp_path)
    assert set(tensors) == {"a", "b"} and torch.equal(tensors["b"], torch.ones(4))


def test_a_missing_part_is_named(sharded: Path) -> None:
    (sharded / SECOND).unlink()
    message = error_of(lambda: open_tensors(sharded))
    assert INDEX in message and SECOND in message and "missing" in message


def test_a_missing_index_is_named(sharded: Path) -> None:
    (sharded / INDEX).unlink()
    assert INDEX in error_of(lambda: open_tensors(sharded))


def test_a_tensor_that_its_part_lacks_is_named(sharded: Path) -> None:
    save_file({"c": torch.ones(4)}, sharded / SECOND)
    message = error_of(lambda: open_tensors(sharded))
    assert "'b'" in message and SECOND in message and INDEX in message


def test_a_tensor_in_two_parts_is_named(sharded: Path) -> None:
    save_file({"a": torch.ones(4), "b": torch.ones(4)}, sharded / SECOND)
    message = error_of(lambda: open_tensors(sharded))
    assert "'a'" in message and FIRST in message and SECOND in message


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "sub/x.safetensors", "..\\x", "..", "", "C:x"]
)
def test_an_index_may_only_name_files_of_its_folder(sharded: Path, name: str) -> None:
    save_file({"b": torch.ones(4)}, sharded.parent / "secret.safetensors")
    write_json(sharded / INDEX, {"weight_map": {"a": FIRST, "b": name}})
    message = error_of(lambda: open_tensors(sharded))
    assert "refused" in message and INDEX in message


@pytest.mark.parametrize("content", [{}, {"weight_map": []}, {"weight_map": {"a": 3}}, {"weight_map": None}])
def test_a_wrong_index_is_named(sharded: Path, content: dict[str, Any]) -> None:
    write_json(sharded / INDEX, content)
    assert INDEX in error_of(lambda: open_tensors(sharded))


# Folders without weights


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], ["holds nothing"]),
        (["config.json", "vocab.txt"], ["config.json, vocab.txt"]),
        ([f"{i:02d}.txt" for i in range(30)], ["22 more"]),
        (["config.json", "tf_model.h5"], ["'tf_model.h5'", "TensorFlow"]),
        (["flax_model.msgpack"], ["Flax"]),
        (["model.onnx"], ["ONNX"]),
        (["model-q4.gguf"], ["GGUF"]),
        (["adapter_model.safetensors"], ["adapter"]),
        (["model.fp16.safetensors"], ["'model.fp16.safetensors'", "call it model.safetensors"]),
        (["model.pt"], ["call it pytorch_model.bin"]),
    ],
)
def test_a_folder_without_weights_says_what_it_holds(tmp_path: Path, names: list[str], words: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    message = error_of(lambda: open_tensors(tmp_path))
    assert str(tmp_path) in message and all(word in message for word in words), message


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "No such file" in error_of(lambda: open_tensors(tmp_path / "absent"))


# JSON


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
        max_size=4,
    )
)
def test_json_is_read_back(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_looks_like_everyone_elses(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "config.json", {"name": "Müller", "sizes": [1]})
    expected = '{\n  "name": "Müller",\n  "sizes": [\n    1\n  ]\n}\n'
    assert (tmp_path / "new" / "config.json").read_bytes() == expected.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{\n  "a": 1,\n  "b" 2\n}', ["line 3, column 7"]),
        (b"", ["line 1, column 1"]),
        (b"[1]", ["list"]),
        (b'{"a": "\xff"}', ["not valid JSON"]),
        (b"[" * 100_000, ["not valid JSON"]),
        (b'{"a": ' + b"9" * 10_000 + b"}", ["not valid JSON"]),
        (b'{"a": "' + b"x" * 2000 + b'"}', ["more than the 1000 bytes"]),
    ],
)
def test_bad_json_is_named_with_its_place(tmp_path: Path, content: bytes, words: list[str]) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    largest = 1000 if "1000" in words[0] else 10**6
    message = error_of(lambda: read_json(path, largest=largest))
    assert str(path) in message and all(word in message for word in words), message


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "config.json") == {"a": 1}


def test_missing_json_is_an_error(tmp_path: Path) -> None:
    assert "absent.json" in error_of(lambda: read_json(tmp_path / "absent.json"))


@pytest.mark.parametrize("value", [{"loss": float("nan")}, {"a": {1, 2}}])
def test_what_json_cannot_hold_is_not_written(tmp_path: Path, value: dict[str, Any]) -> None:
    assert "config.json" in error_of(lambda: write_json(tmp_path / "config.json", value))
    assert not list(tmp_path.iterdir())
