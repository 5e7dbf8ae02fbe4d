"""Texts as rows of ids, one by one and not yet padded; a long text as several overlapping rows, its windows.

Each window stands between the tokens that the tokenizer adds ([CLS] … [SEP]), so a model reads it as a text of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline.errors import InputError
from sightline.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The ids of one text, or of one window of it.

    ids    token ids, those that the tokenizer adds included
    types  the token type of each; None where the tokenizer makes none
    front  how many of the ids the tokenizer added before the text, back: after it
    new    how many tokens of the text stand here and in no earlier window
    """

    ids: list[int]
    types: list[int] | None
    front: int
    back: int
    new: int

    def part(self, start: int, end: int, new: int) -> Row:
        """Tokens start … end − 1 of the text, between the same added tokens."""
        behind = len(self.ids) - self.back

        def cut(values: list[int]) -> list[int]:
            return values[: self.front] + values[self.front + start : self.front + end] + values[behind:]

        types = None if self.types is None else cut(self.types)
        return Row(ids=cut(self.ids), types=types, front=self.front, back=self.back, new=new)


def encode_rows(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Row]:
    """Each text (valid Unicode) as one Row, however long; one of which the tokenizer makes nothing has `new` 0."""
    encodings = tokenizer.encodings(texts)
    added = tokenizer.backend.num_special_tokens_to_add(False)
    # Which of the added tokens come first is the same for every text, and can be read off any that has tokens.
    sequences = next((row.sequence_ids for row in encodings if len(row) > added), [])
    front = sequences.index(0) if sequences else 0
    return [
        Row(
            ids=row.ids,
            types=row.type_ids if tokenizer.makes_types else None,
            front=front,
            back=added - front,
            new=len(row) - added,
        )
        for row in encodings
    ]


def window_spans(tokens: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Where windows of at most `size` tokens begin and end; together they hold every token.

    Each begins `stride` tokens after the one before it. The last ends with the text and is full, so that its tokens see
    as much around them as others do.

    >>> window_spans(10, 4, 3)
    [(0, 4), (3, 7), (6, 10)]
    >>> window_spans(8, 4, 3)
    [(0, 4), (3, 7), (4, 8)]
    """
    if not 1 <= stride <= size:
        raise InputError(f"stride={stride} cannot be; windows hold {size} tokens of text, so choose 1 to {size}")
    last = max(tokens - size, 0)
    return [(start, min(start + size, tokens)) for start in [*range(0, last, stride), last]]


def windows(row: Row, size: int, stride: int) -> list[Row]:
    """A row as windows of at most `size` tokens of its text each; the row itself where it fits."""
    if row.new <= size:
        return [row]
    parts, seen = [], 0
    for start, end in window_spans(row.new, size, stride):
        parts.append(row.part(start, end, new=end - seen))
        seen = end
    return parts
