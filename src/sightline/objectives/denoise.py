"""Span corruption: spans of a text are cut out, and a decoder writes them.

    Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer" (T5),
    section 3.1.4, and the preprocessing published with it.

    text    Thank you for inviting me to your party last week .
    source  Thank you <X> me to your party <Y> week . <end>
    target  <X> for inviting <Y> last <end>

For an encoder–decoder, whose forward takes decoder_input_ids beside input_ids and gives the decoder's states; no family
here is one yet. The corruption itself is of numbers alone. Asks the head "lm".

Shapes: B rows, T tokens of the text, S of the source, U of the target, C spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.core.check import whole
from sightline.core.mask import Bidirectional, Mask
from sightline.errors import ConfigError, InputError
from sightline.model.model import Model
from sightline.objectives.language import asked_counts, check_z_loss, language_terms
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import TextRows
from sightline.text.words import Words

Booleans = NDArray[numpy.bool_]
Numbers = NDArray[numpy.int64]


def noise_counts(tokens: int, density: float, mean_span: float) -> tuple[int, int]:
    """How many of so many tokens are cut out, and in how many spans.

    >>> noise_counts(568, 0.15, 3.0)
    (85, 28)
    """
    noise = min(max(round(tokens * density), 1), tokens - 1)
    return noise, min(max(round(noise / mean_span), 1), noise, tokens - noise)


def text_length(source: int, density: float = 0.15, mean_span: float = 3.0) -> tuple[int, int]:
    """How many tokens of text make a source of at most so many, ends included, and how many tokens their target has.

    >>> text_length(512)  # T5's own
    (568, 114)
    """
    whole("source", source, least=4)

    def lengths(tokens: int) -> tuple[int, int]:
        noise, spans = noise_counts(tokens, density, mean_span)
        return tokens - noise + spans + 1, noise + spans + 1

    tokens = 2
    while lengths(tokens + 1)[0] <= source:
        tokens += 1
    return tokens, lengths(tokens)[1]


def _pieces(rows: int, total: int, pieces: int, random: numpy.random.Generator) -> Numbers:
    """Lengths (B, C) of pieces that make up `total`, each at least 1; all ways to cut are equally likely."""
    cuts = numpy.sort(random.random((rows, total - 1)).argsort(1)[:, : pieces - 1], 1) + 1
    return numpy.diff(cuts, axis=1, prepend=0, append=total)


def noise_mask(rows: int, tokens: int, density: float, mean_span: float, random: numpy.random.Generator) -> Booleans:
    """Which tokens are cut out, bool (B, T): spans in turn with what is kept, which comes first. Every row has as many
    of both, and all such masks are equally likely."""
    noise, spans = noise_counts(tokens, density, mean_span)
    cut, kept = _pieces(rows, noise, spans, random), _pieces(rows, tokens - noise, spans, random)
    begins = kept.cumsum(1) + cut.cumsum(1) - cut
    change = numpy.zeros((rows, tokens + 1), dtype=numpy.int64)
    numpy.put_along_axis(change, begins, 1, 1)
    numpy.put_along_axis(change, begins + cut, -1, 1)
    return change[:, :-1].cumsum(1) > 0


def corrupt(ids: Numbers, noise: Booleans, sentinels: Numbers, end: int) -> tuple[Numbers, Numbers]:
    """Source (B, S) and target (B, U) of texts (B, T) of which `noise` is cut out; sentinels (C,), in their order.

    Both end with `end`. Every row must have as many cut tokens, in as many spans, as every other, and begin with a
    token that is kept.

    >>> source, target = corrupt(numpy.array([[5, 6, 7, 8]]), numpy.array([[False, True, True, False]]), [30], 1)
    >>> source.tolist(), target.tolist()
    ([[5, 30, 8, 1]], [[30, 6, 7, 1]])
    """
    rows, first = len(ids), noise.copy()
    first[:, 1:] &= ~noise[:, :-1]
    signs = numpy.asarray(sentinels)[first.cumsum(1) - 1]  # (B, T): of the span that began last
    ends = numpy.full((rows, 1), end)
    source = numpy.where(first, signs, ids)[~noise | first].reshape(rows, -1)
    both = numpy.stack([signs, ids], 2)  # (B, T, 2): a sentinel stands before the token that begins its span
    target = both[numpy.stack([first, noise], 2)].reshape(rows, -1)
    return numpy.concatenate([source, ends], 1), numpy.concatenate([target, ends], 1)


@dataclass(frozen=True, kw_only=True)
class Denoise:
    """Cross-entropy of the target, token by token, given the source.

    end        the id that ends source and target: T5's </s>
    start      the id that the decoder reads first, before the target's first token: T5's padding
    density    share of the tokens that are cut out
    mean_span  how many tokens a span has on average
    sentinels  the ids that stand for spans, in their order; None: from the vocabulary's last downwards, as in T5, whose
               last hundred stand for no text
    z_loss     weight of the term `loss_z`, log² Σ exp of the logits; 0: there is none

    A row is read as one text, as T5 reads it, whatever documents it is packed of. Rows of one length make sources of
    one length and targets of one length: `text_length` says which.
    """

    end: int
    start: int
    density: float = 0.15
    mean_span: float = 3.0
    sentinels: tuple[int, ...] | None = None
    z_loss: float = 0.0
    heads: ClassVar[tuple[str, ...]] = ("lm",)
    masks: ClassVar[tuple[Mask, ...]] = (Bidirectional(),)  # the encoder's
    shifted: ClassVar[bool] = False
    likelihood: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        for name in ("end", "start"):
            whole(name, getattr(self, name), least=0)
        if not 0 < self.density < 1:
            raise ConfigError(f"density={self.density} is a share of the tokens; choose more than 0 and less than 1")
        if not 1 <= self.mean_span < float("inf"):
            raise ConfigError(f"mean_span={self.mean_span} is a number of tokens; choose 1 or more")
        if self.sentinels is not None and len(set(self.sentinels)) < len(self.sentinels):
            raise ConfigError("sentinels hold an id twice; each span needs one of its own")
        check_z_loss(self.z_loss)

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many tokens the targets have."""
        return asked_counts(batch.targets, z_loss=self.z_loss)

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """input_ids (B, S), decoder_input_ids (B, U), which are the targets (B, U) one token later."""
        ids = rows.ids[:, :-1].numpy()
        count, tokens = ids.shape
        if tokens < 2:
            raise InputError(f"rows of {tokens} token leave nothing beside a span; make them longer")
        noise = noise_mask(count, tokens, self.density, self.mean_span, random)
        _, spans = noise_counts(tokens, self.density, self.mean_span)
        source, target = corrupt(ids, noise, self._sentinels(spans, len(words)), self.end)
        targets = torch.from_numpy(target)
        inputs = {"input_ids": torch.from_numpy(source), "decoder_input_ids": self._read(targets)}
        return [Batch(inputs=inputs, targets=targets, rows=rows.numbers, tokens=rows.tokens)]

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The term `loss`, in nats, and `loss_z`, where there is a z-loss."""
        return language_terms(model, batch, z_loss=self.z_loss)

    def _read(self, targets: Tensor) -> Tensor:
        return torch.cat([torch.full_like(targets[:, :1], self.start), targets[:, :-1]], 1)

    def _sentinels(self, spans: int, vocabulary: int) -> Numbers:
        if self.sentinels is None:
            return numpy.arange(vocabulary - 1, vocabulary - 1 - spans, -1)
        if len(self.sentinels) < spans:
            raise ConfigError(
                f"sentinels are {len(self.sentinels)} and a row has {spans} spans; give more, or make rows shorter"
            )
        return numpy.asarray(self.sentinels[:spans])
