"""One file of tensors, opened without reading its data: safetensors, or PyTorch's zip and legacy formats.

Nothing from a checkpoint is executed: a PyTorch file goes through `torch.load(weights_only=True)`, which builds tensors
and plain containers only. Both classes offer the same: `path`, `names`, `shape(name)`, `dtype(name)` and `read(name)`.

Source: https://github.com/huggingface/safetensors#format; PyTorch, docs/source/notes/serialization.rst.
"""

import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sightline.errors import CheckpointError
from sightline.weights.damage import AGAIN, DTYPES, impostor, quoted, refusal, safetensors_damage


class SafetensorsFile:
    """A `.safetensors` file, memory-mapped: a tensor's data is read from the disk when it is first used.

    Raises `CheckpointError` when the file is damaged or something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = cast(Any, safe_open(path, framework="pt"))
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        except SafetensorError as error:
            raise CheckpointError(f"cannot read {path}: {safetensors_damage(path, str(error))}") from error
        self.names: list[str] = self._file.keys()

    def shape(self, name: str) -> torch.Size:
        return torch.Size(self._file.get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        stored = self._file.get_slice(name).get_dtype()
        if stored not in DTYPES:
            raise CheckpointError(f"{self.path}: tensor {quoted(name)} has type {stored}, which is not supported")
        return DTYPES[stored]

    def read(self, name: str) -> Tensor:
        self.dtype(name)
        tensor: Tensor = self._file.get_tensor(name)
        return tensor


def _check_records(path: Path, records: list[zipfile.ZipInfo], tensors: dict[str, Tensor]) -> None:
    """Every storage must be as large as a record of the archive: when it maps the file, `torch.load` does not look."""
    sizes = Counter(record.file_size for record in records)
    storages = {(s.data_ptr(), s.nbytes()) for s in (tensor.untyped_storage() for tensor in tensors.values())}
    if Counter(size for _, size in storages if size) - sizes:
        raise CheckpointError(f"cannot read {path}: a tensor's size differs from its data in the archive; {AGAIN}")


class PickleFile:
    """A `.bin` file of `torch.save` holding a dict of tensors; mapped from the file where its format allows.

    Raises `CheckpointError` when the file is damaged, asks for code to be run, or holds no tensors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                head = file.read(512)
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        if not head:
            raise CheckpointError(f"cannot read {path}: it is empty; {AGAIN}")
        if what := impostor(head):
            raise CheckpointError(f"cannot read {path}: it is {what}")
        try:
            records = zipfile.ZipFile(path).infolist() if head.startswith(b"PK\x03\x04") else []
            # A compressed record would be mapped as if it were plain, and read as noise.
            mapped = bool(records) and all(record.compress_type == zipfile.ZIP_STORED for record in records)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on pickle protocols and storage classes: what counts is the outcome
                content = torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:  # a damaged pickle can make the unpickler fail in any way it likes
            raise refusal(path, error) from error
        self._tensors = self._plain_tensors(content)
        if mapped:
            _check_records(path, records, self._tensors)
        self.names = list(self._tensors)

    def _plain_tensors(self, content: object) -> dict[str, Tensor]:
        """The tensors at the top level of what the file holds; other entries (counters, settings) are left out."""
        entries = content if isinstance(content, dict) else {}
        tensors = {
            name: value.detach()
            for name, value in entries.items()
            if isinstance(name, str) and isinstance(value, Tensor)
        }
        if not tensors:
            keys = ", ".join(quoted(str(key), 40) for key in list(entries)[:6])
            held = f"a dict of {keys}" if keys else f"a {type(content).__name__}"
            raise CheckpointError(
                f"{self.path} holds {held}, not tensors by name; write its state_dict alone to model.safetensors"
            )
        for name, tensor in tensors.items():
            if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
                kind = f"{tensor.layout} on {tensor.device}"
                raise CheckpointError(
                    f"{self.path}: tensor {quoted(name)} is {kind}; save it as a dense tensor with data"
                )
        return tensors

    def shape(self, name: str) -> torch.Size:
        return self._tensors[name].shape

    def dtype(self, name: str) -> torch.dtype:
        return self._tensors[name].dtype

    def read(self, name: str) -> Tensor:
        return self._tensors[name]


TensorFile = SafetensorsFile | PickleFile
