"""Whose tokenizer it is: by the name of its class, by the model's type, or by the special tokens that it has."""

from collections.abc import Callable

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
)
from sightline.text.special import ROLES
from sightline.text.tokenizer_settings import Settings

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


def named_family(settings: Settings, model_type: str | None) -> Family | None:
    """The family that the tokenizer's own class names, or the model's type; None where neither does."""
    return BY_CLASS.get(settings.tokenizer_class or "") or BY_MODEL_TYPE.get(model_type or "")


def family_of(settings: Settings, model_type: str | None, token_to_id: Lookup) -> Family:
    """The tokenizer's own class says best, then the model's type, then the vocabulary."""
    named = named_family(settings, model_type)
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
