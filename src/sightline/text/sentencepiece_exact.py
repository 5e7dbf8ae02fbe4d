"""The few texts of which the `tokenizers` library would make other ids than sentencepiece, and their encoding.

The library's steps give sentencepiece's ids but for three things: a word with two cuts that are as good as each other
(`sentencepiece_lattice.py`), letters that are composed with the one before them in a way of which Unicode's own
composition comes only near (`sentencepiece_rules.py`), and unknown letters where `</s>` is spelt. A text with one,
fewer than one in a hundred, is encoded here: by the same library with two steps in Python, slower and exact.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import tokenizers
from tokenizers import NormalizedString, PreTokenizedString, models, normalizers, pre_tokenizers

from sightline.text.sentencepiece_file import Kind, SentencePieceModel
from sightline.text.sentencepiece_lattice import Lattice
from sightline.text.sentencepiece_normalizer import SPACE, normalizer_of
from sightline.text.sentencepiece_rules import Rules, combines

_REMEMBERED = 2**16  # words
_LONGEST_WORD = 64  # letters; a longer one is likely to have equal cuts somewhere
_ROUNDING = 2.0**-23  # of a sum in 32 bits, relative to it
# The rules that sentencepiece brings along replace several letters together only where `combines` says so.
_USUAL_RULES = ("nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf")


class _Composer:
    """A step of the `tokenizers` library that replaces several letters together where sentencepiece does."""

    def __init__(self, model: SentencePieceModel, rules: Rules, before: Sequence[normalizers.Normalizer]) -> None:
        symbols = model.of_kind(Kind.USER_DEFINED)
        self._symbols = tuple(symbol.encode() for symbol in symbols)
        self._rules = rules
        self._before = before
        self._after = normalizer_of(model.normalization, symbols, compose=False)

    def normalize(self, text: NormalizedString) -> None:
        for step in self._before:
            step.normalize(text)
        replaced = self._rules.compositions(str(text.normalized), self._symbols)
        for source in sorted(replaced, key=len, reverse=True):
            text.replace(source, replaced[source])
        if self._after is not None:
            self._after.normalize(text)


class _Cutter:
    """A step of the `tokenizers` library that cuts a text where sentencepiece's search does."""

    def __init__(self, lattice: Lattice) -> None:
        self._lattice = lattice

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        text.split(self._split)

    def _split(self, index: int, text: NormalizedString) -> list[NormalizedString]:
        ends = self._lattice.cut(str(text.normalized))
        cuts = (text[start:end] for start, end in zip([0, *ends], ends, strict=False))
        return [cut for cut in cuts if cut is not None]


