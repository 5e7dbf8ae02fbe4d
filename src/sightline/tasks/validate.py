"""What the validation part of a corpus says of a model while it is taught.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

import math

import torch

from sightline.decoding.fill import SPELLINGS, fill
from sightline.decoding.generate import generate
from sightline.decoding.rows import as_taught, looks_ahead
from sightline.errors import ConfigError, InputError, SightlineError
from sightline.model.model import Model
from sightline.text.corpus import Corpus
from sightline.training.packed import Stage
from sightline.training.precision import chosen, computing
from sightline.training.reading import TextSteps, steps_of
from sightline.training.recipe import Recipe

SEED = 1  # of what is hidden at every look: the same, so that looks can be compared
SAMPLE_TOKENS = 40


def validation_steps(recipe: Recipe, corpus: Corpus) -> TextSteps | None:
    """What is read of the validation part: rows of the recipe's last shape, or two shorter ones where it is small, so
    that an objective that asks two kinds has a row for each. None where the part is empty.

    Raises InputError where the part is too small for the objective.
    """
    documents, shape = corpus.valid, recipe.batches.shapes[-1]
    if not len(documents):
        return None
    few = min(2, shape.rows)
    most = max(few, min(recipe.run.validation_tokens, documents.tokens - 1))
    tokens = min(shape.tokens, most // few)
    rows = max(few, min(shape.rows, most // tokens))
    stage = Stage(steps=max(1, most // (rows * tokens)), rows=rows, tokens=tokens)
    try:
        return steps_of(recipe, documents, corpus.tokenizer, [stage], seed=SEED)
    except (ConfigError, InputError) as error:
        raise InputError(f"of the part of the corpus to judge by: {error}") from error


def validate(model: Model, recipe: Recipe, corpus: Corpus) -> dict[str, float]:
    """Each of the objective's terms, as the mean over what is asked; and `bits_per_byte`, where one of them is the
    likelihood of whole texts. Nothing where the corpus has no validation part.

    The same rows are read and the same tokens hidden at every look, at most `validation_tokens` of the recipe; what
    changes in the course of a training is as it is at its end.
    """
    documents, steps = corpus.valid, validation_steps(recipe, corpus)
    if steps is None:
        return {}
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    precision = chosen(recipe.training.precision, model.device, model.dtype)
    with torch.no_grad(), computing(precision, model.device):
        for step in range(len(steps)):
            for batch in steps.asked(step, done=1.0):
                for name, term in recipe.objective.terms(model, batch).items():
                    sums[name] = sums.get(name, 0.0) + float(term.sum)
                    counts[name] = counts.get(name, 0.0) + term.count
    means = {name: total / counts[name] for name, total in sums.items() if counts[name]}
    whole = recipe.objective.likelihood
    if whole in means and documents.text_bytes:
        # Of all tokens of the part, so many are asked: bytes are counted in the same measure.
        asked = documents.tokens - len(documents)
        means["bits_per_byte"] = means[whole] * asked / (math.log(2) * documents.text_bytes)
    return means


def sample(model: Model, text: str) -> str:
    """What the model makes of a text, to be read by people: its blanks filled, or the text gone on with."""
    blank = None if model.tokenizer is None else model.tokenizer.special.mask
    try:
        if blank is not None and any(spelling in text for spelling in (blank, *SPELLINGS)):
            return fill(model, text, top_k=1).joint[0].text
        view = as_taught(model, ahead=False)
        if looks_ahead(view.mask) and not view.layout.two_streams:
            return f"({text!r} has no blank, and a masked model writes nothing else; write {blank} for a word)"
        return text + generate(view, text, max_new_tokens=SAMPLE_TOKENS).texts()[0]
    except SightlineError as error:  # a sample is no reason to stop a training
        return f"({error})"
