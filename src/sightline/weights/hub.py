"""From a name to a folder: a local folder as it is, a name on the Hugging Face hub as its cached copy.

`huggingface_hub` does the work, and is imported only when a name is not a folder. It reads HF_ENDPOINT (a mirror),
HF_HOME (the cache) and HF_HUB_OFFLINE from the environment when it is first imported: set them before that.
"""

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from sightline.errors import NotFoundError
from sightline.phrases import and_more

# All that a model's folder may hold of its tokenizer.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "vocab.pkl",
    "vocab.bin",
)

# What is fetched of a hub model; `*` also matches slashes. Pickles follow only where there are no safetensors.
DEFAULT_FILES = (
    "config.json",
    "generation_config.json",
    *TOKENIZER_FILES,
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "*/config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
)
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")

# An encoder and a decoder that were made alike (Weller et al. 2025, "Seq vs Seq"), by one short name.
PAIRS = {
    f"ettin-{size}": (f"jhu-clsp/ettin-encoder-{size}", f"jhu-clsp/ettin-decoder-{size}")
    for size in ("17m", "32m", "68m", "150m", "400m", "1b")
}

# Suggested for misspelt names.
WELL_KNOWN = (
    "bert-base-uncased",
    "bert-base-cased",
    "bert-base-multilingual-cased",
    "bert-large-uncased",
    "bert-large-cased",
    "distilbert-base-uncased",
    "distilroberta-base",
    "roberta-base",
    "roberta-large",
    "gpt2",
    "gpt2-medium",
    "gpt2-large",
    "gpt2-xl",
    "distilgpt2",
    "xlnet-base-cased",
    "xlnet-large-cased",
    "sentence-transformers/all-MiniLM-L6-v2",
    "transfo-xl/transfo-xl-wt103",
    "answerdotai/ModernBERT-base",
    "answerdotai/ModernBERT-large",
    *(name for pair in PAIRS.values() for name in pair),
)

