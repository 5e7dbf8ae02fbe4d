"""Generation step by step: which token came, and what else could have come.

Shapes: V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sightline.decoding.generate import generate
from sightline.decoding.mask_predict import MaskPredict, longest, predict
from sightline.decoding.rows import Rows, as_taught, learned_both_sides
from sightline.decoding.sampling import Sampling
from sightline.errors import UnsupportedError
from sightline.model.model import Model

WORD_BY_WORD, AT_ONCE = "word by word", "all at once"


@dataclass(frozen=True)
class Chosen:
    """A token that was written, its probability, and the likeliest there, best first: (token, probability)."""

    token: int
    probability: float
    others: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a model writes after a prompt.

    prompt  the ids it goes on from
    how     WORD_BY_WORD: `steps` are one token each; or AT_ONCE: each step is a round that looks again, and holds all
            tokens
    """

    prompt: tuple[int, ...]
    how: str
    steps: tuple[tuple[Chosen, ...], ...]


def _by_words(model: Model, prompt: list[int], limit: int, top: int) -> Written:
    """The likeliest token each time, by the loop that everybody uses; then the same rows again, for what else there
    was."""
    (grown,) = generate(model, [prompt], max_new_tokens=limit).rows()
    rows = Rows(as_taught(model, ahead=False), [prompt], limit)
    steps = []
    for number, step in enumerate(grown):
        best = rows.logits[0].float().softmax(-1).topk(min(top, rows.logits.shape[-1]))
        others = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        steps.append((Chosen(step.token, math.exp(step.log_prob), others),))
        if number + 1 < len(grown):
            rows.feed(best.indices.new_tensor([step.token]))
    return Written(prompt=tuple(prompt), how=WORD_BY_WORD, steps=tuple(steps))


def _at_once(model: Model, prompt: list[int], limit: int) -> Written:
    view = as_taught(model, ahead=True)
    rounds = predict(view, prompt, min(limit, longest(view, prompt)), MaskPredict(rounds=min(limit, 6)), Sampling())
    steps = tuple(
        tuple(Chosen(token, math.exp(score)) for token, score in zip(each.tokens, each.log_probs, strict=True))
        for each in rounds
    )
    return Written(prompt=tuple(prompt), how=AT_ONCE, steps=steps)


def written(model: Model, prompt: list[int], limit: int = 12, top: int = 5) -> Written:
    """What the model writes after these ids, at most `limit` tokens: word by word where it can, else all at once.

    Raises UnsupportedError for a model that can write in neither way, InputError where no position is left.
    """
    try:
        return _by_words(model, prompt, limit, top)
    except UnsupportedError:
        if not learned_both_sides(model):
            raise
        return _at_once(model, prompt, limit)
