"""From a name to a folder: a local folder as it is, a name on the Hugging Face hub as its cached copy.

`huggingface_hub` is imported only when a name is not a folder.
"""

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from sightline.core.hub import LIBRARY, Asked, asking, commit_of, host, partly_cached
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


def _download(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """The cached copy of a hub model, completed if need be; nothing is printed when nothing is fetched."""
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, LocalEntryNotFoundError

    commit, offline = commit_of(name, revision)

    def fetch(patterns: Sequence[str], *, local: bool) -> Path:
        wanted = list(patterns)
        return Path(
            snapshot_download(
                name, revision=commit, allow_patterns=wanted, local_files_only=local, library_name=LIBRARY
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
        return partly_cached(f"model {name!r}")
    return NotFoundError(
        f"{name!r} at {host()} is no model that is read here: no config.json; it holds {and_more(names) or 'nothing'}"
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
    near = partial(_similar, text, known)
    asked = Asked(what=f"model {text!r}", page=text, revision=revision, nor=", and no such folder", near=near)
    with asking(asked):
        folder = _download(text, revision, files)
    if "config.json" in files and not _is_model(folder):
        raise _no_hub_model(text, folder)
    return folder