HUB_ID = re.compile(r"(?=.{1,96}$)(?!.*(--|\.\.))\w[\w.-]*(/\w[\w.-]*)?(?<![.-])", re.ASCII)
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def _nearest(name: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'a' or 'b'?` for the candidates that look like `name`, or nothing."""
    spelled = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.6)
    return "; did you mean " + " or ".join(repr(spelled[match]) for match in found) + "?" if found else ""


def _folders_in(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []


def _missing_folder(path: Path) -> NotFoundError:
    """The folder is not there: where its path goes wrong, and which folders there have a similar name."""
    parent, part = path.parent, path.name
    while not parent.is_dir() and parent != parent.parent:
        parent, part = parent.parent, parent.name
    hint = _nearest(part, _folders_in(parent))
    return NotFoundError(f"no folder {path}: {parent.absolute()} has no {part!r}{hint}")


def _similar(name: str, known: Sequence[str]) -> str:
    """The hint for a name that was not found: models of the hub and folders beside it. None for one that is known:
    that was not misspelled."""
    if name in (*known, *WELL_KNOWN):
        return ""
    parent = Path(name).parent
    return _nearest(name, [*known, *WELL_KNOWN, *(str(parent / folder) for folder in _folders_in(parent))])


def _is_model(folder: Path) -> bool:
    return any((folder / file).is_file() for file in ("config.json", "modules.json"))


def _no_model(folder: Path) -> NotFoundError:
    """The folder has no config.json: what it holds, and which of its own folders are models."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        return NotFoundError(f"cannot read the folder {folder}: {error.strerror or error}")
    inside = sorted(path.parent for pattern in ("*", "snapshots/*") for path in folder.glob(f"{pattern}/config.json"))
    if inside:
        return NotFoundError(f"{folder} is no model, it has no config.json; did you mean {str(inside[-1])!r}?")
    return NotFoundError(
        f"{folder} is no model: it has no config.json; it holds {and_more(names) or 'nothing'}; give the folder of a"
        " model"
    )


def _local(path: Path, revision: str | None) -> Path:
    if path.is_file():
        raise NotFoundError(f"{path} is a file; give the folder that holds it, {path.parent}")
    if not path.is_dir():
        raise _missing_folder(path)
    if revision is not None:
        raise NotFoundError(f"{path} is a local folder, which has no revision {revision!r}; leave the revision out")
    if not _is_model(path):
        raise _no_model(path)
    return path


def _host() -> str:
    """The hub in use, for messages: without the password that an HF_ENDPOINT may carry."""
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _unreachable(name: str, error: BaseException | None, known: Sequence[str]) -> NotFoundError:
    """Neither the hub nor the cache has it: why, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    hint = _similar(name, known) or ";"
    if isinstance(error, OfflineModeIsEnabled) or constants.is_offline_mode():
        place = f"the cache {constants.HF_HUB_CACHE}"
        return NotFoundError(f"{name!r} is not in {place}, and HF_HUB_OFFLINE is set{hint} unset it to download, once")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        advice = {401: LOG_IN, 403: LOG_IN, 404: "check HF_ENDPOINT"}.get(status, "try again later")
        return NotFoundError(f"{_host()} refused {name!r} with status {status}; {advice}")
    advice = "check the connection and HF_ENDPOINT, or give a local folder"
    return NotFoundError(f"cannot reach {_host()} to fetch {name!r}, which is not in the cache{hint} {advice}")


def _partly_cached(name: str) -> NotFoundError:
    return NotFoundError(f"only a part of {name!r} is in the cache; run this once with a connection to the hub")


def _hub_error(name: str, revision: str | None, error: Exception, known: Sequence[str]) -> NotFoundError:
    """One line for what `huggingface_hub` raised. Its own words are left out: they are long, and may hold addresses
    with passwords."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return NotFoundError(f"{name!r} is gated: accept its terms at {_host()}/{name}, then {LOG_IN}")
    if isinstance(error, errors.RepositoryNotFoundError):
        hint = _similar(name, known) or ";"
        return NotFoundError(f"no model {name!r} at {_host()}, and no such folder{hint} if it is private, {LOG_IN}")
    if isinstance(error, errors.RevisionNotFoundError):
        advice = "give a branch, a tag or a full commit hash"
        return NotFoundError(f"{name!r} at {_host()} has no revision {revision or 'main'!r}; {advice}")
    if isinstance(error, errors.IncompleteSnapshotError):
        return _partly_cached(name)
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.RevisionResolutionError)):
        return _unreachable(name, error.__cause__, known)
    if isinstance(error, errors.HfHubHTTPError):
        return _unreachable(name, error, known)
    if isinstance(error, OSError) and error.errno is not None:
        return NotFoundError(f"cannot store {name!r} in the cache: {error.strerror}; free some space or set HF_HOME")
    if isinstance(error, ValueError):  # not JSON: a sign-in page, for instance
        return NotFoundError(
            f"{_host()} does not answer as a hub does, so {name!r} cannot be fetched; check HF_ENDPOINT"
        )
    return NotFoundError(f"the download of {name!r} broke off; run this again, whole files are kept")


def _download(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """The cached copy of a hub model, completed if need be; nothing is printed when nothing is fetched."""
    from huggingface_hub import HfApi, constants, get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

    offline = constants.is_offline_mode()
    api = HfApi(library_name="sightline")
    commit = api.resolve_revision(name, revision=revision or None, local_files_only=offline)

    def fetch(patterns: Sequence[str], *, local: bool) -> Path:
        wanted = list(patterns)
        return Path(
            snapshot_download(
                name, revision=commit, allow_patterns=wanted, local_files_only=local, library_name="sightline"
            )
        )

    def completed(patterns: Sequence[str]) -> Path:
        if offline:
            return fetch(patterns, local=True)
        try:
            get_cached_repo_tree(name, revision=commit)  # without the list of files, a part would pass for the whole
            return fetch(patterns, local=True)
        except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError):
            return fetch(patterns, local=False)

    folder = completed(files)
    if "model.safetensors" in files and folder.is_dir() and not any(folder.glob("model*.safetensors")):
        completed(PICKLES)
    return folder


def _no_hub_model(name: str, folder: Path) -> NotFoundError:
    """The repository has no config.json: what it holds instead."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        names = [file.path for file in get_cached_repo_tree(name, revision=folder.name)]
    except CachedRepoTreeNotFoundError:
        return _partly_cached(name)
    return NotFoundError(
        f"{name!r} at {_host()} is no model that is read here: no config.json; it holds {and_more(names) or 'nothing'}"
    )


def locate(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    files: Sequence[str] = DEFAULT_FILES,
    known: Sequence[str] = (),
) -> Path:
    """The folder of the model called `name`: a local folder, else a model of the hub, downloaded unless it is cached.

    `revision` is a branch, a tag or a commit of a hub model; `files` are patterns of what to fetch of it; `known` are
    further names to suggest when there is no such model. Without a connection the cache answers.

    Raises `NotFoundError`, in one line with what to do: no such folder or model, a folder that is no model, a gated
    model, no such revision, no connection.

        locate("folder/of/a/model")
        locate("bert-base-uncased", revision="main")
    """
    if not isinstance(name, str | os.PathLike):
        raise NotFoundError(f"{name!r:.80} is no model's name; give a folder or a hub id such as 'bert-base-uncased'")
    text = os.fspath(name)
    path = Path(text).expanduser()
    if not text.strip():
        raise NotFoundError("the name of the model is empty; give a folder or a hub id such as 'bert-base-uncased'")
    if not isinstance(name, str) or text.startswith((".", "~")) or path.is_absolute() or path.exists():
        return _local(path, revision)
    if text in PAIRS:
        encoder, decoder = PAIRS[text]
        raise NotFoundError(f"{text!r} names two models: {encoder!r} and {decoder!r}; name one (compare takes both)")
    if text.startswith("new:"):
        raise NotFoundError(
            f"{text!r} is a new network, which tune and compare make from rows; name a folder or a hub id (in Python,"
            f" build({text.removeprefix('new:')!r}, size) makes one)"
        )
    if not HUB_ID.fullmatch(text):
        if "://" not in text and re.search(r"[/\\]", text):
            raise _missing_folder(path)
        hint = _nearest(urlsplit(text).path.strip("/"), [*known, *WELL_KNOWN])
        raise NotFoundError(f"{text!r} is neither a folder nor a hub id like 'gpt2' or 'owner/name'{hint}")
    from huggingface_hub.errors import HTTPError, RevisionResolutionError  # type: ignore[attr-defined]

    try:
        folder = _download(text, revision, files)
    except (OSError, HTTPError, RevisionResolutionError, ValueError) as error:
        raise _hub_error(text, revision, error, known) from error
    if "config.json" in files and not _is_model(folder):
        raise _no_hub_model(text, folder)
    return folder
