"""Words in a text, found by the characters they begin and end at.

A word is found where it stands on its own: not "art" in "start". Composed and decomposed spellings of a letter (é as
one code point or as two) are the same letter, and a letter is never found without the marks on it. Between letters of
scripts that write no spaces (Chinese, Japanese, Thai …) a word may begin anywhere.
"""

from __future__ import annotations

import difflib
import itertools
import unicodedata
from collections.abc import Iterator

from sightline.errors import InputError
from sightline.phrases import and_more

_NO_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
_JOINERS = "\u200c\u200d"  # they join letters, and emoji, into one sign
_SHOWN = 60  # letters of the text that an error shows


def _continues(text: str, index: int) -> bool:
    """Whether the sign at `index` is a mark on the one before it, or joined to it."""
    return unicodedata.category(text[index])[0] == "M" or text[index] in _JOINERS or text[index - 1] in _JOINERS


def _letters(text: str) -> list[tuple[int, int]]:
    """Where each letter with the marks on it begins and ends."""
    starts = [index for index in range(len(text)) if index == 0 or not _continues(text, index)]
    return list(itertools.pairwise([*starts, len(text)]))


def _joins(sign: str) -> bool:
    """Whether this letter belongs to the same word as a letter beside it."""
    return (sign.isalnum() or sign == "_") and not unicodedata.name(sign, "").startswith(_NO_SPACES)


def _base(text: str, index: int) -> str:
    """The letter at `index`, or the one that the mark at `index` is on."""
    while index > 0 and _continues(text, index):
        index -= 1
    return text[index]


def _on_its_own(text: str, start: int, end: int) -> bool:
    def joined(place: int) -> bool:
        return 0 < place < len(text) and _joins(_base(text, place - 1)) and _joins(text[place])

    return not joined(start) and not joined(end)


def find_word(text: str, word: str) -> list[tuple[int, int]]:
    """Where `word` begins and ends in `text`, in characters, for each place where it stands on its own.

    >>> find_word("The art of the start, the art.", "art")
    [(4, 7), (26, 29)]
    """
    wanted = unicodedata.normalize("NFD", word)
    decomposed = ""
    begins: dict[int, int] = {}  # a place in the decomposed text where a letter begins → its place in the text
    ends: dict[int, int] = {}
    for start, end in _letters(text):
        begins[len(decomposed)] = start
        decomposed += unicodedata.normalize("NFD", text[start:end])
        ends[len(decomposed)] = end
    found: list[tuple[int, int]] = []
    place = decomposed.find(wanted) if wanted else -1
    while place >= 0:
        first, last = begins.get(place), ends.get(place + len(wanted))
        if first is not None and last is not None and _on_its_own(text, first, last):
            found.append((first, last))
        place = decomposed.find(wanted, place + 1)
    return found


def words(text: str) -> Iterator[str]:
    """The words of a text: runs of letters and digits, the marks on them included."""
    run = ""
    for start, end in [*_letters(text), (len(text), len(text))]:
        letter = text[start:end]
        if letter and (letter[0].isalnum() or letter[0] == "_"):
            run += letter
        elif run:
            yield run
            run = ""


def find_occurrence(text: str, word: str, occurrence: int) -> tuple[int, int]:
    """Where the word begins and ends the `occurrence`-th time, counted from 1.

    Raises InputError that says which words of the text are nearest, or how often the word is there.
    """
    found = find_word(text, word)
    if not found:
        own = list(dict.fromkeys(words(text)))
        by_small = {each.casefold(): each for each in reversed(own)}
        near = [by_small[each] for each in difflib.get_close_matches(word.casefold(), by_small, n=3, cutoff=0.6)]
        listed = and_more([*map(repr, own)])
        meant = f"did you mean {' or '.join(map(repr, near))}?" if near else f"its words are {listed or 'none'}"
        shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
        raise InputError(f"there is no word {word!r} in {shown!r}: {meant}")
    if not 1 <= occurrence <= len(found):
        there = "once" if len(found) == 1 else f"{len(found)} times"
        raise InputError(f"occurrence {occurrence} of {word!r}: it is there {there}; count from 1")
    return found[occurrence - 1]
