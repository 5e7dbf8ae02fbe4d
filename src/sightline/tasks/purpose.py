"""What a model was trained for, by its heads, its mask in training and its files; and whether it was trained at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from sightline.tasks.abilities import Looks, count_labels, looks

if TYPE_CHECKING:
    from sightline.model.model import Model

_LM: dict[Looks, tuple[str, str]] = {
    "back": ("causal LM", "to continue text: each token from those before it"),
    "back, after a prefix": ("prefix LM", "to continue text after a part that is seen whole"),
    "to both sides": ("masked LM", "to fill blanks: each from what stands on both sides"),
    "by an order": ("permutation LM", "to predict tokens in any order"),
}


def objective(model: Model) -> tuple[str, str]:
    """A short name and what for, empty where nothing says so; the most special head decides."""
    if model.embedding is not None:
        length = ", scaled to length 1" if model.embedding.normalize else ""
        return "embeddings", f"to turn a text into a vector: the {model.embedding.pooling} of its tokens{length}"
    for head, name, sentence in (
        ("span", "span", "to find an answer within a text"),
        ("tagger", "tagger", f"to label every token with one of {count_labels(model)}"),
        ("classifier", "regression", "to give texts a number")
        if model.regression
        else ("classifier", "classifier", f"to sort texts into {count_labels(model)} classes"),
    ):
        if head in model.heads:
            return name, sentence
    sight = looks(model.trained_mask, model.config.positions)
    ordered = model.layout.two_streams and sight == "to both sides"  # under which all orders were tried
    name, sentence = _LM["by an order" if ordered else sight]
    follows = "to tell whether one text follows another"
    if "lm" in model.heads and "next_sentence" in model.heads:
        return f"{name} and next sentence", f"{sentence}; and {follows}"
    if "lm" in model.heads:
        return name, sentence
    return ("next sentence", follows) if "next_sentence" in model.heads else ("not stated", "")


def trained(model: Model) -> bool:
    """Whether any norm's weight or any bias has moved from where it starts: 1 and 0, whatever the seed.

    So a new model is told from a trained one after it was saved and loaded, too.
    """
    for module in model.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if isinstance(module, nn.LayerNorm) and isinstance(weight, torch.Tensor) and bool((weight != 1).any()):
            return True
        if isinstance(bias, torch.Tensor) and bool((bias != 0).any()):
            return True
    return False


def in_words(model: Model, purpose: str) -> str:
    """What for, or that there is nothing yet, and what in the model is random."""
    if not trained(model):
        return "nothing yet, its weights are random" + (f"; such heads are made {purpose}" if purpose else "")
    new = len(model.new_tensors)
    random = f"; {new} tensors are random, because the checkpoint lacks them" if new else ""
    return (purpose or "its files do not say what for") + random
