"""Cleaning a document before it is encoded: what is the same for a reader becomes the same for a model.

    line ends     CR LF, CR, form feeds and Unicode's own line ends are LF
    controls      other control characters and byte order marks go
    unicode       NFC (Unicode Standard Annex 15); half a surrogate pair becomes a replacement character; in a text
                  of more than 1,000 signs, a letter keeps 64 marks at most
    blanks        spaces and tabs at the ends of lines go

Blank lines around a text go too, and are not worth a count.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

CHANGES = ("line_ends", "controls", "unicode", "blanks")
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_LINE_ENDS = re.compile("[\x0b\x0c\x85\u2028\u2029]")  # those but CR
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SHORT = 1000
# Marks are put in order by a library whose time grows with the square of how many there are.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff"
    "\ufe20-\ufe2f"
)
_LEADS = [mark.encode()[:-1] for mark in "\u0300\u0340\u0483\u0591\u0610\u064b\u1ab0\u1ac0\u1dc0\u20d0\ufe20"]
_STACKED = re.compile(f"([{_MARKS}]{{64}})[{_MARKS}]+")


def _may_have_marks(text: str) -> bool:
    """False where there are none: a search for some bytes, which costs next to nothing."""
    content = text.encode()
    return any(lead in content for lead in _LEADS)


def clean(text: str, changed: Counter[str] | None = None) -> str:
    r"""The text, cleaned; cleaned again it stays as it is. `changed` counts the texts by what was changed in them.

    >>> clean("caf\u0065\u0301 \r\n\x00ol\u00e9\n\n")
    'café\nolé'
    """
    found: list[str] = []
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        found.append("line_ends")
    # Most texts have nothing odd beside, which one fast look shows.
    if not text.replace("\n", " ").isprintable() and _ODD.search(text):
        for name, pattern, instead in (
            ("line_ends", _LINE_ENDS, "\n"),
            ("controls", _CONTROLS, ""),
            ("unicode", _SURROGATES, "\N{REPLACEMENT CHARACTER}"),
        ):
            before, text = text, pattern.sub(instead, text)
            if text != before:
                found.append(name)
    if not text.isascii():
        before = text
        if len(text) > _SHORT and _may_have_marks(text):
            text = _STACKED.sub(r"\1", text)
        text = unicodedata.normalize("NFC", text)
        if text != before:
            found.append("unicode")
    before = text = text.strip("\n")
    if "\n" in text:
        text = "\n".join([line.rstrip(" \t") for line in text.split("\n")]).strip("\n")
    else:
        text = text.rstrip(" \t")
    if text != before:
        found.append("blanks")
    if found and changed is not None:
        for name in dict.fromkeys(found):
            changed[name] += 1
    return text
