"""What families put around a sentencepiece model: preparation before it, special tokens behind it.

- XLNet's (Yang et al. 2019, arXiv:1906.08237): `a <sep> <cls>`, `a <sep> b <sep> <cls>` with types 0, 1, 2
- ALBERT's (Lan et al. 2020, arXiv:1909.11942): BERT's `[CLS] a [SEP] b [SEP]`
- T5's (Raffel et al. 2020, arXiv:1910.10683): `a </s> b </s>`, and a hundred tokens that stand for gaps in a text
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors

from sightline.errors import CheckpointError, UnsupportedError
from sightline.text.pipelines import ALBERT, T5, UNKNOWN, XLNET, Family
from sightline.text.sentencepiece_backend import sentencepiece_backend, unigram_model, unigram_scores
from sightline.text.sentencepiece_exact import Exact, SentencePieceSource
from sightline.text.sentencepiece_file import Kind, SentencePieceModel, read_sentencepiece
from sightline.text.sentencepiece_normalizer import SPACE
from sightline.text.tokenizer_settings import Settings, build_from, check_file

FILES = ("spiece.model", "tokenizer.model")
GAPS = 100  # <extra_id_0> to <extra_id_99>
_FAMILIES = {"xlnet": XLNET, "albert": ALBERT, "t5": T5}
_AROUND = {"xlnet": ("sep", "cls"), "albert": ("cls", "sep"), "t5": ("eos",)}
CONVENTIONS = ("plain", "albert", "t5")
"""How a model file is read exactly as sentencepiece reads it, as `tokenizer_config.json` says it."""


def _convention_of(family: Family) -> str:
    """The name of what a family puts around a sentencepiece model."""
    return next((name for name, known in _FAMILIES.items() if family is known), "plain")


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
    backend = tokenizers.Tokenizer(unigram_model(model, scores))
    steps = _plain_letters(lowercase=lowercase, keep_accents=keep_accents)
    if model.normalization.charsmap:
        steps.append(normalizers.Precompiled(model.normalization.charsmap))
    backend.normalizer = normalizers.Sequence(steps)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(SPACE, "always")]
    )
    backend.decoder = decoders.Metaspace(SPACE, "always")
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


def _albert_letters(lowercase: bool, keep_accents: bool) -> list[normalizers.Normalizer]:
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    return [spaces, *_plain_letters(lowercase=lowercase, keep_accents=keep_accents)]


def albert_pipeline(
    model: SentencePieceModel, names: Mapping[str, str], *, lowercase: bool = True, keep_accents: bool = False
) -> tokenizers.Tokenizer:
    """ALBERT's: plain letters, sentencepiece's ids, `cls` and `sep` of `names` around them."""
    backend = sentencepiece_backend(model)
    inner = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([*_albert_letters(lowercase, keep_accents), *inner])
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


def _names_in(model: SentencePieceModel, family: Family, settings: Settings, path: Path) -> dict[str, str]:
    """The token of each role: as stated, else the family's where the model has it, else as the model itself says.

    Raises `CheckpointError` where the model lacks one that the family puts around a text.
    """
    stated = {role: str(token) for role, token in settings.roles.items() if token is not None}
    usual = {role: token for role, token in family.tokens.items() if token in model.pieces}
    names = {**usual, **stated} if family.tokens else {**model.roles, **stated}
    for role in _AROUND.get(_convention_of(family), ()):
        if names.get(role) not in model.pieces:
            raise CheckpointError(
                f"{path} lacks the {role} piece {names.get(role, family.tokens[role])!r} that texts need; "
                "train the model with it as a control symbol, or leave the model type out"
            )
    return names


def _build(
    model: SentencePieceModel, family: Family, names: Mapping[str, str], settings: Settings
) -> tokenizers.Tokenizer:
    """The tokenizer of a family from a model file; `names` are those that `_names_in` gives.

    A model of no family that is known here gets sentencepiece's own convention: nothing is added to a text.
    """
    lowercase, keep_accents = _letters_of(_convention_of(family), settings)
    if family is XLNET:
        return xlnet_pipeline(model, names, lowercase=lowercase, keep_accents=keep_accents)
    if family is ALBERT:
        return albert_pipeline(model, names, lowercase=lowercase, keep_accents=keep_accents)
    return t5_pipeline(model, names) if family is T5 else sentencepiece_backend(model)


def _letters_of(convention: str, settings: Settings) -> tuple[bool, bool]:
    """Whether a family lower-cases texts, and whether it keeps accents."""
    return settings.flag("do_lower_case", convention == "albert"), settings.flag("keep_accents", False)


def _source_of(path: Path, model: SentencePieceModel, convention: str, settings: Settings) -> SentencePieceSource:
    """The file itself, with what makes the ids exactly sentencepiece's, and what it takes to read it so again."""
    if convention == "xlnet":
        return SentencePieceSource(content=path.read_bytes())
    says: dict[str, str | bool] = {"sentencepiece": convention}
    before: list[normalizers.Normalizer] = []
    if convention == "albert":
        lowercase, keep_accents = _letters_of(convention, settings)
        before = _albert_letters(lowercase, keep_accents)
        says |= {"do_lower_case": lowercase, "keep_accents": keep_accents}
    scores = unigram_scores(model) if model.algorithm == "unigram" else None
    return SentencePieceSource(content=path.read_bytes(), exact=Exact(model, scores, before), says=says)


def open_sentencepiece(
    path: Path, settings: Settings, named: Family | None
) -> tuple[tokenizers.Tokenizer, Family, SentencePieceSource]:
    """The tokenizer of a model file, as the family named for it has it, and what the family's tokens are there.

    Raises `CheckpointError` for a damaged file or one that lacks a token of the family, `UnsupportedError` for a model
    that is not read.
    """
    model, family = read_sentencepiece(path), named or UNKNOWN
    if family is XLNET and model.algorithm != "unigram":
        raise UnsupportedError(f"{path} is a BPE model, and XLNet's are unigram; leave the model type out")
    names = _names_in(model, family, settings, path)
    backend = build_from(path, lambda: _build(model, family, names, settings))
    source = _source_of(path, model, _convention_of(family), settings)
    return backend, replace(family, tokens=names), source


def sentencepiece_file(folder: Path) -> Path | None:
    """The sentencepiece model in the folder, where there is one."""
    return next((folder / name for name in FILES if (folder / name).exists()), None)


def source_beside(folder: Path, settings: Settings) -> SentencePieceSource | None:
    """The model file beside a tokenizer.json: kept, and followed where the two were saved together by us."""
    path = sentencepiece_file(folder)
    if path is None:
        return None
    check_file(path)
    convention = settings.config.get("sentencepiece")
    if convention not in CONVENTIONS:
        return SentencePieceSource(content=path.read_bytes())
    return _source_of(path, read_sentencepiece(path), convention, settings)
