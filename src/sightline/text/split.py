"""Parts of labelled rows for training, choosing and judging, so that no text is in two of them.

    train, dev, test = split(examples, shares=(0.8, 0.1, 0.1), seed=0)      # places, to be given to examples.take

Each class has its share in every part (a stratified split); numbers are cut into ranges of equal size, which count as
classes. Rows with the same text, or the same pair either way round, go to one part as a group, whatever their labels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy

from sightline.errors import InputError
from sightline.text.duplicates import digests
from sightline.text.labelled import Examples

_RANGES = 10  # that numbers are cut into
_FEWEST_NUMBERS = 10  # rows


def _groups(examples: Examples) -> list[list[int]]:
    """The places of the rows, those with the same text together."""
    found: dict[bytes, list[int]] = defaultdict(list)
    for place, key in enumerate(digests(examples.texts, examples.pairs)):
        found[key].append(place)
    return list(found.values())


def _strata(examples: Examples, groups: Sequence[Sequence[int]], n_parts: int) -> list[int]:
    """A class for every row (N): its own, or the range its number lies in. All rows of a group lie in one range."""
    if examples.labels is not None:
        return [int(target) for target in examples.targets]
    if len(groups) < max(_FEWEST_NUMBERS, n_parts):
        raise InputError(
            f"{len(examples)} rows with {len(groups)} different texts are too few for {n_parts} parts: numbers need at"
            f" least {max(_FEWEST_NUMBERS, n_parts)}; add rows, or give files for dev and test"
        )
    means = numpy.array([examples.targets[group].mean() for group in groups])
    order = numpy.argsort(means, kind="stable")
    n_ranges = max(1, min(_RANGES, len(groups) // (2 * n_parts)))
    strata = [0] * len(examples)
    for number, some in enumerate(numpy.array_split(order, n_ranges)):
        for place in some:
            for row in groups[place]:
                strata[row] = number
    return strata


def _too_few(examples: Examples, stratum: int, rows_of: numpy.ndarray, n_texts: int, n_parts: int) -> InputError:
    what = f"the class {examples.labels[stratum]!r}" if examples.labels is not None else "a range of the numbers"
    rows = int(rows_of[stratum])
    texts = "" if n_texts == rows else f" with {n_texts} different text{'' if n_texts == 1 else 's'}"
    others = int(((rows_of > 0) & (rows_of < n_parts)).sum()) - (rows < n_parts)
    more = f" ({others} other class{'' if others == 1 else 'es'} too)" if others and examples.labels is not None else ""
    return InputError(
        f"{what} has {rows} row{'' if rows == 1 else 's'}{texts}, too few for {n_parts} parts that each need one{more}:"
        " add rows, leave the class out, or give files for dev and test"
    )


def _deal(sizes: Sequence[int], given: Sequence[int], wanted: Sequence[float]) -> Iterator[int]:
    """A part for each group of one class: the one that lacks most; one that has none yet, before it is too late.

    sizes   rows of this class in each group, in the order in which they are dealt out
    given   rows of this class that each part has from groups that belong to another (parts,)
    wanted  rows of this class that each part should have (parts,)
    """
    lacks = [should - has for should, has in zip(wanted, given, strict=True)]
    empty = {part for part, has in enumerate(given) if not has}
    for left, size in zip(range(len(sizes), 0, -1), sizes, strict=True):
        part = max(empty if left <= len(empty) else range(len(lacks)), key=lacks.__getitem__)
        lacks[part] -= size
        empty.discard(part)
        yield part


def _homes(groups: Sequence[list[int]], strata: Sequence[int], order: Sequence[int]) -> dict[int, list[list[int]]]:
    """The groups of each class: a group of several belongs to the one that comes first in `order`."""
    rank = {stratum: place for place, stratum in enumerate(order)}
    found: dict[int, list[list[int]]] = defaultdict(list)
    for group in groups:
        found[min((strata[place] for place in group), key=rank.__getitem__)].append(group)
    return found


def split(examples: Examples, shares: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> tuple[numpy.ndarray, ...]:
    """The places of the rows of each part, ascending, int64: one part a share, every row in exactly one.

    Each part has at least one row of every class, and as near as groups of equal texts allow its share of each.

    Raises InputError for a class with fewer different texts than there are parts, and for shares that do not add up.
    """
    fractions = numpy.array(shares, numpy.float64)
    if len(fractions) < 2 or not (fractions > 0).all() or not math.isclose(fractions.sum(), 1, abs_tol=1e-6):
        raise InputError(f"the shares {tuple(shares)} are not two or more positive numbers that add up to 1")
    generator = numpy.random.default_rng(seed)
    groups = _groups(examples)
    strata = _strata(examples, groups, len(fractions))
    rows_of = numpy.bincount(strata)
    rarest_first = sorted(map(int, numpy.flatnonzero(rows_of)), key=lambda stratum: (rows_of[stratum], stratum))
    homes = _homes(groups, strata, rarest_first)
    part_of = [0] * len(examples)
    given = [[0] * len(fractions) for _ in rows_of]  # rows of each class that each part has
    lacking = numpy.zeros(len(fractions))  # over the classes so far, so that the roundings of many do not add up
    for stratum in rarest_first:
        own = [homes[stratum][place] for place in generator.permutation(len(homes[stratum]))]
        own.sort(key=len, reverse=True)
        if len(own) < given[stratum].count(0):
            raise _too_few(examples, stratum, rows_of, len(own), len(fractions))
        wanted = fractions * rows_of[stratum]
        sizes = [sum(strata[place] == stratum for place in group) for group in own]
        parts = list(_deal(sizes, given[stratum], (wanted + lacking.clip(-1, 1)).tolist()))
        for group, part in zip(own, parts, strict=True):
            for place in group:
                part_of[place] = part
                given[strata[place]][part] += 1
        lacking += wanted - given[stratum]
    return tuple(numpy.flatnonzero(numpy.array(part_of) == part) for part in range(len(fractions)))


def overlap(a: Examples, b: Examples) -> numpy.ndarray:
    """The places of the rows of `a`, ascending, int64, whose text, or pair of texts either way round, is in `b` too."""
    there = set(digests(b.texts, b.pairs))
    return numpy.array([place for place, key in enumerate(digests(a.texts, a.pairs)) if key in there], numpy.int64)
