"""Cleaning: what is done to a text, that it is done once, and that each change is counted."""

import time
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.text.clean import CHANGES, clean

ODD = st.text(alphabet="a b\t\n\r\x0b\x0c\x00\x1b\x7f\x85\x9f\u2028\u2029\ufeff\u0301e\u00e9\u1e9b\ud800\U0001f600")


@given(ODD | st.text(st.characters()))
def test_a_clean_text_stays_as_it_is(text: str) -> None:
    once, counts = clean(text), Counter[str]()
    assert clean(once, counts) == once
    assert not counts
    once.encode()  # no half surrogate pairs
    assert unicodedata.is_normalized("NFC", once)
    assert not [sign for sign in once if unicodedata.category(sign) == "Cc" and sign not in "\t\n"]
    assert not once.startswith("\n")
    assert all(line == line.rstrip(" \t") for line in once.split("\n"))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"), max_size=40))
def test_text_without_anything_odd_is_kept(text: str) -> None:
    assert clean(text) == unicodedata.normalize("NFC", text).rstrip(" ")


@pytest.mark.parametrize(
    ("text", "cleaned", "changes"),
    [
        ("as it is", "as it is", []),
        ("  indented\n\n\nthree lines on\n", "  indented\n\n\nthree lines on", []),
        ("one\r\ntwo\rthree\x0cfour\u2028five", "one\ntwo\nthree\nfour\nfive", ["line_ends"]),
        ("a\x00b\x1b[0m\ufeffc\x9f", "ab[0mc", ["controls"]),
        ("cafe\u0301", "caf\u00e9", ["unicode"]),
        ("half \ud83d", "half \ufffd", ["unicode"]),
        ("a \nb\t \n \nc \t", "a\nb\n\nc", ["blanks"]),
        ("\n \t\n\x00", "", ["controls", "blanks"]),
        ("\r\n e\u0301\x01 \n", " \u00e9", ["line_ends", "controls", "unicode", "blanks"]),
    ],
)
def test_what_is_changed_is_counted(text: str, cleaned: str, changes: list[str]) -> None:
    counts = Counter[str]()
    assert clean(text, counts) == cleaned
    assert counts == Counter(changes)
    assert set(counts) <= set(CHANGES)


def test_a_letter_keeps_as_many_marks_as_anybody_writes() -> None:
    marks, counts = "\u0301" * 64, Counter[str]()
    assert clean("b" + marks + "\u0301" * 2000 + "b", counts) == "b" + marks + "b"
    assert counts == {"unicode": 1}


@pytest.mark.parametrize("text", ["a" + "\u0301\u0323" * 200_000, " " * 400_000 + "x\n" + "\t" * 400_000 + "x"])
def test_no_text_takes_forever(text: str) -> None:
    """A run of marks, or of blanks, costs what its length is, and not the square of it."""
    start = time.process_time()
    clean(text)
    assert time.process_time() - start < 2
