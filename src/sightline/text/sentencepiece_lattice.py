"""sentencepiece's search for the best cut of a text, in its own arithmetic.

`EncodeOptimized` in sentencepiece's `src/unigram_model.cc` (Kudo 2018, arXiv:1804.10959) adds scores in 32 bits, the
`tokenizers` library in 64. Most words have one best cut by far; but `000` may be `0 00` or `00 0`, with the same sum,
and then the last bit of all that was added before decides.
"""

from array import array
from collections.abc import Sequence

from sightline.text.sentencepiece_file import Kind, SentencePieceModel

_UNKNOWN_PENALTY = 10.0
_NONE = -float("inf")


def _rounded(value: float) -> float:
    """The nearest number of 32 bits."""
    return array("f", [value])[0]


class Lattice:
    """The pieces of a unigram model that begin at each place of a text."""

    def __init__(self, model: SentencePieceModel, scores: Sequence[float]) -> None:
        """`scores` are those of the search, as `unigram_scores` gives them."""
        kinds = zip(model.pieces, scores, model.kinds, strict=True)
        self.scores = {piece: score for piece, score, kind in kinds if kind in (Kind.NORMAL, Kind.USER_DEFINED)}
        self.unknown = _rounded(min(model.scores_of(Kind.NORMAL), default=0.0) - _UNKNOWN_PENALTY)
        # One look-up says both whether a piece may begin so and the score of the piece that is spelt so.
        self._beginnings: dict[str, float | None] = {
            piece[:end]: None for piece in self.scores for end in range(1, len(piece))
        }
        self._beginnings.update(self.scores)

    def from_here(self, text: str, start: int) -> list[tuple[int, float]]:
        """Where pieces that begin at `start` end, and their scores, the shortest first; a letter of none is unknown."""
        found: list[tuple[int, float]] = []
        beginnings = self._beginnings
        for end in range(start + 1, len(text) + 1):
            piece = text[start:end]
            if piece not in beginnings:
                break
            if (score := beginnings[piece]) is not None:
                found.append((end, score))
        if not found or found[0][0] > start + 1:
            found.append((start + 1, self.unknown))
        return found

    def cut(self, text: str) -> list[int]:
        """Where sentencepiece's pieces of a normalized text end; unknown letters in a row are one piece."""
        best, candidate = array("f", bytes(4 * len(text) + 4)), array("f", [0])
        came_from = [-1] * (len(text) + 1)
        for start in range(len(text)):
            here = best[start]
            for end, score in self.from_here(text, start):
                candidate[0] = here + score  # rounded to 32 bits
                if came_from[end] < 0 or candidate[0] > best[end]:
                    best[end], came_from[end] = candidate[0], start
        ends, place = [], len(text)
        after_is_known = True
        while place > 0:
            known = text[came_from[place] : place] in self.scores
            if known or after_is_known:
                ends.append(place)
            place, after_is_known = came_from[place], known
        return ends[::-1]

    def lead(self, word: str) -> float:
        """By how much the best cut of a word beats the next best; infinity where there is no other."""
        edges = [(start, end, score) for start in range(len(word)) for end, score in self.from_here(word, start)]
        before = [0.0] + [_NONE] * len(word)
        came_from = [0] * (len(word) + 1)
        for start, end, score in edges:
            if before[start] + score > before[end]:
                before[end], came_from[end] = before[start] + score, start
        behind = [_NONE] * len(word) + [0.0]
        for start, end, score in reversed(edges):
            behind[start] = max(behind[start], score + behind[end])
        best, place = set(), len(word)
        while place > 0:
            best.add((came_from[place], place))
            place = came_from[place]
        others = (before[start] + score + behind[end] for start, end, score in edges if (start, end) not in best)
        return behind[0] - max(others, default=_NONE)
