"""Reading and writing the tensors and the JSON of a checkpoint folder, in the Hugging Face layout.

    config.json
    model.safetensors                                            one file, or
    model-00001-of-00002.safetensors …, model.safetensors.index.json   several, and which tensor is where
    pytorch_model.bin, pytorch_model.bin.index.json              the same as pickles, read only

Opening a folder reads headers, no data; safetensors come before pickles. What is written appears whole or not at all.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline.core.files import Change, Writer, replace_files, write_error
from sightline.errors import CheckpointError
from sightline.weights.damage import DTYPES, INDEX, SHARD, SINGLE, no_weights, quoted
from sightline.weights.formats import PickleFile, SafetensorsFile, TensorFile

MEBIBYTE = 2**20
LARGEST_SHARD = 5_000_000_000  # bytes


def read_json(path: str | os.PathLike[str], *, largest: int = 64 * MEBIBYTE) -> dict[str, Any]:
    """The object in a JSON file of at most `largest` bytes.

    Raises `CheckpointError` naming the file and, for bad JSON, line and column.

        read_json("folder/config.json")["model_type"]
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise CheckpointError(f"{path} has more than the {largest} bytes that such a file may have")
        value = json.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise CheckpointError(
            f"{path} is not valid JSON at {place}: {error.msg}; correct it or download it again"
        ) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, an endless number, endless nesting
        raise CheckpointError(f"{path} is not valid JSON: {error}; correct it or download it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a JSON {type(value).__name__} where an object {{…}} belongs")
    return value


def json_writer(value: Mapping[str, Any] | list[Any]) -> Writer:
    """What writes `value` as JSON to the path that it is handed, two spaces deep, ending in a newline.

    Raises ValueError or TypeError at once for what JSON has no form for (NaN included).
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return partial(Path.write_text, data=text, encoding="utf-8", newline="\n")


def write_json(path: str | os.PathLike[str], value: Mapping[str, Any] | list[Any]) -> None:
    """Write `value` as JSON; whole or not at all.

    Raises `CheckpointError` when it cannot be written, or holds what JSON has no form for (NaN included).
    """
    path = Path(path)
    try:
        writer = json_writer(value)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"cannot write {path}: {error}") from error
    replace_files(path.parent, {path.name: writer})


class Tensors(Mapping[str, Tensor]):
    """The tensors of a checkpoint by name; a tensor's data is read from the disk when it is first used.

    Tensors of safetensors and of current pickles are views on the mapped file: changing one in place changes neither
    the file nor what another `open_tensors` sees.
    """

    def __init__(self, files: Mapping[str, TensorFile]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> Tensor:
        return self._files[name].read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def shape(self, name: str) -> torch.Size:
        """Its shape, from the header."""
        return self._files[name].shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """Its type, from the header."""
        return self._files[name].dtype(name)

    def file_of(self, name: str) -> Path:
        """The file that holds it: for messages."""
        return self._files[name].path


def _open_shards(index_path: Path, kind: type[SafetensorsFile] | type[PickleFile]) -> dict[str, TensorFile]:
    """The files that an index names, each opened once; every tensor must be in its own file and in no other."""
    weight_map = read_json(index_path).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index_path} has no weight_map of tensor names to file names; download it again")
    shards: dict[str, TensorFile] = {}
    owners: dict[str, str] = {}
    for file_name in sorted(set(weight_map.values())):
        if file_name in ("", ".", "..") or re.search(r"[/\\:\0]", file_name):
            raise CheckpointError(
                f"{index_path} names {quoted(file_name)}, which is not a file of its own folder; refused"
            )
        path = index_path.with_name(file_name)
        if not path.is_file():
            raise CheckpointError(f"{index_path} names {quoted(file_name)}, which is missing; copy or download it too")
        shards[file_name] = kind(path)
        for name in shards[file_name].names:
            if other := owners.get(name):
                raise CheckpointError(
                    f"tensor {quoted(name)} is in both {other} and {file_name} of {path.parent}; remove one"
                )
            owners[name] = file_name
    for name, file_name in weight_map.items():
        if owners.get(name) != file_name:
            place = f"tensor {quoted(name)} should be in {shards[file_name].path}"
            raise CheckpointError(f"{place}, says {index_path.name}, but is not; download both again")
    return {name: shards[file_name] for name, file_name in weight_map.items()}


def open_tensors(folder: str | os.PathLike[str]) -> Tensors:
    """The tensors of a folder, none of them read yet: a mapping from name to tensor.

    Raises `CheckpointError` naming file and tensor when something is missing, damaged or would have to be executed.

        tensors = open_tensors("bert-base-uncased")
        tensors.shape("bert.pooler.dense.weight")      # torch.Size([768, 768]), nothing read
        tensors["bert.pooler.dense.weight"]            # (768, 768)
    """
    folder = Path(folder)
    kinds: list[tuple[str, type[SafetensorsFile] | type[PickleFile]]] = [
        (SINGLE, SafetensorsFile),
        ("pytorch_model.bin", PickleFile),
    ]
    for single, kind in kinds:
        path = folder / single
        if path.is_file():
            file = kind(path)
            return Tensors({name: file for name in file.names})
        index_path = folder / f"{single}.index.json"
        if index_path.is_file():
            return Tensors(_open_shards(index_path, kind))
    raise no_weights(folder)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one file of safetensors. Tensors that share memory are written each on its own."""
    from safetensors.torch import save_file

    written: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        storage = plain.untyped_storage().data_ptr()
        # The format has no shared storage: a second tensor on the same memory gets a copy of its own.
        written[name] = plain.clone() if storage in storages else plain
        storages.add(storage)
    save_file(written, path, metadata={"format": "pt"})


