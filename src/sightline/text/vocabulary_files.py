"""The tokenizer itself, from the best file there is.

`tokenizer.json`, `vocab.txt`, `vocab.json` with `merges.txt`, a sentencepiece model, or Transformer-XL's `vocab.pkl`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TypeVar

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from sightline.errors import CheckpointError, SightlineError, UnsupportedError
from sightline.text.pipelines import (
    ALBERT,
    BERT,
    DISTILBERT,
    GPT2,
    ROBERTA,
    T5,
    TRANSFORMER_XL,
    UNKNOWN,
    XLNET,
    Family,
    bert_pipeline,
    gpt2_pipeline,
    roberta_pipeline,
)
from sightline.text.sentencepiece_exact import SentencePieceSource
from sightline.text.sentencepiece_file import read_sentencepiece
from sightline.text.sentencepiece_pipelines import (
    CONVENTIONS,
    build_sentencepiece,
    convention_of,
    names_in,
    source_of,
)
from sightline.text.special import ROLES
from sightline.text.tokenizer_settings import AGAIN, Settings, check_file, read_text
from sightline.text.wordlevel import PICKLES, read_words, wordlevel_pipeline

SENTENCEPIECE = ("spiece.model", "tokenizer.model")
RENUMBERED = ("sentencepiece.bpe.model", "source.spm")  # the ids are not those of the pieces in the file
BY_MODEL_TYPE = {
    "albert": ALBERT,
    "bert": BERT,
    "distilbert": DISTILBERT,
    "gpt2": GPT2,
    "roberta": ROBERTA,
    "t5": T5,
    "transfo-xl": TRANSFORMER_XL,
    "xlnet": XLNET,
}
BY_CLASS = {
    "AlbertTokenizer": ALBERT,
    "BertTokenizer": BERT,
    "DistilBertTokenizer": DISTILBERT,
    "GPT2Tokenizer": GPT2,
    "RobertaTokenizer": ROBERTA,
    "T5Tokenizer": T5,
    "TransfoXLTokenizer": TRANSFORMER_XL,
    "XLNetTokenizer": XLNET,
}
MARKS = (
    (XLNET, ("<sep>", "<cls>", "<eod>")),
    (BERT, ("[CLS]", "[SEP]")),
    (ROBERTA, ("<s>", "</s>", "<mask>")),
    (GPT2, ("<|endoftext|>",)),
)
Lookup = Callable[[str], int | None]
Built = TypeVar("Built")


def family_of(settings: Settings, model_type: str | None, token_to_id: Lookup) -> Family:
    """The tokenizer's own class says best, then the model's type, then the vocabulary."""
    named = BY_CLASS.get(settings.tokenizer_class or "") or BY_MODEL_TYPE.get(model_type or "")
    if named is not None:
        return named
    for family, marks in MARKS:
        if all(token_to_id(mark) is not None for mark in marks):
            return family
    return UNKNOWN


def names_of(settings: Settings, family: Family, token_to_id: Lookup) -> dict[str, str]:
    """The token of each role: as stated, else the family's where the vocabulary has it."""
    usual = {role: token for role, token in family.tokens.items() if token_to_id(token) is not None}
    stated = {**usual, **settings.roles}
    return {role: str(token) for role in ROLES if (token := stated.get(role)) is not None}


def build_from(source: Path | str, build: Callable[[], Built]) -> Built:
    """What the library builds from a file: its errors name no file, and damage can make it panic."""
    try:
        return build()
    except BaseException as error:
        # A panic is no Exception, and its class is not importable.
        if isinstance(error, SightlineError):
            raise
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise CheckpointError(f"{source} is damaged or of an unknown kind ({error}); {AGAIN}") from None


def _need(path: Path, names: Mapping[str, str], roles: tuple[str, ...], token_to_id: Lookup) -> None:
    for role in roles:
        if token_to_id(names.get(role, "")) is None:
            raise CheckpointError(f"{path} lacks the {role} token {names.get(role, '')!r} that texts need; {AGAIN}")


