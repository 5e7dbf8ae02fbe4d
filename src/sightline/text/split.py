"""Parts of labelled rows for training, choosing and judging, so that no text is in two of them.

    train, dev, test = split(examples, shares=(0.8, 0.1, 0.1), seed=0)      # places, to be given to examples.take

Each class has its share in every part (a stratified split); numbers are cut into ranges of equal size, which count as
classes. Rows with the same text, or the same pair either way round, go to one part as a group, whatever their labels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

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


def _strata(examples: Examples, groups: Sequence[Sequence[int]], n_parts: int) -> numpy.ndarray:
    """A class for every row (N,): its own, or the range its number lies in. All rows of a group lie in one range."""
    if examples.labels is not None:
        return examples.targets
    if len(groups) < max(_FEWEST_NUMBERS, n_parts):
        raise InputError(
            f"{len(examples)} rows with {len(groups)} different texts are too few for {n_parts} parts: numbers need at"
            f" least {max(_FEWEST_NUMBERS, n_parts)}; add rows, or give files for dev and test"
        )
    means = numpy.array([examples.targets[group].mean() for group in groups])
    order = numpy.argsort(means, kind="stable")
    n_ranges = max(1, min(_RANGES, len(groups) // (2 * n_parts)))
    strata = numpy.empty(len(examples), numpy.int64)
    for number, some in enumerate(numpy.array_split(order, n_ranges)):
        for place in some:
            strata[groups[place]] = number
    return strata


def _too_few(examples: Examples, stratum: int, rows: int, n_texts: int, n_parts: int) -> InputError:
    name = repr(examples.labels[stratum]) if examples.labels is not None else "a range of numbers"
    texts = "" if n_texts == rows else f" with {n_texts} different texts"
    return InputError(
        f"the class {name} has {rows} row{'' if rows == 1 else 's'}{texts}, too few for {n_parts} parts (training, dev,"
        " test), which each need one: add rows, leave the class out, or give files for dev and test"
    )


def _part_of(groups: Sequence[tuple[numpy.ndarray, int]], given: numpy.ndarray, wanted: numpy.ndarray) -> list[int]:
    """The part for each group of one class, the largest group first.

    groups  for each: rows of every class of it, and rows of this class; here only the latter decides
    given   rows of this class that each part has already (parts,); changed
    wanted  rows of this class that each part should have (parts,)
    """
    parts = []
    for left, (_, rows) in zip(range(len(groups), 0, -1), groups, strict=True):
        empty = numpy.flatnonzero(given == 0)
        among = empty if left <= len(empty) else numpy.arange(len(given))
        part = int(among[numpy.argmax((wanted - given)[among])])
        given[part] += rows
        parts.append(part)
    return parts


def split(examples: Examples, shares: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> tuple[numpy.ndarray, ...]:
    """The places of the rows of each part, ascending, int64: one part a share, every row in exactly one.

    Each part has at least one row of every class, and as near as groups of equal texts allow its share of each.

    Raises InputError for a class with fewer different texts than there are parts, and for shares that do not add up.
    """
    fractions = numpy.array(shares, numpy.float64)
    if len(fractions) < 2 or not (fractions > 0).all() or not math.isclose(fractions.sum(), 1, abs_tol=1e-6):
        raise InputError(f"the shares {tuple(shares)} are not two or more positive numbers that add up to 1")
    n_parts = len(fractions)
    generator = numpy.random.default_rng(seed)
    groups = _groups(examples)
    strata = _strata(examples, groups, n_parts)
    rows_of = numpy.bincount(strata)
    # A group belongs to the rarest class that it holds, and classes are dealt out from the rarest on.
    homes: dict[int, list[list[int]]] = defaultdict(list)
    for group in groups:
        homes[min({int(strata[place]) for place in group}, key=lambda stratum: (rows_of[stratum], stratum))].append(
            group
        )
    parts: list[list[int]] = [[] for _ in range(n_parts)]
    given = numpy.zeros((len(rows_of), n_parts), numpy.int64)
    carried = numpy.zeros(n_parts)  # what the parts lack after the classes before, so that small classes do not add up
    for stratum in sorted(numpy.flatnonzero(rows_of), key=lambda stratum: (rows_of[stratum], stratum)):
        own = homes[int(stratum)]
        own = [own[place] for place in generator.permutation(len(own))]
        own.sort(key=len, reverse=True)
        missing = (given[stratum] == 0).sum()
        if len(own) < missing:
            raise _too_few(examples, int(stratum), int(rows_of[stratum]), len(own), n_parts)
        wanted = fractions * rows_of[stratum] + numpy.clip(carried, -1, 1)
        sizes = [(numpy.empty(0), sum(int(strata[place]) == stratum for place in group)) for group in own]
        mine = given[stratum].copy()
        for group, part in zip(own, _part_of(sizes, mine, wanted), strict=True):
            parts[part].extend(group)
            for place in group:
                given[strata[place], part] += 1
        carried = carried + fractions * rows_of[stratum] - given[stratum]
    return tuple(numpy.sort(numpy.array(part, numpy.int64)) for part in parts)


def overlap(a: Examples, b: Examples) -> numpy.ndarray:
    """The places of the rows of `a`, ascending, int64, whose text, or pair of texts either way round, is in `b` too."""
    there = set(digests(b.texts, b.pairs))
    return numpy.array([place for place, key in enumerate(digests(a.texts, a.pairs)) if key in there], numpy.int64)
