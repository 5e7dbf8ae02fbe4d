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
    from sightline.comparison.compare import compare
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
    from sightline.model.build import build
    from sightline.model.heads import with_classifier
    from sightline.model.load import load
    from sightline.model.model import Model
    from sightline.model.output import Output
    from sightline.probing.audit import audit
    from sightline.probing.dependence import Dependence
    from sightline.probing.explain import explain
    from sightline.probing.explanation import Explanation
    from sightline.probing.look import Look, look
    from sightline.probing.probe import probe
    from sightline.probing.run import Run
    from sightline.tasks.classify import classify, classify_batches, open_classifier
    from sightline.tasks.describe import describe
    from sightline.tasks.differences import differences
    from sightline.tasks.embed import embed, embed_batches
    from sightline.tasks.embed_word import embed_word
    from sightline.tasks.evaluate import evaluate
    from sightline.tasks.finetune import finetune, tune
    from sightline.tasks.finetune_config import FinetuneConfig
    from sightline.tasks.prepare import prepare
    from sightline.tasks.prepare_config import PrepareConfig
    from sightline.tasks.pretrain import pretrain
    from sightline.tasks.score import score, score_batches
    from sightline.tasks.scores import Score, Scores, tabulate
    from sightline.tasks.vectors import save_vectors
    from sightline.text.corpus import Corpus, open_corpus
    from sightline.text.labelled import Examples, read_examples
    from sightline.text.learn import learn_tokenizer
    from sightline.text.split import split
    from sightline.text.tables import read_texts
    from sightline.text.tokenizer import Tokenizer
    from sightline.training.recipe import Recipe, read_recipe

_HOMES = {
    "comparison.compare": "compare",
    "core.cache": "KeyValueCache Memory",
    "core.coordinates": "Coordinates",
    "core.mask": "Bidirectional Causal Mask NotPadding Permuted Prefix SameDocument SlidingWindow",
    "core.sight": "Sight",
    "core.taps": "record",
    "decoding.fill": "fill",
    "decoding.generate": "generate",
    "errors": "CheckpointError ConfigError InputError NotFoundError SightlineError UnsupportedError",
    "model.heads": "with_classifier",
    "model.build": "build",
    "model.load": "load",
    "model.model": "Model",
    "model.output": "Output",
    "probing.look": "Look look",
    "probing.dependence": "Dependence",
    "probing.explain": "explain",
    "probing.explanation": "Explanation",
    "probing.run": "Run",
    "probing.probe": "probe",
    "probing.audit": "audit",
    "tasks.classify": "classify classify_batches open_classifier",
    "tasks.describe": "describe",
    "tasks.differences": "differences",
    "tasks.embed": "embed embed_batches",
    "tasks.embed_word": "embed_word",
    "tasks.evaluate": "evaluate",
    "tasks.finetune": "finetune tune",
    "tasks.finetune_config": "FinetuneConfig",
    "tasks.prepare": "prepare",
    "tasks.prepare_config": "PrepareConfig",
    "tasks.pretrain": "pretrain",
    "tasks.score": "score score_batches",
    "tasks.scores": "Score Scores tabulate",
    "tasks.vectors": "save_vectors",
    "text.corpus": "Corpus open_corpus",
    "text.labelled": "Examples read_examples",
    "text.learn": "learn_tokenizer",
    "text.split": "split",
    "text.tables": "read_texts",
    "text.tokenizer": "Tokenizer",
    "training.recipe": "Recipe read_recipe",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Bidirectional",
    "Causal",
    "CheckpointError",
    "ConfigError",
    "Coordinates",
    "Corpus",
    "Dependence",
    "Examples",
    "Explanation",
    "FinetuneConfig",
    "InputError",
    "KeyValueCache",
    "Look",
    "Mask",
    "Memory",
    "Model",
    "NotFoundError",
    "NotPadding",
    "Output",
    "Permuted",
    "Prefix",
    "PrepareConfig",
    "Recipe",
    "Run",
    "SameDocument",
    "Score",
    "Scores",
    "Sight",
    "SightlineError",
    "SlidingWindow",
    "Tokenizer",
    "UnsupportedError",
    "audit",
    "build",
    "classify",
    "classify_batches",
    "compare",
    "describe",
    "differences",
    "embed",
    "embed_batches",
    "embed_word",
    "evaluate",
    "explain",
    "fill",
    "finetune",
    "generate",
    "learn_tokenizer",
    "load",
    "look",
    "open_classifier",
    "open_corpus",
    "prepare",
    "pretrain",
    "probe",
    "read_examples",
    "read_recipe",
    "read_texts",
    "record",
    "save_vectors",
    "score",
    "score_batches",
    "split",
    "tabulate",
    "tune",
    "with_classifier",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    value = getattr(import_module(f"sightline.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
