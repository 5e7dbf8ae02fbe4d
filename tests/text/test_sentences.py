"""Which tokens end a sentence, in vocabularies of each kind."""

import torch

from sightline.text.learn import learn_tokenizer
from sightline.text.sentences import sentence_ends
from sightline.text.tokenizer import Tokenizer

TEXTS = ["One. Two! Three? 3.5 is four.", "a line\nand another one\n\n", "no end,"] * 3


def ended(tokenizer: Tokenizer, text: str) -> list[str]:
    """The tokens of the text that end a sentence."""
    ends = sentence_ends(tokenizer)
    ids = torch.tensor(tokenizer.encode(text, add_special_tokens=False))
    return [tokenizer.token(int(id)) for id in ids[ends[ids]]]


def test_full_stops_and_line_feeds() -> None:
    wordpiece = learn_tokenizer(TEXTS, kind="wordpiece", vocabulary=60)
    assert ended(wordpiece, "One. Two! Three?\nand another") == [".", "!", "?"]  # it knows no line feeds
    bytelevel = learn_tokenizer(TEXTS, kind="bytelevel-bpe", vocabulary=257)
    assert ended(bytelevel, "One. Two! Three?\nand another, one") == [".", "!", "?", "\u010a"]


def test_special_tokens_end_nothing() -> None:
    roberta = learn_tokenizer(TEXTS, kind="roberta-bpe", vocabulary=270)
    ends = sentence_ends(roberta)
    assert len(ends) == len(roberta) and not ends[sorted(roberta.special.ids)].any() and ends.any()
