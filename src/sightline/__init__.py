"""Sightline: one transformer block; who may attend to whom decides what it becomes.

    import sightline as sl
    model = sl.load("bert-base-uncased")
    out = model(**model.tokenizer(["two texts", "at once"]))

Names are imported when they are first used, so that `import sightline` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sightline.core.cache import KeyValueCache, Memory
    from sightline.core.coordinates import Coordinates
    from sightline.core.mask import (
        Bidirectional,
        Causal,
        Mask,
        NotPadding,
        Permuted,
        Prefix,
        SameDocument,
        SlidingWindow,
    )
    from sightline.core.sight import Sight
    from sightline.core.taps import record
    from sightline.decoding.fill import fill
    from sightline.decoding.generate import generate
    from sightline.errors import (
        CheckpointError,
        ConfigError,
        InputError,
        NotFoundError,
        SightlineError,
        UnsupportedError,
    )
    from sightline.model.load import build, load
    from sightline.model.model import Model
    from sightline.model.output import Output
    from sightline.tasks.describe import describe
    from sightline.tasks.differences import differences
    from sightline.tasks.embed import embed, embed_batches
    from sightline.tasks.embed_word import embed_word
    from sightline.tasks.vectors import save_vectors
    from sightline.text.learn import learn_tokenizer
    from sightline.text.tables import read_texts
    from sightline.text.tokenizer import Tokenizer

_HOMES = {
    "core.cache": "KeyValueCache Memory",
    "core.coordinates": "Coordinates",
    "core.mask": "Bidirectional Causal Mask NotPadding Permuted Prefix SameDocument SlidingWindow",
    "core.sight": "Sight",
    "core.taps": "record",
    "decoding.fill": "fill",
    "decoding.generate": "generate",
    "errors": "CheckpointError ConfigError InputError NotFoundError SightlineError UnsupportedError",
    "model.load": "build load",
    "model.model": "Model",
    "model.output": "Output",
    "tasks.describe": "describe",
    "tasks.differences": "differences",
    "tasks.embed": "embed embed_batches",
    "tasks.embed_word": "embed_word",
    "tasks.vectors": "save_vectors",
    "text.learn": "learn_tokenizer",
    "text.tables": "read_texts",
    "text.tokenizer": "Tokenizer",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Bidirectional",
    "Causal",
    "CheckpointError",
    "ConfigError",
    "Coordinates",
    "InputError",
    "KeyValueCache",
    "Mask",
    "Memory",
    "Model",
    "NotFoundError",
    "NotPadding",
    "Output",
    "Permuted",
    "Prefix",
    "SameDocument",
    "Sight",
    "SightlineError",
    "SlidingWindow",
    "Tokenizer",
    "UnsupportedError",
    "build",
    "describe",
    "differences",
    "embed",
    "embed_batches",
    "embed_word",
    "fill",
    "generate",
    "learn_tokenizer",
    "load",
    "read_texts",
    "record",
    "save_vectors",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    value = getattr(import_module(f"sightline.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
