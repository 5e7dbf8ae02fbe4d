"""Why a checkpoint cannot be read, in words that say what to do: other formats, cut-off files, pickles that want code.

All that it looks at is untrusted, so it is read within bounds and printed quoted.
"""

import json
import math
import re
from pathlib import Path
from typing import Any

import torch

from sightline.errors import CheckpointError
from sightline.phrases import and_more

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
LARGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
AGAIN = "download or copy it again"

DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "U16": torch.uint16,
    "I16": torch.int16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
    "C64": torch.complex64,
}

FOREIGN = {
    "*.gguf": "GGUF (llama.cpp)",
    "*.h5": "TensorFlow",
    "*.msgpack": "Flax",
    "*.onnx": "ONNX",
    "*.ckpt*": "TensorFlow 1 or Lightning",
    "*.ot": "rust-bert",
    "adapter_model.*": "an adapter without its base model",
}

RENAMED = {".safetensors": SINGLE, ".bin": "pytorch_model.bin", ".pt": "pytorch_model.bin", ".pth": "pytorch_model.bin"}


def quoted(name: str, longest: int = 100) -> str:
    """A name out of an untrusted file, safe to print: quoted, on one line, not endless."""
    return repr(name if len(name) <= longest else name[:longest] + "…")


def impostor(head: bytes) -> str | None:
    """What a file really is, by its first bytes, when it is certainly no weights file; None when unknown."""
    text = head.lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, the real file was never fetched; run `git lfs pull` in its repository"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return f"a web page saved in its place; {AGAIN}"
    if text.startswith((b'{"', b"{\n")):
        return f"JSON text; {AGAIN}"
    if head.startswith(b"GGUF"):
        return "a GGUF file; get the same model in safetensors format"
    if head.startswith(b"\x89HDF"):
        return "an HDF5 file, as TensorFlow writes; get the same model in safetensors format"
    if head.startswith((b"\x1f\x8b", b"\xfd7zXZ", b"BZh")):
        return "a compressed archive; unpack it first"
    return None


def _wrong_entry(name: str, entry: dict[str, Any], data_size: int) -> str | None:
    """What is wrong with one tensor of a safetensors header, or None."""
    start, end = entry["data_offsets"]
    if end > data_size:
        return f"it is cut off: tensor {quoted(name)} ends at byte {end} of the data, but only {data_size} are there"
    dtype = DTYPES.get(entry["dtype"])
    if dtype is not None and math.prod(entry["shape"]) * dtype.itemsize != end - start:
        kind = f"shape {entry['shape']} and type {entry['dtype']}"
        return f"tensor {quoted(name)} of {kind} does not fill the {end - start} bytes it is given"
    return None


def safetensors_damage(path: Path, reason: str) -> str:
    """Why safetensors could not open `path`, in the user's words."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
        length = int.from_bytes(head[:8], "little")
        if size == 0:
            return f"it is empty; {AGAIN}"
        if what := impostor(head):
            return f"it is {what}"
        if head.startswith((b"PK\x03\x04", b"\x80\x02")):
            return "it is a PyTorch pickle under another name; call it pytorch_model.bin"
        if length > LARGEST_HEADER:
            return f"it is not in safetensors format (it would begin with a header of {length} bytes); {AGAIN}"
        if size < 8 + length:
            return f"it is cut off: the file has {size} bytes, its header alone needs {8 + length}; {AGAIN}"
        file.seek(8)
        header = file.read(length)
    try:
        entries = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        for name in sorted(entries, key=lambda name: entries[name]["data_offsets"]):
            if wrong := _wrong_entry(name, entries[name], size - 8 - length):
                return f"{wrong}; {AGAIN}"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass  # the header itself is damaged: the library's own words are the best there are
    reason = " ".join(reason.removeprefix("Error while deserializing header: ").split())
    return f"{reason[:200]}; {AGAIN}"


def refusal(path: Path, error: Exception) -> CheckpointError:
    """Why `torch.load` refused `path`, in the user's words."""
    asked = re.search(r"GLOBAL ([\w.]+)", str(error))
    if asked:
        return CheckpointError(
            f"cannot read {path}: it asks for {asked[1]}, and nothing from a checkpoint is executed; if you trust it, "
            "load it with torch elsewhere and write safetensors.torch.save_file(state_dict, 'model.safetensors')"
        )
    return CheckpointError(f"cannot read {path}: it is cut off, damaged or no PyTorch file; {AGAIN}")


def no_weights(folder: Path) -> CheckpointError:
    """What a folder without weights holds instead, and what to do."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        return CheckpointError(f"cannot read the folder {folder}: {error.strerror or error}")
    wanted = f"{SINGLE} or pytorch_model.bin"
    if any(SHARD.fullmatch(name) for name in names):
        return CheckpointError(f"{folder} holds parts of a model but no {INDEX}; copy or download that file too")
    for pattern, kind in FOREIGN.items():
        if found := [path.name for path in folder.glob(pattern)]:
            advice = f"get or convert the model to {SINGLE}"
            return CheckpointError(
                f"{folder} has no {wanted}; {quoted(found[0])} is {kind}, which is not read: {advice}"
            )
    for name in names:
        if target := RENAMED.get(Path(name).suffix):
            return CheckpointError(f"{folder} has no {wanted}; if {quoted(name)} is the model, call it {target}")
    return CheckpointError(f"{folder} has no {wanted}; it holds {and_more(names) or 'nothing'}")
