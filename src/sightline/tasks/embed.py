"""Embedding: one vector a text.

Rows are sorted by length and batched by tokens, so that little padding is computed; what comes back is in the order of
what came in. A text longer than the model reads goes in windows that overlap, and its vector is the mean of theirs,
each weighted by the tokens that no earlier window had.

Shapes: N texts, R rows (texts, or windows of long ones), B rows of a batch, T tokens, W width.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy
import torch
from numpy.typing import NDArray

from sightline.errors import InputError, UnsupportedError
from sightline.model.model import Model, tokenizer_of
from sightline.tasks.encode import (
    Long,
    check_long,
    check_texts,
    cut_in_words,
    encode,
    inputs_of,
    longest,
    usual_batch_tokens,
)
from sightline.tasks.pooling import check_cls, check_pooling, pool
from sightline.text.batches import by_length
from sightline.text.tokenizer import Tokenizer

Vectors = NDArray[numpy.floating]
Progress = Callable[[int], object]

TEXTS_AT_ONCE = 4096  # sorted and batched together: enough that rows of a batch are equally long, few enough to hold


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What the caller asked for, its gaps filled by what the model's makers said."""

    tokenizer: Tokenizer
    pooling: str
    normalize: bool
    long: Long
    limit: int  # tokens of a row, those that the tokenizer adds included
    stride: int | None
    batch_tokens: int


def reading_tokenizer(model: Model) -> Tokenizer:
    """The tokenizer of a model that can turn texts into vectors; UnsupportedError for one that cannot, as it is."""
    tokenizer = tokenizer_of(model)
    if any(module.training for module in model.network.modules()):
        raise UnsupportedError("the model is in training mode, where dropout makes vectors random; call model.eval()")
    return tokenizer


def _plan(
    model: Model,
    pooling: str | None,
    normalize: bool | None,
    long: Long | None,
    max_length: int | None,
    stride: int | None,
    batch_tokens: int | None,
) -> _Plan:
    tokenizer, made = reading_tokenizer(model), model.embedding
    if long is not None:
        check_long(long)
    chosen = pooling if pooling is not None else made.pooling if made is not None else "mean"
    check_pooling(chosen, model.mask, model.config.positions)
    check_cls(chosen, tokenizer)
    return _Plan(
        tokenizer=tokenizer,
        pooling=chosen,
        normalize=normalize if normalize is not None else made is not None and made.normalize,
        long=long if long is not None else "windows" if made is None else "cut",
        limit=longest(model, max_length, None if made is None else made.max_length),
        stride=stride,
        batch_tokens=usual_batch_tokens(model.device) if batch_tokens is None else batch_tokens,
    )


@torch.no_grad()  # not inference_mode: its tensors may enter no later computation, and packed weights outlive this one
def _embed_some(
    model: Model, texts: Sequence[str], before: int, plan: _Plan, progress: Progress
) -> tuple[Vectors, int]:
    """Vectors of texts that are sorted and batched together, (N, W), and how many of the texts were cut."""
    numbers = range(before + 1, before + len(texts) + 1)
    encoded = encode(plan.tokenizer, texts, limit=plan.limit, long=plan.long, stride=plan.stride, numbers=numbers)
    rows, left, done = encoded.rows, numpy.bincount(encoded.owners), before
    kind = numpy.float64 if model.dtype == torch.float64 else numpy.float32
    found = numpy.empty((len(rows), model.config.width), dtype=kind)
    for batch in by_length([len(row.ids) for row in rows], plan.batch_tokens):
        out = model(**inputs_of([rows[index] for index in batch], plan.tokenizer.special.pad_id or 0))
        found[batch] = pool(out.last_hidden_state, out.coordinates, plan.pooling).cpu().numpy()
        for owner in encoded.owners[batch]:
            left[owner] -= 1
            done += int(left[owner] == 0)
        progress(done)
    vectors = encoded.of_texts(found)
    if plan.normalize:
        vectors = vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True).clip(min=1e-12)
    return vectors, encoded.long if plan.long == "cut" else 0


def embed_batches(
    model: Model,
    texts: Iterable[str],
    pooling: str | None = None,
    normalize: bool | None = None,
    *,
    long: Long | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Vectors]:
    """`embed` for more texts than fit the memory: arrays of at most 4096 rows each, in the order of the texts.

    Texts are read as their turn comes, so an error in a late row comes late too.

        for vectors in embed_batches(model, read_texts("reviews.csv", "text")): ...
    """
    plan = _plan(model, pooling, normalize, long, max_length, stride, batch_tokens)
    return _stream(model, texts, plan, progress or (lambda done: None))


def _stream(model: Model, texts: Iterable[str], plan: _Plan, progress: Progress) -> Iterator[Vectors]:
    source = iter([texts] if isinstance(texts, str) else texts)
    before = cut = 0
    while some := list(itertools.islice(source, TEXTS_AT_ONCE)):
        vectors, lost = _embed_some(model, some, before, plan, progress)
        before, cut = before + len(some), cut + lost
        yield vectors
    if cut:
        them = "it" if cut == 1 else "them"
        warnings.warn(f"{cut_in_words(cut, before, plan.limit)}; long='windows' reads {them} whole", stacklevel=2)


def embed(
    model: Model,
    texts: str | Sequence[str],
    pooling: str | None = None,
    normalize: bool | None = None,
    *,
    long: Long | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int | None = None,
    progress: Progress | None = None,
) -> Vectors:
    """One vector a text, in the order of the texts: (rows, width), float32, or float64 from a float64 model.

    pooling       "mean", "cls", "last" or "max" over a text's tokens, those that the tokenizer adds included
    normalize     whether vectors get length 1
    long          what becomes of a text with more than `max_length` tokens: "windows" (all of it is read, in parts
                  that overlap, whose vectors are averaged), "cut" (its end is lost; a warning counts such texts) or
                  "error"
    max_length    of a text or window, in tokens
    stride        from the beginning of one window to that of the next, in tokens of text; default: three quarters of a
                  window
    batch_tokens  how many tokens to compute at once, padding included; it changes the speed, not the vectors
    progress      called with the number of texts done so far

    What is None is as the model's makers said, where they did (`model.embedding`, from a sentence-transformers folder;
    such models cut what is too long). Elsewhere it is the mean, not normalized, by windows as long as the model reads.

    Raises InputError for an empty text, naming its row (the first is row 1), and UnsupportedError for a pooling that
    the model's mask makes meaningless, such as "cls" under a causal mask.

        vectors = embed(model, ["two texts", "at once"], pooling="mean", normalize=False)
    """
    plan = _plan(model, pooling, normalize, long, max_length, stride, batch_tokens)
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise InputError("no texts: the list is empty; give at least one text")
    check_texts(texts, range(1, len(texts) + 1))
    return numpy.concatenate(list(_stream(model, texts, plan, progress or (lambda done: None))))
