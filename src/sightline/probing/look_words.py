"""The sections of words: what each layer says, what the last one expects.

Shapes: L layers, N places, K words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sightline.pages.markup import Html, isolated, joined, listed, section, tag
from sightline.pages.shell import data
from sightline.probing.draw import label
from sightline.probing.lens import NEXT, Lens
from sightline.probing.look_parts import SHARES, TITLES, level, percent

if TYPE_CHECKING:
    from sightline.probing.look import Look

RANGES = ("below 2%", "2%", "10%", "30%", "70% and more")  # which SHARES part


def place_name(look: Look, lens: Lens, place: int) -> str:
    """A token that is asked at; an arrow behind it where what follows is asked for."""
    return f"{place} {label(look.tokens.texts[place])}" + (" →" if lens.asks == NEXT else "")


def likely(words: Sequence[tuple[str, float]], chosen: str | None = None) -> Html:
    """Words with their probabilities, a bar behind each."""
    rows = []
    for word, share in words:
        bar = tag("svg", tag("rect", width=f"{100 * share:.1f}%", height="100%"), aria_hidden="true", focusable="false")
        name = tag("span", isolated(label(word)), class_="chosen" if word == chosen else None)
        rows.append(joined(bar, name, tag("span", percent(share))))
    return listed(*rows, class_="likely", kind="ol")


def _table(look: Look, lens: Lens) -> Html:
    """A row a layer, the last one first; a column a place."""
    head = [tag("th", isolated(place_name(look, lens, place)), scope="col") for place in lens.places]
    rows = []
    best, sure, truth = lens.words[..., 0].tolist(), lens.probabilities[..., 0].tolist(), lens.truth.tolist()
    for layer in reversed(range(len(best))):
        cells = []
        for word, share, real in zip(best[layer], sure[layer], truth, strict=True):
            kinds = [f"is-{level(share, SHARES)}", *(["true"] if word == real else [])]
            cells.append(tag("td", isolated(label(look.spelled[word])), class_=" ".join(kinds)))
        rows.append(tag("tr", tag("th", str(layer) if layer else "embedded", scope="row"), *cells))
    caption = tag("caption", f"The likeliest word at every layer: {lens.asks}")
    top = tag("thead", tag("tr", tag("th", "layer", scope="col"), *head))
    return tag("table", caption, top, tag("tbody", *rows), class_="lens")


def _reading(look: Look, number: int, lens: Lens) -> Html:
    """One way to ask, with what pointer and keys read out; the first is shown until another is chosen."""
    box = tag(
        "div",
        _table(look, lens),
        class_="lens-box",
        tabindex="0",
        role="application",
        aria_label=f"The likeliest word at every layer: {lens.asks}. Arrow keys go from cell to cell.",
    )
    hint = "Point at a cell, or use the arrow keys, for the other words that the layer says there."
    said = tag("div", hint, class_="readout", role="status")
    return tag("div", box, said, class_="lens-reading", data_reading=number, hidden=None if number == 0 else "")


def _values(look: Look) -> dict[str, object]:
    """Words once; for every layer and place pairs of a word's number and its probability in ten-thousandths."""
    numbers: dict[int, int] = {}
    for lens in look.lenses:
        for word in [*lens.words.flatten().tolist(), *lens.truth.tolist()]:
            numbers.setdefault(word, len(numbers))

    def pairs(words: list[int], shares: list[float]) -> list[list[int]]:
        return [[numbers[word], round(10_000 * share)] for word, share in zip(words, shares, strict=True)]

    readings = [
        {
            "places": [place_name(look, lens, place) for place in lens.places],
            "cells": [
                [pairs(*both) for both in zip(*layer, strict=True)]
                for layer in zip(lens.words.tolist(), lens.probabilities.tolist(), strict=True)
            ],
            "truth": [numbers[word] if word >= 0 else -1 for word in lens.truth.tolist()],
            "ofTruth": [[round(10_000 * share) for share in row] for row in lens.of_truth.tolist()],
        }
        for lens in look.lenses
    ]
    return {"words": [label(look.spelled.get(word, "")) for word in numbers], "readings": readings}


def layers(look: Look) -> Html:
    """The section of the logit lens."""
    buttons = [
        tag("button", lens.asks, type="button", aria_pressed="false" if number else "true", data_reading=number)
        for number, lens in enumerate(look.lenses)
    ]
    choices = tag("div", *buttons, class_="choices", id="lens-choices", role="group", aria_label="What is asked")
    keys = [tag("span", text, class_=f"is-{shade}") for shade, text in enumerate(RANGES, start=1)]
    explained = (
        "Each layer's hidden state through the final norm and the head, as if it were the last: the likeliest word."
        " Underlined: the one that truly stands there."
    )
    body = [
        choices if len(buttons) > 1 else None,
        tag("div", *keys, class_="lens-key lens"),
        *(_reading(look, number, lens) for number, lens in enumerate(look.lenses)),
        data("look-lens", _values(look)),
    ]
    return section("lens", TITLES["lens"], explained, *body, wide=True)


def _expected_at(look: Look, lens: Lens, at: int, spelled: Mapping[int, str]) -> Html:
    place, truth = lens.places[at], int(lens.truth[at])
    known = None
    if truth >= 0:
        known = tag("small", " truly ", isolated(label(spelled[truth])), f", {percent(float(lens.of_truth[-1, at]))}")
    elif place in look.tokens.blanks:
        known = tag("small", " a blank")
    best = zip(lens.words[-1, at].tolist(), lens.probabilities[-1, at].tolist(), strict=True)
    words = [(spelled[word], share) for word, share in best]
    return joined(tag("h3", isolated(place_name(look, lens, place)), known), likely(words))


def expected(look: Look, lens: Lens) -> Html:
    """The section of the likeliest words at each place, by the last layer."""
    items = [_expected_at(look, lens, at, look.spelled) for at in range(len(lens.places))]
    explained = f"The model's answer to: {lens.asks}? The likeliest tokens at each place."
    return section("expected", TITLES["expected"], explained, listed(*items, class_="places", kind="ol"), wide=True)
