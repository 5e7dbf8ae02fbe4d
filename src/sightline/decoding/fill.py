"""Filling blanks: the words that a masked model expects there, each alone and all together.

    Devlin et al. 2019, "BERT", section 3.1, task 1.

Shapes: B rows, T tokens, P blanks, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sightline.core.check import whole
from sightline.decoding.mask_predict import mask_id, masked_log_probs
from sightline.decoding.rows import tokenizer_of
from sightline.errors import InputError

if TYPE_CHECKING:
    from sightline.model.model import Model

SPELLINGS = ("[MASK]", "<mask>")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A word for one blank: its token's id, how it reads, and its probability while all other blanks stay blank."""

    token: int
    word: str
    probability: float


@dataclass(frozen=True, kw_only=True)
class Filling:
    """Words for all blanks: P(first) · P(second | first) · …, each asked with the earlier ones filled in."""

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
    if not text.strip():
        raise InputError(f"the text is empty; write a sentence with {token} where a word is missing")
    for spelling in SPELLINGS:
        text = text.replace(spelling, token)
    ids = torch.tensor([tokenizer.encode(text)])
    places = (ids[0] == blank).nonzero()[:, 0]
    if not len(places):
        raise InputError(f"the text has no blank; write {token} where a word is missing")
    return ids, places


def _joint(model: Model, ids: Tensor, places: Tensor, width: int) -> tuple[Filling, ...]:
    """The likeliest fillings, blank by blank from the left, the best `width` kept at each."""
    tokenizer = tokenizer_of(model)
    rows, scores = ids, torch.zeros(1)
    for place in places:
        log_probs = masked_log_probs(model, rows, place[None])[:, 0]
        total = scores[:, None] + log_probs
        scores, best = total.flatten().topk(min(width, total.numel()))
        rows = rows[best // total.shape[1]].clone()
        rows[:, place] = best % total.shape[1]
    fillings = []
    for row, score in zip(rows, scores.tolist(), strict=True):
        words = tuple(tokenizer.decode([token]).strip() for token in row[places].tolist())
        shown = tokenizer.decode(row.tolist(), skip_special_tokens=True)
        fillings.append(Filling(words=words, probability=float(torch.tensor(score).exp()), text=shown))
    return tuple(fillings)


def fill(model: Model, text: str, top_k: int = 5) -> Filled:
    """The `top_k` likeliest words for every blank of `text`, and the `top_k` likeliest fillings of all of them.

    A blank is written as the tokenizer's mask token, `[MASK]` or `<mask>`. Raises UnsupportedError for a model that
    fills none, and InputError for a text without blanks or longer than the model's positions.

        fill(model, "The pizza was fantastic. The restaurant is [MASK].").blanks[0][0].word
    """
    whole("top_k", top_k)
    ids, places = _encoded(model, text)
    tokenizer = tokenizer_of(model)
    probabilities = masked_log_probs(model, ids, places)[0].exp()  # (P, V)
    top = probabilities.topk(min(top_k, probabilities.shape[-1]))
    blanks = tuple(
        tuple(
            Candidate(token=token, word=tokenizer.decode([token]).strip(), probability=probability)
            for token, probability in zip(tokens, values, strict=True)
        )
        for tokens, values in zip(top.indices.tolist(), top.values.tolist(), strict=True)
    )
    return Filled(blanks=blanks, joint=_joint(model, ids, places, top_k))