def _follow_config(backend: tokenizers.Tokenizer, settings: Settings) -> None:
    """Where a model's own tokenizer class is named, its settings overrule `tokenizer.json`, as in transformers."""
    if settings.tokenizer_class is not None and settings.tokenizer_class not in BY_CLASS:
        return
    normalizer, splitter = backend.normalizer, backend.pre_tokenizer
    if isinstance(normalizer, normalizers.BertNormalizer):
        backend.normalizer = normalizers.BertNormalizer(
            clean_text=normalizer.clean_text,
            handle_chinese_chars=settings.flag("tokenize_chinese_chars", normalizer.handle_chinese_chars),
            strip_accents=settings.flag("strip_accents", normalizer.strip_accents),
            lowercase=settings.flag("do_lower_case", normalizer.lowercase),
        )
    if isinstance(splitter, pre_tokenizers.ByteLevel):
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(
            add_prefix_space=settings.flag("add_prefix_space", splitter.add_prefix_space),
            use_regex=splitter.use_regex,
            trim_offsets=splitter.trim_offsets,
        )


def _open_json(path: Path, settings: Settings) -> tokenizers.Tokenizer:
    text = read_text(path)
    backend = build_from(path, lambda: tokenizers.Tokenizer.from_str(text))
    _follow_config(backend, settings)
    return backend


def _is_cased(path: Path) -> bool:
    """Whether a vocabulary has learned pieces with capitals, special tokens aside."""
    return any(piece != piece.lower() for piece in read_text(path).split("\n") if not piece.startswith("["))


def _open_wordpiece(path: Path, settings: Settings) -> tokenizers.Tokenizer:
    check_file(path)
    unknown = str(settings.roles.get("unk") or BERT.tokens["unk"])
    model = build_from(path, lambda: models.WordPiece.from_file(str(path), unk_token=unknown))
    names = names_of(settings, BERT, model.token_to_id)
    _need(path, names, ("unk", "cls", "sep"), model.token_to_id)
    lowercase = settings.flag("do_lower_case", None)
    strip_accents = settings.flag("strip_accents", None)
    split_chinese = settings.flag("tokenize_chinese_chars", True)
    return build_from(
        path,
        lambda: bert_pipeline(
            model,
            names,
            lowercase=not _is_cased(path) if lowercase is None else lowercase,
            strip_accents=strip_accents,
            split_chinese=split_chinese,
        ),
    )


def _open_bytelevel(folder: Path, settings: Settings, model_type: str | None) -> tokenizers.Tokenizer:
    path, merges = folder / "vocab.json", folder / "merges.txt"
    if not merges.exists():
        raise CheckpointError(f"{merges} is missing, and vocab.json is of no use without it; {AGAIN}")
    check_file(path)
    check_file(merges)
    model = build_from(f"{path} or {merges}", lambda: models.BPE.from_file(str(path), str(merges)))
    if model.token_to_id("\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}") is None:
        # Byte-level vocabularies write the space so, and have a token for each byte.
        raise UnsupportedError(
            f"{path} is no byte-level BPE (openai-gpt's is not, nor is CLIP's); only GPT-2's and RoBERTa's kind is read"
        )
    family = family_of(settings, model_type, model.token_to_id)
    names = names_of(settings, family, model.token_to_id)
    add_prefix_space = settings.flag("add_prefix_space", False)
    if family is ROBERTA:
        _need(path, names, ("cls", "sep"), model.token_to_id)
        return roberta_pipeline(model, names, add_prefix_space=add_prefix_space)
    add_bos = settings.flag("add_bos_token", False)
    if add_bos:
        _need(path, names, ("bos",), model.token_to_id)
    return gpt2_pipeline(model, names, add_prefix_space=add_prefix_space, add_bos=add_bos)


