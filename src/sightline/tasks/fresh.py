"""New networks for given rows: a tokenizer learned from them, as many positions as they need, random weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy
from tokenizers import processors

from sightline.errors import InputError
from sightline.model.build import build
from sightline.model.families import layout_of
from sightline.model.model import Model
from sightline.text.labelled import Examples
from sightline.text.learn import Kind, learn_tokenizer
from sightline.text.tokenizer import Tokenizer

LARGEST_VOCABULARY = 8000
MOST_TOKENS = 512
PAD = "<|pad|>"
# Special tokens stand around the texts of these, which end them and part them.
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("bert", "distilbert", "xlnet", "modernbert", "modernbert-decoder"), "wordpiece"),
    "roberta": "roberta-bpe",
}


def part_pairs(tokenizer: Tokenizer) -> bool:
    """Put the end-of-text token between the texts of a pair, where the tokenizer would put nothing; whether it did.

    As Radford et al. 2018 do: a network that sees one text run into the other cannot tell where the second begins.
    """
    end, id = tokenizer.special.names.get("eos"), tokenizer.special.eos_id
    if tokenizer.backend.num_special_tokens_to_add(True) or end is None or id is None:
        return False
    tokenizer.backend.post_processor = processors.TemplateProcessing(
        single=["$A:0"], pair=["$A:0", f"{end}:0", "$B:0"], special_tokens=[(end, id)]
    )
    return True


def tokens_of(family: str) -> Kind:
    """How the tokenizer of a new network of this family splits texts."""
    return _KINDS.get(family, "bytelevel-bpe")


def learned_tokenizer(kind: Kind, examples: Examples) -> Tokenizer:
    """A tokenizer of this kind, learned from these rows and no others, that has a token to pad with.

    GPT-2's has none, and its classifier in transformers reads the last token that is not the pad token: with none it
    refuses batches, and with the end token in that place it would overlook the ends of texts.
    """
    texts = [*examples.texts, *(examples.pairs or [])]
    padless = kind == "bytelevel-bpe"
    tokenizer = learn_tokenizer(texts, kind=kind, vocabulary=LARGEST_VOCABULARY - padless)
    if padless:
        names = {**tokenizer.special.names, "pad": PAD}
        tokenizer = Tokenizer(tokenizer.backend, names=names, makes_types=tokenizer.makes_types)
    if examples.pairs is not None:
        part_pairs(tokenizer)
    return tokenizer


def _cls_last(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokens, around a text as XLNet has them: all behind it, the CLS last and in a segment of its own."""
    (sep, sep_id), (cls, cls_id) = (
        (tokenizer.token(id), id) for id in (tokenizer.special.sep_id, tokenizer.special.cls_id) if id is not None
    )
    tokenizer.backend.post_processor = processors.TemplateProcessing(
        single=["$A:0", f"{sep}:0", f"{cls}:2"],
        pair=["$A:0", f"{sep}:0", "$B:1", f"{sep}:1", f"{cls}:2"],
        special_tokens=[(sep, sep_id), (cls, cls_id)],
    )
    names = tokenizer.special.names
    return Tokenizer(tokenizer.backend, names=names, makes_types=True, padding_side="left", padding_type=3)


def tokenizer_for(family: str, examples: Examples) -> Tokenizer:
    """A tokenizer as this family has it, learned from these rows and no others."""
    tokenizer = learned_tokenizer(tokens_of(family), examples)
    return _cls_last(tokenizer) if family == "xlnet" else tokenizer


def token_counts(tokenizer: Tokenizer, examples: Examples) -> list[int]:
    """How many tokens each row has, those that the tokenizer adds included."""
    rows = examples.texts if examples.pairs is None else list(zip(examples.texts, examples.pairs, strict=True))
    return [len(row.ids) for row in tokenizer.encodings(rows)]


def positions_for(counts: Sequence[int]) -> int:
    """As many tokens as nearly all rows have (199 of 200), rounded up to 32, at most 512."""
    wanted = int(numpy.percentile(counts, 99.5))
    return min(max(32, -(-wanted // 32) * 32), MOST_TOKENS)


def is_endless(family: str) -> bool:
    """Whether its positions are relative, so that its tokenizer alone says how much of a text is read."""
    return all(field.name != "positions" for field in fields(layout_of(family).config))


def reads(family: str, tokenizer: Tokenizer, positions: int) -> dict[str, Any]:
    """The settings of a network that reads so many tokens; where it has no last position, its tokenizer is told."""
    if is_endless(family):
        tokenizer.max_length = positions
        return {}
    return {"positions": positions}


def fresh_model(
    family: str,
    size: str,
    examples: Examples,
    *,
    positions: int | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Model:
    """A new model without heads, made for these rows.

    positions  tokens that it can read of a text; default: as many as nearly all rows have. A network whose positions
               are relative could read any; its tokenizer then says that longer texts are cut there

        with_classifier(fresh_model("gpt2", "mini", train), train.labels)
    """
    if not len(examples):
        raise InputError("there are no rows to make a model for; give at least one")
    tokenizer = tokenizer_for(family, examples)
    wanted = positions or positions_for(token_counts(tokenizer, examples))
    read = reads(family, tokenizer, wanted)
    return build(family, size, tokenizer=tokenizer, heads=(), seed=seed, device=device, **read)
