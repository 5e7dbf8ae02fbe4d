"""The replacement rules of a sentencepiece model, in the form in which the file holds them.

A character map is the size of a trie, the trie (a double array of `darts-clone`: units of 32 bits), and the texts that
it points to, each ended by a zero byte. `Builder::CompileCharsMap` in sentencepiece's `src/builder.cc` writes it, with
200,000 rules for Unicode's compatibility forms: too many to read them all.
"""

import struct
import unicodedata
from functools import lru_cache

import numpy

# Letters that combine with the one before them besides marks: vowels and finals of Korean, wide, old and half as wide,
# and the half as wide voice marks of Japanese.
_COMBINING = (
    (0x1100, 0x11FF),
    (0x3130, 0x318F),
    (0xA960, 0xA97F),
    (0xD7B0, 0xD7FF),
    (0xFF9E, 0xFF9F),
    (0xFFA0, 0xFFDC),
)


class BrokenRules(Exception):
    """What is wrong with a character map; the caller knows which file it is from."""


@lru_cache(2**16)
def combines(letter: str) -> bool:
    """Whether the rules that sentencepiece brings along may replace a letter together with the one before it."""
    code = ord(letter)
    return unicodedata.category(letter)[0] == "M" or any(first <= code <= last for first, last in _COMBINING)


def _check(units: "numpy.ndarray[tuple[int], numpy.dtype[numpy.uint32]]", texts: bytes) -> None:
    """`BrokenRules` where looking a rule up could leave the trie or the texts."""
    is_value = units >> 31 == 1
    nodes = numpy.nonzero(~is_value)[0].astype(numpy.uint32)
    children = nodes ^ ((units[nodes] >> 10) << ((units[nodes] & 512) >> 6))
    if len(units) % 256 or numpy.any(children >= len(units)):
        raise BrokenRules("the trie of its character map points beyond its end")
    values = units[children[units[nodes] & 256 == 256]]
    places = numpy.unique(values & 0x7FFFFFFF)
    if numpy.any(values >> 31 == 0) or (len(places) and places[-1] >= len(texts)) or not texts.endswith(b"\0"):
        raise BrokenRules("a rule of its character map points beyond its texts")
    try:
        texts.decode()
    except UnicodeDecodeError:
        raise BrokenRules("a rule of its character map is not UTF-8") from None
    letters = numpy.frombuffer(texts, dtype=numpy.uint8)[places]
    if numpy.any(letters & 0xC0 == 0x80):
        raise BrokenRules("a rule of its character map points into the middle of a letter")


class Rules:
    """The rules of a character map: what is replaced by what, the longest that matches first."""

    def __init__(self, charsmap: bytes) -> None:
        """Raises `BrokenRules` for a map that leads nowhere."""
        size = int.from_bytes(charsmap[:4], "little")
        trie, self._texts = charsmap[4 : 4 + size], charsmap[4 + size :]
        if len(charsmap) < 4 or size == 0 or size % 4 or len(trie) < size:
            raise BrokenRules(f"its character map announces {size:,} bytes, and has {len(trie):,}")
        _check(numpy.frombuffer(trie, dtype="<u4"), self._texts)
        self._units = struct.unpack(f"<{size // 4}I", trie)

    def longest(self, text: bytes, start: int) -> tuple[int, str] | None:
        """How many bytes from `start` on are replaced, and by what; None where no rule matches."""
        units = self._units
        found = None
        node = (units[0] >> 10) << ((units[0] & 512) >> 6)
        for place in range(start, len(text)):
            node ^= text[place]
            if node >= len(units) or units[node] & 0x800000FF != text[place]:
                break
            unit = units[node]
            node ^= (unit >> 10) << ((unit & 512) >> 6)
            if unit & 256:
                found = place + 1 - start, units[node] & 0x7FFFFFFF
        if found is None:
            return None
        length, place = found
        return length, self._texts[place : self._texts.index(b"\0", place)].decode()

    def compositions(self, text: str, symbols: tuple[bytes, ...] = ()) -> dict[str, str]:
        """What is replaced in a text where more than one letter is replaced together; nothing within `symbols`."""
        data = text.encode()
        replaced = {}
        place = 0
        while place < len(data):
            first = data[place]
            width = 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
            symbol = max((len(symbol) for symbol in symbols if data.startswith(symbol, place)), default=0)
            rule = None if symbol else self.longest(data, place)
            if rule is not None and rule[0] > width:
                replaced[data[place : place + rule[0]].decode()] = rule[1]
            place += symbol or (width if rule is None else rule[0])
        return replaced