def sentencepiece_file(folder: Path) -> Path | None:
    """The sentencepiece model in the folder, where there is one."""
    return next((folder / name for name in SENTENCEPIECE if (folder / name).exists()), None)


def _word_file(folder: Path, settings: Settings, model_type: str | None) -> Path | None:
    """The file of a vocabulary of words, where there is one: Transformer-XL's vocab.txt looks like BERT's."""
    named = BY_CLASS.get(settings.tokenizer_class or "") or BY_MODEL_TYPE.get(model_type or "")
    names = (*PICKLES, "vocab.txt") if named is TRANSFORMER_XL else PICKLES
    return next((folder / name for name in names if (folder / name).exists()), None)


def _open_words(path: Path, settings: Settings) -> tokenizers.Tokenizer:
    unknown = str(settings.roles.get("unk") or TRANSFORMER_XL.tokens["unk"])
    words, lowercase = read_words(path)
    lowercase = settings.flag("lower_case", lowercase)
    if unknown not in words:
        unknown = unknown.upper()  # the one-billion-word benchmark spells it so
    _need(path, {"unk": unknown}, ("unk",), words.get)
    return build_from(path, lambda: wordlevel_pipeline(words, unknown=unknown, lowercase=lowercase))


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A tokenizer, the file that it comes from, and what its family has where its files leave it open."""

    path: Path
    backend: tokenizers.Tokenizer
    family: Family
    source: SentencePieceSource | None = None


def _open_sentencepiece(path: Path, settings: Settings, model_type: str | None) -> Opened:
    model = read_sentencepiece(path)
    family = BY_CLASS.get(settings.tokenizer_class or "") or BY_MODEL_TYPE.get(model_type or "", UNKNOWN)
    names = names_in(model, family, settings, path)
    backend = build_from(path, lambda: build_sentencepiece(model, family, names, settings))
    source = source_of(path, model, convention_of(family), settings)
    return Opened(path=path, backend=backend, family=replace(family, tokens=names), source=source)


def _source_beside(folder: Path, settings: Settings) -> SentencePieceSource | None:
    """The model file beside a tokenizer.json: kept, and followed where the two were saved together by us."""
    path = sentencepiece_file(folder)
    if path is None:
        return None
    check_file(path)
    convention = settings.config.get("sentencepiece")
    if convention not in CONVENTIONS:
        return SentencePieceSource(content=path.read_bytes())
    return source_of(path, read_sentencepiece(path), convention, settings)


def _refuse(folder: Path) -> NoReturn:
    for name in RENUMBERED:
        if (folder / name).exists():
            raise UnsupportedError(
                f"{folder / name} is a sentencepiece model whose family numbers the pieces anew; "
                "save it as tokenizer.json with transformers' AutoTokenizer first"
            )
    raise CheckpointError(
        f"{folder} has no tokenizer: expected tokenizer.json, vocab.txt, vocab.json with merges.txt, or spiece.model; "
        f"{AGAIN}"
    )


def open_backend(folder: Path, settings: Settings, model_type: str | None) -> Opened:
    """The tokenizer as the best file in the folder has it.

    A sentencepiece model comes last: where `tokenizer.json` lies beside it, that is what transformers reads too.
    """
    if (path := folder / "tokenizer.json").exists():
        backend = _open_json(path, settings)
    elif source := _word_file(folder, settings, model_type):
        path, backend = source, _open_words(source, settings)
    elif (path := folder / "vocab.txt").exists():
        backend = _open_wordpiece(path, settings)
    elif (path := folder / "vocab.json").exists():
        backend = _open_bytelevel(folder, settings, model_type)
    elif source := sentencepiece_file(folder):
        return _open_sentencepiece(source, settings, model_type)
    else:
        _refuse(folder)
    family = family_of(settings, model_type, backend.token_to_id)
    return Opened(path=path, backend=backend, family=family, source=_source_beside(folder, settings))
