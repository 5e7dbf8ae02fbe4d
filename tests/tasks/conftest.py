"""Tiny random models that read text: a BERT and a GPT-2 in float64, each with a tokenizer learned on the spot."""

import pytest

from contract.families import tiny
from sightline.model.model import Model
from sightline.text.learn import learn_tokenizer

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "She sat on the bank of the river; the banker walked to the bank.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "don't",
    "A tokenizer splits words into pieces: play, plays, played.",
    "It is 3.14, or $42 (forty-two)?",
    "a",
    "Words, words, words, and more of them, so that this text is longer than the others and has to be cut somewhere.",
]
POSITIONS = 300


def _reading(family: str) -> Model:
    kind = "bytelevel-bpe" if family == "gpt2" else "wordpiece"
    tokenizer = learn_tokenizer(TEXTS, kind=kind, vocabulary=320)
    model = tiny(family, heads=(), vocabulary=len(tokenizer), positions=POSITIONS)
    model.tokenizer = tokenizer
    return model


@pytest.fixture
def texts() -> list[str]:
    """Of unequal lengths, unsorted."""
    return list(TEXTS)


@pytest.fixture(scope="session")
def bert() -> Model:
    return _reading("bert")


@pytest.fixture(scope="session")
def gpt2() -> Model:
    return _reading("gpt2")


@pytest.fixture(params=["bert", "gpt2"])
def model(request: pytest.FixtureRequest) -> Model:
    """Either of the two."""
    return request.getfixturevalue(request.param)
