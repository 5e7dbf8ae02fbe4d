"""Texts as a model reads them when each of their tokens is asked: what stands around a text, which token is of which
word, and how a text that is too long goes in windows.

Shapes: T tokens of a text, or of a window with what stands around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy
import tokenizers
from numpy.typing import NDArray

from sightline.text.tokenizer import Tokenizer
from sightline.text.windows import window_spans
from sightline.text.words import Words, words_of

Ids = NDArray[numpy.int32]
AUTO, NONE = "auto", "none"


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A text's tokens, without any that are added.

    ids    (T,)
    spans  where each stands in the text: its first character and the one after its last
    words  (T,) the number of the word that each is a piece of, ascending
    """

    text: str
    ids: Ids
    spans: Sequence[tuple[int, int]]
    words: NDArray[numpy.int64]


def _words(row: tokenizers.Encoding, known: Words | None) -> NDArray[numpy.int64]:
    """Which word each token of a row is of, by a vocabulary that marks where words begin, or as the tokenizer cut."""
    if known is not None:
        return known.begins.numpy()[row.ids].cumsum()
    begins = [word is None or word != before for word, before in zip(row.word_ids, [None, *row.word_ids], strict=False)]
    return numpy.cumsum(begins, dtype=numpy.int64)


def readings(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Reading]:
    """Texts (valid Unicode) as their tokens; what looks like a special token is text.

    A word is what the tokenizer cuts before it looks for pieces, as in minicons: punctuation is apart where it cuts
    there. Vocabularies that mark the beginnings of words in their pieces (sentencepiece's) are asked for these.
    """
    known = words_of(tokenizer) if tokenizer.kind in ("unigram", "bpe") else None
    return [
        Reading(text=text, ids=numpy.array(row.ids, dtype=numpy.int32), spans=row.offsets, words=_words(row, known))
        for text, row in zip(texts, tokenizer.literal(texts, offsets=True), strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class Around:
    """The ids that stand before a text and after it; neither is asked."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def _made(tokenizer: Tokenizer) -> Around:
    """What the tokenizer itself puts around a text."""
    row = tokenizer.encodings(["a"])[0]  # a text that is sure to have tokens
    of_text = [index for index, text in enumerate(row.sequence_ids) if text == 0]
    return Around(before=tuple(row.ids[: of_text[0]]), after=tuple(row.ids[of_text[-1] + 1 :]))


def around(tokenizer: Tokenizer, bos: str, *, first_needs: bool, closed: bool) -> Around:
    """What stands around a text.

    bos          "auto": what the tokenizer puts before a text, or its bos, cls or eos token where that is nothing;
                 "none": nothing; or a token of the vocabulary, as it is spelled there
    first_needs  whether the first token of a text is predicted from what stands before it, and not otherwise
    closed       whether what stands after a text is seen; "none" leaves it out too
    """
    made, special = _made(tokenizer), tokenizer.special
    if bos == NONE:
        return Around(before=(), after=())
    if bos != AUTO:
        made = replace(made, before=(tokenizer.id(bos),))
    elif not made.before and (first_needs or not made.after):
        alone = closed and not made.after  # the tokenizer adds nothing; in a corpus, texts stand between these
        made = Around(
            before=special.document_start or special.document_end if first_needs or alone else (),
            after=special.document_end if alone else made.after,
        )
    return made if closed else replace(made, after=())


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A text, or a window of it, between what stands around it, and which of its tokens are asked.

    ids     (T,)
    words   (T,) the word of each; −1 for what stands around the text
    places  the first of `ids` that is asked, and the one after the last
    owner   which text it is of
    token   which token of that text is the first that is asked
    """

    ids: Ids
    words: NDArray[numpy.int64]
    places: tuple[int, int]
    owner: int
    token: int

    @property
    def asked(self) -> int:
        """How many tokens are asked."""
        return self.places[1] - self.places[0]

    def part(self, start: int, end: int) -> View:
        """The same view, asked only for its asked tokens from `start` to before `end`."""
        first = self.places[0]
        return replace(self, places=(first + start, min(first + end, self.places[1])), token=self.token + start)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How texts are laid out in rows.

    room    tokens of a text that fit a row beside what stands around it
    stride  from the beginning of one window to that of the next
    both    whether tokens are asked with the text on both sides of them; else from what comes before
    lone    whether a text's first token can be asked though nothing stands before it
    """

    around: Around
    room: int
    stride: int
    both: bool
    lone: bool

    def views(self, reading: Reading, owner: int, first: int = 0) -> Iterator[View]:
        """All of a text's tokens from `first`, each asked in one window: where it has most of the text around it."""
        spans = window_spans(len(reading.ids), self.room, self.stride) if len(reading.ids) > self.room else None
        spans = spans or [(0, len(reading.ids))]
        low = first if self.lone or self.around.before else max(first, 1)
        for (start, end), following in zip(spans, [*spans[1:], None], strict=True):
            high = end if following is None or not self.both else (following[0] + end + 1) // 2
            if high > low:
                yield self._view(reading, owner, start, end, (low, high))
                low = high

    def _view(self, reading: Reading, owner: int, start: int, end: int, asked: tuple[int, int]) -> View:
        # Within a text that is read from the left, what comes before a window is the text, and no beginning.
        before = self.around.before if self.both or start == 0 else ()
        after = self.around.after
        outside = [numpy.array(ids, dtype=numpy.int32) for ids in (before, after)]
        nowhere = [numpy.full(len(ids), -1) for ids in (before, after)]
        shift = len(before) - start
        return View(
            ids=numpy.concatenate([outside[0], reading.ids[start:end], outside[1]]),
            words=numpy.concatenate([nowhere[0], reading.words[start:end], nowhere[1]]),
            places=(asked[0] + shift, asked[1] + shift),
            owner=owner,
            token=asked[0],
        )
