"""Scoring: how likely a model finds a text, token by token.

A model that looks back is asked for each token from those before it (a log-likelihood), a network of two streams in an
order of the tokens (Yang et al. 2019, section 2.2; a log-likelihood too), a masked model for each token from all others
(Salazar et al. 2020; a pseudo-log-likelihood). A hybrid can be asked either way.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy
from numpy.typing import NDArray

from sightline.errors import InputError
from sightline.model.model import Model
from sightline.tasks.asking import Progress
from sightline.tasks.encode import check_texts
from sightline.tasks.reading import AUTO, Reading, readings
from sightline.tasks.scorer import Scorer, scorer
from sightline.tasks.scores import Score, Scores

TEXTS_AT_ONCE = 4096  # sorted and batched together


def _score(by: Scorer, reading: Reading, found: NDArray[numpy.float64]) -> Score:
    known = ~numpy.isnan(found)
    scored = reading.text if known.all() else reading.text[reading.spans[int((~known).sum()) - 1][1] :]
    return Score(
        kind=by.kind,
        text=reading.text,
        ids=tuple(reading.ids.tolist()),
        tokens=tuple(reading.text[start:end] for start, end in reading.spans),
        log_probs=tuple(value if is_known else None for value, is_known in zip(found.tolist(), known, strict=True)),
        words=len(scored.split()),
        bytes=len(scored.encode()),
    )


def score_some(by: Scorer, texts: Sequence[str], before: int = 0, progress: Progress = lambda done: None) -> Scores:
    """The scores of texts that are sorted and batched together; `before` is how many others came before them."""
    read = readings(by.tokenizer, texts)
    for number, reading in enumerate(read, start=before + 1):
        if not len(reading.ids):
            raise InputError(
                f"row {number} has nothing that the tokenizer can read; leave it out, or give it some text"
            )
    found = by.log_probs(read, lambda share: progress(before + share * len(texts)))
    return Scores(
        kind=by.kind,
        method=by.asker.method,
        within_word=by.within_word,
        before=by.before,
        rows=tuple(_score(by, *each) for each in zip(read, found, strict=True)),
    )


def _stream(by: Scorer, texts: Iterable[str], progress: Progress) -> Iterator[Scores]:
    source = iter([texts] if isinstance(texts, str) else texts)
    before = long = 0
    while some := list(itertools.islice(source, TEXTS_AT_ONCE)):
        check_texts(some, range(before + 1, before + len(some) + 1))
        found = score_some(by, some, before, progress)
        before, long = before + len(some), long + sum(len(row.ids) > by.windows.room for row in found.rows)
        yield found
    if long:
        warnings.warn(
            f"{long} of {before} texts {'has' if long == 1 else 'have'} more than {by.windows.room} tokens and"
            f" {'was' if long == 1 else 'were'} read in windows that begin every {by.windows.stride} tokens",
            stacklevel=2,
        )


def score_batches(
    model: Model,
    texts: Iterable[str],
    *,
    method: str | None = None,
    within_word: str = "l2r",
    bos: str = AUTO,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Scores]:
    """`score` for more texts than fit the memory: Scores of at most 4096 each, in the order of the texts.

    for scores in score_batches(model, read_texts("reviews.csv", "text")): ...
    """
    by = scorer(
        model,
        method=method,
        within_word=within_word,
        bos=bos,
        max_length=max_length,
        stride=stride,
        batch_tokens=batch_tokens,
    )
    return _stream(by, texts, progress or (lambda done: None))


def score(
    model: Model,
    texts: str | Sequence[str],
    *,
    method: str | None = None,
    within_word: str = "l2r",
    bos: str = AUTO,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int | None = None,
    progress: Progress | None = None,
) -> Scores:
    """How likely the model finds each text, and each of its tokens.

    method        "causal": each token from those before it, for models that look back; "order": the same for networks
                  of two streams (XLNet); "pseudo": each token from all others, hidden behind the mask token. Default:
                  what suits the model's mask. A hybrid is asked through that of its masks which fits
    within_word   for "pseudo", what else is hidden while a piece of a word is asked: "l2r" the later pieces of the word
                  (Kauf and Ivanova 2023), "original" nothing (Salazar et al. 2020), "whole" the rest of the word
    bos           what stands before the first token: "auto" is what the tokenizer puts there, or else its bos, cls or
                  eos token (GPT-2's <|endoftext|>) where the first token is predicted from it; "none" is nothing, and
                  then a first token that would need it has no score; else a token of the vocabulary. XLNet needs none,
                  and has none by default. What the tokenizer puts behind a text is seen by "pseudo" alone, and never
                  asked; "none" leaves it out too
    max_length    of a row, in tokens; a longer text goes in windows, each token asked in one of them
    stride        from the beginning of one window to that of the next; default: half a window
    batch_tokens  how many tokens to compute at once; it changes the speed, and beyond rounding nothing else
    progress      called with the number of texts that are done, a fraction of one included

    Raises InputError for an empty text, naming its row (the first is row 1), and UnsupportedError for a model that
    cannot be asked so.

        score(load("gpt2"), "The cat sat on the mat.").rows[0].total
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise InputError("no texts: the list is empty; give at least one text")
    check_texts(texts, range(1, len(texts) + 1))
    found = list(
        score_batches(
            model,
            texts,
            method=method,
            within_word=within_word,
            bos=bos,
            max_length=max_length,
            stride=stride,
            batch_tokens=batch_tokens,
            progress=progress,
        )
    )
    first = found[0]
    rows = tuple(row for scores in found for row in scores.rows)
    return Scores(kind=first.kind, method=first.method, within_word=first.within_word, before=first.before, rows=rows)
