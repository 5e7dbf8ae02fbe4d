"""Made-up rows that a tiny model learns in seconds, and models to learn them."""

import random
from dataclasses import fields

import numpy

from sightline.core.mask import Mask
from sightline.model.build import build
from sightline.model.families import layout_of
from sightline.model.heads import with_classifier
from sightline.model.model import Model
from sightline.networks.heads import Pooling
from sightline.text.labelled import Examples
from sightline.text.learn import learn_tokenizer

LABELS = ("bad", "good", "none")
SAID = {
    "bad": ("awful", "cold", "stale", "rude"),
    "good": ("lovely", "warm", "fresh", "kind"),
    "none": ("round", "green", "tall", "late"),
}
FILLERS = "the soup a lamp was and very shop tea it we had there at noon".split()
WIDE = {"init_std": 0.1}  # so narrow a network learns sooner from larger weights
SIZES = {"layers": 2, "width": 32, "attention_heads": 2, "inner": 64}


def sentence(random_: random.Random, word: str, words: int = 5) -> str:
    """A word among fillers."""
    said = [random_.choice(FILLERS) for _ in range(random_.randint(1, words))]
    said.insert(random_.randint(0, len(said)), word)
    return " ".join(said)


def classes(rows: int, seed: int = 0, *, pairs: bool = False, words: int = 5) -> Examples:
    """One of three classes each; of pairs the second text decides."""
    drawn = random.Random(seed)
    targets = [drawn.randrange(3) for _ in range(rows)]
    texts = [sentence(drawn, drawn.choice(SAID[LABELS[target]]), words) for target in targets]
    first = [sentence(drawn, "so", words) for _ in range(rows)]
    return Examples(
        texts=first if pairs else texts,
        pairs=texts if pairs else None,
        targets=numpy.array(targets),
        labels=LABELS,
        rows=list(range(1, rows + 1)),
    )


def numbers(rows: int, seed: int = 0) -> Examples:
    """A number far from 0 that one word decides."""
    found = classes(rows, seed)
    values = numpy.array([100.0, 500.0, 300.0])[found.targets]
    return Examples(texts=found.texts, pairs=None, targets=values, labels=None, rows=found.rows)


def learner(
    family: str,
    examples: Examples,
    *,
    mask: Mask | None = None,
    pooling: Pooling | None = None,
    positions: int = 24,
    seed: int = 0,
    noise: bool = True,
    **settings: object,
) -> Model:
    """A tiny new model with a head for these rows; without `noise` it has no dropout, and learns as fast as it can."""
    known = {field.name for field in fields(layout_of(family).config)}
    if not noise:
        settings = {**{name: 0.0 for name in known if name.endswith("dropout")}, **settings}
    kind = "bytelevel-bpe" if family in ("gpt2", "roberta") else "wordpiece"
    tokenizer = learn_tokenizer([*examples.texts, *(examples.pairs or [])], kind=kind, vocabulary=320)
    if "positions" in known:
        settings = {"positions": positions, **settings}
    else:  # a network that would read any length
        tokenizer.max_length = positions
    model = build(family, "tiny", tokenizer=tokenizer, heads=(), seed=seed, **{**SIZES, **WIDE, **settings})
    return with_classifier(
        model if mask is None else model.with_mask(mask), examples.labels, pooling=pooling, seed=seed
    )
