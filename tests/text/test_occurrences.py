"""Words in a text: against a regular expression where letters are plain, and by hand where they are not."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError
from sightline.text.occurrences import find_occurrence, find_word, words

PLAIN = st.text(st.sampled_from("ab_7 .-'\n"), max_size=20)


@given(text=PLAIN, word=st.text(st.sampled_from("ab_7"), min_size=1, max_size=3))
def test_plain_words_are_found_as_by_a_regular_expression(text: str, word: str) -> None:
    want = [match.span() for match in re.finditer(rf"\b{re.escape(word)}\b", text)]
    assert find_word(text, word) == want
    assert list(words(text)) == re.findall(r"\w+", text)


@given(
    text=st.text(st.sampled_from("ae\u0301\u0308ö한\u1112\u1161\u11ab .\u200d"), max_size=20),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_each_word_of_a_text_is_found_in_it_however_it_is_spelled(text: str, form: str) -> None:
    for word in words(text):
        spans = find_word(text, unicodedata.normalize(form, word))
        assert spans
        for start, end in spans:
            assert unicodedata.normalize("NFC", text[start:end]) == unicodedata.normalize("NFC", word)


FOUND = [
    ("start art, Art art", "art", ["art", "art"]),
    ("it's its", "it", ["it"]),
    ("it's its", "'s", ["'s"]),
    ("C++ and C", "C++", ["C++"]),
    ("cafe\u0301 cafe", "cafe", ["cafe"]),
    ("cafe\u0301 cafe", "caf\u00e9", ["cafe\u0301"]),
    ("caf\u00e9", "cafe\u0301", ["caf\u00e9"]),
    ("caf\u00e9", "cafe", []),
    ("cafe\u0301s", "cafe\u0301", []),
    ("\u4e2d\u6587\u548c\u82f1\u6587", "\u82f1\u6587", ["\u82f1\u6587"]),
    ("\u4e2dabc\u6587", "abc", ["abc"]),
    ("Ελλάδα, ΕΛΛΆΔΑ", "Ελλάδα", ["Ελλάδα"]),
    ("over and over and over", "over and over", ["over and over", "over and over"]),
    ("\N{FAMILY} \N{MAN}\u200d\N{WOMAN}", "\N{MAN}", []),
    ("a_b a", "a", ["a"]),
    ("", "a", []),
    ("a", "", []),
]


@pytest.mark.parametrize(("text", "word", "found"), FOUND)
def test_a_word_stands_on_its_own(text: str, word: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in find_word(text, word)] == found


def test_occurrences_count_from_one() -> None:
    assert [find_occurrence("a b a", "a", which) for which in (1, 2)] == [(0, 1), (4, 5)]
    with pytest.raises(InputError, match="occurrence 3 of 'a': it is there 2 times; count from 1"):
        find_occurrence("a b a", "a", 3)


def test_an_error_names_near_words() -> None:
    with pytest.raises(InputError, match=r"there is no word 'rivers' in 'The River': did you mean 'River'\?"):
        find_occurrence("The River", "rivers", 1)
    with pytest.raises(InputError, match=r"there is no word 'x' in '\?!': its words are none"):
        find_occurrence("?!", "x", 1)
