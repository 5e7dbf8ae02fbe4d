"""Markup that cannot be broken by what it holds: a plain str is text and gets escaped, only Html is taken as it is.

>>> tag("p", "a < b ", tag("b", "c"), class_="note").source
'<p class="note">a &lt; b <b>c</b></p>'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

# What HTML does not allow, and lone surrogates, which no file can hold: each becomes the replacement character.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
VOID = {"meta", "br", "line", "circle", "rect", "path"}  # elements without content


@dataclass(frozen=True)
class Html:
    """Markup, ready for the page."""

    source: str


Child = str | Html | None
NOTHING = Html("")


def clean(text: object) -> str:
    """The text without characters that a page may not hold."""
    return FORBIDDEN.sub("\ufffd", str(text))


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """An element. An attribute's trailing underscore is dropped, others become hyphens; None leaves it out."""
    said = ""
    for key, value in attributes.items():
        if value is not None:
            text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
            said += f' {key.rstrip("_").replace("_", "-")}="{escape(clean(text))}"'
    if name in VOID:
        return Html(f"<{name}{said}>" if name in ("meta", "br") else f"<{name}{said}/>")
    return Html(f"<{name}{said}>{joined(*children).source}</{name}>")


def joined(*children: Child, between: str = "") -> Html:
    """Markup and texts one after the other; None is skipped."""
    texts = [each.source if isinstance(each, Html) else escape(clean(each)) for each in children if each is not None]
    return Html(between.join(texts))


def isolated(text: object) -> Html:
    """Somebody else's text within a line of ours: whichever way it runs, ours stays as it is."""
    return tag("bdi", str(text))


def shortened(text: object, most: int) -> str:
    """At most so many characters; from a longer text the middle is left out, for names differ at both ends."""
    words = clean(text)
    if len(words) <= most:
        return words
    tail = (most - 1) // 2
    return f"{words[: most - 1 - tail]}…{words[len(words) - tail :]}"


def brief(text: object, most: int) -> Html:
    """Somebody else's text in few characters; what was left out shows under the pointer."""
    whole = clean(text)
    short = shortened(whole, most)
    return tag("bdi", short, title=None if short == whole else whole)


def listed(*items: Child, class_: str | None = None, kind: str = "ul") -> Html:
    """A list of items; nothing where there are none."""
    return tag(kind, *(tag("li", item) for item in items), class_=class_) if items else NOTHING


def facts(*pairs: tuple[str, Child]) -> Html:
    """A list of names and what they stand for."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_="facts")


def table(caption: str, head: list[Child], rows: list[list[Child]], *, class_: str = "") -> Html:
    """A table that scrolls in a box of its own. The first cell of each row is its header."""
    top = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head)))
    body = [tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows]
    whole = tag("table", tag("caption", caption), top, tag("tbody", *body), class_=class_ or None)
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def more(summary: str, *children: Child) -> Html:
    """What is folded away until it is asked for."""
    return tag("details", tag("summary", summary), *children)


def section(name: str, title: str, explained: Child, *children: Child, wide: bool = False) -> Html:
    """A section of the page with its heading and a few words on how to read it."""
    intro = tag("div", tag("h2", title, id=name), tag("p", explained, class_="lede"), class_="intro")
    body = tag("div", *children, class_="body")
    return tag("section", intro, body, class_="wide" if wide else None, aria_labelledby=name)
