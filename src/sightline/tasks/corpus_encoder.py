"""Documents to token ids, many at once: what stands in the shards of a corpus."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

import numpy

from sightline.text.tokenizer import Tokenizer

PIECE = 2**17  # signs of a document that are encoded at once: so that one long novel keeps all cores busy
_SEAM = re.compile(r"(?<=\S)\n(?=\S)")
_PROBES = (
    ("a.", "b"),
    ("it is 3", "4 (x)"),
    ("é!", "\u201cZ"),
    ("\u4e2d", "\u6587"),
    ("x", "'s"),
    ("No", "\N{FAMILY}"),
)


class Encoder:
    """A tokenizer that takes text for nothing but text: what looks like `[MASK]` in it is six signs and not a blank.

    opening, closing  the ids that stand before and after each document; empty where the tokenizer has none
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """It takes the tokenizer over."""
        tokenizer.backend.encode_special_tokens = True
        self.tokenizer = tokenizer
        self.opening, self.closing = tokenizer.special.document_start, tokenizer.special.document_end
        self._parts_at_lines = all(
            self._ids([f"{one}\n{other}"]) == self._ids([f"{one}\n", other]) for one, other in _PROBES
        )

    def _ids(self, pieces: Sequence[str]) -> list[int]:
        return list(chain.from_iterable(row.ids for row in self.tokenizer.encodings(pieces, add_special_tokens=False)))

    def pieces(self, text: str) -> list[str]:
        """A text in pieces that have the same tokens one by one as together: parted where one line ends and the next
        begins, if this tokenizer never has a token across. Joined they are the text."""
        found, begin = [], 0
        while self._parts_at_lines and len(text) - begin > PIECE:
            seam = _SEAM.search(text, begin + PIECE)
            if seam is None:
                break
            found.append(text[begin : seam.end()])
            begin = seam.end()
        found.append(text[begin:])
        return found

    def encode(self, texts: Sequence[str]) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The ids of all documents, one behind the other, uint32, and how many each has, int64 (N,)."""
        if not texts:
            return numpy.empty(0, numpy.uint32), numpy.empty(0, numpy.int64)
        pieces = [self.pieces(text) for text in texts]
        encoded = self.tokenizer.encodings(list(chain.from_iterable(pieces)), add_special_tokens=False)
        rows = [row.ids for row in encoded]
        of_rows = numpy.fromiter(map(len, rows), numpy.int64, len(rows))
        counts = numpy.fromiter(map(len, pieces), numpy.int64, len(pieces))
        lengths = numpy.add.reduceat(of_rows, numpy.cumsum(counts) - counts) + len(self.opening) + len(self.closing)
        ends = numpy.cumsum(lengths)
        ids, is_text = numpy.empty(ends[-1], numpy.uint32), numpy.ones(ends[-1], bool)
        for token, places in ((self.opening, ends - lengths), (self.closing, ends - 1)):
            if token:
                ids[places], is_text[places] = token[0], False
        ids[is_text] = numpy.fromiter(chain.from_iterable(rows), numpy.uint32, int(of_rows.sum()))
        return ids, lengths
