"""A corpus: documents as token ids in memory-mapped shards, a part to train on and one to judge by.

    manifest.json      what is here, and what it was made of; written last, so that it says that all is there
    tokenizer.json …   the tokenizer, in the Hugging Face layout
    train-00000.bin    token ids, little-endian, uint16 or uint32, document behind document
    train-00000.idx    where each of its documents ends, in tokens: int64, little-endian

`sightline prepare` writes it. Every document stands between its opening and its closing token, where the tokenizer has
them: so the first word follows on something, and a text has an end.

Shapes: N documents.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy

from sightline.core.files import sha256_of
from sightline.errors import CheckpointError, NotFoundError
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer
from sightline.text.tokenizer_settings import read_text

MANIFEST = "manifest.json"
FORMAT = 1
PARTS = ("train", "valid")
TOKEN_TYPES: dict[str, numpy.dtype[Any]] = {"uint16": numpy.dtype("<u2"), "uint32": numpy.dtype("<u4")}
ENDS: numpy.dtype[Any] = numpy.dtype("<i8")
_AGAIN = "prepare the corpus again"

Shard = tuple[numpy.ndarray, numpy.ndarray]
"""The token ids of some documents, and where each ends in them."""


def shard_name(part: str, number: int) -> str:
    """What a shard's two files are called, without .bin and .idx."""
    return f"{part}-{number:05d}"


class Documents:
    """The documents of a part, as if they were all in memory.

    lengths      int64 (N,): tokens of each
    tokens       of all together
    text_bytes   of their text, in UTF-8, as it was encoded
    words        of their text: what white space parts
    fingerprint  a hash of all that they hold

    >>> documents = documents_of([[5, 6], [7, 8, 9]])
    >>> len(documents), documents.tokens, documents[1].tolist()
    (2, 5, [7, 8, 9])
    """

    def __init__(self, shards: Sequence[Shard], *, text_bytes: int, words: int, fingerprint: str) -> None:
        self._shards = list(shards)
        self.text_bytes, self.words, self.fingerprint = text_bytes, words, fingerprint
        counts = [len(ends) for _, ends in self._shards]
        self._first = numpy.concatenate([[0], numpy.cumsum(counts, dtype=numpy.int64)])  # document of each shard
        self.tokens = sum(len(ids) for ids, _ in self._shards)

    def __len__(self) -> int:
        return int(self._first[-1])

    def __getitem__(self, index: int) -> numpy.ndarray:
        """The ids of one document; a view of the file, not a copy."""
        index = range(len(self))[index]
        shard = int(numpy.searchsorted(self._first, index, side="right")) - 1
        ids, ends = self._shards[shard]
        place = index - int(self._first[shard])
        return ids[int(ends[place - 1]) if place else 0 : int(ends[place])]

    @cached_property
    def lengths(self) -> numpy.ndarray:
        """Tokens of each document, int64 (N,)."""
        lengths = [numpy.diff(ends, prepend=0) for _, ends in self._shards]
        return numpy.concatenate([numpy.empty(0, numpy.int64), *lengths]).astype(numpy.int64, copy=False)


def documents_of(rows: Sequence[Sequence[int]], *, text_bytes: int = 0, words: int = 0) -> Documents:
    """Documents of token ids that are in memory."""
    ids = numpy.asarray([id for row in rows for id in row], dtype=TOKEN_TYPES["uint32"])
    ends = numpy.cumsum([len(row) for row in rows], dtype=ENDS)
    digest = hashlib.sha256(ends.tobytes() + ids.tobytes()).hexdigest()
    return Documents([(ids, ends)], text_bytes=text_bytes, words=words, fingerprint=digest)


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """What a corpus folder holds.

    folder     where it is
    manifest   all that manifest.json says: settings, sources with their licences, what was dropped
    tokenizer  that its ids are of
    train      the documents to train on
    valid      those to judge by; none of them is in `train`
    """

    folder: Path
    manifest: Mapping[str, Any]
    tokenizer: Tokenizer
    train: Documents
    valid: Documents

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        return len(self.tokenizer)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the tokenizer and of all documents."""
        parts = (self.manifest["tokenizer"]["sha256"], self.train.fingerprint, self.valid.fingerprint)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _number(entry: Mapping[str, Any], name: str, path: Path) -> int:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise CheckpointError(f"{path} says {name} {value!r:.40}, which is no count; {_AGAIN}")
    return value


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a corpus's manifest.json says; its shape is checked. Raises NotFoundError where there is none."""
    path = folder / MANIFEST
    if not path.is_file():
        why = "preparing it was not finished: give that command again" if folder.is_dir() else "there is no such folder"
        raise NotFoundError(f"{folder} holds no corpus ({MANIFEST} is missing; {why})")
    try:
        manifest = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}); {_AGAIN}") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("parts"), dict):
        raise CheckpointError(f"{path} is no manifest of a corpus; {_AGAIN}")
    if manifest.get("format") != FORMAT:
        raise CheckpointError(f"{path} has the format {manifest.get('format')!r:.40}, not {FORMAT}; {_AGAIN}")
    if manifest.get("token_type") not in TOKEN_TYPES:
        raise CheckpointError(
            f"{path} has the token type {manifest.get('token_type')!r:.40}, which is neither of"
            f" {', '.join(TOKEN_TYPES)}; {_AGAIN}"
        )
    if not isinstance(manifest.get("tokenizer"), dict):
        raise CheckpointError(f"{path} names no tokenizer; {_AGAIN}")
    return manifest


