"""Units: which tokens of a text are hidden together, or not at all.

    tokens      each by itself (Devlin et al. 2019, "BERT")
    words       all tokens of a word (BERT's later "whole word masking")
    spans       runs of 1 to 3 tokens, each length as likely (Charpentier and Samuel 2024, "GPT or BERT: why not both?")
    word_spans  runs of 1 to 10 whole words, lengths geometric with p = 0.2, 3.8 words on average (Joshi et al. 2020,
                "SpanBERT", section 3.1)

A text is laid out with units from end to end, and so many of them are drawn that the wanted number of tokens is met.
All this is numpy on the host, without a loop over tokens: a step may have tens of thousands of them.

Shapes: B rows, T tokens, U units.
"""

from __future__ import annotations

from typing import Literal

import numpy
from numpy.typing import NDArray

Unit = Literal["tokens", "words", "spans", "word_spans"]
Numbers = NDArray[numpy.int64]
Booleans = NDArray[numpy.bool_]

LONGEST_SPAN = 3
LONGEST_WORD_SPAN = 10
_SHARES = 0.8 ** numpy.arange(LONGEST_WORD_SPAN)  # of 1, 2 … words: geometric, cut off as SpanBERT cuts it
_CUMULATIVE = numpy.cumsum(_SHARES / _SHARES.sum())


def span_lengths(unit: Unit, shape: tuple[int, ...], random: numpy.random.Generator) -> Numbers:
    """How many tokens, or words, each span has."""
    if unit == "spans":
        return random.integers(1, LONGEST_SPAN + 1, shape)
    drawn = numpy.searchsorted(_CUMULATIVE, random.random(shape), side="right")
    return 1 + drawn.clip(max=LONGEST_WORD_SPAN - 1)


def unit_numbers(unit: Unit, begins: Booleans, apart: Booleans, random: numpy.random.Generator) -> Numbers:
    """The unit that each token is of: (B, T), numbered through from 0 in the order of the text.

    begins  bool (B, T): where words begin
    apart   bool (B, T): where a unit begins whatever it is, as a document does; every row's first token is one
    """
    apart = apart.copy()
    apart[:, 0] = True
    starts = numpy.ones_like(apart) if unit in ("tokens", "spans") else begins | apart
    if unit in ("spans", "word_spans"):
        number = starts.cumsum(1) - 1  # of each token or word within its row
        lengths = span_lengths(unit, starts.shape, random)
        first = lengths.cumsum(1) - lengths  # of each span: the number of its first token or word
        rows, spans = (first < starts.shape[1]).nonzero()
        opens = numpy.zeros_like(starts)
        opens[rows, first[rows, spans]] = True
        starts = starts & numpy.take_along_axis(opens, number, 1) | apart
    return (starts.ravel().cumsum() - 1).reshape(starts.shape)


def drawn(units: Numbers, may: Booleans, wanted: int, whole: bool, random: numpy.random.Generator) -> Booleans:
    """Units drawn until `wanted` tokens are met, as nearly as whole units can: their tokens that may be, bool (B, T).

    may    bool (B, T): which tokens may be drawn at all
    whole  whether a unit of which one token may not is left out; else its others may be drawn

    At least one unit is drawn where one can be.
    """
    flat, free = units.ravel(), may.ravel()
    sizes = numpy.bincount(flat, weights=free).astype(numpy.int64)  # (U,)
    can = sizes == numpy.bincount(flat) if whole else sizes > 0
    order = random.permutation(can.nonzero()[0])
    reached = sizes[order].cumsum()
    many = int(numpy.searchsorted(reached, wanted))  # how many units stay below what is wanted
    below = int(reached[many - 1]) if many else 0
    if many < len(order) and (many == 0 or reached[many] - wanted <= wanted - below):
        many += 1
    taken = numpy.zeros(len(sizes), dtype=numpy.bool_)
    taken[order[:many]] = True
    return taken[units] & may
