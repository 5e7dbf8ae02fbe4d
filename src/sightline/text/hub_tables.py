"""A table on the Hugging Face hub, by the address that polars and others give it: the file in the cache; or a folder.

    hf://datasets/OWNER/NAME[@REVISION]/PATH/TO/FILE.csv
    hf://datasets/OWNER/NAME[@REVISION][/PATH/TO/FOLDER]

`huggingface_hub` does the work and reads HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE. A revision is a branch, a
tag, a commit, or ~parquet, the hub's own conversion.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from sightline.errors import NotFoundError

PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?/(?P<file>.+)", re.ASCII)
_FOLDER = re.compile(r"hf://datasets/(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?(/(?P<folder>.+))?", re.ASCII)
_SHAPE = "hf://datasets/OWNER/NAME/FILE.parquet"


def _no_such_file(name: str, file: str, revision: str | None) -> NotFoundError:
    """The data set has no such file: the nearest, or some that it has."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        files = HfApi(library_name="sightline").list_repo_files(name, repo_type="dataset", revision=revision)
    except (OSError, HTTPError, ValueError):
        files = []
    near = difflib.get_close_matches(file, files, n=1)
    there = ", ".join(map(repr, files[:8])) + (f" and {len(files) - 8} more" if len(files) > 8 else "")
    hint = f"did you mean {near[0]!r}?" if near else f"it holds {there or 'nothing'}"
    return NotFoundError(f"the data set {name!r} on the hub has no file {file!r}: {hint}")


def hub_error(name: str, file: str, revision: str | None, error: Exception) -> NotFoundError:
    """One line for what `huggingface_hub` raised; its own words, which may hold passwords, are left out."""
    from huggingface_hub import constants, errors

    log_in = "log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return NotFoundError(f"the data set {name!r} is gated: accept its terms on its page, then {log_in}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(f"there is no data set {name!r} on the hub; if it is private, {log_in}")
    if isinstance(error, errors.RevisionNotFoundError):
        advice = "give a branch, a tag or a full commit hash"
        return NotFoundError(f"the data set {name!r} has no revision {revision or 'main'!r}; {advice}")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return _no_such_file(name, file, revision)
    answer = error.__cause__ if isinstance(error, errors.RevisionResolutionError) else error
    if isinstance(answer, errors.HfHubHTTPError):
        status = answer.response.status_code
        advice = log_in if status in (401, 403) else "try again later"
        return NotFoundError(f"the hub refused {file!r} of the data set {name!r} with status {status}; {advice}")
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.RevisionResolutionError)):
        if constants.is_offline_mode():
            why = "HF_HUB_OFFLINE is set; unset it to download, once"
        else:
            why = "the hub cannot be reached; check the connection and HF_ENDPOINT"
        return NotFoundError(f"{file!r} of the data set {name!r} is not in the cache, and {why}")
    if isinstance(error, OSError) and error.errno is not None:
        return NotFoundError(f"cannot store {file!r} in the cache: {error.strerror}; free some space or set HF_HOME")
    return NotFoundError(f"the download of {file!r} of the data set {name!r} broke off; run this again")


def named(revision: str | None) -> str | None:
    """A revision as the hub calls it."""
    return "refs/convert/parquet" if revision == "~parquet" else revision and revision.replace("%2F", "/")


def commit_of(name: str, revision: str | None) -> tuple[str, bool]:
    """The commit that a revision of a data set is, and whether only the cache may answer."""
    from huggingface_hub import HfApi, constants

    offline = constants.is_offline_mode()
    api = HfApi(library_name="sightline")
    found = api.resolve_revision(name, repo_type="dataset", revision=revision, local_files_only=offline)
    return found.resolved, offline


def fetch_table(address: str) -> Path:
    """The file at an hf:// address, downloaded unless it is cached.

    Raises NotFoundError, in one line with what to do: no such data set, revision or file, no right, no connection.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or "*" in address:
        raise NotFoundError(f"{address!r} does not name one file of a data set; write {_SHAPE}")
    name, revision, file = found["name"], named(found["revision"]), found["file"]
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HTTPError, RevisionResolutionError  # type: ignore[attr-defined]

    try:
        commit, offline = commit_of(name, revision)
        return Path(
            hf_hub_download(
                name, file, repo_type="dataset", revision=commit, library_name="sightline", local_files_only=offline
            )
        )
    except (OSError, HTTPError, RevisionResolutionError, ValueError) as error:
        raise hub_error(name, file, revision, error) from error


def fetch_folder(address: str, suffixes: Sequence[str]) -> Path:
    """The files below an hf:// address that end in one of `suffixes`, downloaded unless they are cached: a folder.

    Raises NotFoundError, in one line with what to do, as `fetch_table` does.
    """
    found = _FOLDER.fullmatch(address)
    if found is None or "*" in address:
        raise NotFoundError(f"{address!r} names no data set; write hf://datasets/OWNER/NAME, or a folder in it")
    name, revision, folder = found["name"], named(found["revision"]), (found["folder"] or "").rstrip("/")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError, RevisionResolutionError  # type: ignore[attr-defined]

    try:
        commit, offline = commit_of(name, revision)
        whole = Path(
            snapshot_download(
                name,
                repo_type="dataset",
                revision=commit,
                allow_patterns=[f"{folder + '/' if folder else ''}*{suffix}" for suffix in suffixes],
                library_name="sightline",
                local_files_only=offline,
            )
        )
    except (OSError, HTTPError, RevisionResolutionError, ValueError) as error:
        raise hub_error(name, folder or "data", revision, error) from error
    if not (whole / folder).is_dir():
        raise _no_such_file(name, folder, revision)
    return whole / folder
