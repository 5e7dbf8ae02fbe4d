"""What a corpus is prepared from: files, folders, files on the hub, data sets streamed from there; and a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from sightline.core.files import sha256_of
from sightline.errors import InputError, NotFoundError
from sightline.tasks.prepare_config import PrepareConfig
from sightline.text.hub_stream import Stream, is_stream, settle, streamed_documents
from sightline.text.hub_tables import PREFIX, fetch_table
from sightline.text.raw import Found, Parting, holds_text, obvious_parting, raw_documents
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer
from sightline.text.unpack import is_archive
from sightline.weights.files import read_json
from sightline.weights.hub import TOKENIZER_FILES, locate


@dataclass(kw_only=True)
class FileSource:
    """A file.

    name  as it was asked for: a path, or the address of a file on the hub
    path  where it lies
    size  in bytes
    """

    name: str
    path: Path
    size: int
    _file: IO[bytes] | None = field(default=None, repr=False)

    def _opened(self, file: IO[bytes]) -> None:
        self._file = file

    @property
    def read(self) -> int:
        """How many of its bytes were read so far."""
        return 0 if self._file is None or self._file.closed else self._file.tell()

    def facts(self) -> dict[str, Any]:
        """What tells it from another file; InputError where it cannot be read."""
        try:
            return {"name": self.name, "bytes": self.path.stat().st_size, "sha256": sha256_of(self.path)}
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror or error}; check its permissions") from None

    def documents(self, parting: Parting, column: str | None, begin: int) -> Iterator[Found]:
        """Its documents, from the one with this number on, counted from 0."""
        return islice(raw_documents(self.path, parting=parting, column=column, tell=self._opened), begin, None)


@dataclass(kw_only=True)
class StreamSource:
    """A data set on the hub, whose size nobody knows."""

    name: str
    stream: Stream
    size: int = 0
    read: int = 0

    def pin(self, commit: str) -> None:
        """Read what it was at this commit, whatever it is now."""
        self.stream = replace(self.stream, commit=commit)

    def facts(self) -> dict[str, Any]:
        """What tells it from another."""
        return {**asdict(self.stream), "name": self.name, "bytes": None, "sha256": None}

    def documents(self, parting: Parting, column: str | None, begin: int) -> Iterator[Found]:
        """Its rows' texts, from the one with this number on, counted from 0."""
        return streamed_documents(self.stream, column=column, begin=begin)


Source = FileSource | StreamSource


def _files_in(folder: Path, out: Path) -> list[Path]:
    """The files of a folder and of the folders in it, in the order of their paths; hidden ones and the result's not."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not path.resolve().is_relative_to(out.resolve())
    ]
    if not found:
        raise InputError(f"the folder {folder} holds no files; name files, or a folder that has some")
    return found


def open_sources(files: Sequence[str | Path], out: Path, config: PrepareConfig) -> list[Source]:
    """The sources that were asked for, in this order.

    Raises NotFoundError for a file or a data set that is not there, InputError for what is neither.
    """
    if not files:
        raise InputError("there is nothing to prepare; name files, folders, or data sets as hf://datasets/OWNER/NAME")
    sources: list[Source] = []
    for each in files:
        address, path = str(each), Path(each)
        if is_stream(address):
            stream = settle(address, subset=config.subset, split=config.split)
            sources.append(StreamSource(name=address, stream=stream))
        elif address.startswith(PREFIX):
            path = fetch_table(address)
            sources.append(FileSource(name=address, path=path, size=path.stat().st_size))
        elif not path.exists():
            raise NotFoundError(f"there is no file {path}; name a file of text, JSONL, CSV or Parquet, or a folder")
        else:
            paths = _files_in(path, out) if path.is_dir() else [path]
            sources += [FileSource(name=str(one), path=one, size=one.stat().st_size) for one in paths]
    usual = PrepareConfig()
    told = [f"{name}=…" for name in ("subset", "split") if getattr(config, name) != getattr(usual, name)]
    if told and not any(isinstance(source, StreamSource) for source in sources):
        raise InputError(
            f"only a data set on the hub takes {' and '.join(told)}: give its hf:// address, or leave that out"
        )
    if len(config.licences) > 1 and len(config.licences) != len(sources):
        raise InputError(
            f"there are {len(config.licences)} licences and {len(sources)} sources; give licences=… once,"
            " or once for each"
        )
    return sources


def given_tokenizer(name: str | Path | None) -> tuple[Tokenizer | None, str | None]:
    """The tokenizer of a folder or of a model on the hub, and what is said there of its family; None for None."""
    if name is None:
        return None, None
    folder = Path(name)
    if not folder.is_dir():
        folder = locate(name, files=(*TOKENIZER_FILES, "config.json"))
    says = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    family = says.get("model_type")
    model_type = family if isinstance(family, str) else None
    return load_tokenizer(folder, model_type=model_type), model_type


def settled_parting(sources: Sequence[Source], config: PrepareConfig) -> tuple[Parting, tuple[str, ...]]:
    """What a document of a text file is, and a sentence on it where that was not asked for."""
    if config.documents != "auto":
        return config.documents, ()
    texts = [source for source in sources if isinstance(source, FileSource) and holds_text(source.path)]
    other = "; documents=… says otherwise"
    if len(sources) == 1 and texts:
        parting = obvious_parting(texts[0].path)
        what = {"blank-lines": "what blank lines part", "lines": "a line", "files": "all of it"}
        said = what.get(parting, "what lines of <|endoftext|> part")
        return parting, (f"A document of {texts[0].name} is {said}{other}.",)
    archives = any(isinstance(source, FileSource) and is_archive(source.path.name) for source in sources)
    return "files", (f"Each text file is one document{other}.",) if texts or archives else ()
