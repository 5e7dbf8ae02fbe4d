"""Which words a text holds, as one sparse row: the features of the TF-IDF baseline.

    Salton and Buckley 1988, "Term-weighting approaches in automatic text retrieval": 1 + log of the count, times
    inverse document frequency, divided by the row's length.

Shapes: N rows, F terms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from sightline.errors import InputError

Floats = NDArray[numpy.float64]
Reader = Callable[[Sequence[str]], Any]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Texts to sparse rows (N, F): how often each known term occurs, 1 + log of it, weighted by rarity, of length 1.

    analyzer   "word": runs of 1 to `ngrams` words, lower case; "char": runs of 2 to `ngrams` characters within words
    names      the known terms (F), in order
    rarity     (F,) inverse document frequencies, log((1 + rows) / (1 + rows with the term)) + 1
    """

    analyzer: str
    ngrams: int
    names: tuple[str, ...]
    rarity: Floats

    @staticmethod
    def _vectorizer(analyzer: str, ngrams: int, known: Sequence[str] | None, most: int | None) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            analyzer="char_wb" if analyzer == "char" else "word",
            ngram_range=(min(2, ngrams) if analyzer == "char" else 1, ngrams),
            token_pattern=r"(?u)\b\w+\b" if analyzer == "word" else None,  # one letter is a word too: "I", "C"
            max_features=most,
            sublinear_tf=True,
            vocabulary=known,
        )

    @classmethod
    def learn(cls, texts: Sequence[str], *, analyzer: str, ngrams: int, most: int) -> Terms:
        """The `most` frequent terms of these texts; InputError where there are none."""
        vectorizer = cls._vectorizer(analyzer, ngrams, None, most)
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            if "empty vocabulary" not in str(error):
                raise
            raise InputError(
                f"none of the {len(texts):,} texts holds a word (only signs or blanks); is this the column of texts?"
            ) from error
        names = tuple(str(name) for name in vectorizer.get_feature_names_out())
        return cls(analyzer=analyzer, ngrams=ngrams, names=names, rarity=vectorizer.idf_.astype(numpy.float64))

    def reader(self) -> Reader:
        """What makes sparse rows (N, F) of texts. It looks terms up in a table, which is made once.

        scikit-learn splits the text; its own `transform` gives the same rows, and spends milliseconds a call on checks.
        """
        from scipy import sparse

        split = self._vectorizer(self.analyzer, self.ngrams, self.names, None).build_analyzer()
        places = {name: place for place, name in enumerate(self.names)}

        def rows(texts: Sequence[str]) -> Any:
            ends, columns, counts = [0], [], []
            for text in texts:
                met = Counter(place for term in split(text) if (place := places.get(term)) is not None)
                columns += sorted(met)
                counts += [met[place] for place in sorted(met)]
                ends.append(len(columns))
            at, of_row = numpy.array(columns, dtype=numpy.int32), numpy.diff(ends)
            weights = (1 + numpy.log(numpy.array(counts, dtype=numpy.float64))) * self.rarity[at]
            squares = numpy.bincount(numpy.repeat(numpy.arange(len(texts)), of_row), weights**2, minlength=len(texts))
            weights /= numpy.repeat(numpy.sqrt(squares), of_row)
            return sparse.csr_array((weights, at, ends), shape=(len(texts), len(self.names)))

        return rows


def features(reader: Reader, texts: Sequence[str], pairs: Sequence[str] | None) -> Any:
    """Sparse rows: of a text its terms (N, F); of a pair both texts' terms side by side, their product term by term,
    which is there only where both hold the term, and the sum of that, their cosine: (N, 3 F + 1)."""
    from scipy import sparse

    first = reader(texts)
    if pairs is None:
        return first
    second = reader(pairs)
    shared = first.multiply(second)
    cosine = sparse.csr_array(numpy.asarray(shared.sum(1)).reshape(-1, 1))
    return sparse.hstack([first, second, shared, cosine], format="csr")
