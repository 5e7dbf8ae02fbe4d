"""What the JSON files beside a vocabulary say: which tokens are special, and how text is prepared.

`tokenizer_config.json` says all of it in the layouts of transformers 4 and 5; before that, and often still beside it,
`special_tokens_map.json` and `added_tokens.json`. Nothing here is executed, no path in a file is followed.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import AddedToken

from sightline.errors import CheckpointError, SightlineError
from sightline.text.special import ROLES

LARGEST_FILE = 256 * 2**20  # bytes; the largest published tokenizer.json has about 35 MB
LONGEST_SANE = 10**8  # tokens; "no limit" is written as 10**30
AGAIN = "download the folder again, or save the tokenizer again"
Default = TypeVar("Default", bool, bool | None)
Built = TypeVar("Built")


def check_file(path: Path) -> None:
    """`CheckpointError` unless this is a file that can be read and has a believable size."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check its permissions, or {AGAIN}") from None
    if size > LARGEST_FILE:
        raise CheckpointError(f"{path} has {size:,} bytes, too many for a tokenizer; {AGAIN}")


def read_text(path: Path) -> str:
    """The text of a file that passes `check_file`."""
    check_file(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8 text (byte {error.start}); {AGAIN}") from None


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object; empty where there is no such file."""
    if not path.exists():
        return {}
    try:
        value = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); {AGAIN}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a JSON {type(value).__name__}, not an object; {AGAIN}")
    return value


def _token(value: object, path: Path) -> str | AddedToken:
    """A token as files spell it: `"[MASK]"`, or `{"content": "[MASK]", "lstrip": true, …}` with its own flags."""
    content = value.get("content") if isinstance(value, dict) else value
    if not isinstance(content, str) or not content:
        raise CheckpointError(f"{path}: {value!r:.80} is no token; write a text, or an object with a 'content'")
    if not isinstance(value, dict):
        return content
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return AddedToken(content, **{name: value[name] for name in names if isinstance(value.get(name), bool)})


def _id(value: object, path: Path) -> int:
    """A token id, which JSON can only write as text where it is a key."""
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        return int(value)
    raise CheckpointError(f"{path}: {value!r:.40} is no token id; ids are whole numbers from 0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The files' words. A plain text stands for a token whose flags (`lstrip`, …) the files leave open."""

    path: Path  # of tokenizer_config.json, for messages
    config: Mapping[str, Any]
    roles: Mapping[str, str | AddedToken | None]  # only roles that are stated; None is "there is none"
    extra: list[str | AddedToken]  # special, without a role
    added: dict[int, AddedToken]  # in the order of the ids that they are declared to have
    added_path: Path  # the file that declares them

    @property
    def tokenizer_class(self) -> str | None:
        """transformers' class for it, without the suffix that once told two kinds apart."""
        name = self.config.get("tokenizer_class")
        return name.removesuffix("Fast") if isinstance(name, str) else None

    @property
    def max_length(self) -> int | None:
        """The most tokens a row should have, where a believable number is given."""
        length = self.config.get("model_max_length", self.config.get("max_len"))
        return int(length) if isinstance(length, int | float) and 1 < length < LONGEST_SANE else None

    def flag(self, name: str, default: Default) -> bool | Default:
        """A setting that is true or false; null and absent give the default."""
        value = self.config.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise CheckpointError(f"{self.path}: {name} is {value!r:.40}; write true or false")
        return value


def _roles(stated: Mapping[str, Any], path: Path) -> dict[str, str | AddedToken | None]:
    roles: dict[str, str | AddedToken | None] = {}
    for role in ROLES:
        if (key := f"{role}_token") in stated:
            roles[role] = None if stated[key] is None else _token(stated[key], path)
    return roles


def _extra(stated: Mapping[str, Any], path: Path) -> dict[str, list[str | AddedToken]]:
    extra = {}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = stated.get(key) or []
        if not isinstance(listed, list | dict):
            raise CheckpointError(f"{path}: {key} is {listed!r:.40}; write a list of tokens")
        if listed:
            extra[key] = [_token(value, path) for value in (listed.values() if isinstance(listed, dict) else listed)]
    return extra


def read_settings(folder: Path) -> Settings:
    """Read the three JSON files, as far as they exist."""
    path, old_path, added_path = (
        folder / name for name in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
    )
    config, old = _read_object(path), _read_object(old_path)
    declared = config.get("added_tokens_decoder")
    # The older file wins where the newer does not list the added tokens, as in transformers; else it only fills gaps.
    files = [(old, old_path), (config, path)] if declared is not None else [(config, path), (old, old_path)]
    roles: dict[str, str | AddedToken | None] = {}
    extras: dict[str, list[str | AddedToken]] = {}
    for stated, source in files:
        roles |= _roles(stated, source)
        extras |= _extra(stated, source)
    extra = [token for tokens in extras.values() for token in tokens]
    if declared is None:
        special = {str(token) for token in [*roles.values(), *extra]}
        added = {
            _id(id, added_path): AddedToken(token, special=token in special, normalized=token not in special)
            for token, id in _read_object(added_path).items()
        }
    elif isinstance(declared, dict):
        added_path = path
        tokens = {_id(id, path): _token(token, path) for id, token in declared.items()}
        added = {id: AddedToken(token) if isinstance(token, str) else token for id, token in tokens.items()}
    else:
        raise CheckpointError(f"{path}: added_tokens_decoder is {declared!r:.40}; write an object of ids and tokens")
    return Settings(
        path=path, config=config, roles=roles, extra=extra, added=dict(sorted(added.items())), added_path=added_path
    )


def build_from(source: Path | str, build: Callable[[], Built]) -> Built:
    """What the library builds from a file: its errors name no file, and damage can make it panic."""
    try:
        return build()
    except BaseException as error:
        # A panic is no Exception, and its class is not importable.
        if isinstance(error, SightlineError):
            raise
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(f"{source} is damaged or of an unknown kind ({error}); {AGAIN}") from None
