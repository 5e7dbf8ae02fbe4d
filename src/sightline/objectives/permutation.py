"""Permutation language modelling: tokens are asked in a random order, each given those before it in that order.

    Yang et al. 2019, "XLNet: Generalized Autoregressive Pretraining for Language Understanding", sections 2.2 and 2.3,
    and the data_utils.py published with it.

The content stream reads the real text, all of it; what is asked is asked by the query stream, which knows a place and
not what stands there. So nothing is hidden in the input, and the mask `Permuted()` decides by ranks who sees whom.

Asks the head "lm". Shapes: B rows, T tokens, K targets of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy
import torch
from numpy.typing import NDArray

from sightline.core.check import whole
from sightline.core.mask import Bidirectional, Mask, Permuted
from sightline.errors import ConfigError, UnsupportedError
from sightline.model.model import Model
from sightline.objectives.language import asked_counts, check_z_loss, language_terms
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import NOT_ASKED, TextRows
from sightline.text.words import Words

Numbers = NDArray[numpy.int64]
Booleans = NDArray[numpy.bool_]


def order_places(rows: int, tokens: int, chunk: int, random: numpy.random.Generator) -> Numbers:
    """Each token's place in its row's order, (B, T), from 0: chunks of `chunk` tokens stay in order, and within every
    chunk of a row the tokens come in the same random order."""
    within = random.random((rows, chunk)).argsort(1)
    index = numpy.arange(tokens)
    return within[:, index % chunk] + index // chunk * chunk


def span_targets(begins: Booleans, many: int, context: float, longest: int, random: numpy.random.Generator) -> Booleans:
    """At most `many` tokens of each row, in spans: bool (B, T).

    begins   bool (B, T): where words begin
    context  how many tokens stand around a span for each of its own
    longest  spans have n tokens, 1 to `longest`, with a probability in proportion to 1 / n

    A span of n tokens has n · context others around it, a random number of them before it, and begins with a word; then
    comes the next.
    """
    rows, tokens = begins.shape
    share = 1 / numpy.arange(1, longest + 1)
    cumulative = numpy.cumsum(share / share.sum())
    next_word = numpy.where(begins, numpy.arange(tokens), tokens)
    next_word = numpy.minimum.accumulate(next_word[:, ::-1], 1)[:, ::-1]
    next_word = numpy.concatenate([next_word, numpy.full((rows, longest * int(context + 1) + 1), tokens)], 1)
    change = numpy.zeros((rows, tokens + 1), dtype=numpy.int64)  # +1 where a span begins, −1 behind its end
    row, at, left = numpy.arange(rows), numpy.zeros(rows, dtype=numpy.int64), numpy.full(rows, many)
    while len(row):
        drawn = 1 + numpy.searchsorted(cumulative, random.random(len(row)), side="right").clip(max=longest - 1)
        length = numpy.minimum(drawn, left)
        room = (length * context).astype(numpy.int64)
        before = (random.random(len(row)) * room).astype(numpy.int64)
        begin = next_word[row, at + before]
        end = begin + length
        fits = end < tokens
        row, begin, end, at, left = (each[fits] for each in (row, begin, end, end + room - before, left - length))
        change[row, begin] += 1
        change[row, end] -= 1
        more = (at < tokens) & (left > 0)
        row, at, left = row[more], at[more], left[more]
    return change[:, :-1].cumsum(1) > 0


@dataclass(frozen=True, kw_only=True)
class Permutation:
    """Cross-entropy of a row's targets: tokens that come last in a random order.

    partial   one token of so many is asked (K of the paper's section 2.3, "partial prediction": 6 or 7); all others
              come before them, are seen by all and see only each other
    longest   targets are spans of 1 to so many tokens, n with a probability in proportion to 1 / n, each among
              n · `partial` others, as long as there is room; the rest are single tokens
    chunk     within so many tokens the order is random, and chunks follow each other from left to right; None: the
              whole row is one
    z_loss    weight of the term `loss_z`, log² Σ exp of the logits; 0: there is none

    Special tokens have a place in the order and are never asked. Every row has the same number of targets.

    A span counts tokens, and may end within a word. The published code sets out to end it with a word, but looks at the
    span's first token to find out where words begin, and so counts tokens; that is what the paper says ("a consecutive
    span of L tokens"), and what its models learned from.
    """

    partial: float = 6.0
    longest: int = 5
    chunk: int | None = None
    z_loss: float = 0.0
    heads: ClassVar[tuple[str, ...]] = ("lm",)
    masks: ClassVar[tuple[Mask, ...]] = (Bidirectional(),)
    shifted: ClassVar[bool] = False
    likelihood: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        if not 1 <= self.partial <= 1000:
            raise ConfigError(f"partial={self.partial}: one token of so many is asked; choose 1 (all) to 1000")
        whole("longest", self.longest, below=1001)
        if self.chunk is not None:
            whole("chunk", self.chunk)
        check_z_loss(self.z_loss)

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many targets are asked."""
        return asked_counts(batch.targets, z_loss=self.z_loss)

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """The real tokens, their ranks, and target_mapping (B, K, T); the targets are (B, K)."""
        ids = rows.ids[:, :-1]
        count, tokens = ids.shape
        many = max(1, int(tokens / self.partial))
        special, begins = words.special[ids].numpy(), words.begins[ids].numpy()
        spans = span_targets(begins, many, self.partial, self.longest, random) & ~special
        # Spans first, then any other tokens up to the number wanted, then what is not asked: the K lowest of each row.
        wish = numpy.where(spans, 0.0, numpy.where(special, 2.0, random.random(spans.shape)))
        chosen = torch.from_numpy(numpy.sort(wish.argpartition(many - 1, 1)[:, :many], 1))  # (B, K)
        asked = torch.zeros_like(ids, dtype=torch.bool).scatter_(1, chosen, True) & ~torch.from_numpy(special)
        places = torch.from_numpy(order_places(count, tokens, self.chunk or tokens, random))
        ranks = torch.where(asked | torch.from_numpy(special), 1 + places, 0)
        mapping = torch.zeros(count, many, tokens, dtype=torch.uint8).scatter_(-1, chosen[..., None], 1)
        targets = torch.where(asked.gather(1, chosen), ids.gather(1, chosen), NOT_ASKED)
        inputs = {**rows.inputs, "ranks": ranks, "target_mapping": mapping}
        return [Batch(inputs=inputs, targets=targets, rows=rows.numbers, tokens=rows.tokens)]

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The term `loss`, in nats, and `loss_z`, where there is a z-loss.

        UnsupportedError for a network of one stream, which knows each token that it is asked about.
        """
        if not model.layout.two_streams:
            raise UnsupportedError(
                f"this {model.layout.model_type} has one stream, which knows the token it is asked about; a permuted"
                " order needs two, as XLNet has"
            )
        return language_terms(model.with_mask(Permuted()), batch, z_loss=self.z_loss)
