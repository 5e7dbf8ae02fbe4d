"""The page that probe, audit and look write: the shell of all pages, with matrices that pointer and keys read out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.core.files import replace_files
from sightline.pages.markup import Child, Html, isolated, listed, tag
from sightline.pages.shell import document, resource


def _head(over: str, title: str, lead: str, facts: Child) -> Html:
    """What was looked at, what was found, and the few numbers that belong to it."""
    said = tag("p", isolated(lead), class_="lead") if lead else None
    about = tag("p", tag("b", "Sightline"), " ", isolated(over), class_="over")
    return tag("header", about, tag("h1", isolated(title), class_="long" if len(title) > 60 else None), said, facts)


def page(
    title: str,
    *sections: Child,
    over: str = "",
    lead: str = "",
    facts: Child = None,
    contents: Sequence[tuple[str, str]] = (),
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
) -> str:
    """A whole HTML file with its heading first. Everything given as str is text and gets escaped.

    title     the finding, in a sentence: the page's heading
    sections  what follows: `markup.section(name, title, explained, …)` makes one, `draw_svg.drawn` a matrix in it
    over      the line above the heading: what was looked at, and how
    lead      the paragraph below it
    facts     `markup.facts(…)`, set as large numbers
    contents  (name, title) of the sections to link to

        page("No future token leaks.", section("who", "Who sees whom", "…", drawn(matrix, "seen", "GPT-2")))
    """
    links = [tag("a", text, href=f"#{name}") for name, text in contents]
    nav = tag("nav", listed(*links), aria_label="Contents") if links else None
    needs = tag("noscript", tag("p", "Pointing at things needs the page's own script; all else is here without."))
    main = tag("main", _head(over, title, lead, facts), nav, needs, *sections)
    return document(
        f"{title} · Sightline",
        main,
        tag("footer", tag("p", "Made by Sightline.")),
        styles=[resource("sightline.probing", "draw.css"), *styles],
        scripts=[resource("sightline.probing", "draw.js"), *scripts],
    )


def save(text: str, path: Path) -> None:
    """Write a page as one HTML file, whole or not at all. Raises CheckpointError where it cannot be written."""
    replace_files(path.parent, {path.name: lambda place: place.write_text(text, encoding="utf-8")})
