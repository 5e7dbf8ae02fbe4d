"""A table on the Hugging Face hub, by the address that polars and others give it: the file in the cache; or a folder.

    hf://datasets/OWNER/NAME[@REVISION]/PATH/TO/FILE.csv
    hf://datasets/OWNER/NAME[@REVISION][/PATH/TO/FOLDER]

A revision is a branch, a tag, a commit, or ~parquet, the hub's own conversion.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sightline.core.hub import LIBRARY, Asked, asking, commit_of
from sightline.errors import NotFoundError
from sightline.phrases import and_more, did_you_mean

PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?/(?P<file>.+)", re.ASCII)
_FOLDER = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?(/(?P<folder>.+))?", re.ASCII)
_SHAPE = "hf://datasets/OWNER/NAME/FILE.parquet"


def _no_such_file(name: str, file: str, revision: str | None) -> NotFoundError:
    """The data set has no such file: the nearest, or some that it has."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        files = HfApi(library_name=LIBRARY).list_repo_files(name, repo_type="dataset", revision=revision)
    except (OSError, HTTPError, ValueError):
        files = []
    hint = did_you_mean(file, files) or f"it holds {and_more([*map(repr, files)]) or 'nothing'}"
    return NotFoundError(f"the data set {name!r} on the hub has no file {file!r}: {hint}")


def named(revision: str | None) -> str | None:
    """A revision as the hub calls it."""
    return "refs/convert/parquet" if revision == "~parquet" else revision and revision.replace("%2F", "/")


def data_set(name: str, revision: str | None, file: str | None = None) -> Asked:
    """A data set, or one file or folder of it, as it is asked for."""
    return Asked(what=f"data set {name!r}", page=f"datasets/{name}", revision=revision, file=file)


def fetch_table(address: str) -> Path:
    """The file at an hf:// address, downloaded unless it is cached.

    Raises NotFoundError, in one line with what to do: no such data set, revision or file, no right, no connection.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or "*" in address:
        raise NotFoundError(f"{address!r} does not name one file of a data set; write {_SHAPE}")
    name, revision, file = found["name"], named(found["revision"]), found["file"]
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    with asking(data_set(name, revision, file)):
        commit, offline = commit_of(name, revision, "dataset")
        try:
            there = hf_hub_download(
                name, file, repo_type="dataset", revision=commit, library_name=LIBRARY, local_files_only=offline
            )
        except RemoteEntryNotFoundError as error:
            raise _no_such_file(name, file, revision) from error
    return Path(there)


def fetch_folder(address: str, suffixes: Sequence[str]) -> Path:
    """The files below an hf:// address that end in one of `suffixes`, downloaded unless they are cached: a folder.

    Raises NotFoundError, in one line with what to do, as `fetch_table` does.
    """
    found = _FOLDER.fullmatch(address)
    if found is None or "*" in address:
        raise NotFoundError(f"{address!r} names no data set; write hf://datasets/OWNER/NAME, or a folder in it")
    name, revision, folder = found["name"], named(found["revision"]), (found["folder"] or "").rstrip("/")
    from huggingface_hub import snapshot_download

    with asking(data_set(name, revision, folder or None)):
        commit, offline = commit_of(name, revision, "dataset")
        there = Path(
            snapshot_download(
                name,
                repo_type="dataset",
                revision=commit,
                allow_patterns=[f"{folder + '/' if folder else ''}*{suffix}" for suffix in suffixes],
                library_name=LIBRARY,
                local_files_only=offline,
            )
        )
    if not (there / folder).is_dir():
        raise _no_such_file(name, folder, revision)
    return there / folder
