"""Loading a checkpoint, from a folder or a hub."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from sightline.core.mask import Mask
from sightline.errors import CheckpointError, ConfigError, SightlineError
from sightline.model.families import layout_of
from sightline.model.heads import sequence_head
from sightline.model.initialize import initialize
from sightline.model.model import PROBLEMS, Model
from sightline.model.parts import Parts, place_of, readable, wanted_dtype
from sightline.networks.heads import POOLINGS
from sightline.phrases import and_more
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer
from sightline.weights.files import open_tensors, read_json
from sightline.weights.hub import locate
from sightline.weights.layout import Layout, Name
from sightline.weights.read import Spelling, count_labels, fill, find_heads
from sightline.weights.sentence_transformers import read_embedding_defaults


def _labels(config: Mapping[str, Any], counts: Mapping[str, int]) -> tuple[str, ...] | None:
    """Names of classes, where they are more than LABEL_0, LABEL_1, …; `counts` is how many each head tells apart."""
    stated = config.get("id2label")
    if not isinstance(stated, Mapping):
        return None
    try:
        names = {int(index): str(name) for index, name in stated.items()}
    except ValueError:
        raise CheckpointError("config.json has an id2label whose ids are not whole numbers; correct it") from None
    ordered = tuple(names.get(index, f"LABEL_{index}") for index in range(len(names)))
    if all(name == f"LABEL_{index}" for index, name in enumerate(ordered)):
        return None
    for head in {"classifier", "tagger"} & counts.keys():
        if counts[head] != len(ordered):
            raise CheckpointError(
                f"config.json names {len(ordered)} classes in id2label, and the {head} of the file tells {counts[head]}"
                " apart; correct id2label"
            )
    return ordered


def _dtype(dtype: torch.dtype | str | None, file: Spelling, place: torch.device) -> torch.dtype:
    """The type of all weights: the one asked for, or the widest that is stored, float16 not being one for a CPU."""
    if dtype is not None:
        return wanted_dtype(dtype)
    stored = file.dtypes() or {torch.float32}
    widest = reduce(torch.promote_types, stored)
    return torch.float32 if place.type == "cpu" and widest == torch.float16 else widest


def _has_tokenizer(folder: Path) -> bool:
    names = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model", "vocab.pkl", "vocab.bin")
    return any((folder / name).is_file() for name in names)


def _tokenizer(folder: Path, layout: Layout, config: Any) -> Tokenizer | None:
    if not _has_tokenizer(folder):
        return None
    return readable(load_tokenizer(folder, model_type=layout.model_type), config)


def _problem_type(stored: Mapping[str, Any]) -> str | None:
    """What the classifier's outputs are, in transformers' words; None where nothing says so: logits of classes."""
    stated = stored.get("problem_type")
    if stated not in (None, *PROBLEMS):
        raise CheckpointError(f"config.json says problem_type={stated!r}; choose one of {', '.join(PROBLEMS)}")
    return None if stated is None else str(stated)


def _stored_config(folder: Path) -> dict[str, Any]:
    """config.json, with the end tokens that generation_config.json names, where it names some."""
    stored = read_json(folder / "config.json")
    generation = folder / "generation_config.json"
    ends = read_json(generation).get("eos_token_id") if generation.is_file() else None
    stored = stored if ends is None else {**stored, "eos_token_id": ends}
    ends = stored.get("eos_token_id")
    if not all(type(token) is int for token in (ends if isinstance(ends, list) else [ends]) if token is not None):
        raise CheckpointError(f"{folder} names an eos_token_id {ends!r} that is no token id; correct its config.json")
    return stored


def _trained_masks(folder: Path, stored: Mapping[str, Any], mask: Mask) -> tuple[Mask, ...]:
    """What the weights were trained under: what `save` wrote of a hybrid, or of a view through another mask, else the
    mask itself."""
    own = stored.get("sightline")
    stated = own.get("trained_masks") if isinstance(own, Mapping) else None
    if stated is None:
        return (mask,)
    if not isinstance(stated, list) or not stated:
        raise CheckpointError(f"{folder / 'config.json'} names no trained_masks: {stated!r:.80}; list one or more")
    try:
        return tuple(Mask.parse(str(each)) for each in stated)
    except ConfigError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error


def _own(folder: Path, stored: Mapping[str, Any], field: str, choices: Sequence[str]) -> Any:
    """A field that only Sightline writes, or None; CheckpointError for a value that it has no meaning for."""
    own = stored.get("sightline")
    stated = own.get(field) if isinstance(own, Mapping) else None
    if stated is not None and stated not in choices:
        raise CheckpointError(
            f"{folder / 'config.json'} names the {field} {stated!r}; choose one of {', '.join(choices)}"
        )
    return stated


def _says(stored: Mapping[str, Any], field: str) -> bool:
    """Whether something is true that only Sightline writes."""
    own = stored.get("sightline")
    return isinstance(own, Mapping) and own.get(field) is True


def _read_config(folder: Path, stored: Mapping[str, Any]) -> tuple[Layout, Any, Mask]:
    """The layout, our configuration and the mask that config.json describes."""
    path = folder / "config.json"
    if "model_type" not in stored:
        raise CheckpointError(f"{path} names no model_type; is this a checkpoint of transformers?")
    try:
        layout = layout_of(stored["model_type"])
        config, mask, unknown = layout.read_config(stored)
    except (SightlineError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    if unknown:
        warnings.warn(f"{path} has fields that change nothing here: {and_more(unknown)}", stacklevel=3)
    return layout, config, mask


def _as_tied_as_stored(config: Any, file: Spelling) -> Any:
    """The configuration, untied where the file holds an LM matrix that is another than the token embedding."""
    if not config.tied or file.ties_hold(config):
        return config
    warnings.warn(
        "config.json says that the LM head shares the token embedding, but the file holds two that differ; the head"
        " keeps its own (tie_word_embeddings=false in config.json says so)",
        stacklevel=3,
    )
    return replace(config, tied=False)


def _check_complete(folder: Path, layout: Layout, missing: list[Name], unused: list[str]) -> None:
    """Raise CheckpointError where tensors are missing, or are there and nothing reads them."""
    if missing:
        names = [name.theirs.replace("{base}", layout.base) for name in missing]
        raise CheckpointError(
            f"{folder} lacks {len(names)} tensors that its config.json asks for: {and_more(names)};"
            " allow_new=True draws them at random"
        )
    if unused:
        raise CheckpointError(
            f"{folder} has {len(unused)} tensors that a {layout.model_type} here does not use: {and_more(unused)};"
            " allow_unused=True leaves them out"
        )


def load(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    allow_new: bool = False,
    allow_unused: bool = False,
    seed: int = 0,
) -> Model:
    """The model of that name, in eval mode.

    name          a folder, or a hub id (`HF_ENDPOINT`, `HF_HOME`, `HF_HUB_OFFLINE` and `HF_TOKEN` are honoured)
    dtype         of the weights; default: as stored, except that float16 becomes float32 on a CPU
    allow_new     whether tensors that the file lacks may be drawn at random (by `seed`); they are listed in a warning
    allow_unused  whether tensors of the file that nothing here reads are left out

    Raises NotFoundError for a name that leads nowhere and CheckpointError for files that cannot be right.

        model = load("bert-base-uncased")
    """
    where = place_of(device)
    folder = locate(name, revision=revision)
    stored = _stored_config(folder)
    layout, config, mask = _read_config(folder, stored)
    file = Spelling(layout, open_tensors(folder))
    config = _as_tied_as_stored(config, file)
    heads = find_heads(layout, file, stored.get("architectures") or ())
    heads |= layout.silent_heads(stored, config, heads)
    counts = count_labels(layout, file, heads)
    parts = Parts(layout, config, heads, counts).to(_dtype(dtype, file, where))
    missing = fill(parts, layout.all_names(config, heads), file, parts.dtype)
    _check_complete(folder, layout, [] if allow_new else missing, [] if allow_unused else file.unused())
    new = tuple(ours for name in missing for ours in name.ours)
    initialize(parts, new, config, seed)
    if new:
        warnings.warn(f"drawn at random, since the checkpoint lacks them: {and_more(list(new))}", stacklevel=2)
    pooling = _own(folder, stored, "pooling", POOLINGS)
    if pooling is not None and "classifier" in heads:
        sequence_head(parts.heads["classifier"]).pooling = pooling
    parts.to(where)
    model = Model(
        parts.network,
        parts.heads,
        layout,
        config,
        mask,
        tokenizer=_tokenizer(folder, layout, config),
        labels=_labels(stored, counts),
        embedding=read_embedding_defaults(folder),
        problem_type=_problem_type(stored),
        long=_own(folder, stored, "long", ("cut", "windows")) or "cut",
        stored_config=stored,
        new_tensors=new,
    ).eval()
    model.trained_masks = _trained_masks(folder, stored, mask)
    model.shifted = _says(stored, "shifted")
    return model
