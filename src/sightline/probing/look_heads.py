"""The section of attention heads: all of them small, one large, drawn by the page's script.

Shapes: L layers, H heads, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sightline.pages.markup import Html, section, tag
from sightline.pages.shell import data
from sightline.probing.attention import surest
from sightline.probing.draw import label
from sightline.probing.look_parts import TITLES, encoded

LARGEST, WIDEST = 130, 740  # pixels that a small head, and all of them together, may be wide


def _all(layers: int, count: int, tokens: int) -> Html:
    """A square a head, with the numbers of layers and heads beside them."""
    box = tag(
        "div",
        tag("canvas", width=count * (tokens + 1), height=layers * (tokens + 1), aria_hidden="true"),
        tag("div", class_="heads-mark", aria_hidden="true"),
        class_="heads-box",
        tabindex="0",
        role="application",
        aria_label=f"All {layers} layers by {count} heads. Arrow keys go from head to head.",
    )
    down = tag("div", *(tag("span", str(layer)) for layer in range(1, layers + 1)), class_="heads-layers")
    across = tag("div", *(tag("span", str(head)) for head in range(1, count + 1)), class_="heads-heads")
    wide = min(WIDEST, count * LARGEST)
    return tag("div", down, box, across, class_="heads-all", style=f"max-width:{wide}px")


def _one() -> Html:
    """Where one head is drawn: arrows from who asks to who answers, and the same as a map."""
    keys = (
        "One head: tokens that ask at the left, those that answer at the right. Up and down choose a token, left and"
        " right its side, Escape lets go."
    )
    hint = "Point at a token at the left: where it looks. At the right: who looks at it."
    arrows = tag("div", class_="head-box", tabindex="0", role="application", aria_label=keys)
    large = tag("div", arrows, tag("p", hint, class_="readout", id="head-said", role="status"))
    drawn = tag("canvas", class_="head-map", width=1, height=1, aria_hidden="true")
    return tag("div", large, tag("figure", tag("figcaption", "The same head as a map"), drawn), class_="pair-of")


def heads(texts: Sequence[str], weights: Tensor) -> Html:
    """The section, of weights (L, H, T, T) between tokens of these texts."""
    layers, count, tokens, _ = weights.shape
    values = {
        "layers": layers,
        "heads": count,
        "tokens": [label(text) for text in texts],
        "start": surest(weights),
        "weights": encoded((weights * 255).round().clamp(0, 255)),
    }
    explained = (
        "Every square is a head, layers from top to bottom; in it a row is a token that asks, and what stands out most"
        " gets most of its attention. Choose one to see it large."
    )
    said = tag("p", class_="readout", id="heads-said", role="status")
    body = [_all(layers, count, tokens), said, _one(), data("look-heads", values)]
    return section("heads", TITLES["heads"], explained, *body, wide=True)
