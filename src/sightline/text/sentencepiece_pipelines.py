"""What families put around a sentencepiece model: preparation before it, special tokens behind it.

- XLNet's (Yang et al. 2019, arXiv:1906.08237): `a <sep> <cls>`, `a <sep> b <sep> <cls>` with types 0, 1, 2
- ALBERT's (Lan et al. 2020, arXiv:1909.11942): BERT's `[CLS] a [SEP] b [SEP]`
- T5's (Raffel et al. 2020, arXiv:1910.10683): `a </s> b </s>`, and a hundred tokens that stand for gaps in a text
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from sightline.errors import CheckpointError
from sightline.text.pipelines import ALBERT, T5, XLNET, Family
from sightline.text.sentencepiece_backend import sentencepiece_backend, unigram_scores
from sightline.text.sentencepiece_file import Kind, SentencePieceModel
from sightline.text.sentencepiece_normalizer import SPACE
from sightline.text.tokenizer_settings import Settings

GAPS = 100  # <extra_id_0> to <extra_id_99>


def _need(model: SentencePieceModel, names: Mapping[str, str], roles: Sequence[str], source: object) -> None:
    for role in roles:
        if names[role] not in model.pieces:
            raise CheckpointError(
                f"{source} lacks the {role} piece {names[role]!r} that texts need; "
                "train the model with it as a control symbol, or leave the model type out"
            )


def _template(
    backend: tokenizers.Tokenizer, single: list[str], pair: list[str], tokens: Sequence[str]
) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(token, backend.token_to_id(token)) for token in tokens]
    )


def _plain_letters(*, lowercase: bool, keep_accents: bool) -> list[normalizers.Normalizer]:
    """What XLNet and ALBERT do before sentencepiece sees a text (`preprocess_text` in XLNet's `prepro_utils.py`)."""
    steps: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not keep_accents:
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    return [*steps, normalizers.Lowercase()] if lowercase else steps


def _number_before_comma(piece: str) -> bool:
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def xlnet_pipeline(
    model: SentencePieceModel, names: Mapping[str, str], *, lowercase: bool = False, keep_accents: bool = False
) -> tokenizers.Tokenizer:
    """XLNet's: every step as transformers' `XLNetTokenizer` has it, so that ids, words and offsets are the same.

    XLNet cuts the comma off a piece that ends in a digit and a comma (`encode_pieces` in its `prepro_utils.py`); such
    pieces are made unlikely here, as in the published `tokenizer.json` (transformers' `XLNetConverter`).
    """
    scores = [
        score - 100 if _number_before_comma(piece) else score
        for piece, score in zip(model.pieces, unigram_scores(model), strict=True)
    ]
    vocabulary = list(zip(model.pieces, scores, strict=True))
    backend = tokenizers.Tokenizer(models.Unigram(vocabulary, model.unknown, False))
    steps = _plain_letters(lowercase=lowercase, keep_accents=keep_accents)
    if model.normalization.charsmap:
        steps.append(normalizers.Precompiled(model.normalization.charsmap))
    backend.normalizer = normalizers.Sequence(steps)
    metaspace = {"replacement": SPACE, "prepend_scheme": "always"}
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(**metaspace)]
    )
    backend.decoder = decoders.Metaspace(**metaspace)
    sep, cls = names["sep"], names["cls"]
    backend.post_processor = _template(
        backend,
        ["$A:0", f"{sep}:0", f"{cls}:2"],
        ["$A:0", f"{sep}:0", "$B:1", f"{sep}:1", f"{cls}:2"],
        (sep, cls),
    )
    control = model.of_kind(Kind.CONTROL, Kind.UNKNOWN)
    # The mask stands for a word with the space before it, so it takes that space in.
    backend.add_special_tokens(
        [AddedToken(piece, normalized=False, lstrip=piece == names.get("mask")) for piece in control]
    )
    return backend


def albert_pipeline(
    model: SentencePieceModel, names: Mapping[str, str], *, lowercase: bool = True, keep_accents: bool = False
) -> tokenizers.Tokenizer:
    """ALBERT's: plain letters, sentencepiece's ids, `cls` and `sep` of `names` around them."""
    backend = sentencepiece_backend(model)
    inner = [] if backend.normalizer is None else [backend.normalizer]
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    before = [spaces, *_plain_letters(lowercase=lowercase, keep_accents=keep_accents)]
    backend.normalizer = normalizers.Sequence([*before, *inner])
    cls, sep = names["cls"], names["sep"]
    backend.post_processor = _template(
        backend,
        [f"{cls}:0", "$A:0", f"{sep}:0"],
        [f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        (cls, sep),
    )
    if mask := names.get("mask"):
        backend.add_special_tokens([AddedToken(mask, normalized=False, lstrip=True)])
    return backend


def t5_pipeline(model: SentencePieceModel, names: Mapping[str, str], *, gaps: int = GAPS) -> tokenizers.Tokenizer:
    """T5's: sentencepiece's ids and `eos` of `names`. The gap tokens come last, the first gap has the highest id."""
    added = [f"<extra_id_{gap}>" for gap in reversed(range(gaps))]
    backend = sentencepiece_backend(model)
    backend.add_special_tokens([AddedToken(token, normalized=False) for token in added if token not in model.pieces])
    eos = names["eos"]
    backend.post_processor = _template(backend, ["$A", eos], ["$A", eos, "$B", eos], (eos,))
    return backend


def plain_pipeline(model: SentencePieceModel) -> tokenizers.Tokenizer:
    """sentencepiece's ids and nothing around them."""
    return sentencepiece_backend(model)


def names_in(model: SentencePieceModel, family: Family, settings: Settings) -> dict[str, str]:
    """The token of each role: as stated, else the family's where the model has it, else as the model itself says."""
    stated = {role: str(token) for role, token in settings.roles.items() if token is not None}
    usual = {role: token for role, token in family.tokens.items() if token in model.pieces}
    return {**model.roles, **usual, **stated} if not family.tokens else {**usual, **stated}


def build_sentencepiece(
    model: SentencePieceModel, family: Family, settings: Settings, source: object
) -> tuple[tokenizers.Tokenizer, Family]:
    """The tokenizer of a family from a model file, and what the family's tokens are there.

    A model of no family that is known here gets sentencepiece's own convention: nothing is added to a text, and the
    roles are those that the file states. Raises `CheckpointError` where the family's tokens are missing in `source`.
    """
    names = names_in(model, family, settings)
    found = replace(family, tokens=names)
    if family is XLNET:
        _need(model, {**XLNET.tokens, **names}, ("sep", "cls"), source)
        lowercase, accents = settings.flag("do_lower_case", False), settings.flag("keep_accents", False)
        return xlnet_pipeline(model, names, lowercase=lowercase, keep_accents=accents), found
    if family is ALBERT:
        _need(model, {**ALBERT.tokens, **names}, ("sep", "cls"), source)
        lowercase, accents = settings.flag("do_lower_case", True), settings.flag("keep_accents", False)
        return albert_pipeline(model, names, lowercase=lowercase, keep_accents=accents), found
    if family is T5:
        _need(model, {**T5.tokens, **names}, ("eos",), source)
        return t5_pipeline(model, names), found
    return plain_pipeline(model), found
