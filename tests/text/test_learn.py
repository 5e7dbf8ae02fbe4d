"""Learned tokenizers: the same from the same texts in any process, complete for bytes, and clear about too little."""

import hashlib
import subprocess
import sys

import pytest

from sightline.errors import ConfigError, InputError
from sightline.text.learn import learn_tokenizer
from sightline.text.tokenizer import Tokenizer

# Many pieces tie in frequency here, so an order that depends on a hash shows.
TIES = [a + b + c for a in "abcde" for b in "fghij" for c in "klmnoé"]


def fingerprint(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(tokenizer.backend.to_str().encode()).hexdigest()


@pytest.mark.parametrize("kind", ["wordpiece", "bytelevel-bpe"])
def test_learning_is_deterministic(kind: str) -> None:
    settings = f"kind={kind!r}, vocabulary=320"
    here = {fingerprint(learn_tokenizer(iter(TIES), kind=kind, vocabulary=320)) for _ in range(3)}
    code = (
        "import sys, hashlib; from sightline.text.learn import learn_tokenizer\n"
        f"tokenizer = learn_tokenizer({TIES!r}, {settings})\n"
        "print(hashlib.sha256(tokenizer.backend.to_str().encode()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert here == {there}


def test_special_tokens_come_first(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    assert [wordpiece.token(id) for id in range(5)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert bytelevel.token(0) == "<|endoftext|>"


def test_no_more_tokens_than_asked_for() -> None:
    for kind in ("wordpiece", "bytelevel-bpe"):
        assert len(learn_tokenizer(TIES, kind=kind, vocabulary=300)) <= 300
    assert len(learn_tokenizer(TIES, kind="bytelevel-bpe", vocabulary=270)) == 270


def test_case_is_kept_or_not_as_asked(wordpiece: Tokenizer, cased: Tokenizer, bytelevel: Tokenizer) -> None:
    assert wordpiece.encode("FOX") == wordpiece.encode("fox")
    assert cased.encode("The") != cased.encode("the")
    assert bytelevel.encode("The") != bytelevel.encode("the")
    lowered = learn_tokenizer(TIES, kind="bytelevel-bpe", vocabulary=300, lowercase=True)
    assert lowered.encode("AFK") == lowered.encode("afk")


def test_every_character_of_the_texts_has_a_piece(wordpiece: Tokenizer) -> None:
    ids = wordpiece.encode("\u65e5\u672c jagen viktor quer \N{FAMILY}")
    assert wordpiece.special.unk_id not in ids


@pytest.mark.parametrize(
    ("texts", "settings", "error", "message"),
    [
        ([], {}, InputError, "every row is empty"),
        (["", "  "], {}, InputError, "every row is empty"),
        (["a", 3], {}, InputError, "row 2 is int 3"),
        (["abc"], {"vocabulary": 6}, ConfigError, r"vocabulary is 6, .* ask for at least 10"),
        (["abc"], {"kind": "bytelevel-bpe", "vocabulary": 256}, ConfigError, "at least 257"),
        (["abc"], {"kind": "unigram"}, ConfigError, "kind is 'unigram'; choose"),
    ],
)
def test_too_little_to_learn_from(
    texts: list[str], settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        learn_tokenizer(texts, **settings)
