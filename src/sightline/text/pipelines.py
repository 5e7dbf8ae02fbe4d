"""The three ways from text to ids that our families were trained with, built from a vocabulary.

Those that stand on a sentencepiece model are in `sentencepiece_pipelines.py`.

- BERT's WordPiece (Devlin et al. 2019, arXiv:1810.04805): `[CLS] a [SEP]`, `[CLS] a [SEP] b [SEP]` with types 0 and 1
- GPT-2's byte-level BPE (Radford et al. 2019): nothing is added
- RoBERTa's (Liu et al. 2019, arXiv:1907.11692): the same BPE with `<s> a </s>`, `<s> a </s></s> b </s>`
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from sightline.text.encoding import Side

BERT_TOKENS = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
GPT2_TOKENS = {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}
ROBERTA_TOKENS = {
    "bos": "<s>",
    "eos": "</s>",
    "unk": "<unk>",
    "sep": "</s>",
    "pad": "<pad>",
    "cls": "<s>",
    "mask": "<mask>",
}
XLNET_TOKENS = {**ROBERTA_TOKENS, "sep": "<sep>", "cls": "<cls>"}
ALBERT_TOKENS = {**BERT_TOKENS, "unk": "<unk>", "pad": "<pad>", "bos": "[CLS]", "eos": "[SEP]"}
TRANSFORMER_XL_TOKENS = {"unk": "<unk>", "eos": "<eos>"}
T5_TOKENS = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a family's tokenizer has where its files leave it open."""

    tokens: Mapping[str, str]  # the special token of each role, as far as the vocabulary has it
    makes_types: bool  # whether the model takes token_type_ids
    padding_side: Side = "right"
    padding_type: int = 0  # the token type of padding


BERT = Family(tokens=BERT_TOKENS, makes_types=True)
DISTILBERT = Family(tokens=BERT_TOKENS, makes_types=False)
GPT2 = Family(tokens=GPT2_TOKENS, makes_types=False)
ROBERTA = Family(tokens=ROBERTA_TOKENS, makes_types=False)
# XLNet's padding stands in front, so that the token that classifies is the last, and has a type of its own.
XLNET = Family(tokens=XLNET_TOKENS, makes_types=True, padding_side="left", padding_type=3)
ALBERT = Family(tokens=ALBERT_TOKENS, makes_types=True)
TRANSFORMER_XL = Family(tokens=TRANSFORMER_XL_TOKENS, makes_types=False)
T5 = Family(tokens=T5_TOKENS, makes_types=False)
UNKNOWN = Family(tokens={}, makes_types=False)


def bert_pipeline(
    model: models.WordPiece,
    names: Mapping[str, str],
    *,
    lowercase: bool,
    strip_accents: bool | None = None,
    split_chinese: bool = True,
) -> tokenizers.Tokenizer:
    """WordPiece over words and punctuation. `strip_accents=None` strips them where it lowercases, as BERT does.

    `names` are the special tokens, as in `BERT_TOKENS`; its `cls` and `sep` must be in the vocabulary.
    """
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=split_chinese, strip_accents=strip_accents, lowercase=lowercase
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = names["cls"], names["sep"]
    backend.post_processor = processors.TemplateProcessing(
        single=[f"{cls}:0", "$A:0", f"{sep}:0"],
        pair=[f"{cls}:0", "$A:0", f"{sep}:0", "$B:1", f"{sep}:1"],
        special_tokens=[(token, model.token_to_id(token)) for token in (cls, sep)],
    )
    backend.decoder = decoders.WordPiece(prefix="##")
    return backend


def _bytelevel(model: models.BPE, add_prefix_space: bool) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    return backend


def gpt2_pipeline(
    model: models.BPE, names: Mapping[str, str], *, add_prefix_space: bool = False, add_bos: bool = False
) -> tokenizers.Tokenizer:
    """Byte-level BPE that adds nothing; with `add_bos`, the `bos` of `names` in front of each text (OPT does this)."""
    backend = _bytelevel(model, add_prefix_space)
    if add_bos:
        bos = names["bos"]
        backend.post_processor = processors.TemplateProcessing(
            single=[f"{bos}:0", "$A:0"],
            pair=[f"{bos}:0", "$A:0", f"{bos}:1", "$B:1"],
            special_tokens=[(bos, model.token_to_id(bos))],
        )
    else:
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
    return backend


def roberta_pipeline(
    model: models.BPE, names: Mapping[str, str], *, add_prefix_space: bool = False
) -> tokenizers.Tokenizer:
    """Byte-level BPE between `cls` and `sep` of `names`, as in `ROBERTA_TOKENS`; both must be in the vocabulary."""
    backend = _bytelevel(model, add_prefix_space)
    sep, cls = ((names[role], cast(int, model.token_to_id(names[role]))) for role in ("sep", "cls"))
    backend.post_processor = processors.RobertaProcessing(
        sep, cls, trim_offsets=True, add_prefix_space=add_prefix_space
    )
    if "mask" in names:
        # The mask stands for a word with the space before it, so it takes that space in.
        backend.add_special_tokens([AddedToken(names["mask"], lstrip=True, special=True)])
    return backend
