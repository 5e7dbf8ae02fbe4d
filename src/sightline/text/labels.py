"""What labels are: names of classes, or numbers to predict.

`kind` "auto" decides: labels that are all integers, of at most 20 different values with two rows each on average, are
classes; other numbers are to be predicted (a regression); everything else is classes. Classes are in natural order
("class 2" before "class 10"), integers in the order of numbers, each kept as it is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Literal

import numpy

from sightline.errors import InputError
from sightline.phrases import and_more
from sightline.text.duplicates import normalized

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_MOST_INTEGER_CLASSES = 20
_LARGEST = 1e30  # of a number: weights that are multiplied by it must still fit float32


def label_text(value: object) -> str:
    """A label as text: true and false as JSON writes them, numbers as short as they can be; "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def natural(text: str) -> tuple[object, ...]:
    """A key that sorts "a2" before "a10", and upper beside lower case."""
    parts = re.split(r"(\d+)", text.casefold(), flags=re.ASCII)
    digits = [part.lstrip("0") for part in parts[1::2]]
    keys = zip(parts[::2], [*((len(part), part) for part in digits), (0, "")], strict=True)
    return tuple(keys), text


def _numbers(labels: Sequence[str]) -> list[float] | None:
    """The labels as numbers, nan where one is written so; None where one is no number."""
    if not all(_NUMBER.fullmatch(label) or _NOT_FINITE.fullmatch(label) for label in set(labels)):
        return None
    return [float(label) for label in labels]


def check_finite(values: Sequence[float], labels: Sequence[str], rows: Sequence[int], name: str) -> None:
    """InputError for the first label that is nan or infinite."""
    wrong = next((i for i, value in enumerate(values) if not math.isfinite(value)), None)
    if wrong is not None:
        raise InputError(
            f"row {rows[wrong]} of {name} has the label {labels[wrong]!r}, no finite number; correct it, or leave it"
            " empty"
        )


def as_numbers(labels: Sequence[str], rows: Sequence[int], name: str) -> numpy.ndarray:
    """The labels as float64 numbers (N,); InputError names the row of one that is no finite number."""
    for row, label in zip(rows, labels, strict=True):
        if not _NUMBER.fullmatch(label) and not _NOT_FINITE.fullmatch(label):
            raise InputError(
                f"row {row} of {name} has the label {label!r:.60}, which is no number; correct it, or use the labels as"
                " classes with kind='classes'"
            )
    values = [float(label) for label in labels]
    check_finite(values, labels, rows, name)
    large = next((i for i, value in enumerate(values) if abs(value) > _LARGEST), None)
    if large is not None:
        raise InputError(
            f"row {rows[large]} of {name} has the label {labels[large]!r:.60}, too large to be learned in float32;"
            " divide all labels by a power of ten"
        )
    return numpy.array(values, numpy.float64)


def sorted_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """The different labels: numbers by value, those of equal value once; else in natural order."""
    distinct = sorted(set(labels), key=natural)
    values = _numbers(distinct)
    if values is not None:
        spelled = dict(zip(reversed(values), reversed(distinct), strict=True))  # the first of "1" and "1.0"
        distinct = [spelled[value] for value in sorted(spelled)]
    return tuple(distinct)


def alike(classes: Sequence[str]) -> str:
    """A sentence on classes that differ in case or spaces only; "" where there are none."""
    first: dict[str, str] = {}
    for label in classes:
        other = first.setdefault(normalized(label), label)
        if other != label:
            return f"The labels {other!r} and {label!r} are spelled differently, and count as two classes."
    return ""


def as_classes(labels: Sequence[str], classes: Sequence[str], rows: Sequence[int], name: str) -> numpy.ndarray:
    """The labels as int64 places in `classes` (N,); a number may be written in another way. InputError names the row of
    one that is none of them."""
    places = {label: place for place, label in enumerate(classes)}
    values = _numbers(classes)
    by_value = {value: place for place, value in enumerate(values)} if values else {}
    for label in set(labels) - places.keys():
        if by_value and _NUMBER.fullmatch(label) and float(label) in by_value:
            places[label] = by_value[float(label)]
    unknown = next((i for i, label in enumerate(labels) if label not in places), None)
    if unknown is not None:
        there = and_more([*map(repr, classes)])
        raise InputError(
            f"row {rows[unknown]} of {name} has the label {labels[unknown]!r:.60}, which no training row has: they have"
            f" {there}; correct it, or leave the row out"
        )
    return numpy.array([places[label] for label in labels], numpy.int64)


def _check_decimal_commas(labels: Collection[str], name: str) -> None:
    """InputError for labels that are many numbers written as 0,5."""
    with_commas = sorted(label for label in labels if _DECIMAL_COMMA.fullmatch(label))
    others = [label for label in labels if not _DECIMAL_COMMA.fullmatch(label) and not _NUMBER.fullmatch(label)]
    if len(with_commas) > _MOST_INTEGER_CLASSES and not others:
        raise InputError(
            f"the labels of {name} are numbers with decimal commas, such as {with_commas[0]!r}; write them with points,"
            " or use them as classes with kind='classes'"
        )


def decide_kind(labels: Sequence[str], rows: Sequence[int], name: str) -> tuple[Literal["classes", "numbers"], str]:
    """Whether the labels are classes or numbers, and the sentence that says so."""
    values = _numbers(labels)
    if values is None:
        _check_decimal_commas(set(labels), name)
        return "classes", ""
    check_finite(values, labels, rows, name)
    distinct = len(set(values))
    if all(value == int(value) for value in values):
        if distinct <= _MOST_INTEGER_CLASSES and 2 * distinct <= len(values):
            return "classes", (
                f"The labels are whole numbers with {distinct} different values: they are taken as classes, unless"
                " kind='numbers' is given."
            )
        why = "whole numbers"
    else:
        why = "numbers with fractions"
    return "numbers", (
        f"The labels are {why}, {distinct} different ones: they are predicted as numbers (a regression), unless"
        " kind='classes' is given."
    )