def _check_savable(tensors: Mapping[str, Tensor]) -> None:
    """Refuse, before anything is written, what the format has no room for."""
    for name, tensor in tensors.items():
        if tensor.device.type == "meta" or tensor.layout != torch.strided or tensor.dtype not in DTYPES.values():
            kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}"
            raise CheckpointError(f"cannot save tensor {quoted(name)} ({kind}); convert it to a dense one with data")
        if name == "__metadata__":
            raise CheckpointError("cannot save a tensor named '__metadata__': safetensors keeps that name for itself")


def _shards(tensors: Mapping[str, Tensor], max_shard_bytes: int) -> list[dict[str, Tensor]]:
    """Cut into parts of at most `max_shard_bytes`, in the given order; a larger tensor has a part of its own."""
    parts: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        if parts[-1] and filled + tensor.nbytes > max_shard_bytes:
            parts.append({})
            filled = 0
        parts[-1][name] = tensor
        filled += tensor.nbytes
    return parts


def tensor_change(folder: Path, tensors: Mapping[str, Tensor], *, max_shard_bytes: int = LARGEST_SHARD) -> Change:
    """What puts tensors into `folder` as `model.safetensors`, or as several files of at most `max_shard_bytes` with an
    index, and takes an earlier model's away.

    Raises `CheckpointError` when a tensor has no data of its own (meta, sparse).
    """
    _check_savable(tensors)
    parts = _shards(tensors, max_shard_bytes)
    try:
        old_parts = {path.name for path in folder.glob("model-*.safetensors") if SHARD.fullmatch(path.name)}
    except OSError as error:
        raise write_error(folder, error) from error
    if len(parts) == 1:
        # The single file goes before an index when a folder is read, so the old parts may stay until it is there.
        return Change({SINGLE: partial(write_tensors, tensors=parts[0])}, remove_after=frozenset({INDEX, *old_parts}))
    named = {f"model-{i:05d}-of-{len(parts):05d}.safetensors": part for i, part in enumerate(parts, start=1)}
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": {name: file_name for file_name, part in named.items() for name in part},
    }
    writers = {file_name: partial(write_tensors, tensors=part) for file_name, part in named.items()}
    # An old index goes first: it must never describe a mixture of old and new parts.
    return Change(
        {**writers, INDEX: json_writer(index)},
        remove_before=frozenset({INDEX}),
        remove_after=frozenset({SINGLE, *(old_parts - named.keys())}),
    )


def save_tensors(
    folder: str | os.PathLike[str], tensors: Mapping[str, Tensor], *, max_shard_bytes: int = LARGEST_SHARD
) -> None:
    """Write tensors alone into `folder` (made if need be); an earlier model in that folder is replaced only once the
    new one is on the disk.

    Raises `CheckpointError` when a tensor has no data of its own (meta, sparse) or a file cannot be written.

        save_tensors("folder", {"weight": torch.ones(2, 3)})
    """
    folder = Path(folder)
    change = tensor_change(folder, tensors, max_shard_bytes=max_shard_bytes)
    replace_files(folder, change.writers, remove_before=change.remove_before, remove_after=change.remove_after)
