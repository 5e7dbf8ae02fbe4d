"""Learned tokenizers: the same from the same texts in any process, complete for bytes, and clear about too little."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import transformers

from sightline.errors import ConfigError, InputError
from sightline.text.learn import Kind, learn_tokenizer
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import save_tokenizer

# Many pieces tie in frequency here, so an order that depends on a hash shows.
TIES = [a + b + c for a in "abcde" for b in "fghij" for c in "klmnoé"]


def fingerprint(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(tokenizer.backend.to_str().encode()).hexdigest()


@pytest.mark.parametrize("kind", get_args(Kind))
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
    roberta = learn_tokenizer(TIES, kind="roberta-bpe", vocabulary=300)
    assert [roberta.token(id) for id in range(5)] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def test_a_tokenizer_like_robertas(tmp_path: Path) -> None:
    """Read by transformers' own class it gives the same ids; and a mask takes in the space before it."""
    ours = learn_tokenizer(["the quick brown fox jumps over the lazy dog"] * 2, kind="roberta-bpe", vocabulary=290)
    save_tokenizer(ours, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the quick fox", "the <mask> fox", "<mask>", " Zoé\n", ("the dog", "over it")):
        one, *two = [text] if isinstance(text, str) else text
        assert ours([one], *([each] for each in two)).input_ids.tolist() == [theirs(one, *two).input_ids], text
    tokens = [ours.token(id) for id in ours.encode("the <mask> fox")]
    assert tokens == ["<s>", "the", "<mask>", "\u0120fox", "</s>"]


def test_no_more_tokens_than_asked_for() -> None:
    for kind in get_args(Kind):
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
        (["abc"], {"vocabulary": 6}, ConfigError, r"vocabulary=6 is too few: .* ask for at least 10"),
        (["abc"], {"kind": "bytelevel-bpe", "vocabulary": 256}, ConfigError, "at least 257"),
        (["abc"], {"kind": "unigram"}, ConfigError, "kind='unigram' is none; choose"),
    ],
)
def test_too_little_to_learn_from(
    texts: list[str], settings: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        learn_tokenizer(texts, **settings)
