"""The shell of a page: one self-contained HTML file that loads nothing, whatever stands in it.

A policy in the page's head forbids every request, and every script but the page's own, which it names by hash: markup
that slipped into a page could still run nothing.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

from sightline.pages.markup import Child, Html, clean, tag

_LINE_ENDS = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def resource(package: str, name: str) -> str:
    """The text of a file that lies in one of our packages: a style sheet, a script."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def policy(scripts: Sequence[str]) -> str:
    """What the page may do: show itself, and run these scripts."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    run = f"; script-src {hashes}" if scripts else ""
    return f"default-src 'none'; style-src 'unsafe-inline'{run}"


def data(name: str, value: object) -> Html:
    """Values for the page's own script, which finds them by this id: JSON that cannot end the element it stands in."""
    said = clean(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)).translate(_LINE_ENDS)
    return Html(f'<script type="application/json" id="{name}">{said}</script>')


def document(
    title: str,
    *body: Child,
    generator: str = "Sightline",
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
) -> str:
    """A whole HTML file.

    body     what stands in it: text is escaped
    styles   style sheets of its own, which follow the one that all pages share
    scripts  its own, run when the rest is there; there is no other way for a page to run anything

        document("Report", tag("main", tag("h1", "Report")))
    """
    sheet = "".join([resource("sightline.pages", "style.css"), *styles])
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(scripts)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content=generator),
        tag("title", title),
        tag("style", Html(sheet)),
    )
    run = [Html(f"<script>{script}</script>") for script in scripts]
    whole = tag("html", head, tag("body", *body, *run), lang="en")
    return f"<!doctype html>\n{whole.source}\n"
