"""The page of a look: one self-contained HTML file, a section a part; a part that is missing says why."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from sightline.pages.markup import Html, facts, isolated, joined, section, shortened, tag
from sightline.pages.shell import resource
from sightline.probing.draw import label
from sightline.probing.draw_page import page
from sightline.probing.draw_svg import drawn
from sightline.probing.look_change import changes
from sightline.probing.look_heads import heads
from sightline.probing.look_parts import TITLES
from sightline.probing.look_words import expected, layers
from sightline.probing.look_written import writing

if TYPE_CHECKING:
    from sightline.probing.look import Look

LONGEST = 90  # letters of a text in the heading
FRAME = 760  # pixels of a page in a notebook


def _reason(look: Look, name: str) -> Html | None:
    """Why a part is left out."""
    said = look.left_out.get(name)
    return None if said is None else tag("p", isolated(said), class_="left-out")


def _tokens(look: Look) -> Html:
    chips = []
    for place, text in enumerate(look.tokens.texts):
        kinds = ["token", *["special"] * look.tokens.special[place], *["blank"] * (place in look.tokens.blanks)]
        number = tag("small", str(place), title=f"id {look.tokens.ids[place]}")
        chips.append(tag("li", tag("b", isolated(label(text))), number, class_=" ".join(kinds)))
    explained = (
        "What the model reads, numbered from 0; ␣ is a space. Pale ones stand for no text, dashed ones are blanks."
    )
    return section("tokens", TITLES["tokens"], explained, tag("ol", *chips, class_="tokens"), wide=True)


def _seen(look: Look) -> Html:
    figures = [drawn(matrix, f"seen-{number}", title) for number, (title, matrix) in enumerate(look.seen)]
    explained = (
        "Rows are tokens that come out, columns those that went in. In a layer a token sees whom the mask allows; what"
        " those saw before comes along, so through all layers it may know of more."
    )
    body = tag("div", *figures, class_="pair-of")
    return section("seen", TITLES["seen"], explained, body, _reason(look, "measured"), wide=True)


def _left_out(look: Look, name: str) -> Html:
    return section(name, TITLES[name], "This part is left out.", _reason(look, name), wide=True)


def render(look: Look) -> str:
    """The whole page. The same look gives the same bytes."""
    parts = {
        "tokens": _tokens(look),
        "seen": _seen(look) if look.seen else None,
        "heads": None if look.weights is None else heads(look.tokens.texts, look.weights),
        "lens": layers(look) if look.lenses else None,
        "expected": None if look.expects is None else expected(look, look.expects),
        "written": None if look.written is None else writing(look.written, look.spelled),
        "replaced": None if look.replaced is None else changes(look.replaced, look.tokens.texts, look.spelled),
    }
    shown = {
        name: _left_out(look, name) if part is None else part
        for name, part in parts.items()
        if part is not None or name in look.left_out
    }
    return page(
        f"“{shortened(look.text, LONGEST)}”",
        *shown.values(),
        over=f"looks at {shortened(look.name, 60)}, which reads",
        lead=look.about,
        facts=facts(*((name, joined(tag("b", value))) for name, value in look.facts)),
        contents=[(name, TITLES[name]) for name in shown],
        styles=[resource("sightline.probing", "look.css")],
        scripts=[resource("sightline.probing", "look.js")],
    )


def framed(whole: str, height: int = FRAME) -> str:
    """A page within another, as in a notebook: neither can touch the other's styles or scripts."""
    return (
        f'<iframe srcdoc="{escape(whole)}" sandbox="allow-scripts" width="100%" height="{height}"'
        ' style="border:0" title="Sightline"></iframe>'
    )
