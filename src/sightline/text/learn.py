"""A tokenizer learned from texts: BERT's WordPiece, GPT-2's byte-level BPE or RoBERTa's, small enough for small models.

Learning is deterministic: the same texts give the same tokens with the same ids.
"""

from collections.abc import Iterable
from typing import Literal, get_args

import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers, trainers

from sightline.errors import ConfigError, InputError
from sightline.text.pipelines import (
    BERT_TOKENS,
    GPT2_TOKENS,
    ROBERTA_TOKENS,
    bert_pipeline,
    gpt2_pipeline,
    roberta_pipeline,
)
from sightline.text.rows import check_texts
from sightline.text.tokenizer import Tokenizer

# In the order of their ids: padding is 0, as in BERT's own vocabularies.
BERT_ORDER = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_ORDER = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]

Kind = Literal["wordpiece", "bytelevel-bpe", "roberta-bpe"]


def _learn_wordpiece(texts: list[str], vocabulary: int, lowercase: bool) -> Tokenizer:
    def pipeline(pieces: dict[str, int]) -> tokenizers.Tokenizer:
        model = models.WordPiece(pieces, unk_token=BERT_TOKENS["unk"])
        return bert_pipeline(model, BERT_TOKENS, lowercase=lowercase)

    def train(size: int, first: list[str]) -> dict[str, int]:
        backend = pipeline({token: id for id, token in enumerate(BERT_ORDER)})
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=first, show_progress=False)
        backend.train_from_iterator(texts, trainer)
        return backend.get_vocab()

    # The trainer numbers the letters within words (`##a`) in the order of a hash table, which differs from run to run,
    # and breaks ties by these numbers. A first run that learns nothing else finds them; the second gets them sorted.
    letters = train(0, BERT_ORDER)
    within = sorted(piece for piece in letters if piece.startswith("##") and len(piece) == 3)
    _check_room(vocabulary, len(letters))
    pieces = train(vocabulary, BERT_ORDER + within)
    return Tokenizer(pipeline(pieces), names=BERT_TOKENS, makes_types=True)


def _learn_bytelevel(texts: list[str], vocabulary: int, lowercase: bool, masked: bool) -> Tokenizer:
    first, names = (ROBERTA_ORDER, ROBERTA_TOKENS) if masked else ([GPT2_TOKENS["eos"]], GPT2_TOKENS)
    _check_room(vocabulary, len(first) + 256)
    pipeline = roberta_pipeline if masked else gpt2_pipeline
    backend = pipeline(models.BPE(vocab={token: id for id, token in enumerate(first)}, merges=[]), names)
    if lowercase:
        backend.normalizer = normalizers.Lowercase()
    # Every byte has a token, so that every text has tokens.
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        # A mask stands for a word with the space before it, so it takes that space in.
        special_tokens=[AddedToken(token, lstrip=token == "<mask>", special=True) for token in first],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return Tokenizer(backend, names=names, makes_types=False)


def _check_room(vocabulary: int, smallest: int) -> None:
    if vocabulary < smallest:
        raise ConfigError(
            f"vocabulary={vocabulary} is too few: the special tokens and single characters alone are {smallest}; "
            f"ask for at least {smallest}, better several times as many"
        )


def learn_tokenizer(
    texts: Iterable[str],
    *,
    kind: Kind = "wordpiece",
    vocabulary: int = 8000,
    lowercase: bool | None = None,
) -> Tokenizer:
    """Learn `vocabulary` tokens from texts, or as many as the texts have.

    `wordpiece` is BERT's: `[PAD] [UNK] [CLS] [SEP] [MASK]` are ids 0 to 4, text is lower-cased unless told otherwise.
    `bytelevel-bpe` is GPT-2's: `<|endoftext|>` is id 0, case stays unless told otherwise.
    `roberta-bpe` is the same with RoBERTa's `<s> <pad> </s> <unk> <mask>`, ids 0 to 4, so that it has a blank.

    Raises `InputError` where there is no text to learn from, `ConfigError` for a vocabulary that is too small.

    >>> tokenizer = learn_tokenizer(["the first text", "the second"], vocabulary=100)
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    check_texts(texts)
    if not any(text.strip() for text in texts):
        raise InputError("no text to learn a tokenizer from: every row is empty; give some texts")
    if kind == "wordpiece":
        return _learn_wordpiece(texts, vocabulary, lowercase is not False)
    if kind in get_args(Kind):
        return _learn_bytelevel(texts, vocabulary, lowercase is True, masked=kind == "roberta-bpe")
    raise ConfigError(
        f"kind={kind!r} is none; choose 'wordpiece' (as BERT), 'bytelevel-bpe' (as GPT-2) or 'roberta-bpe' (the same"
        " with a mask token)"
    )