def _mapped(path: Path, kind: numpy.dtype[Any], count: int, sha256: object, verify: bool) -> numpy.ndarray:
    """A file of `count` numbers, mapped; CheckpointError where it has other bytes than were written."""
    try:
        size = path.stat().st_size
        if size != count * kind.itemsize:
            raise CheckpointError(f"{path} has {size:,} bytes of {count * kind.itemsize:,}; {_AGAIN}")
        if verify and sha256_of(path) != sha256:
            raise CheckpointError(f"{path} has other bytes than were written; {_AGAIN}")
        # An empty file cannot be mapped.
        return numpy.memmap(path, dtype=kind, mode="r") if count else numpy.empty(0, kind)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}; {_AGAIN}") from error


def _shard(folder: Path, name: str, entry: object, kind: numpy.dtype[Any], verify: bool) -> Shard:
    manifest, file = folder / MANIFEST, folder / f"{name}.bin"
    if not isinstance(entry, dict) or entry.get("file") != file.name:
        raise CheckpointError(f"{manifest} does not name {file.name} where it belongs; {_AGAIN}")
    tokens, documents = _number(entry, "tokens", manifest), _number(entry, "documents", manifest)
    ids = _mapped(file, kind, tokens, entry.get("sha256"), verify)
    index = folder / f"{name}.idx"
    ends = _mapped(index, ENDS, documents, entry.get("index_sha256"), verify)
    if documents and (int(ends[-1]) != tokens or int(ends[0]) < 0 or bool((ends[1:] < ends[:-1]).any())):
        raise CheckpointError(f"{index} does not end its documents where {file.name} has them; {_AGAIN}")
    return ids, ends


def _part(folder: Path, manifest: Mapping[str, Any], part: str, verify: bool) -> Documents:
    path, says = folder / MANIFEST, manifest["parts"].get(part)
    if not isinstance(says, dict) or not isinstance(says.get("shards"), list):
        raise CheckpointError(f"{path} names no shards of {part!r}; {_AGAIN}")
    kind = TOKEN_TYPES[manifest["token_type"]]
    shards = [
        _shard(folder, shard_name(part, number), entry, kind, verify) for number, entry in enumerate(says["shards"])
    ]
    documents = Documents(
        shards,
        text_bytes=_number(says, "text_bytes", path),
        words=_number(says, "words", path),
        fingerprint=hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest(),
    )
    if (len(documents), documents.tokens) != (_number(says, "documents", path), _number(says, "tokens", path)):
        raise CheckpointError(f"{path} counts other documents of {part!r} than its shards hold; {_AGAIN}")
    return documents


def open_corpus(folder: str | Path, *, verify: bool = True) -> Corpus:
    """The corpus in a folder, its shards mapped: nothing is read before it is asked for.

    verify  read every file once, to see that it is as it was written: about a second a gigabyte. Without, sizes and
            bounds alone are looked at

    Raises NotFoundError where there is no corpus, CheckpointError that names the file where one is damaged.

    >>> corpus = open_corpus("corpus")  # doctest: +SKIP
    >>> corpus.tokenizer.decode(corpus.train[0])  # doctest: +SKIP
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    says = manifest["tokenizer"]
    if tokenizer_sha256(folder) != says.get("sha256"):
        raise CheckpointError(f"the tokenizer in {folder} is not the one that its corpus was made with; {_AGAIN}")
    family = says.get("model_type")
    tokenizer = load_tokenizer(folder, model_type=family if isinstance(family, str) else None)
    if len(tokenizer) != says.get("vocabulary"):
        raise CheckpointError(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens, its corpus {says.get('vocabulary')!r:.40};"
            f" {_AGAIN}"
        )
    train, valid = (_part(folder, manifest, part, verify) for part in PARTS)
    return Corpus(folder=folder, manifest=manifest, tokenizer=tokenizer, train=train, valid=valid)


def tokenizer_sha256(folder: Path) -> str:
    """Of the file that decides a tokenizer's ids; CheckpointError where it cannot be read."""
    path = folder / "tokenizer.json"
    try:
        return sha256_of(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}; {_AGAIN}") from error
