"""The tokenizer itself, from the best file there is.

`tokenizer.json`, `vocab.txt`, `vocab.json` with `merges.txt`, a sentencepiece model, or Transformer-XL's `vocab.pkl`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from sightline.errors import CheckpointError, UnsupportedError
from sightline.text.pipelines import (
    BERT,
    ROBERTA,
    TRANSFORMER_XL,
    Family,
    bert_pipeline,
    gpt2_pipeline,
    roberta_pipeline,
)
from sightline.text.sentencepiece_exact import SentencePieceSource
from sightline.text.sentencepiece_pipelines import open_sentencepiece, sentencepiece_file, source_beside
from sightline.text.tokenizer_families import BY_CLASS, Lookup, family_of, named_family, names_of
from sightline.text.tokenizer_settings import AGAIN, Settings, build_from, check_file, read_text
from sightline.text.wordlevel import PICKLES, read_words, wordlevel_pipeline

RENUMBERED = ("sentencepiece.bpe.model", "source.spm")  # the ids are not those of the pieces in the file


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


def _word_file(folder: Path, settings: Settings, model_type: str | None) -> Path | None:
    """The file of a vocabulary of words, where there is one: Transformer-XL's vocab.txt looks like BERT's."""
    names = (*PICKLES, "vocab.txt") if named_family(settings, model_type) is TRANSFORMER_XL else PICKLES
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
        backend, family, kept = open_sentencepiece(source, settings, named_family(settings, model_type))
        return Opened(path=source, backend=backend, family=family, source=kept)
    else:
        _refuse(folder)
    family = family_of(settings, model_type, backend.token_to_id)
    return Opened(path=path, backend=backend, family=family, source=source_beside(folder, settings))
