"""Labelled rows on their way from a file: what is empty left out, some drawn, what is double left out, all counted."""

from __future__ import annotations

import hashlib
import heapq
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sightline.errors import InputError
from sightline.text.duplicates import digest
from sightline.text.labels import label_text
from sightline.text.records import Records
from sightline.text.rows import no_unicode

_REPORT_EVERY = 4096  # rows


class Row(NamedTuple):
    """A labelled row: where it stands in its file, from 1; its text or its two; its label."""

    number: int
    texts: tuple[str, ...]
    label: str


class Counts:
    """What is left out of a file, counted on the way."""

    def __init__(self) -> None:
        self.read = self.empty = self.unlabelled = 0

    @property
    def usable(self) -> int:
        return self.read - self.empty - self.unlabelled


def _no_text(value: object, number: int, name: str) -> str:
    if value is None:
        return ""
    what = f"{type(value).__name__} {value!r:.40}"
    raise InputError(f"row {number} of {name} has {what} where a text belongs; name another column with text=…")


def blank(text: str) -> bool:
    """Whether there is nothing to read in a text: it has only spaces, signs that are not shown, such as a zero-width
    space, marks without a letter, and U+FFFD, which stands for what was lost. Some tokenizers make no token of it."""
    return not text[:1].isalnum() and all(unicodedata.category(s)[0] in "CMZ" or s == "\ufffd" for s in text)


def _label_text(value: object, number: int, name: str) -> str:
    if isinstance(value, (list, dict, bytes)):
        raise InputError(f"row {number} of {name} has the label {value!r:.60}; a label is one text or one number")
    return label_text(value)


def usable_rows(
    records: Records, text: Sequence[str], label: str, counts: Counts, progress: Callable[[int], None] | None
) -> Iterator[Row]:
    """The rows that have something to read in each column of texts and in the one of labels; the others are counted."""
    for number, (*values, value) in enumerate(records.rows((*text, label)), start=1):
        counts.read = number
        if progress is not None and number % _REPORT_EVERY == 0:
            progress(number)
        texts = tuple([some if isinstance(some, str) else _no_text(some, number, records.name) for some in values])
        said = value.strip() if isinstance(value, str) else _label_text(value, number, records.name)
        if any(map(blank, texts)):
            counts.empty += 1
        elif not said:
            counts.unlabelled += 1
        else:
            yield Row(number, texts, said)


def drawn(rows: Iterable[Row], most: int, seed: int) -> tuple[list[Row], int]:
    """At most so many different rows, each with equal chance, in the order of the file, and how many equal one of them.

    A number is drawn for each row from its texts, its label and the seed, and the rows with the smallest are kept
    (bottom-k sampling: Cohen and Kaplan 2007). Equal rows draw equal numbers and count once, so how often a row stands
    in the file, and where, makes no difference. Only `most` rows are held.
    """
    salt = str(seed).encode()[-16:]
    kept: dict[int, tuple[Row, int]] = {}  # by the number drawn: the first such row, and how many followed
    largest: list[int] = []  # a heap of the negated numbers
    limit = 2**64  # above which no number is kept
    for row in rows:
        said = "\0".join((*row.texts, row.label)).encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.blake2b(said, digest_size=8, salt=salt).digest(), "little")
        if number > limit:
            continue
        if number in kept:
            first, followed = kept[number]
            kept[number] = first, followed + 1
            continue
        kept[number] = row, 0
        heapq.heappush(largest, -number)
        if len(kept) > most:
            del kept[-heapq.heappop(largest)]
        if len(kept) == most:
            limit = -largest[0]
    return sorted(row for row, _ in kept.values()), sum(followed for _, followed in kept.values())


def without_duplicates(rows: Iterable[Row]) -> tuple[list[Row], int]:
    """The first of each group of rows with the same texts and label, and how many of them have texts that also stand
    with another label."""
    labels_of: dict[bytes, set[str]] = {}
    left, keys = [], []
    for row in rows:
        key = digest(*row.texts)
        labels = labels_of.setdefault(key, set())
        if row.label not in labels:
            labels.add(row.label)
            left.append(row)
            keys.append(key)
    return left, sum(len(labels_of[key]) > 1 for key in keys)


def check_rows_are_unicode(rows: Iterable[Row], name: str) -> None:
    """InputError for a row with half a surrogate pair, which JSON can hold and no text can."""
    for row in rows:
        try:
            "".join((*row.texts, row.label)).encode()
        except UnicodeEncodeError as error:
            raise no_unicode(f"row {row.number} of {name}", error) from None
