"""The section of changes: how far every hidden state moves when one token is replaced.

Shapes: L layers (the embeddings are one more), T tokens, N tokens that are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sightline.pages.markup import Child, Html, isolated, joined, listed, section, shortened, tag
from sightline.pages.shell import data
from sightline.probing.draw import label
from sightline.probing.draw_svg import LABEL, gutter
from sightline.probing.look_parts import CHANGES, TITLES, change_bytes, encoded, level
from sightline.probing.replaced import Replaced

HEAT = 20.0  # units of a cell of the heat map
LEFT = 78.0  # units that the layers' names take
RANGES = ("below 3%", "3%", "10%", "30%", "100% and more")  # which CHANGES part


def _cells(found: Replaced, names: Sequence[str], top: float) -> list[Child]:
    """Every layer's states, the last layer on top, as they move when the first of the tokens is replaced."""
    layers = found.changes.shape[1]
    cells: list[Child] = []
    for row in range(layers):
        layer, y = layers - 1 - row, top + row * HEAT
        name = str(layer) if layer else "embedded"
        cells.append(tag("text", name, x=LEFT - 6, y=y + HEAT / 2 + 4, text_anchor="end"))
        for column, value in enumerate(found.changes[0, layer].tolist()):
            shade, x = level(value, CHANGES), LEFT + column * HEAT
            cells.append(tag("rect", x=x, y=y, width=HEAT - 2, height=HEAT - 2, class_=f"cell shade-{shade}"))
    for column, name in enumerate(names):
        turned = f"translate({LEFT + column * HEAT + HEAT / 2 + 3:.1f} {top - 6:.1f}) rotate(-90)"
        cells.append(tag("text", shortened(name, LABEL), transform=turned))
    return cells


def _map(found: Replaced, names: Sequence[str]) -> Html:
    """The heat map in a box that pointer and keys read out."""
    _, layers, tokens = found.changes.shape
    top = gutter(names)
    width, height = LEFT + tokens * HEAT + 2, top + layers * HEAT + 2
    picture = tag(
        "svg",
        tag("rect", x=LEFT - 1, y=top - 1, width=tokens * HEAT, height=layers * HEAT, class_="frame"),
        *_cells(found, names, top),
        tag("rect", x=LEFT, y=top, width=HEAT - 1, height=HEAT - 1, class_="cursor", hidden=""),
        class_="matrix-drawn",
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"min-width:{0.75 * width:.0f}px;max-width:{width:.0f}px",
        aria_hidden="true",
        focusable="false",
    )
    return tag(
        "div",
        picture,
        class_="matrix-box changed",
        id="replaced-box",
        tabindex="0",
        role="application",
        aria_label="How far each hidden state moves: layers by tokens. Arrow keys go from cell to cell.",
        data_left=LEFT,
        data_top=top,
        data_cell=HEAT,
        data_width=width,
    )


def _key(shade: int, text: str) -> Html:
    square = tag("rect", width="16", height="16", class_=f"cell shade-{shade}")
    return joined(tag("svg", square, class_="cell-key", viewBox="0 0 16 16", aria_hidden="true"), text)


def changes(found: Replaced, texts: Sequence[str], spelled: Mapping[int, str]) -> Html:
    """The section, of a text with these tokens."""
    names = [label(text) for text in texts]
    buttons = [
        tag(
            "button",
            isolated(names[place]),
            tag("small", f" {place}"),
            type="button",
            data_number=number,
            aria_pressed="false" if number else "true",
        )
        for number, place in enumerate(found.places)
    ]
    values = {
        "tokens": names,
        "places": list(found.places),
        "by": [label(spelled[token]) for token in found.by],
        "layers": found.changes.shape[1],
        "bounds": list(CHANGES),
        "changes": encoded(change_bytes(found.changes)),
    }
    explained = (
        "Another token stands in its place: how far does every hidden state move, in shares of its own length? An empty"
        " cell has not moved by a single bit: at that layer, that token cannot know."
    )
    body = [
        tag("div", *buttons, class_="choices", id="replaced-choices", role="group", aria_label="Which is replaced"),
        tag("p", class_="readout", id="replaced-by", role="status"),
        listed(*(_key(shade, text) for shade, text in enumerate(RANGES, start=1)), class_="cells"),
        _map(found, names),
        tag("p", "Point at a cell, or use the arrow keys.", class_="readout", id="replaced-said", role="status"),
        data("look-replaced", values),
    ]
    return section("replaced", TITLES["replaced"], explained, *body, wide=True)