class Exact:
    """Says which rows a library's tokenizer may encode otherwise than sentencepiece, and encodes them as it does."""

    def __init__(
        self,
        model: SentencePieceModel,
        scores: Sequence[float] | None,
        before: Sequence[normalizers.Normalizer] = (),
    ) -> None:
        """`scores` are those of a unigram search, as `unigram_scores` gives them, or None for BPE.

        `before` is what a family does to a text before sentencepiece does.
        """
        self._arguments = model, scores, before
        self._model = model
        self._lattice = None if scores is None else Lattice(model, scores)
        self._lead = None if self._lattice is None else lru_cache(_REMEMBERED)(self._lattice.lead)
        unknown = 0.0 if self._lattice is None else self._lattice.unknown
        known = {} if self._lattice is None else self._lattice.scores
        self._weights = [abs(known.get(piece, unknown)) for piece in model.pieces]
        charsmap = model.normalization.charsmap
        # `sentencepiece_backend` cuts these in two; of unknown letters on both sides that makes two ids.
        self._cut = [] if scores is None else [p for p in model.of_kind(Kind.CONTROL, Kind.UNKNOWN) if len(p) > 1]
        self._composer = _Composer(model, Rules(charsmap), before) if charsmap else None
        # A piece across words makes one word of the whole text.
        self._across = any(SPACE in piece[1:] for piece in model.of_kind(Kind.NORMAL, Kind.USER_DEFINED))
        self._shown = [_shown(piece, kind) for piece, kind in zip(model.pieces, model.kinds, strict=True)]
        self._careful: tokenizers.Tokenizer | None = None

    def __reduce__(self) -> tuple[type["Exact"], tuple[object, ...]]:
        """Copied and sent to other processes as what it was made of: the library's steps in Python do not travel."""
        return Exact, self._arguments

    def needs(self, row: str | tuple[str, str], ids: Sequence[int]) -> bool:
        """Whether a row that the library gave these ids is to be encoded here."""
        texts = (row,) if isinstance(row, str) else row
        if self._composer is not None and any(self._composes(text) for text in texts):
            return True
        if self._model.unknown in ids and any(piece in text for text in texts for piece in self._cut):
            return True
        return self._lead is not None and self._is_close(self._lead, ids, sum(len(text) for text in texts))

    def _composes(self, text: str) -> bool:
        if self._model.normalization.name not in _USUAL_RULES:
            return True
        return not text.isascii() and any(combines(letter) for letter in set(text))

    def _is_close(self, lead: Callable[[str], float], ids: Sequence[int], letters: int) -> bool:
        """Whether rounding to 32 bits may have decided about a cut."""
        shown, weights = self._shown, self._weights
        text = "".join([shown[id] if id < len(shown) else " " for id in ids])
        words = {text} if self._across else set(text.replace(SPACE, f" {SPACE}").split(" "))
        total = sum([weights[id] for id in ids if id < len(weights)])
        if self._model.unknown in ids:
            total += letters * weights[self._model.unknown]  # the row does not say how many letters were unknown
        # Each sum of a word is rounded by at most half of this part of all that was added up to there.
        slack = _ROUNDING * total
        return any(len(word) > _LONGEST_WORD or lead(word) <= slack * len(word) for word in words if len(word) > 1)

    def encode(
        self, backend: tokenizers.Tokenizer, row: str | tuple[str, str], add_special_tokens: bool
    ) -> tokenizers.Encoding:
        """What `backend` makes of a row, as sentencepiece normalizes and cuts it."""
        careful = self._careful
        if careful is None or careful.get_vocab_size() != backend.get_vocab_size():
            careful = self._careful = self._build(backend)
        careful.post_processor = backend.post_processor
        careful.encode_special_tokens = backend.encode_special_tokens
        text, pair = (row, None) if isinstance(row, str) else row
        return careful.encode(text, pair, add_special_tokens=add_special_tokens)

    def _build(self, backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
        """`backend` with the two steps from here in the places of its own."""
        if self._lattice is None:
            careful = tokenizers.Tokenizer(backend.model)
            careful.pre_tokenizer = backend.pre_tokenizer
        else:
            careful = tokenizers.Tokenizer(self._lookup())
            careful.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(_Cutter(self._lattice))
        careful.normalizer = backend.normalizer
        if self._composer is not None:
            careful.normalizer = normalizers.Normalizer.custom(self._composer)
        for _, token in sorted(backend.get_added_tokens_decoder().items()):
            (careful.add_special_tokens if token.special else careful.add_tokens)([token])
        return careful

    def _lookup(self) -> models.BPE:
        """What is cut already is looked up as a whole, its bytes where it is unknown: BPE without a merge does that."""
        vocabulary = {piece: id for id, piece in enumerate(self._model.pieces)}
        unknown = self._model.pieces[self._model.unknown]
        return models.BPE(
            vocabulary,
            [],
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=self._model.byte_fallback,
            ignore_merges=True,
        )


@dataclass(frozen=True, kw_only=True)
class SentencePieceSource:
    """The model file that a tokenizer was made from, kept to be saved beside it."""

    content: bytes
    exact: Exact | None = None  # None where the family is read as transformers reads it
    says: Mapping[str, str | bool] = field(default_factory=dict)  # what tokenizer_config.json is to say of it


def _shown(piece: str, kind: Kind) -> str:
    """How an id is written where words are looked at: what is no text ends a word, what is unknown is one letter."""
    if kind in (Kind.NORMAL, Kind.USER_DEFINED):
        return piece
    return " " if kind is Kind.CONTROL else "\0"
