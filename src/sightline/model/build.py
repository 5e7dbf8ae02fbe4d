"""Building a new model of a named size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sightline.errors import ConfigError
from sightline.model.families import layout_of, sized
from sightline.model.heads import checked_labels
from sightline.model.initialize import initialize
from sightline.model.model import Model
from sightline.model.parts import Parts, place_of, readable, wanted_dtype
from sightline.text.tokenizer import Tokenizer
from sightline.weights.layout import Layout
from sightline.weights.read import with_pooler


def build(
    family: str,
    size: str = "base",
    *,
    tokenizer: Tokenizer | None = None,
    heads: tuple[str, ...] = ("lm",),
    labels: int | Sequence[str] = 2,
    seed: int = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    **settings: Any,
) -> Model:
    """A new model with random weights, in eval mode.

    family     a layout's name: "bert", "roberta", "distilbert", "gpt2", "modernbert", "modernbert-decoder", "xlnet" …
    size       "tiny" (2 layers, 128 wide), "mini", "small", "medium", "base", "large"; settings change single fields
    tokenizer  sets the vocabulary too, unless `vocabulary` is given
    heads      what shall be asked of it; labels: how many classes a classifier or tagger has, or their names
    seed       the same seed draws the same weights

        build("gpt2", "tiny", vocabulary=1000, seed=0)
    """
    layout = layout_of(family)
    if tokenizer is not None:
        settings.setdefault("vocabulary", len(tokenizer))
    pad = None if tokenizer is None else tokenizer.special.pad_id
    config = sized(family, size, **{**layout.settings(pad), **settings})
    tokenizer = None if tokenizer is None else readable(tokenizer, config)
    asked = _with_needed(layout, heads)
    names = None if isinstance(labels, int) else checked_labels(labels)
    count = labels if isinstance(labels, int) else len(labels)
    place, kind = place_of(device), torch.get_default_dtype() if dtype is None else wanted_dtype(dtype)
    parts = Parts(layout, config, asked, {"classifier": count, "tagger": count})
    every = [ours for name in layout.all_names(config, asked) for ours in name.ours]
    initialize(parts, every, config, seed)
    parts.to(place, kind)
    mask = layout.mask_of(config)
    return Model(parts.network, parts.heads, layout, config, mask, tokenizer=tokenizer, labels=names).eval()


def _with_needed(layout: Layout, heads: tuple[str, ...]) -> frozenset[str]:
    """These heads, and the pooler under those that stand on one; ConfigError for one that the layout does not have."""
    present = {head.name: head for head in layout.heads}
    for name in heads:
        if name not in present:
            raise ConfigError(f"{layout.model_type} has no head {name!r}; choose from {', '.join(present)}")
    return with_pooler(present[name] for name in heads)
