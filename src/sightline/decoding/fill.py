"""Filling blanks: the words that a masked model expects there, each alone and all together.

    Devlin et al. 2019, "BERT", section 3.1, task 1.

Shapes: B rows, T tokens, P blanks, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.core.check import whole
from sightline.decoding.mask_predict import mask_id, masked_log_probs
from sightline.decoding.rows import as_taught, check_can_answer, check_unordered
from sightline.errors import InputError
from sightline.model.model import Model, tokenizer_of

SPELLINGS = ("[MASK]", "<mask>")
_WIDTH = 10  # partial fillings kept at least, so that the best one does not depend on how many are asked for


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A word for one blank: its token's id, how it reads, and its probability while all other blanks stay blank."""

    token: int
    word: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Filling:
    """Words for all blanks: P(first) · P(second | first) · …, each asked with the earlier ones filled in.

    text  the whole, as the tokenizer writes it
    """

    words: tuple[str, ...]
    probability: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What a model expects in a text's blanks: the likeliest words of each, and the likeliest fillings of all."""

    blanks: tuple[tuple[Candidate, ...], ...]
    joint: tuple[Filling, ...]

    def __str__(self) -> str:
        several = len(self.blanks) > 1
        lines = []
        for number, candidates in enumerate(self.blanks, start=1):
            lines += [f"blank {number}"] * several
            lines += [f"{candidate.probability:7.2%}  {candidate.word}" for candidate in candidates]
        if several:
            lines.append("together")
            lines += [f"{filling.probability:7.2%}  {', '.join(filling.words)}" for filling in self.joint]
        return "\n".join(lines)


def _encoded(model: Model, text: str) -> tuple[Tensor, Tensor]:
    """Ids (1, T) and the places (P,) of the blanks; either common spelling of the mask is understood."""
    blank, tokenizer = mask_id(model), tokenizer_of(model)
    token = tokenizer.token(blank)
    if not isinstance(text, str):
        raise InputError(
            f"the text is of type {type(text).__name__}; fill takes one text, such as 'Paris is in {token}.'"
        )
    if not text.strip():
        raise InputError(f"the text is empty; write a sentence with {token} where a word is missing")
    for spelling in SPELLINGS:
        text = text.replace(spelling, token)
    ids = torch.tensor([tokenizer.encode(text)])
    places = (ids[0] == blank).nonzero()[:, 0]
    if not len(places):
        raise InputError(f"the text has no blank; write {token} where a word is missing")
    return ids, places


def _likeliest(log_probs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities and indices of the `count` likeliest that are possible at all, best first, from (N,)."""
    best = log_probs.topk(min(count, log_probs.numel()))
    possible = best.values > -torch.inf
    return best.values[possible], best.indices[possible]


def _candidates(model: Model, log_probs: Tensor, top_k: int) -> tuple[Candidate, ...]:
    """The likeliest words for one blank, from log-probabilities (V,)."""
    tokenizer = tokenizer_of(model)
    scores, tokens = _likeliest(log_probs, top_k)
    return tuple(
        Candidate(token=token, word=tokenizer.decode([token]).strip(), probability=math.exp(score))
        for score, token in zip(scores.tolist(), tokens.tolist(), strict=True)
    )


def _joint(model: Model, ids: Tensor, places: Tensor, first: Tensor, top_k: int) -> tuple[Filling, ...]:
    """The likeliest fillings, blank by blank from the left, from log-probabilities (1, V) of the first."""
    tokenizer, width = tokenizer_of(model), max(top_k, _WIDTH)
    rows, scores, log_probs = ids, torch.zeros(1), first
    for number, place in enumerate(places):
        if number:
            log_probs = masked_log_probs(model, rows, place[None])[:, 0]
        total = scores[:, None] + log_probs
        scores, best = _likeliest(total.flatten(), width)
        rows = rows[best // total.shape[1]]
        rows[:, place] = best % total.shape[1]
    fillings = []
    for row, score in zip(rows[:top_k], scores[:top_k].tolist(), strict=True):
        words = tuple(tokenizer.decode([token]).strip() for token in row[places].tolist())
        shown = tokenizer.decode(row.tolist(), skip_special_tokens=True)
        fillings.append(Filling(words=words, probability=math.exp(score), text=shown))
    return tuple(fillings)


def fill(model: Model, text: str, top_k: int = 5) -> Filled:
    """The `top_k` likeliest words for every blank of `text`, and the `top_k` likeliest fillings of all of them.

    Fillings are searched for from the left, the best few kept at each blank: with many blanks a likelier one may exist.
    A blank is written as the tokenizer's mask token, `[MASK]` or `<mask>`. Raises UnsupportedError for a model that
    fills none, and InputError for a text without blanks or longer than the model's positions.

        fill(model, "The pizza was fantastic. The restaurant is [MASK].").blanks[0][0].word
    """
    whole("top_k", top_k)
    model = as_taught(model, ahead=True)
    ids, places = _encoded(model, text)
    check_can_answer(model)
    check_unordered(model)
    log_probs = masked_log_probs(model, ids, places)[0]  # (P, V)
    blanks = tuple(_candidates(model, each, top_k) for each in log_probs)
    return Filled(blanks=blanks, joint=_joint(model, ids, places, log_probs[:1], top_k))
