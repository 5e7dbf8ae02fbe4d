"""Questions about single tokens: which rows a model has to read, and what is asked of each.

    Salazar et al. 2020, "Masked Language Model Scoring", section 2: pseudo-log-likelihood, each token hidden in turn.
    Kauf and Ivanova 2023, "A Better Way to Do Masked Language Model Scoring", section 3: within a word, the pieces that
    come later are hidden too.

Rows that are equal (the two sentences of a minimal pair, with hidden what they differ in) are read once, and questions
that are equal are asked once: that saves time, and equal texts get equal numbers to the last bit, so that a tie is one.

Shapes: R rows, N questions, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy
from numpy.typing import NDArray

from sightline.tasks.reading import Ids, View

Within = Literal["l2r", "original", "whole"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """Which tokens are asked of which rows.

    rows    R arrays (T,) of ids
    given   (R,) how many tokens at the beginning of each are known and not asked; only an order reads it
    row     (N,) the row that each question is asked of
    place   (N,) the token of it that is asked
    target  (N,) what stands there
    """

    rows: list[Ids]
    given: NDArray[numpy.int64]
    row: NDArray[numpy.int64]
    place: NDArray[numpy.int64]
    target: NDArray[numpy.int64]

    def once(self) -> tuple[Questions, NDArray[numpy.int64]]:
        """The questions without those that come again, by their rows, and which of them each of these is (N,)."""
        place, target = int(self.place.max()) + 1, int(self.target.max()) + 1
        _, first, where = numpy.unique(
            (self.row * place + self.place) * target + self.target, return_index=True, return_inverse=True
        )
        only = replace(self, row=self.row[first], place=self.place[first], target=self.target[first])
        return only, where


def as_they_stand(views: Sequence[View]) -> Questions:
    """Every view is a row, and its tokens are asked of it; equal views are one row."""
    rows: list[Ids] = []
    given: list[int] = []
    known: dict[tuple[bytes, int], int] = {}
    row = []
    for view in views:
        index = known.setdefault((view.ids.tobytes(), view.places[0]), len(rows))
        if index == len(rows):
            rows.append(view.ids)
            given.append(view.places[0])
        row.append(numpy.full(view.asked, index))
    return Questions(
        rows=rows,
        given=numpy.array(given, dtype=numpy.int64),
        row=numpy.concatenate(row),
        place=numpy.concatenate([numpy.arange(*view.places) for view in views]),
        target=numpy.concatenate([view.ids[slice(*view.places)] for view in views]).astype(numpy.int64),
    )


def _hidden(view: View, places: NDArray[numpy.int64], within: Within) -> NDArray[numpy.bool_]:
    """Which tokens are hidden while each of `places` (N,) is asked: (N, T)."""
    every = numpy.arange(len(view.ids))
    if within == "original":
        return every == places[:, None]
    same = view.words == view.words[places][:, None]
    return same if within == "whole" else same & (every >= places[:, None])


def masked(views: Sequence[View], blank: int, within: Within) -> Questions:
    """Every asked token is asked of a copy of its view in which it is hidden; equal copies are one row."""
    rows: list[Ids] = []
    known: dict[bytes, int] = {}
    row, place, target = [], [], []
    for view in views:
        places = numpy.arange(*view.places)
        copies = numpy.where(_hidden(view, places, within), numpy.int32(blank), view.ids)
        for copy in copies:
            index = known.setdefault(copy.tobytes(), len(rows))
            if index == len(rows):
                rows.append(copy)
            row.append(index)
        place.append(places)
        target.append(view.ids[places])
    return Questions(
        rows=rows,
        given=numpy.zeros(len(rows), dtype=numpy.int64),
        row=numpy.array(row, dtype=numpy.int64),
        place=numpy.concatenate(place),
        target=numpy.concatenate(target).astype(numpy.int64),
    )
