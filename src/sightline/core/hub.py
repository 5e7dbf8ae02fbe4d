"""The Hugging Face hub, as models and data sets need it: the commit that a revision is, and one line for every refusal.

`huggingface_hub` does the work, and is imported only when something is asked of the hub. It reads HF_ENDPOINT (a
mirror), HF_HOME (the cache), HF_TOKEN and HF_HUB_OFFLINE from the environment when it is first imported: set them
before that.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from sightline.errors import NotFoundError

LIBRARY = "sightline"  # who asks
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def host() -> str:
    """The hub in use, for messages: without the password that an HF_ENDPOINT may carry."""
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def commit_of(name: str, revision: str | None, kind: Literal["model", "dataset"] = "model") -> tuple[str, bool]:
    """The commit that a revision is, and whether only the cache may answer."""
    from huggingface_hub import HfApi, constants

    offline = constants.is_offline_mode()
    api = HfApi(library_name=LIBRARY)
    found = api.resolve_revision(name, repo_type=kind, revision=revision or None, local_files_only=offline)
    return found.resolved, offline


def partly_cached(what: str) -> NotFoundError:
    """Some files of a repository are in the cache, and no list of all."""
    return NotFoundError(f"only a part of the {what} is in the cache; run this once with a connection to the hub")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of the hub.

    what      the repository: "model 'gpt2'"
    page      of it, below the hub's address
    revision  of it, as it was given
    file      in it, where one alone is wanted
    nor       what else there is none of: ", and no such folder"
    near      gives "; did you mean …?" where it is not there
    """

    what: str
    page: str
    revision: str | None = None
    file: str | None = None
    nor: str = ""
    near: Callable[[], str] = lambda: ""

    def __str__(self) -> str:
        return f"the {self.what}" if self.file is None else f"{self.file!r} of the {self.what}"

    @property
    def hint(self) -> str:
        return self.near() or ";"


def _unreachable(asked: Asked, error: BaseException | None) -> NotFoundError:
    """Neither the hub nor the cache has it: why, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled) or constants.is_offline_mode():
        place = f"the cache {constants.HF_HUB_CACHE}"
        advice = f"HF_HUB_OFFLINE is set{asked.hint} unset it to download, once"
        return NotFoundError(f"{asked} is not in {place}, and {advice}")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        advice = {401: LOG_IN, 403: LOG_IN, 404: "check HF_ENDPOINT"}.get(status, "try again later")
        return NotFoundError(f"{host()} refused {asked} with status {status}; {advice}")
    advice = "check the connection and HF_ENDPOINT, or give a local one"
    return NotFoundError(f"cannot reach {host()} to fetch {asked}, which is not in the cache{asked.hint} {advice}")


def _refused(asked: Asked, error: Exception) -> NotFoundError:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return NotFoundError(f"the {asked.what} is gated: accept its terms at {host()}/{asked.page}, then {LOG_IN}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(f"there is no {asked.what} at {host()}{asked.nor}{asked.hint} if it is private, {LOG_IN}")
    if isinstance(error, errors.RevisionNotFoundError):
        advice = "give a branch, a tag or a full commit hash"
        return NotFoundError(f"the {asked.what} at {host()} has no revision {asked.revision or 'main'!r}; {advice}")
    if isinstance(error, errors.IncompleteSnapshotError):
        return partly_cached(asked.what)
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.RevisionResolutionError)):
        return _unreachable(asked, error.__cause__)
    if isinstance(error, errors.HfHubHTTPError):
        return _unreachable(asked, error)
    if isinstance(error, OSError) and error.errno is not None:
        return NotFoundError(f"cannot store {asked} in the cache: {error.strerror}; free some space or set HF_HOME")
    if isinstance(error, ValueError):  # not JSON: a sign-in page, for instance
        return NotFoundError(f"{host()} does not answer as a hub does, so {asked} cannot be fetched; check HF_ENDPOINT")
    return NotFoundError(f"the download of {asked} broke off; run this again, whole files are kept")


@contextmanager
def asking(asked: Asked) -> Iterator[None]:
    """Whatever `huggingface_hub` raises within becomes NotFoundError in one line. Its own words are left out: they are
    long, and may hold addresses with passwords."""
    # httpx's error, which huggingface_hub hands on without saying so to type checkers.
    from huggingface_hub.errors import HTTPError, RevisionResolutionError  # type: ignore[attr-defined]

    try:
        yield
    except (OSError, HTTPError, RevisionResolutionError, ValueError) as error:
        raise _refused(asked, error) from error
