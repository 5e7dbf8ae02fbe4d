"""A data set on the Hugging Face hub, read row by row as it comes: nothing is stored. Needs the extra `hub`.

    hf://datasets/OWNER/NAME[@REVISION]

The library `datasets` does the work. A revision is settled once, to a commit, so that a stream which is taken up again
is the same stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from sightline.core.hub import asking, commit_of
from sightline.errors import InputError, NotFoundError
from sightline.text.hub_tables import PREFIX, data_set, named
from sightline.text.raw import Found, cell, may_hold_text
from sightline.text.tables import choose_column

_ADDRESS = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?/?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The rows of a data set on the hub.

    name    OWNER/NAME
    commit  the revision, settled
    subset  one of several data sets under this name; None: the only one, or the default
    split   of its rows
    """

    name: str
    commit: str
    subset: str | None
    split: str


def is_stream(address: str) -> bool:
    """Whether this is the address of a whole data set, and not of a file in one."""
    return _ADDRESS.fullmatch(address) is not None


def _library(name: str) -> ModuleType:
    try:
        return import_module("datasets")
    except ImportError:
        raise NotFoundError(
            f"{PREFIX}datasets/{name} is a whole data set, which the library datasets streams:"
            " pip install 'sightline[hub]'; or name one file of it"
        ) from None


def settle(address: str, *, subset: str | None, split: str) -> Stream:
    """The stream that an address stands for now.

    Raises NotFoundError for a data set or a revision that is not there, no right, no connection, or no library.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise NotFoundError(f"{address!r} names no data set; write {PREFIX}datasets/OWNER/NAME")
    name, revision = found["name"], named(found["revision"])
    _library(name)
    with asking(data_set(name, revision)):
        commit, _ = commit_of(name, revision, "dataset")
    return Stream(name=name, commit=commit, subset=subset, split=split)


def streamed_documents(stream: Stream, *, column: str | None = None, begin: int = 0) -> Iterator[Found]:
    """The texts of its rows, from row `begin` on, counted from 0; `Bad` for each that holds something else.

    Raises NotFoundError for a subset or a split that is not there, InputError where the stream breaks off.
    """
    library, chosen, number = _library(stream.name), column, begin
    try:
        rows = library.load_dataset(
            stream.name, stream.subset, split=stream.split, streaming=True, revision=stream.commit
        )
        rows = iter(rows.skip(begin))
    except Exception as error:  # whatever the library lets through
        raise NotFoundError(f"cannot stream {stream.name!r}: {_line(error)}") from error
    while True:
        try:
            row = next(rows, None)
        except Exception as error:
            raise InputError(
                f"the stream of {stream.name!r} broke off after row {number} ({_line(error)}); give the same command"
                " again: it goes on there"
            ) from error
        if row is None:
            return
        number += 1
        where = f"row {number} of {stream.name!r}"
        if chosen is None:
            chosen = choose_column(may_hold_text(row), None, where)
        elif chosen not in row:
            choose_column(list(row), chosen, where)
        yield cell(row[chosen], number, chosen, stream.name)


def _line(error: Exception) -> str:
    """What a library says, in one line and not too long."""
    return f"{str(error).strip().splitlines()[0]:.200}" if str(error).strip() else type(error).__name__
