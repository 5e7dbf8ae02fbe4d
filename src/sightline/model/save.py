"""Saving a model in the Hugging Face layout."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.files import Writer, replace_files
from sightline.errors import CheckpointError
from sightline.model.heads import sequence_head
from sightline.text.tokenizer_files import SENTENCEPIECE, contents
from sightline.weights.files import json_writer, tensor_change
from sightline.weights.hub import TOKENIZER_FILES
from sightline.weights.read import spell
from sightline.weights.sentence_transformers import embedding_files

if TYPE_CHECKING:
    from sightline.model.model import Model

CONFIG = "config.json"

# What may have become untrue, and what points to code or to a number format that the new folder does not hold.
_STALE = (
    "torch_dtype",
    "is_decoder",
    "sightline",
    "auto_map",
    "custom_pipelines",
    "quantization_config",
)
_SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


def _said_by_sightline_alone(model: Model) -> dict[str, Any]:
    """What the layout has no field for; and, for people, that transformers would compute something else."""
    own: dict[str, Any] = {}
    if model.trained_masks != (model.mask,):
        own["trained_masks"] = [str(mask) for mask in model.trained_masks]
    unread = [] if model.layout.expresses(model.mask, model.config) else [f"the mask {model.mask}"]
    if model.shifted:
        own["shifted"] = True
        unread.append("the answer to a blank one token before it")
    if "classifier" in model.heads:
        head = sequence_head(model.heads["classifier"])
        if model.long != "cut":
            own["long"] = model.long
        if head.pooling != head.usual_pooling and head.pooling not in model.layout.poolings:
            own["pooling"] = head.pooling
            unread.append(f"the pooling {head.pooling}")
    if unread:
        own["note"] = f"sightline reads {' and '.join(unread)}; transformers does not, and gives other numbers"
    return own


def _config(model: Model, heads: frozenset[str]) -> dict[str, Any]:
    """What the checkpoint said, overruled by what the model is now."""
    written = dict(model.stored_config)
    for stale in _STALE:
        written.pop(stale, None)
    written.update(model.layout.write_config(model.config, model.mask, heads))
    own = {**written.pop("sightline", {}), **_said_by_sightline_alone(model)}
    if own:
        written["sightline"] = own
    written["dtype"] = str(model.dtype).removeprefix("torch.")
    if "classifier" in heads:
        for stale in ("problem_type", "num_labels", "_num_labels"):
            written.pop(stale, None)
        written.update({} if model.problem_type is None else {"problem_type": model.problem_type})
        pooling = sequence_head(model.heads["classifier"]).pooling
        written.update({"classifier_pooling": theirs} if (theirs := model.layout.poolings.get(pooling)) else {})
    if model.labels is not None:
        written["id2label"] = {str(index): label for index, label in enumerate(model.labels)}
        written["label2id"] = {label: index for index, label in enumerate(model.labels)}
    elif "classifier" in heads or "tagger" in heads:
        output = model.heads.get_submodule("classifier" if "classifier" in heads else "tagger").get_parameter(
            "output.weight"
        )
        written["id2label"] = {str(index): f"LABEL_{index}" for index in range(len(output))}
        written["label2id"] = {label: int(index) for index, label in written["id2label"].items()}
    if model.tokenizer is not None:
        for field in dict.fromkeys((*_SPECIAL, *model.layout.unsaid)):
            if written.get(field) in (None, model.layout.unsaid.get(field)):
                written[field] = getattr(model.tokenizer.special, field.replace("_token_id", "_id"))
    unsaid = {field: value for field, value in model.layout.unsaid.items() if written.get(field) is None}
    return {**written, **unsaid}


def save(model: Model, folder: Path) -> Path:
    """Write `model` into `folder`, made if need be: all of its files or, where one cannot be written, none.

    config.json goes first and comes last: a folder that a crash left between two models has none, and nobody opens it
    by mistake.
    """
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"cannot save into {folder}: it is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot make the folder {folder}: {error.strerror}") from error
    heads = frozenset(model.heads)
    tensors = tensor_change(folder, spell(model, model.layout, model.config, heads))
    tokenizer = {} if model.tokenizer is None else contents(model.tokenizer)
    writers: dict[str, Writer] = {
        **tensors.writers,
        **{name: partial(Path.write_bytes, data=content) for name, content in tokenizer.items()},
        **({} if model.embedding is None else embedding_files(model.embedding, model.config.width)),
        CONFIG: json_writer(_config(model, heads)),
    }
    replace_files(
        folder,
        writers,
        remove_before={CONFIG, *tensors.remove_before},
        remove_after=tensors.remove_after | _earlier(model) - writers.keys(),
    )
    return folder


def _earlier(model: Model) -> set[str]:
    """Files that an earlier model may have left in the folder, and that this one would be read with."""
    stale = {"generation_config.json"}  # its end tokens, which came first, are in config.json now
    stale |= {SENTENCEPIECE} if model.tokenizer is not None else set(TOKENIZER_FILES)
    return stale | {"modules.json", "sentence_bert_config.json"}
