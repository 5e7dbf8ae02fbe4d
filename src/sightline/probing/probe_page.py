"""Probe's page and picture: the matrix of what depends on what, each method's own strengths, and every leak by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sightline.pages.markup import Child, Html, facts, isolated, joined, listed, section, table, tag
from sightline.probing.dependence import Dependence, Pair
from sightline.probing.draw import label
from sightline.probing.draw_page import page
from sightline.probing.draw_png import write_png
from sightline.probing.draw_svg import drawn

ROWS = 20  # pairs that a table names
STYLE = (
    "table.named :is(td, th) { padding: 0.1rem 1.2rem 0.1rem 0; text-align: left; }"
    ".two-ways { display: flex; flex-wrap: wrap; gap: 1.5rem; }"
)
HOW = {
    "substitution": "another token, or another vector, in its place",
    "gradient": "the slope of the output's numbers",
}


def heading(found: Dependence) -> str:
    """What the picture shows, in a line."""
    return f"{found.model}, measured"


def _methods(found: Dependence) -> Html | None:
    """One matrix a method: what it measured by itself."""
    figures = []
    for name, strength in found.strength.items():
        own = replace(
            found.matrix(),
            measured=strength > 0,
            expected=None,
            strength=strength.nan_to_num(nan=0.0),
            unsure=strength.isnan(),
        )
        figures.append(drawn(own, f"by-{name}", f"by {name}: {HOW[name]}"))
    explained = (
        "Each method alone errs: substitution misses what is saturated, gradients miss what is detached or goes through"
        " a choice. An output depends on an input if either sees it. Shades are in standard deviations of the outputs."
    )
    return section("methods", "Measured in two ways", explained, tag("div", *figures, class_="two-ways"), wide=True)


def _token(place: int, text: str) -> Html:
    """A token by its place and its text."""
    return joined(tag("small", str(place)), " ", isolated(label(text)))


def _pairs(name: str, title: str, explained: str, pairs: tuple[Pair, ...]) -> Html | None:
    if not pairs:
        return None
    rows: list[list[Child]] = [
        [_token(pair.output, pair.output_text), _token(pair.input, pair.input_text), f"{pair.strength:.2g}"]
        for pair in pairs[:ROWS]
    ]
    more = f" The strongest {ROWS} of {len(pairs)}." if len(pairs) > ROWS else ""
    head: list[Child] = ["output", "input", "strength"]
    return section(name, title, explained + more, table(title, head, rows, class_="named"))


def _how(found: Dependence) -> Html:
    """What the finding stands on."""
    said = [str(found.gap)]
    if found.deterministic:
        said.append("The same input gives the same output.")
    else:
        said.append(f"The outputs are random, and measured with the same random numbers each time: {found.cause}.")
    said += [f"{note}." for note in found.notes]
    explained = "Between rounding and dependence there must be a gap; where there is none, a cell is left open."
    return section("how", "What this stands on", explained, listed(*(isolated(each) for each in said)))


def render(found: Dependence) -> str:
    """The whole page, self-contained. The same finding gives the same bytes."""
    whole = section(
        "seen",
        "Which output depends on which input",
        joined("Expected: ", isolated(found.expected_text)) if found.expected_text else "Nobody said what should be.",
        drawn(found.matrix(), "dependence", heading(found)),
        wide=True,
    )
    leaks = _pairs("leaks", "Leaks", "Outputs that depend on inputs that they may not see.", found.leaks)
    missing = _pairs("missing", "Missing", "Outputs that should depend on inputs, and do not.", found.missing)
    parts = {"seen": whole, "leaks": leaks, "missing": missing, "methods": _methods(found), "how": _how(found)}
    titles = {
        "seen": "Who depends on whom",
        "leaks": "Leaks",
        "missing": "Missing",
        "methods": "Two ways",
        "how": "What this stands on",
    }
    shown = {name: part for name, part in parts.items() if part is not None}
    numbers = [
        ("leaks", len(found.leaks)),
        ("missing", len(found.missing)),
        ("open", int(found.unsure.sum())),
        ("tokens", len(found.tokens)),
    ]
    return page(
        found.verdict(),
        *shown.values(),
        over=f"probes {found.model}",
        facts=facts(*((name, joined(tag("b", str(count)))) for name, count in numbers)),
        contents=[(name, titles[name]) for name in shown],
        styles=[STYLE],
    )


def write_picture(found: Dependence, path: Path) -> None:
    """Write the matrix as a PNG file, whole or not at all."""
    write_png(found.matrix(), path, heading(found))
