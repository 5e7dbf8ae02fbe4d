"""A sentencepiece model as a tokenizer of the `tokenizers` library: the same ids, without sentencepiece.

- unigram (Kudo 2018, arXiv:1804.10959): the library's Viterbi search, with the scores that sentencepiece computes with
- BPE (Sennrich et al. 2016, arXiv:1508.07909): a piece's score says when it is merged, the library wants pairs in order
"""

from collections.abc import Sequence

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers

from sightline.errors import UnsupportedError
from sightline.text.sentencepiece_file import Kind, SentencePieceModel
from sightline.text.sentencepiece_normalizer import SPACE, normalizer_of

_ALL = 2**31 - 1
_BYTE = r"<(?=0x[0-9A-F]{2}>)"


def _escaped(text: str) -> str:
    """A text as a pattern that matches it: each character by its number."""
    return "".join(rf"\x{{{ord(letter):x}}}" for letter in text)


def unigram_scores(model: SentencePieceModel) -> list[float]:
    """The score that sentencepiece gives each piece in its search.

    A user-defined symbol gets a bonus, so that it beats nearly whatever else could be cut: a tenth for each byte but
    the first, as measured of sentencepiece 0.2.3. Pieces that stand for no text have no score; 0 keeps them out of the
    lowest score, by which unknown letters are counted.
    """
    scores = []
    for piece, score, kind in zip(model.pieces, model.scores, model.kinds, strict=True):
        if kind is Kind.USER_DEFINED:
            scores.append(0.1 * (len(piece.encode()) - 1))
        else:
            scores.append(score if kind is Kind.NORMAL else 0.0)
    return scores


def merges_of(model: SentencePieceModel) -> list[tuple[str, str]]:
    """The pairs of pieces that are joined, first those that sentencepiece joins first: by the score of what they make.

    Raises `UnsupportedError` for a piece with a letter that is no piece itself: the library joins only pieces.
    """
    known = {
        piece: score
        for piece, score, kind in zip(model.pieces, model.scores, model.kinds, strict=True)
        if kind is Kind.NORMAL
    }
    for piece in known:
        if missing := [letter for letter in piece if letter not in known]:
            raise UnsupportedError(
                f"the BPE piece {piece!r:.40} has the letter {missing[0]!r}, which is no piece itself; "
                "encode with the sentencepiece library and hand over ids"
            )
    order = sorted((piece for piece in known if len(piece) > 1), key=lambda piece: -known[piece])
    return [
        (left, right)
        for piece in order
        for end in range(1, len(piece))
        if (left := piece[:end]) in known and (right := piece[end:]) in known
    ]


def unigram_model(model: SentencePieceModel, scores: Sequence[float]) -> models.Unigram:
    """The library's search over the pieces with these scores.

    Scores are numbers of 32 bits, which nine digits tell apart. Longer ones the library reads back from its own file
    with another last bit, and equal cuts would then be decided otherwise after saving.
    """
    vocabulary = [(piece, float(f"{score:.9g}")) for piece, score in zip(model.pieces, scores, strict=True)]
    return models.Unigram(vocabulary, model.unknown, model.byte_fallback)


def _unigram(model: SentencePieceModel) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(unigram_model(model, unigram_scores(model)))
    # The library's search would find pieces that stand for no text, such as <0x0A>, where a text spells them: a cut
    # behind their first letter hides them.
    hidden = [piece for piece in model.of_kind(Kind.CONTROL, Kind.UNKNOWN) if len(piece) > 1]
    spelt = [f"{_escaped(piece[0])}(?={_escaped(piece[1:])})" for piece in hidden]
    either = "|".join([*spelt, *([_BYTE] if model.of_kind(Kind.BYTE) else [])])
    if either:
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(either), "merged_with_previous")
    return backend


def _bpe(model: SentencePieceModel) -> tokenizers.Tokenizer:
    def build(whole_words: bool) -> tokenizers.Tokenizer:
        return tokenizers.Tokenizer(
            models.BPE(
                vocabulary,
                merges,
                unk_token=model.pieces[model.unknown],
                fuse_unk=True,
                byte_fallback=model.byte_fallback,
                ignore_merges=whole_words,
            )
        )

    vocabulary = {piece: id for id, piece in enumerate(model.pieces)}
    merges = merges_of(model)
    symbols = sorted(model.of_kind(Kind.USER_DEFINED), key=len, reverse=True)
    if not symbols:
        return build(False)
    # A symbol is cut out and looked up as a whole. So is then any text that is one piece: the same if merging makes it.
    normal = model.of_kind(Kind.NORMAL)
    made = build(False).encode_batch_fast(normal)
    if wrong := [piece for piece, row in zip(normal, made, strict=True) if row.ids != [vocabulary[piece]]]:
        raise UnsupportedError(
            f"merging never makes the BPE piece {wrong[0]!r:.40}, and there are user-defined symbols beside it; "
            "encode with the sentencepiece library and hand over ids"
        )
    backend = build(True)
    either = "|".join(_escaped(symbol) for symbol in symbols)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(either), "isolated")
    return backend


def decoder_of(model: SentencePieceModel) -> decoders.Decoder:
    """Pieces back to text: bytes, the space that was put in front taken away, the other spaces."""
    spec = model.normalization
    steps: list[decoders.Decoder] = [decoders.ByteFallback()] if model.byte_fallback else []
    steps.append(decoders.Fuse())
    if spec.remove_extra_whitespaces or spec.add_dummy_prefix:
        steps.append(decoders.Strip(SPACE, _ALL if spec.remove_extra_whitespaces else 1, 0))
    return decoders.Sequence([*steps, decoders.Replace(SPACE, " ")])


def sentencepiece_backend(model: SentencePieceModel) -> tokenizers.Tokenizer:
    """The tokenizer that gives sentencepiece's ids, adding nothing in front or behind.

    Control pieces (`<s>`, `<pad>`) are special tokens: written in a text they are found, as in transformers, where
    sentencepiece cuts them into letters.

    Raises `UnsupportedError` for what the library cannot do.
    """
    backend = _unigram(model) if model.algorithm == "unigram" else _bpe(model)
    normalizer = normalizer_of(model.normalization, model.of_kind(Kind.USER_DEFINED))
    if normalizer is not None:
        backend.normalizer = normalizer
    backend.decoder = decoder_of(model)
    control = model.of_kind(Kind.CONTROL, Kind.UNKNOWN)
    backend.add_special_tokens([AddedToken(piece, normalized=False) for piece in control])
    return backend
