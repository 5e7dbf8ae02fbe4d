"""The families there are, what they were made for, and sizes by name."""

from __future__ import annotations

import copyreg
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sightline.errors import ConfigError
from sightline.phrases import did_you_mean
from sightline.weights.bert import BERT
from sightline.weights.distilbert import DISTILBERT
from sightline.weights.gpt2 import GPT2
from sightline.weights.layout import Layout
from sightline.weights.modernbert import MODERNBERT, MODERNBERT_DECODER
from sightline.weights.roberta import ROBERTA
from sightline.weights.transformer_xl import TRANSFORMER_XL
from sightline.weights.xlnet import XLNET

_EVERY = (BERT, ROBERTA, DISTILBERT, GPT2, MODERNBERT, MODERNBERT_DECODER, XLNET, TRANSFORMER_XL)
LAYOUTS: dict[str, Layout] = {layout.model_type: layout for layout in _EVERY}
"""By the `model_type` of config.json."""

_ALSO_CALLED = {"transformer-xl": "transfo-xl"}

_WIDTHS = {"tiny": (2, 128, 2), "mini": (4, 256, 4), "small": (4, 512, 8), "medium": (8, 512, 8), "base": (12, 768, 12)}
_SHARED = {
    size: {"layers": layers, "width": width, "attention_heads": heads, "inner": 4 * width}
    for size, (layers, width, heads) in _WIDTHS.items()
}


def _gated(layers: int, width: int, heads: int, inner: int) -> dict[str, int]:
    return {"layers": layers, "width": width, "attention_heads": heads, "inner": inner}


_ETTIN = {
    "17m": _gated(7, 256, 4, 384),
    "32m": _gated(10, 384, 6, 576),
    "68m": _gated(19, 512, 8, 768),
    "150m": _gated(22, 768, 12, 1152),
    "400m": _gated(28, 1024, 16, 2624),
    "1b": _gated(28, 1792, 28, 3840),
}
_PLAIN_XL = {"memory_length": 512, "same_length": False, "clamp_length": None, "cutoffs": (), "divisor": 1}
SIZES: dict[str, Mapping[str, Mapping[str, Any]]] = {
    "bert": {**_SHARED, "large": {"layers": 24, "width": 1024, "attention_heads": 16, "inner": 4096}},
    "gpt2": {
        **_SHARED,
        "large": {"layers": 36, "width": 1280, "attention_heads": 20, "inner": 5120},
        "xl": {"layers": 48, "width": 1600, "attention_heads": 25, "inner": 6400},
    },
    "xlnet": {**_SHARED, "large": {"layers": 24, "width": 1024, "attention_heads": 16, "inner": 4096}},
    "transformer-xl": {**{size: {**shape, **_PLAIN_XL} for size, shape in _SHARED.items()}, "wt103": {}},
    "modernbert": {
        **{size: _gated(*shape, 32 * round(shape[1] / 12)) for size, shape in _WIDTHS.items()},
        "base": _ETTIN["150m"],
        "large": _ETTIN["400m"],
        **_ETTIN,
    },
}
"""tiny to base as Turc et al. 2019, "Well-Read Students Learn Better", table 2; larger ones as published.

Transformer-XL's wt103 is the published one, its vocabulary in clusters; the others have one, since where to cut depends
on the words.

ModernBERT's small ones have two thirds of the inner width, in steps of 32: a gated layer has three matrices where
another has two, so that both have as many weights (Shazeer 2020, "GLU Variants Improve Transformer", section 3.1). Its
base and large are as Warner et al. 2024 made them, 17m to 1b as Weller et al. 2025 made the Ettin pairs.
"""


def layout_of(model_type: object) -> Layout:
    """The layout for a `model_type`; raises ConfigError naming the ones there are."""
    model_type = _ALSO_CALLED.get(model_type, model_type) if isinstance(model_type, str) else model_type
    if not isinstance(model_type, str) or model_type not in LAYOUTS:
        meant = did_you_mean(str(model_type), LAYOUTS) or f"Sightline has {', '.join(LAYOUTS)}"
        raise ConfigError(f"there is no model type {model_type!r} here: {meant}")
    return LAYOUTS[model_type]


def _by_name(layout: Layout) -> tuple[Any, ...] | str:
    """How a layout travels: as the name that the other process knows it by, being made of functions."""
    known = LAYOUTS.get(layout.model_type) is layout
    return (layout_of, (layout.model_type,)) if known else layout.__reduce_ex__(2)


copyreg.pickle(Layout, _by_name)


def _instead(name: str, known: Sequence[str], layout: Layout) -> str:
    """What to do about a setting that there is not."""
    if name == "positions":
        return "its positions are relative and have no end; leave it out"
    there = f"{layout.config.__module__}.{layout.config.__name__} lists those that there are"
    return did_you_mean(name, known) or there


def sized(family: str, size: str, **changes: Any) -> Any:
    """The configuration of a family at a named size, with changes to single fields.

    >>> sized("gpt2", "tiny", vocabulary=100).width
    128
    """
    layout = layout_of(family)
    sizes = SIZES[layout.family]
    if size not in sizes:
        raise ConfigError(f"there is no size {size!r} of {family!r}; choose one of {', '.join(sizes)}")
    known = [field.name for field in fields(layout.config)]
    for name in (name for name in changes if name not in known):
        raise ConfigError(f"a {family!r} has no such setting as {name!r}: {_instead(name, known, layout)}")
    return layout.config(**{**sizes[size], **changes})
