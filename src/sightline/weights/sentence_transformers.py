"""What a sentence-transformers folder says about pooling: modules.json and the folders that it names.

Reimers and Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", section 3.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.files import Writer
from sightline.errors import CheckpointError
from sightline.weights.files import json_writer, read_json

_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}
_WORDS = {"lasttoken": "last"}
_LARGEST = 2**20


@dataclass(frozen=True, kw_only=True)
class EmbeddingDefaults:
    """How a model's rows were meant to become vectors.

    pooling     "mean", "cls", "last" or "max"
    normalize   whether vectors have length 1
    max_length  tokens, beyond which the model's makers cut; None where they say nothing
    """

    pooling: str
    normalize: bool
    max_length: int | None = None


def _modules(folder: Path) -> list[dict[str, Any]]:
    path = folder / "modules.json"
    try:
        content = path.read_bytes()[:_LARGEST]
        modules = json.loads(content)
        return [dict(module) for module in sorted(modules, key=lambda module: int(module["idx"]))]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path}: {error}; download it again or delete it") from error


def _inside(folder: Path, path: str) -> Path:
    place = (folder / path).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise CheckpointError(f"{folder / 'modules.json'} points outside its folder: {path!r}")
    return place


def _pooling(folder: Path, path: str) -> str:
    stated = read_json(_inside(folder, path) / "config.json", largest=_LARGEST)
    known = {*_MODES, "word_embedding_dimension", "embedding_dimension", "include_prompt", "pooling_mode"}
    modes = [mode for name, mode in _MODES.items() if stated.get(name)]
    newer = stated.get("pooling_mode")  # one word, or several for vectors laid end to end
    modes += [
        _WORDS.get(str(mode), str(mode)) for mode in (newer if isinstance(newer, list) else [newer] if newer else [])
    ]
    others = sorted(name for name, value in stated.items() if name not in known and value)
    if len(modes) != 1 or others or modes[0] not in _MODES.values():
        asked = ", ".join([*modes, *others]) or "nothing"
        raise CheckpointError(f"{folder.name}/{path} pools by {asked}; Sightline knows one of cls, mean, max and last")
    return modes[0]


def _check_prompt(folder: Path) -> None:
    """Warn of words that the model's makers put before every text: nothing here does."""
    path = folder / "config_sentence_transformers.json"
    stated = read_json(path, largest=_LARGEST) if path.is_file() else {}
    name, prompts = stated.get("default_prompt_name"), stated.get("prompts")
    prompt = prompts.get(name) if isinstance(name, str) and isinstance(prompts, dict) else None
    if prompt:
        warnings.warn(
            f"{path} puts {prompt!r} before every text; put it there yourself to get its vectors", stacklevel=4
        )


def read_embedding_defaults(folder: Path) -> EmbeddingDefaults | None:
    """What modules.json says; None where there is no such file.

    Raises CheckpointError for modules that would change the vectors and that Sightline does not have.
    """
    if not (folder / "modules.json").is_file():
        return None
    pooling, normalize = "mean", False
    for module in _modules(folder):
        kind, path = str(module.get("type", "")).rsplit(".", 1)[-1], str(module.get("path", ""))
        if kind == "Pooling":
            pooling = _pooling(folder, path)
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise CheckpointError(
                f"{folder / 'modules.json'} has a module {kind!r}, which Sightline does not have; delete modules.json"
                " to use the network without it"
            )
    _check_prompt(folder)
    length = None
    if (folder / "sentence_bert_config.json").is_file():
        stated = read_json(folder / "sentence_bert_config.json", largest=_LARGEST).get("max_seq_length")
        length = stated if isinstance(stated, int) and stated > 0 else None
    return EmbeddingDefaults(pooling=pooling, normalize=normalize, max_length=length)


def embedding_files(defaults: EmbeddingDefaults, width: int) -> dict[str, Writer]:
    """What writes the same files, so that sentence-transformers opens the folder."""
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] * defaults.normalize)]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ]
    pooling = {name: mode == defaults.pooling for name, mode in _MODES.items()}
    return {
        "1_Pooling/config.json": json_writer({"word_embedding_dimension": width, **pooling}),
        "sentence_bert_config.json": json_writer({"max_seq_length": defaults.max_length, "do_lower_case": False}),
        "modules.json": json_writer(modules),
    }
